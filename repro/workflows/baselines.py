"""Reading baselines and recorded runs from the disk, each checked against its seal."""

from __future__ import annotations

from pathlib import Path

from repro.errors import LockError
from repro.files import digest_file, local_errors, walk
from repro.locks.records import parse_baseline, parse_run
from repro.models.baseline import Baseline
from repro.models.execution import Run
from repro.models.project import Project
from repro.workflows.lockfiles import read_file, read_lock

SEAL = "seal.toml"
RUN = "run.toml"


def find_baseline(project: Project) -> Baseline | None:
    """The baseline of this platform, None when there is none. Raises LockError."""
    return read_baseline(project.baseline_folder, where=f"baseline/{project.baseline_folder.name}")


def read_baseline(folder: Path, *, where: str) -> Baseline | None:
    """Read a baseline and check every file of it against its seal.

    Raises LockError naming the file that was edited, added or removed.
    """
    data = read_file(folder / SEAL, where=f"{where}/{SEAL}")
    if data is None:
        return None
    baseline = parse_baseline(data, where=f"{where}/{SEAL}", folder=folder)
    sealed = {item.path: item.sha256 for item in baseline.files}
    present = {name for name in _files(folder) if name != SEAL}
    hint = "restore the baseline from version control, or: repro accept --reason '…'"
    for name in sorted(sealed.keys() | present):
        if name not in present:
            raise LockError(f"{where}/{name}: missing, but in the baseline's seal", hint=hint)
        if name not in sealed:
            raise LockError(f"{where}/{name}: not in the baseline's seal", hint=hint)
        if (folder / name).is_symlink():
            raise LockError(f"{where}/{name}: edited: it is a link", hint=hint)
        _, actual = digest_file(folder / name)
        if actual != sealed[name]:
            raise LockError(
                f"{where}/{name}: edited: sha256 is {actual}, sealed {sealed[name]}", hint=hint
            )
    return baseline


def _files(folder: Path) -> list[str]:
    """All that is no folder, links to folders too."""
    found = []
    for parent, folders, files in walk(folder):
        links = [name for name in folders if (parent / name).is_symlink()]
        found += [(parent / name).relative_to(folder).as_posix() for name in (*files, *links)]
    return found


def runs_folder(project: Project) -> Path:
    """Where runs are recorded."""
    return project.state_folder / "runs"


def last_run(project: Project) -> Run | None:
    """The latest recorded run. Raises LockError when its record is damaged."""
    folder = runs_folder(project)
    with local_errors(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in reversed(names):
        if (run := read_run(folder / name)) is not None:
            return run
    return None


def read_run(folder: Path) -> Run | None:
    """Read the record of one run, None when the folder has none. Raises LockError."""
    data = read_file(folder / RUN, where=str(folder / RUN))
    return None if data is None else parse_run(data, where=str(folder / RUN), folder=folder)


def require_unchanged(run: Run) -> None:
    """Compare what lies in a run's folder with its record. Raises LockError naming the file."""
    hint = f"remove {run.folder}, and run again"
    recorded = {item.path: item.sha256 for item in run.outputs}
    present = set(_files(run.output_folder))
    for name in sorted(recorded.keys() | present):
        path = run.output_folder / name
        if name not in recorded or name not in present or path.is_symlink():
            raise LockError(f"{path}: the run's record does not have it so", hint=hint)
        if digest_file(path)[1] != recorded[name]:
            raise LockError(f"{path}: no longer what the run wrote", hint=hint)
    if read_lock(run.lock_folder, root=run.folder).key != run.environment_key:
        raise LockError(f"{run.lock_folder}: not the locks of that run", hint=hint)
