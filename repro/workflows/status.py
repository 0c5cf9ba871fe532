"""Where the project stands: offline, no engine, nothing built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from repro.locks import seal as seals
from repro.models.baseline import Baseline
from repro.models.execution import Run
from repro.models.image import ImageRecord
from repro.models.lock import LockState
from repro.models.outcome import Status
from repro.models.project import Project, platform_of
from repro.store.artifacts import Store
from repro.workflows.baselines import find_baseline
from repro.workflows.lockfiles import lock_state, read_image_record, read_lock
from repro.workflows.runs import last_run


def status(project: Project, store: Store) -> Status:
    """Say the state of inputs, locks, seal, image, baseline and last run, and what is next.

    Raises LockError when a lock or the baseline is damaged; stale and edited are values.
    """
    states = {
        name: lock_state(replace(project, platform=name))
        for name in (project.platform, *project.environment.platforms)
    }
    state = states[project.platform]
    lock = None
    if state is not None and not state.edited:
        lock = read_lock(project.lock_folder, root=project.root)
    record = read_image_record(project) if state is not None else None
    if record is not None and lock is not None and record.environment_key != lock.key:
        record = None
    baseline, recorded = find_baseline(project), last_run(project)
    current = bool(baseline and lock and baseline.environment_key == lock.key)
    return Status(
        project=project.name,
        environment_key=lock.key if lock else None,
        seal=lock.seal if lock else None,
        lock=state,
        packages=lock.counts if lock else (),
        image_id=record.image_id if record else None,
        image_built=record is not None and _layers_present(record, store),
        baseline=baseline,
        baseline_current=current,
        last_run=recorded.id if recorded else None,
        last_run_succeeded=bool(recorded and recorded.execution.succeeded),
        next_step=_next_step(project, states, record, baseline, recorded),
        platforms=tuple((name, states[name]) for name in project.environment.platforms),
    )


def _layers_present(record: ImageRecord, store: Store) -> bool:
    return all(store.present(digest.removeprefix("sha256:")) for _, digest in record.layers)


def _next_step(
    project: Project,
    states: Mapping[str, LockState | None],
    record: ImageRecord | None,
    baseline: Baseline | None,
    recorded: Run | None,
) -> str:
    state, own = states[project.platform], project.platform
    foreign = own not in project.environment.platforms
    others = [states[name] for name in project.environment.platforms]
    steps = (
        (
            foreign and all(other is not None and other.fresh for other in others),
            f'add "{platform_of(own).docker}" to platforms: nothing is locked for this host',
        ),
        (state is None and project.config is None, "repro init: nothing is configured here yet"),
        (state is None, "repro snapshot: there is no lock yet"),
        (
            state is not None and bool(state.edited),
            f"restore {seals.SEAL} and the locks from version control; to keep the edit: "
            "repro snapshot --adopt-edits; to lock anew: repro snapshot",
        ),
        (state is not None and bool(state.stale), "repro snapshot: the inputs changed"),
        (None in others, "repro snapshot: a platform has no lock yet"),
        (
            not all(other is not None and other.fresh for other in others),
            "repro snapshot: the lock of another platform does not fit",
        ),
        (record is None, "repro build: this lock has never been built"),
        (
            project.analysis is None and project.config is None,
            "repro init: proposes a repro.toml that says what to run",
        ),
        (
            project.analysis is None,
            f"say in {project.config} what to run ([analysis] command), then: repro run",
        ),
        (recorded is None and baseline is None, "repro run: it has never been run"),
        (baseline is None, 'repro accept --reason "…": there is no baseline yet'),
    )
    return next(
        (text for applies, text in steps if applies), "repro verify: judge it against the baseline"
    )
