"""What registries say of images: indexes, manifests, configurations. Pure: bytes → nouns.

Formats: OCI image-spec v1 (image-index.md, manifest.md, config.md) and Docker's Image Manifest V2,
Schema 2, of which they are descended.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.errors import LockError, UsageError
from repro.image.config import MANIFEST_TYPE
from repro.locks.names import said, shown

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
LAYER_TYPES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
MOST = 4 << 20
"""Bytes of a manifest or configuration: registries themselves take no larger manifest."""

_ELSEWHERE = re.compile(r"\.foreign\.|\.nondistributable\.")
_SIZE = 1 << 43
"""Bytes: no blob is larger."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Descriptor:
    """One blob that a manifest names: `digest` is `sha256:<hex>`, `size` in bytes."""

    kind: str
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One platform's image as a registry has it: its configuration and its layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """What an image's configuration says; `layers` are the digests of the uncompressed tars."""

    platform: str
    env: tuple[tuple[str, str], ...]
    layers: tuple[str, ...]


def digest_of(data: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_digest(data: bytes, digest: str, *, label: str) -> bytes:
    """Return the data. Raises LockError when it is not what its digest says."""
    if digest_of(data) != digest:
        raise LockError(
            f"{label}: the registry served {digest_of(data)} as {digest}",
            hint="it is damaged there, or was changed on its way; nothing was kept",
        )
    return data


def choose(data: bytes, platform: str, *, label: str) -> Descriptor | None:
    """Return the manifest for a platform in an index; None where `data` is no index.

    Raises UsageError where the index has none for it, LockError for an index that is damaged.
    """
    document = _document(data, label)
    if "manifests" not in document:
        return None
    if "layers" in document or "config" in document:  # CVE-2021-41190: two readings of one text
        raise _damaged(label, "is an index and a manifest at once")
    found: list[tuple[str, str, Descriptor]] = []
    for item in _list(document, "manifests", label):
        is_for = item.get("platform")
        is_for = is_for if isinstance(is_for, dict) else {}
        name = f"{is_for.get('os')}-{is_for.get('architecture')}"
        if item.get("mediaType") in MANIFEST_TYPES:
            found.append((name, str(is_for.get("variant") or ""), _descriptor(item, label)))
    fitting = [(variant, item) for name, variant, item in found if name == platform]
    if not fitting:
        names = sorted({name for name, _, _ in found if "unknown" not in name})
        raise _other_platform(label, ", ".join(names), platform)
    # arm64 is v8 where nothing is said; of amd64 the first level runs everywhere
    return min(fitting, key=lambda one: one[0] not in ("", "v8", "v1"))[1]


def read_manifest(data: bytes, *, label: str) -> Manifest:
    """Read one platform's manifest.

    Raises UsageError for an image that cannot be a base (schema 1, layers that lie elsewhere),
    LockError for a damaged one.
    """
    document = _document(data, label)
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise UsageError(
            f"{label}: its manifest is of schema 1, which names no content",
            hint="push it again with a Docker of this decade, and use that",
        )
    if "manifests" in document:
        raise _damaged(label, "is an index inside an index")
    config = document.get("config")
    if not isinstance(config, dict):
        raise _damaged(label, "its manifest names no configuration")
    layers = []
    for item in _list(document, "layers", label):
        kind = item.get("mediaType")
        if isinstance(kind, str) and _ELSEWHERE.search(kind):
            raise UsageError(
                f"{label}: has a layer that its registry does not hold ({kind})",
                hint="choose an image whose layers may be distributed",
            )
        if kind not in LAYER_TYPES:
            raise UsageError(
                f"{label}: has a layer of the unknown type {shown(str(kind))}",
                hint="choose an image of plain, gzip or zstd layers; it may be no image at all",
            )
        layers.append(_descriptor(item, label))
    return Manifest(config=_descriptor(config, label), layers=tuple(layers))


def read_configuration(data: bytes, *, label: str) -> Configuration:
    """Read an image's configuration. Raises LockError for a damaged one."""
    document = _document(data, label)
    tree = document.get("rootfs")
    layers = tree.get("diff_ids") if isinstance(tree, dict) else None
    if not isinstance(layers, list) or not all(_is_digest(one) for one in layers):
        raise _damaged(label, "its configuration names no layers")
    inner = document.get("config")
    lines = (inner.get("Env") or []) if isinstance(inner, dict) else []
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise _damaged(label, "its environment is no list of texts")
    pairs = (line.partition("=") for line in lines)
    env = {name: value for name, sign, value in pairs if name and sign and "\0" not in value}
    return Configuration(
        platform=f"{document.get('os')}-{document.get('architecture')}",
        env=tuple(sorted(env.items())),
        layers=tuple(layers),
    )


def require_platform(configuration: Configuration, platform: str, *, label: str) -> None:
    """Raise UsageError for an image of another platform."""
    if configuration.platform != platform:
        raise _other_platform(label, configuration.platform, platform)


def _other_platform(label: str, there: str, platform: str) -> UsageError:
    return UsageError(
        f"{label}: is an image for {shown(there)[1:-1] or 'no platform'}, not for {platform}",
        hint=f"choose an image that has {platform}",
    )


def _document(data: bytes, label: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of 5,000 digits
        raise _damaged(label, f"is no JSON: {said(error)}") from None
    if not isinstance(value, dict):
        raise _damaged(label, "is no JSON object")
    return value


def _list(document: Mapping[str, Any], key: str, label: str) -> list[Mapping[str, Any]]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _damaged(label, f"its {key} are no list of objects")
    return value


def _descriptor(item: Mapping[str, Any], label: str) -> Descriptor:
    digest, size = item.get("digest"), item.get("size")
    if not _is_digest(digest):
        raise _damaged(label, f"names the digest {shown(str(digest))}, which is no sha256")
    if type(size) is not int or not 0 <= size <= _SIZE:
        raise _damaged(label, f"names the size {shown(str(size)[:40])}")
    assert isinstance(digest, str)
    return Descriptor(kind=str(item.get("mediaType") or ""), digest=digest, size=size)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is not None


def _damaged(label: str, how: str) -> LockError:
    return LockError(f"{label}: {how}", hint="the registry does not serve an image there")
