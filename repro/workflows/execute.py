"""One run inside the pinned image, network off, recorded with what it came from."""

from __future__ import annotations

import os
import re
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path

from repro.engines.base import Engine
from repro.errors import LockError, UsageError
from repro.files import local_errors, make_folder, scratch, write_atomic
from repro.locks.names import paths_shown
from repro.locks.records import render_run
from repro.models.execution import HOME, PROJECT, Cpu, Job, Run
from repro.models.image import EPOCH, Image
from repro.models.lock import Lock
from repro.models.project import PLATFORM, Analysis, Limits, Project
from repro.project import digests
from repro.project import stage as stages
from repro.project.secrets import secret_files
from repro.project.tree import project_files
from repro.workflows.build import build_image
from repro.workflows.failure import require_success
from repro.workflows.lockfiles import copy_locks, require_locks
from repro.workflows.runs import RUN
from repro.workflows.state import staging
from repro.workflows.tools import Tools

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
_VECTOR_FEATURES = re.compile(r"sse|avx|fma|f16c|bmi|amx|vnni|popcnt|pclmul|gfni|vaes|sha_ni")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where a run takes place."""

    lock: Lock
    image: Image
    engine: Engine


def prepare(project: Project, lock: Lock, tools: Tools) -> Setting:
    """Choose the engine, and have the image of the lock, checked against image.toml.

    Warns of files that look like keys and passwords: no image has them, but every run sees them.
    """
    _require_store_elsewhere(project, tools.store.root)
    if found := secret_files(project.root, project_files(project)):
        tools.progress.note(
            f"warning: a run sees {paths_shown(found)}: as it seems, keys or passwords (they are "
            "in no image). Move them out of the project, or have git ignore them, untracked"
        )
    engine = tools.engine()
    return Setting(lock=lock, image=build_image(project, lock, tools), engine=engine)


def _require_store_elsewhere(project: Project, store: Path) -> None:
    """Refuse a store among the project's files: each run would copy it and count it as code."""
    root = store.resolve()
    if root.is_relative_to(project.root) and not root.is_relative_to(project.state_folder):
        raise UsageError(
            f"{store}: the store lies in the project, and each run would get a copy of it",
            hint="name a folder outside, or one below .repro: "
            f"REPRO_CACHE={project.state_folder / 'cache'}",
        )


def require_analysis(project: Project) -> Analysis:
    """The project's analysis. Raises UsageError when none is declared."""
    if project.analysis is None or not project.analysis.steps:
        raise UsageError(
            f"{project.config or project.root}: no analysis is declared",
            hint='say there what to run: [analysis] command = ["python", "analysis.py"]'
            if project.config
            else "repro init proposes a repro.toml that says what to run",
        )
    return project.analysis


def declared(project: Project) -> Analysis:
    """The project's analysis, or the usual limits and environment where none is declared."""
    return project.analysis or Analysis(steps=())


def rerun(project: Project, lock: Lock, tools: Tools) -> Run:
    """Run the analysis in the image of its lock, silently. Raises AnalysisError when it fails."""
    setting = prepare(project, lock, tools)
    with tools.progress.task("running the analysis"):
        recorded = execute(project, setting, echo=False)
    require_success(recorded, declared(project).limits)
    return recorded


def execute(
    project: Project,
    setting: Setting,
    *,
    command: tuple[str, ...] | None = None,
    interactive: bool = False,
    stdin: bool = False,
    echo: bool = True,
) -> Run:
    """Run once over a fresh private copy of the project and record it, failed or not.

    `command` is the user's own, instead of the analysis; `interactive`: on the person's
    terminal; `stdin`: it has this process's standard input; `echo`: its output is shown live.
    """
    analysis = declared(project)
    if command is not None:
        analysis = replace(analysis, steps=(command,))
        project = replace(project, analysis=analysis)
    setting.engine.load(setting.image)
    stamps = digests.data_stamps(project)
    data = digests.data_digests(project)
    with scratch(staging(project)) as folder:
        stage = stages.fill_stage(project, make_folder(folder / "project"))
        code = digests.code_digests(project, stage.folder)  # what runs: the tree may change again
        fresh = make_folder(folder / "run")
        _copy_locks(project, setting.lock, fresh / "locks")
        execution = setting.engine.run(
            Job(
                image=setting.image,
                steps=analysis.steps,
                stage=stage.folder,
                mounts=stage.mounts,
                env=_environment(project, setting.image, interactive=interactive),
                limits=_limits(analysis.limits, interactive=interactive),
                log=fresh / "log.txt",
                interactive=interactive,
                stdin=stdin,
                echo=echo,
            )
        )
        _require_still(project, stamps)
        outputs = stages.collect(project, stage, make_folder(fresh / "outputs"))
        recorded = Run(
            id=_new_id(),
            folder=fresh,
            environment_key=setting.lock.key,
            image_id=setting.image.id,
            platform=PLATFORM,
            execution=execution,
            cpu=this_cpu(),
            code=code,
            data=data,
            outputs=outputs,
            discarded=stages.discarded(project, stage),
        )
        return _keep(project, recorded, own_command=command is not None)


def _require_still(project: Project, before: dict[str, tuple[int, ...]]) -> None:
    """The data is mounted, not copied: nobody may have written to it while it was read."""
    after = digests.data_stamps(project)
    changed = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    if changed:
        raise LockError(
            "the data changed while the analysis ran: " + paths_shown(changed),
            hint="let whatever writes to it end, then run it again",
        )


def _copy_locks(project: Project, lock: Lock, target: Path) -> None:
    """Keep the locks with the run. Raises LockError when they are no longer those it runs in."""
    copy_locks(lock, project.lock_folder, target)
    require_locks(target, lock, root=project.root)


def _keep(project: Project, recorded: Run, *, own_command: bool) -> Run:
    """Move a finished run to its place; a run of a user's own command is no analysis."""
    parent = project.state_folder / ("commands" if own_command else "runs")
    kept = replace(recorded, folder=parent / recorded.id)
    write_atomic(recorded.folder / RUN, render_run(kept))
    make_folder(parent)
    with local_errors(kept.folder):
        recorded.folder.rename(kept.folder)
    return kept


def _new_id() -> str:
    """Sorted by time, to the microsecond: the last one is the latest, also of quick ones."""
    seconds, rest = divmod(time.time_ns() // 1000, 1_000_000)
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{moment}{rest:06}-{secrets.token_hex(3)}"


def _limits(limits: Limits, *, interactive: bool) -> Limits:
    return replace(limits, timeout=float("inf")) if interactive else limits


def run_environment(project: Project, image: Image) -> tuple[tuple[str, str], ...]:
    """Return the whole environment of a run, and nothing of the host's (DESIGN.md §7)."""
    return run_environment_of(project, image_env=image.env)


def run_environment_of(
    project: Project, *, image_env: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Return `run_environment` in an image that sets these."""
    analysis = declared(project)
    values = dict(image_env)
    values |= {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "MPLCONFIGDIR": f"{HOME}/.config/matplotlib",
        "PWD": PROJECT,  # bubblewrap sets it in any case: so both engines have it
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "TZ": "UTC",
    }
    values |= dict.fromkeys(THREAD_VARIABLES, str(analysis.threads))
    source = f"{PROJECT}/src" if (project.root / "src").is_dir() else PROJECT
    values["PYTHONPATH"] = source
    values |= dict(analysis.env)
    return tuple(sorted(values.items()))


def _environment(
    project: Project, image: Image, *, interactive: bool
) -> tuple[tuple[str, str], ...]:
    """`run_environment`; where a person sits at it, with a terminal that every image knows."""
    values = run_environment(project, image)
    if not interactive or any(name == "TERM" for name, _ in values):
        return values
    kind = "dumb" if os.environ.get("TERM", "dumb") == "dumb" else "xterm"
    return tuple(sorted((*values, ("TERM", kind))))


def this_cpu() -> Cpu:
    """The processor's model and its vector features, from /proc/cpuinfo."""
    text = Path("/proc/cpuinfo").read_text(errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    features = sorted(f for f in flags[1].split() if _VECTOR_FEATURES.search(f)) if flags else ()
    return Cpu(model=model[1].strip() if model else os.uname().machine, features=tuple(features))
