"""A base image that others made, Debian with apt, as layers in a store; small packages for it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from repro import process
from repro.image.config import compose
from repro.image.layer import Entry, canonical, write_layer
from repro.models.image import Image
from repro.models.lock import BaseImage, Deb
from repro.store.artifacts import Store
from tests.support import test_cache

BOOTSTRAP = (
    *("mmdebstrap", "--quiet", "--variant=essential", "--include=apt,python3"),
    *("bookworm", "-"),
)
INTERPRETER = "/usr/local/bin/python3.12"
PATH = "/usr/local/bin:/usr/bin:/bin"
# What makes it an image of somebody else's: a Python of its own, a second layer that hides
# something of the first, a configuration of apt that would get in the way, odd owners and modes.
UPPER = (
    Entry(
        path=INTERPRETER.lstrip("/"), mode=0o755, kind="file",
        data=b"#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n",
    ),
    Entry(path="usr/share/base-files/.wh.dot.bashrc", mode=0, kind="file"),
    Entry(path="etc/apt/preferences.d/none", mode=0o644, kind="file",
          data=b"Package: *\nPin: release *\nPin-Priority: -1\n"),
    Entry(path="etc/apt/apt.conf.d/hook", mode=0o644, kind="file",
          data=b'DPkg::Pre-Invoke { "false"; };\n'),
    Entry(path="srv/shared", mode=0o2775, kind="dir", uid=33, gid=50),
    Entry(path="srv/shared/one", mode=0o640, kind="file", data=b"one\n", uid=33, gid=50),
    Entry(path="srv/shared/same", mode=0o640, kind="hardlink", link="srv/shared/one"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """The pinned image, and how the store has it."""

    store: Store
    base: BaseImage
    image: Image


@pytest.fixture(scope="session")
def foreign() -> Foreign:
    """Debian with apt under a layer of somebody's own; bootstrapped once a machine."""
    store = Store(test_cache() / "contract")
    key = hashlib.sha256("\n".join(BOOTSTRAP).encode()).hexdigest()
    with store.lock("foreign-image", what="the foreign image"):
        base = store.layer(key)
        if base is None:
            if process.which("mmdebstrap") is None:
                pytest.skip("the foreign image needs mmdebstrap: apt-get install mmdebstrap")
            base = store.keep_layer("debian", key, _bootstrap)
        upper = store.keep_layer("own", f"{key}-own", lambda file: write_layer(file, UPPER))
    image = compose((base, upper), env=(("PATH", PATH),))
    pinned = BaseImage(
        reference="registry.example.org/team/python:3.12",
        digest=image.manifest_digest,
        id=image.id,
        layers=(base.digest, upper.digest),
        env=(("PATH", PATH),),
        suite="bookworm",
        interpreter=INTERPRETER,
        glibc="2.36",
    )
    return Foreign(store=store, base=pinned, image=image)


def _bootstrap(file: BinaryIO) -> None:
    with os.fdopen(os.memfd_create("base.tar"), "w+b") as tar:
        done = process.run(BOOTSTRAP, timeout=600, stdout=tar.fileno())
        assert done.code == 0, done.tail()
        tar.seek(0)
        canonical(tar, file)


@dataclass(frozen=True, kw_only=True)
class Package:
    """A Debian package to be made: files by path, maintainer scripts by name."""

    name: str
    version: str = "1.0"
    files: Mapping[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    fields: Sequence[tuple[str, str]] = ()
    architecture: str = "all"

    def made(self, folder: Path) -> tuple[Deb, bytes]:
        """Build it with dpkg-deb below `folder`; return its lock entry and its bytes."""
        root = folder / f"{self.name}_{self.version}"
        control = root / "DEBIAN"
        control.mkdir(parents=True)
        fields = [
            ("Package", self.name),
            ("Version", self.version),
            ("Architecture", self.architecture),
            ("Maintainer", "Nobody <nobody@example.org>"),
            *self.fields,
            ("Description", "a package of the tests"),
        ]
        (control / "control").write_text("".join(f"{k}: {v}\n" for k, v in fields))
        for name, text in self.scripts.items():
            (control / name).write_text(f"#!/bin/sh\nset -e\n{text}\n")
            (control / name).chmod(0o755)
        for path, data in self.files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if data.startswith(b"#!") else 0o644)
        for path, to in self.links.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(to)
        file = folder / f"{self.name}_{self.version}_{self.architecture}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, file],
            check=True, capture_output=True,
        )  # fmt: skip
        data = file.read_bytes()
        deb = Deb(
            name=self.name,
            version=self.version,
            architecture=self.architecture,
            filename=f"pool/main/{file.name}",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            archive="debian",
            fields=tuple(self.fields),
        )
        return deb, data

    def stored(self, folder: Path, store: Store) -> Deb:
        """Build it, put it into a store, return its lock entry."""
        deb, data = self.made(folder)
        store.put([data], deb.sha256, label=self.name)
        return deb


def listing(layer: bytes) -> dict[str, tarfile.TarInfo]:
    """What a layer holds, by path."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return {member.name: member for member in tar}


def content(layer: bytes, path: str) -> bytes:
    """A file of a layer."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        file = tar.extractfile(path)
        assert file is not None
        return file.read()
