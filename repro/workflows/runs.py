"""Reading recorded runs from the disk, each checked against its record."""

from __future__ import annotations

from pathlib import Path

from repro.errors import LockError
from repro.files import digest_file, local_errors
from repro.locks.names import path_shown
from repro.locks.records import parse_run
from repro.models.execution import Run
from repro.models.project import Project
from repro.project.tree import members
from repro.workflows.lockfiles import read_file, read_lock

RUN = "run.toml"


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
    top = run.output_folder
    present = {path.relative_to(top).as_posix() for path in members(top)}
    for name in sorted(recorded.keys() | present):
        path = top / name
        said = path_shown(str(path))
        if name not in recorded or name not in present or path.is_symlink():
            raise LockError(f"{said}: the run's record does not have it so", hint=hint)
        if digest_file(path)[1] != recorded[name]:
            raise LockError(f"{said}: no longer what the run wrote", hint=hint)
    if read_lock(run.lock_folder, root=run.folder).key != run.environment_key:
        raise LockError(f"{run.lock_folder}: not the locks of that run", hint=hint)
