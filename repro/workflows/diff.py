"""Two locks, two runs or two baselines side by side; runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from repro.compare.compare import compare
from repro.compare.locks import diff_locks
from repro.errors import UsageError
from repro.files import local_errors
from repro.locks import seal as seals
from repro.models.lock import Lock
from repro.models.outcome import DiffResult
from repro.models.project import PLATFORM, Project
from repro.workflows.baselines import SEAL, read_baseline
from repro.workflows.lockfiles import read_lock
from repro.workflows.measuring import measure_folder
from repro.workflows.runs import last_run, read_run, require_unchanged, runs_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """What a name stands for: locks, outputs, or both."""

    name: str
    locks: Path | None
    outputs: Path | None


def diff(project: Project, old: str, new: str) -> DiffResult:
    """Compare what `old` and `new` name.

    A name is a run's ID, `last`, `baseline`, `lock`, or a folder: of locks, of a baseline, of a
    run, or of a whole project. Environments are compared where both sides have locks, outputs
    where both have them. Raises UsageError when nothing can be compared.
    """
    left, right = _side(project, old), _side(project, new)
    environment = comparison = None
    if left.locks and right.locks:
        environment = diff_locks(_lock(left.locks, project), _lock(right.locks, project))
    if left.outputs and right.outputs:
        comparison = compare(
            measure_folder(project, left.outputs),
            measure_folder(project, right.outputs),
            project.metrics,
            project.tables,
        )
    if environment is None and comparison is None:
        raise UsageError(
            f"{old} and {new} have nothing in common to compare",
            hint="name two locks, two runs or two baselines",
        )
    return DiffResult(old=left.name, new=right.name, environment=environment, comparison=comparison)


def _lock(folder: Path, project: Project) -> Lock:
    return read_lock(folder, root=project.root)


def _side(project: Project, name: str) -> _Side:
    with local_errors(Path(name)):
        return _named(project, name)


def _named(project: Project, name: str) -> _Side:
    if name == "lock":
        return _Side(name=name, locks=project.lock_folder, outputs=None)
    if name == "baseline":
        if not project.baseline_folder.is_dir():
            raise UsageError(
                f"there is no baseline yet for {PLATFORM}",
                hint='run: repro accept --reason "why its numbers are right"',
            )
        return _folder_side(name, project.baseline_folder)
    if name == "last":
        run = last_run(project)
        if run is None:
            raise UsageError("there is no run yet", hint="run: repro run")
        return _folder_side(name, run.folder)
    in_runs = runs_folder(project) / name
    if "/" not in name and name not in ("", ".", "..") and in_runs.is_dir():
        return _folder_side(name, in_runs)
    return _folder_side(name, Path(name))


def _folder_side(name: str, folder: Path) -> _Side:
    if (folder / seals.SEAL).is_file():
        return _Side(name=name, locks=folder, outputs=None)
    if (folder / SEAL).is_file():
        baseline = read_baseline(folder, where=name)
        assert baseline is not None
        return _Side(name=name, locks=baseline.lock_folder, outputs=baseline.output_folder)
    run = read_run(folder) if folder.is_dir() else None
    if run is not None:
        if not run.execution.succeeded:
            raise UsageError(
                f"the run {run.id} failed: it has no results to compare",
                hint=f"its locks alone can be compared: {run.lock_folder}",
            )
        require_unchanged(run)
        return _Side(name=name, locks=run.lock_folder, outputs=run.output_folder)
    locks = folder / "lockfiles" / PLATFORM
    if (locks / seals.SEAL).is_file():
        return _Side(name=name, locks=locks, outputs=None)
    raise UsageError(
        f"{name!r} is no run, no baseline and no folder of locks",
        hint="give a run's ID, `last`, `baseline`, `lock`, or a folder of one of these",
    )
