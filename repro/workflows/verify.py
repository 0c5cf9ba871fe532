"""Rerun the analysis and judge its numbers against the accepted baseline."""

from __future__ import annotations

from repro.compare.compare import compare
from repro.compare.locks import diff_locks
from repro.compare.unused import judges_something, unused_rules
from repro.errors import AnalysisError, LockError, UsageError
from repro.files import local_errors
from repro.locks.names import paths_shown
from repro.models.baseline import Baseline
from repro.models.execution import FileDigest
from repro.models.lock import Lock
from repro.models.measurement import Measurement
from repro.models.project import PLATFORM, Project
from repro.models.verdict import Verdict, Verification
from repro.project.digests import data_digests
from repro.project.tree import below, data_paths
from repro.workflows.baselines import find_baseline
from repro.workflows.execute import require_analysis, rerun
from repro.workflows.lockfiles import fresh_lock, read_lock
from repro.workflows.measuring import measure_folder
from repro.workflows.state import fresh_turn
from repro.workflows.tools import Tools


def verify(project: Project, tools: Tools) -> Verification:
    """Build if needed, run, measure, compare (DESIGN.md §8).

    Raises UsageError without a baseline, LockError when lock, baseline or data are not what
    they were, AnalysisError when the run fails. A drift is a value.
    """
    fresh_lock(project)
    require_analysis(project)
    baseline = find_baseline(project)
    if baseline is None:
        raise no_baseline(project)
    old_lock = _require_whole(project, baseline)
    _require_same_data(project, baseline)
    old = _measure_baseline(project, baseline)
    with fresh_turn(project, tools) as lock:
        recorded = rerun(project, lock, tools)
    _require_equal(baseline.data, recorded.data)  # a build, and waiting for one, take minutes
    new = measure_folder(project, recorded.output_folder)
    comparison = compare(old, new, project.metrics, project.tables)
    return Verification(
        verdict=Verdict.DRIFTED if comparison.drifted else Verdict.REPRODUCED,
        comparison=comparison,
        environment=diff_locks(old_lock, lock),
        engine=recorded.execution.engine,
        run_id=recorded.id,
        cpu_differs=recorded.cpu != baseline.cpu,
        code_changed=changed_paths(baseline.code, recorded.code),
        notes=(
            *(f"not enforced here: {limit}" for limit in recorded.execution.unenforced),
            *unused_rules((old, new), project.metrics, project.tables),
        ),
    )


def _require_whole(project: Project, baseline: Baseline) -> Lock:
    """Return the baseline's lock, which must be of the environment that its seal names."""
    lock = read_lock(baseline.lock_folder, root=project.root)
    if lock.key != baseline.environment_key:
        raise LockError(
            f"the baseline's locks are of the environment {lock.key}, its seal names "
            f"{baseline.environment_key}",
            hint="restore the baseline from version control; "
            'a new one is made by: repro accept --reason "…"',
        )
    return lock


def _measure_baseline(project: Project, baseline: Baseline) -> Measurement:
    """Measure the accepted outputs, before any work. Raises UsageError, LockError."""
    config = project.config or project.root
    if not project.metrics.files and not project.tables:
        raise UsageError(
            f"{config}: no metric and no table is declared: nothing could be judged",
            hint='name what the analysis writes: [metrics] files = ["out/metrics.json"]',
        )
    try:
        found = measure_folder(project, baseline.output_folder)
    except AnalysisError as error:
        raise LockError(
            f"the baseline cannot be measured as is now declared: {error.message}",
            hint="was [metrics] or [[tables]] changed since? A new baseline is made by: "
            "repro accept --reason …",
        ) from error
    if not judges_something(found, project.metrics):
        raise UsageError(
            f"{config}: [metrics] ignores every metric: nothing could be judged",
            hint="give those that matter a tolerance instead, or declare a table",
        )
    return found


def no_baseline(project: Project) -> UsageError:
    """Say how to make a baseline, and which other platforms have one."""
    folder = project.root / "baseline"
    with local_errors(folder):
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        others = [p.name for p in inside if p.is_dir() and not p.name.startswith(".")]
    also = f" (there is one for {', '.join(others)})" if others else ""
    return UsageError(
        f"no baseline yet for {PLATFORM}{also}",
        hint='make one from a run whose numbers you trust: repro accept --reason "first results"'
        + (", or verify on that platform" if others else ""),
    )


def changed_paths(old: tuple[FileDigest, ...], new: tuple[FileDigest, ...]) -> tuple[str, ...]:
    """Paths whose content differs, or that only one side has; sorted."""
    before = {item.path: item.sha256 for item in old}
    after = {item.path: item.sha256 for item in new}
    return tuple(sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p)))


def _require_same_data(project: Project, baseline: Baseline) -> None:
    had = [item.path for item in baseline.data]
    gone = [
        path
        for path in data_paths(project)
        if not (project.root / path).exists() and any(below(name, [path]) for name in had)
    ]
    if gone:
        raise LockError(
            f"data that the baseline was made with is missing: {', '.join(gone)}",
            hint="restore it; or correct data = [...] under [analysis] and accept a new baseline",
        )
    _require_equal(baseline.data, data_digests(project))


def _require_equal(data: tuple[FileDigest, ...], found: tuple[FileDigest, ...]) -> None:
    if changed := changed_paths(data, found):
        raise LockError(
            "the data is not that of the baseline: " + paths_shown(changed),
            hint="restore it; or, if the new data is meant: repro accept --reason …",
        )
