"""Debian's own registry on loopback, and images for it that the tests make.

    with registry_running(folder) as registry:
        pushed = registry.push("team/base", "1.0", made_image(layers=[tar]))
        registry.push("team/base", "1.0", other)          # the tag has moved
        registry.damage(pushed.blobs[0])                   # bytes on its disk

`login` has it ask for a password, in the Basic scheme. What was asked for stands in its log.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

PROGRAM = "docker-registry"
_UP = 20.0
_BCRYPT = "$2b$05$Yr/jpGN0lnnNq/VNTjndWOuHYCkKEHTRR37kJtvFqI99thLOyTvMi"
"""Of the password below; the registry takes no other kind."""

OCI = "application/vnd.oci.image"
MANIFEST, INDEX = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest_of(data: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return a tar of these members, as a builder of images would write it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def tar_member(
    name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    """Return the head of one member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1_600_000_000
    return info


def zipped(data: bytes) -> bytes:
    """Gzip, as docker does it."""
    return gzip.compress(data, 1)


@dataclass(frozen=True, kw_only=True)
class MadeImage:
    """An image: its configuration, and its layers as blobs."""

    config: bytes
    blobs: tuple[bytes, ...]
    layer_type: str = f"{OCI}.layer.v1.tar+gzip"
    manifest_type: str = MANIFEST

    @property
    def id(self) -> str:
        """The digest of its configuration."""
        return digest_of(self.config)

    @property
    def manifest(self) -> bytes:
        """Its manifest."""
        config = {
            "mediaType": f"{OCI}.config.v1+json",
            "digest": self.id,
            "size": len(self.config),
        }
        layers = [
            {"mediaType": self.layer_type, "digest": digest_of(blob), "size": len(blob)}
            for blob in self.blobs
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": self.manifest_type,
            "config": config,
            "layers": layers,
        }
        return json.dumps(document).encode()

    @property
    def digest(self) -> str:
        """That of its manifest."""
        return digest_of(self.manifest)


def made_image(
    layers: Sequence[bytes],
    *,
    env: Sequence[str] = ("PATH=/usr/local/bin:/usr/bin:/bin",),
    platform: str = "linux-amd64",
    compress: Callable[[bytes], bytes] = zipped,
    layer_type: str = f"{OCI}.layer.v1.tar+gzip",
) -> MadeImage:
    """Make an image of these plain tars."""
    system, _, architecture = platform.partition("-")
    config = {
        "architecture": architecture,
        "os": system,
        "config": {"Env": list(env), "Cmd": ["sh"], "Entrypoint": ["/no-such-program"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created_by": "a test"} for _ in layers],
    }
    return MadeImage(
        config=json.dumps(config).encode(),
        blobs=tuple(compress(layer) for layer in layers),
        layer_type=layer_type,
    )


@dataclass(kw_only=True)
class Registry:
    """One that runs; `host` is its host and port, `login` a user and password, or None."""

    host: str
    folder: Path
    login: tuple[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def push(self, repository: str, tag: str, image: MadeImage) -> MadeImage:
        """Push an image, and name it."""
        self.blob(repository, image.config)
        for blob in image.blobs:
            self.blob(repository, blob)
        self.document(repository, tag, image.manifest, image.manifest_type)
        return image

    def push_index(self, repository: str, tag: str, images: Mapping[str, MadeImage]) -> str:
        """Push an index of one image a platform; return its digest."""
        manifests = []
        for platform, image in images.items():
            self.push(repository, image.digest, image)
            system, _, architecture = platform.partition("-")
            manifests.append(
                {
                    "mediaType": image.manifest_type,
                    "digest": image.digest,
                    "size": len(image.manifest),
                    "platform": {"os": system, "architecture": architecture},
                }
            )
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
        self.document(repository, tag, index.encode(), INDEX)
        return digest_of(index.encode())

    def blob(self, repository: str, data: bytes) -> None:
        """Push one blob."""
        base = f"http://{self.host}/v2/{repository}/blobs"
        begun = self._do("POST", f"{base}/uploads/")
        place = begun.headers["Location"]
        sign = "&" if "?" in place else "?"
        self._do("PUT", f"{place}{sign}digest={digest_of(data)}", data=data)

    def document(self, repository: str, tag: str, data: bytes, kind: str) -> None:
        """Push one manifest or index."""
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        self._do("PUT", url, data=data, headers={"Content-Type": kind})

    def stored(self, digest: str) -> Path:
        """Where a blob lies on its disk."""
        name = digest.removeprefix("sha256:")
        root = self.folder / "data/docker/registry/v2/blobs/sha256"
        return root / name[:2] / name / "data"

    def damage(self, digest: str) -> None:
        """Flip one byte in the middle of a blob."""
        path = self.stored(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def stop(self) -> None:
        """End it; `start` begins again with what it holds."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(_UP)
            self.process = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", str(self.folder / "config.yml")],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            )
        deadline = time.monotonic() + _UP
        while not self._answers():
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.05)

    @property
    def log(self) -> str:
        """What it said."""
        return (self.folder / "log").read_text(errors="replace")

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://{self.host}/v2/", timeout=2).status_code in (200, 401)
        except requests.ConnectionError:
            return False

    def _do(self, method: str, url: str, **more: object) -> requests.Response:
        answer = self.session.request(method, url, auth=self.login, timeout=30, **more)  # type: ignore[arg-type]
        assert answer.ok, (method, url, answer.status_code, answer.text)
        return answer


@contextmanager
def registry_running(
    folder: Path, *, login: bool = False, settings: Mapping[str, object] | None = None
) -> Iterator[Registry]:
    """Run a registry of its own in `folder`; skips where Debian's package is not installed.

    `settings` are further parts of its configuration.
    """
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not installed: apt-get install {PROGRAM}")
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{line.getsockname()[1]}"
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
        **(settings or {}),
    }
    account = ("reader", "hunter2-registry") if login else None
    if account is not None:
        (folder / "htpasswd").write_text(f"{account[0]}:{_BCRYPT}\n")
        realm = {"realm": "tests", "path": str(folder / "htpasswd")}
        config["auth"] = {"htpasswd": realm}
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    registry = Registry(host=host, folder=folder, login=account)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
