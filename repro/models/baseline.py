"""The baseline: accepted outputs, and everything that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro.models.execution import Cpu, FileDigest


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """`baseline/<platform>/seal.toml`: what was accepted, why, and the digest of each file.

    `files` are all files of the folder but the seal itself, relative to it.
    """

    folder: Path
    platform: str
    environment_key: str
    image_id: str
    engine: str
    reason: str
    cpu: Cpu
    code: tuple[FileDigest, ...]
    data: tuple[FileDigest, ...]
    files: tuple[FileDigest, ...]

    @property
    def output_folder(self) -> Path:
        """The accepted outputs under their project paths."""
        return self.folder / "outputs"

    @property
    def lock_folder(self) -> Path:
        """The copy of the locks."""
        return self.folder / "locks"
