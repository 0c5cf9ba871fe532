"""Reading baselines from the disk, each checked against its seal."""

from __future__ import annotations

from pathlib import Path

from repro.errors import LockError
from repro.files import digest_file
from repro.locks.names import path_shown
from repro.locks.records import parse_baseline
from repro.models.baseline import Baseline
from repro.models.project import PLATFORM, Project
from repro.project.tree import members
from repro.workflows.lockfiles import read_file

SEAL = "seal.toml"


def find_baseline(project: Project) -> Baseline | None:
    """The baseline of this platform, None when there is none. Raises LockError."""
    where = f"baseline/{project.baseline_folder.name}"
    found = read_baseline(project.baseline_folder, where=where)
    if found is not None and found.platform != PLATFORM:
        raise LockError(
            f"{where}/{SEAL}: it is the baseline of {found.platform}, not of {PLATFORM}",
            hint="restore the baseline from version control, or: repro accept --reason '…'",
        )
    return found


def read_baseline(folder: Path, *, where: str) -> Baseline | None:
    """Read a baseline and check every file of it against its seal.

    Raises LockError naming the file that was edited, added or removed.
    """
    data = read_file(folder / SEAL, where=f"{where}/{SEAL}")
    if data is None:
        return None
    baseline = parse_baseline(data, where=f"{where}/{SEAL}", folder=folder)
    sealed = {item.path: item.sha256 for item in baseline.files}
    present = {path.relative_to(folder).as_posix() for path in members(folder)} - {SEAL}
    hint = "restore the baseline from version control, or: repro accept --reason '…'"
    for name in sorted(sealed.keys() | present):
        path = path_shown(f"{where}/{name}")
        if name not in present:
            raise LockError(f"{path}: missing, but in the baseline's seal", hint=hint)
        if name not in sealed:
            raise LockError(f"{path}: not in the baseline's seal", hint=hint)
        if (folder / name).is_symlink():
            raise LockError(f"{path}: edited: it is a link", hint=hint)
        _, actual = digest_file(folder / name)
        if actual != sealed[name]:
            raise LockError(f"{path}: edited: sha256 is {actual}, sealed {sealed[name]}", hint=hint)
    return baseline
