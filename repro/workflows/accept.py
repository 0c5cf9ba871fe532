"""Promote a run's outputs to the baseline."""

from __future__ import annotations

from pathlib import Path

from repro.errors import UsageError
from repro.files import copy_regular, digest_file, replace_folder, write_atomic
from repro.locks.records import render_baseline
from repro.models.baseline import Baseline
from repro.models.execution import FileDigest, Run
from repro.models.lock import Lock
from repro.models.outcome import AcceptResult
from repro.models.project import PLATFORM, Project
from repro.project import digests
from repro.workflows.baselines import SEAL
from repro.workflows.execute import require_analysis, rerun
from repro.workflows.lockfiles import copy_locks, fresh_lock
from repro.workflows.measuring import measure_folder
from repro.workflows.runs import last_run, require_unchanged
from repro.workflows.state import fresh_turn, staging
from repro.workflows.tools import Tools


def accept(project: Project, tools: Tools, reason: str) -> AcceptResult:
    """Make the last run the baseline where it is of this tree, else run first.

    Raises UsageError without a reason, AnalysisError when the run fails or cannot be measured:
    nothing is written then.
    """
    if not reason.strip():
        raise UsageError("a reason is required", hint='repro accept --reason "why"')
    if reason != reason.encode(errors="replace").decode():
        raise UsageError("--reason is not UTF-8", hint="check the terminal's encoding")
    fresh_lock(project)
    require_analysis(project)
    with fresh_turn(project, tools) as lock:
        recorded = _promotable(project, lock)
        reran = recorded is None
        if recorded is None:
            recorded = rerun(project, lock, tools)
        measurement = measure_folder(project, recorded.output_folder)
        baseline = _write(project, recorded, lock, reason.strip())
    return AcceptResult(baseline=baseline, measurement=measurement, reran=reran)


def _promotable(project: Project, lock: Lock) -> Run | None:
    recorded = last_run(project)
    if recorded is None or not recorded.execution.succeeded:
        return None
    same = (
        recorded.environment_key == lock.key
        and recorded.platform == PLATFORM
        and recorded.code == digests.code_digests(project, project.root)
        and recorded.data == digests.data_digests(project)
    )
    if not same:
        return None
    require_unchanged(recorded)
    measured = {*project.metrics.files, *(table.file for table in project.tables)}
    if measured - {item.path for item in recorded.outputs}:
        return None  # declared since
    return recorded


def _write(project: Project, recorded: Run, lock: Lock, reason: str) -> Baseline:
    written: list[Baseline] = []

    def fill(folder: Path) -> None:
        for item in recorded.outputs:
            copy_regular(recorded.output_folder / item.path, folder / "outputs" / item.path)
        copy_locks(lock, recorded.lock_folder, folder / "locks")
        baseline = Baseline(
            folder=project.baseline_folder,
            platform=recorded.platform,
            environment_key=recorded.environment_key,
            image_id=recorded.image_id,
            engine=recorded.execution.engine,
            reason=reason,
            cpu=recorded.cpu,
            code=recorded.code,
            data=recorded.data,
            files=_digests(folder),
        )
        write_atomic(folder / SEAL, render_baseline(baseline))
        written.append(baseline)

    replace_folder(project.baseline_folder, fill, staging=staging(project))
    return written[0]


def _digests(folder: Path) -> tuple[FileDigest, ...]:
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, sha256 = digest_file(path)
        found.append(FileDigest(path=path.relative_to(folder).as_posix(), size=size, sha256=sha256))
    return tuple(found)
