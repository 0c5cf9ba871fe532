"""One tar that is an OCI layout and a docker-archive at once: every engine finds its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import BinaryIO

from repro.files import CHUNK, local_errors, open_regular
from repro.image.config import MANIFEST_TYPE, canonical_json
from repro.image.ustar import END, Member, header, padding
from repro.models.image import Image, Layer
from repro.models.project import PLATFORM
from repro.store.artifacts import Store


def write_archive(file: BinaryIO, image: Image, store: Store, *, omit: frozenset[str]) -> None:
    """Write the image as one tar, without the layers whose diff ID is in `omit`.

    Format: OCI image-layout v1 (`oci-layout`, `index.json`, `blobs/`), and `manifest.json` as
    `docker save` writes it. Raises LockError for a layer that is not what the image says,
    LocalError for one that cannot be read.
    """
    for chunk in archive_chunks(image, store, omit=omit):
        file.write(chunk)


def archive_chunks(image: Image, store: Store, *, omit: frozenset[str]) -> Iterator[bytes]:
    """Yield the bytes of `write_archive`, never more than 1 MiB of a layer at a time."""
    yield from _small("oci-layout", canonical_json({"imageLayoutVersion": "1.0.0"}))
    yield from _small("index.json", index(image))
    yield from _small("manifest.json", _docker_manifest(image))
    yield from _small(_blob(image.id), image.config)
    yield from _small(_blob(image.manifest_digest), image.manifest)
    for layer in {layer.digest: layer for layer in image.layers}.values():
        if layer.digest not in omit:
            yield from _layer(layer, store)
    yield END


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def index(image: Image) -> bytes:
    """Return the `index.json` of an OCI layout that holds this image."""
    system, _, architecture = PLATFORM.partition("-")
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                {
                    "mediaType": MANIFEST_TYPE,
                    "digest": image.manifest_digest,
                    "size": len(image.manifest),
                    "platform": {"architecture": architecture, "os": system},
                    "annotations": {
                        # how an engine that keeps its images in containerd learns the name
                        "io.containerd.image.name": f"docker.io/library/{image.tag}",
                        "org.opencontainers.image.ref.name": image.tag.partition(":")[2],
                    },
                }
            ],
        }
    )


def _docker_manifest(image: Image) -> bytes:
    return canonical_json(
        [
            {
                "Config": _blob(image.id),
                "Layers": [_blob(layer.digest) for layer in image.layers],
                "RepoTags": [image.tag],
            }
        ]
    )


def _small(name: str, data: bytes) -> Iterator[bytes]:
    yield header(Member(name=name, type=b"0", mode=0o644, size=len(data)))
    yield data + padding(len(data))


def _layer(layer: Layer, store: Store) -> Iterator[bytes]:
    """Yield the layer, hashed as it passes: what is not its digest gets no end of archive."""
    yield header(Member(name=_blob(layer.digest), type=b"0", mode=0o644, size=layer.size))
    path, digest = store.layer_path(layer), hashlib.sha256()
    with local_errors(path), open_regular(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            yield chunk
    if f"sha256:{digest.hexdigest()}" != layer.digest:
        sha256 = layer.digest.removeprefix("sha256:")
        raise store.damaged(sha256, label=f"layer {layer.name}", found=digest.hexdigest())
    yield padding(layer.size)
