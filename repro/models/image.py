"""Images: a list of layers and a canonical configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

RECIPE = 1
"""Version of the recipe: everything beside the lock that decides an image's bytes."""

EPOCH = 946684800
"""Every mtime and `created` in an image: 2000-01-01T00:00:00Z, seconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One uncompressed tar in the store.

    `key` is known before it is built (hash of recipe and lock part); `digest` is
    `sha256:<hex>` of the tar (its diff ID, and its blob digest); `size` bytes.
    """

    name: str
    key: str
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Layers, base first, and the canonical bytes of the OCI configuration and manifest."""

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes
    env: tuple[tuple[str, str], ...]
    """The environment that the configuration sets."""

    @property
    def id(self) -> str:
        """`sha256:<hex>` of the configuration: the image ID."""
        return "sha256:" + hashlib.sha256(self.config).hexdigest()

    @property
    def manifest_digest(self) -> str:
        """`sha256:<hex>` of the manifest."""
        return "sha256:" + hashlib.sha256(self.manifest).hexdigest()

    @property
    def tag(self) -> str:
        """The name under which an engine holds it; never trusted, only shown."""
        return f"repro:{self.id[7:19]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """`image.toml`: what the first build of a lock gave. `layers` are (name, digest)."""

    recipe: int
    environment_key: str
    image_id: str
    manifest_digest: str
    layers: tuple[tuple[str, str], ...]
    tools: tuple[tuple[str, str], ...]
    """(tool, version) of mmdebstrap, apt and dpkg at that build."""
