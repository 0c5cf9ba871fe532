"""A wheel in the store: what is known of it before it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro.models.lock import PipArtifact
from repro.store.artifacts import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A wheel in the store; `filename` has its name, version and tags, `sha256` is hex."""

    name: str
    version: str
    filename: str
    sha256: str
    path: Path

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"pip {self.name} {self.version}"


def wheel_of(artifact: PipArtifact, store: Store) -> Wheel:
    """Return the wheel that an artifact is, or that is built from it."""
    build = artifact.build
    sha256 = build.sha256 if build else artifact.sha256
    return Wheel(
        name=artifact.name,
        version=artifact.version,
        filename=build.wheel if build else artifact.filename,
        sha256=sha256,
        path=store.path(sha256),
    )
