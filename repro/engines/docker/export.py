"""Images that a daemon holds: which one a name is, and its layers into the store.

Format: what `docker save` writes: `manifest.json` (docker/docs, image specification v1.2), which
names the configuration and the layers; since Docker 25 they lie in an OCI layout's `blobs`.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from repro.engines.docker.api import Daemon
from repro.engines.docker.images import inspect
from repro.errors import EngineError
from repro.files import CHUNK, local_errors
from repro.image.compression import plain
from repro.models.project import PLATFORM
from repro.progress import Progress
from repro.store.artifacts import Store

_LAYER = ("layer.tar",)
_SMALL = 4 << 20
_MOST_SMALL = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """An image in a daemon.

    `id` is the daemon's own name for it, `layers` the digests of its plain tars, `digests` those
    under which registries know it (manifest or index), by repository as docker shows it.
    """

    id: str
    layers: tuple[str, ...]
    digests: tuple[tuple[str, str], ...]


def find_held(daemon: Daemon, name: str) -> Held | None:
    """Return the image of that name, digest or ID, None where the daemon has none of the platform.

    Raises EngineError.
    """
    with daemon.doing(f"looking for image {name}"):
        said = inspect(daemon.client, name)
        if said is None or f"{said['Os']}-{said['Architecture']}" != PLATFORM:
            return None
        digests = (str(one).rpartition("@") for one in said.get("RepoDigests") or ())
        return Held(
            id=said["Id"],
            layers=tuple(said["RootFS"]["Layers"]),
            digests=tuple((repository, digest) for repository, _, digest in digests),
        )


def export(daemon: Daemon, held: Held, store: Store, progress: Progress) -> bytes:
    """Have an image's layers in the store, each under the digest of its plain tar.

    Return the bytes of its configuration. Raises EngineError, LockError for a damaged layer.
    """
    small: dict[str, bytes] = {}
    found: set[str] = set()
    with progress.task("reading the image from docker"), daemon.doing(f"saving image {held.id}"):
        client = daemon.patient()
        try:
            chunks = client.get_image(held.id, chunk_size=CHUNK)
            with tarfile.open(fileobj=cast(BinaryIO, _Stream(chunks)), mode="r|") as tar:
                for member in tar:
                    _take(member, tar, store, small, found)
        except tarfile.TarError as error:
            raise ValueError(f"what it saved is no readable tar: {error}") from error
        finally:
            client.close()
    missing = sorted(set(held.layers) - found)
    if missing:
        raise EngineError(
            f"docker: the daemon at {daemon.address} did not save the layer {missing[0]} of "
            f"{held.id}",
            hint="pull that image again, or have it in a registry",
        )
    with daemon.doing(f"saving image {held.id}"):
        return _configuration(small)


def export_container(daemon: Daemon, name: str, target: Path) -> dict[str, str] | None:
    """Write a container's file system to a new file, as a tar; return its environment.

    None: the daemon has no container of that name. It may run meanwhile, nothing is run in it;
    what is mounted into it is not there. Raises EngineError, LocalError.
    """
    from docker.errors import NotFound

    client = daemon.patient()
    try:
        with daemon.doing(f"reading the container {name}"), local_errors(target):
            try:
                said = client.inspect_container(name)
            except NotFound:
                return None
            with target.open("wb") as file:
                for chunk in client.export(name, chunk_size=CHUNK):
                    file.write(chunk)
    finally:
        client.close()
    pairs = (one.partition("=") for one in (said.get("Config") or {}).get("Env") or ())
    return {key: value for key, _, value in pairs}


def _take(
    member: tarfile.TarInfo,
    tar: tarfile.TarFile,
    store: Store,
    small: dict[str, bytes],
    found: set[str],
) -> None:
    """Keep one member: a document in memory, a layer in the store; links are other names."""
    if not member.isreg():
        return
    content = tar.extractfile(member)
    assert content is not None
    head = content.read(1)
    if head in (b"{", b"[", b"") or (
        member.size < _SMALL and not member.name.startswith("blobs/") and not _is_layer(member.name)
    ):
        if member.size > _SMALL or sum(map(len, small.values())) > _MOST_SMALL:
            raise ValueError(f"what it saved holds {member.size} bytes of {member.name}")
        small[member.name] = head + content.read()
        return

    def write(file: BinaryIO) -> None:
        pieces = _pieces(head, content)
        for piece in plain(pieces, size=member.size, label=f"docker save: {member.name}"):
            file.write(piece)

    sha256, _ = store.add(write)
    found.add(f"sha256:{sha256}")


def _is_layer(name: str) -> bool:
    return name.rpartition("/")[2] in _LAYER


def _pieces(head: bytes, content: Any) -> Iterator[bytes]:
    yield head
    while piece := content.read(CHUNK):
        yield piece


def _configuration(documents: Mapping[str, bytes]) -> bytes:
    [manifest] = json.loads(documents["manifest.json"])
    return documents[manifest["Config"]]


class _Stream:
    """Chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end only."""
        parts, missing = [], size
        while missing and (chunk := self._rest or next(self._chunks, b"")):
            parts.append(chunk[:missing])
            self._rest = chunk[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
