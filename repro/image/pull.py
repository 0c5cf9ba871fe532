"""An image out of a registry: which one a name means, its layers as plain tars, all verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from repro.download import Body
from repro.errors import LockError, UsageError
from repro.image.compression import plain
from repro.image.manifests import (
    MOST,
    Configuration,
    Descriptor,
    Manifest,
    check_digest,
    choose,
    digest_of,
    read_configuration,
    read_manifest,
    require_platform,
)
from repro.image.registry import Repository
from repro.progress import Task, counted


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteImage:
    """One platform's image in a repository; `digest` is its manifest's, `id` its configuration's.

    `manifest.layers` and `configuration.layers` are of one length, and pair by pair the same
    layers: as blobs, and as plain tars.
    """

    digest: str
    id: str
    manifest: Manifest
    configuration: Configuration


def find(repository: Repository, version: str, platform: str) -> RemoteImage:
    """Return the image that a tag or digest (`version`) is for a platform (`linux-amd64`).

    Raises NetworkError where it cannot be had, UsageError where it is of no use as a base,
    LockError where the registry serves something else than the digests say.
    """
    label = f"{repository.reference.repository}{'@' if ':' in version else ':'}{version}"
    data = repository.manifest(version)
    if ":" in version:
        check_digest(data, version, label=label)
    if (chosen := choose(data, platform, label=label)) is not None:
        label = f"{repository.reference.repository}@{chosen.digest}"
        data = check_digest(repository.manifest(chosen.digest), chosen.digest, label=label)
    manifest = read_manifest(data, label=label)
    configuration = read_configuration(_small(repository, manifest.config, label), label=label)
    require_platform(configuration, platform, label=label)
    if not manifest.layers:
        raise UsageError(f"{label}: has no layers", hint="choose an image that has files")
    if len(manifest.layers) != len(configuration.layers):
        raise LockError(
            f"{label}: its manifest has {len(manifest.layers)} layers, its configuration "
            f"{len(configuration.layers)}",
            hint="the registry does not serve an image there",
        )
    return RemoteImage(
        digest=digest_of(data),
        id=manifest.config.digest,
        manifest=manifest,
        configuration=configuration,
    )


def _small(repository: Repository, blob: Descriptor, label: str) -> bytes:
    """Return a small blob, verified."""
    if blob.size > MOST:
        raise LockError(
            f"{label}: its configuration has {blob.size:,} bytes",
            hint="no real one has; do not trust that image",
        )

    def whole(body: Body) -> bytes:
        return b"".join(_verified(body, blob, label))

    return repository.blob(blob, whole)


def write_layer_of(
    repository: Repository, blob: Descriptor, layer: str, file: BinaryIO, *, label: str, task: Task
) -> None:
    """Write the plain tar of a layer, whose digest is `layer`, to a new file.

    Blob and tar are both verified while they pass. Raises LockError when either is something
    else than its digest says, NetworkError.
    """

    def write(body: Body) -> None:
        file.seek(0)  # a body that breaks off and cannot go on begins again
        file.truncate()
        digest = hashlib.sha256()
        for piece in _unpacked(counted(body, task), blob, label):
            digest.update(piece)
            file.write(piece)
        if f"sha256:{digest.hexdigest()}" != layer:
            raise LockError(
                f"{label}: uncompressed it is sha256:{digest.hexdigest()}, the image says {layer}",
                hint="the image is damaged in its registry; nothing was kept",
            )

    repository.blob(blob, write)


def _unpacked(pieces: Iterator[bytes], blob: Descriptor, label: str) -> Iterator[bytes]:
    """Yield the plain tar; of a blob that cannot be unpacked, its digest is what counts."""
    verified = _verified(pieces, blob, label)
    try:
        yield from plain(verified, size=blob.size, label=label)
    except LockError:
        for _ in verified:  # raises what is wrong with the blob itself
            pass
        raise


def _verified(pieces: Body | Iterator[bytes], blob: Descriptor, label: str) -> Iterator[bytes]:
    """Yield a blob's pieces; raise LockError at its end, or after its size, for another one."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        size += len(piece)
        if size > blob.size:
            raise LockError(
                f"{label}: the registry served more than the {blob.size:,} bytes of {blob.digest}",
                hint="it is damaged there, or was changed on its way; nothing was kept",
            )
        digest.update(piece)
        yield piece
    found = f"sha256:{digest.hexdigest()}"
    if found != blob.digest:
        raise LockError(
            f"{label}: the registry served {found} as {blob.digest}",
            hint="it is damaged there, or was changed on its way; nothing was kept",
        )
    if size != blob.size:
        raise LockError(
            f"{label}: {blob.digest} has {size:,} bytes, its manifest says {blob.size:,}",
            hint="the registry does not serve an image there",
        )
