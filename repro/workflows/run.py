"""Run the analysis, or a command of the user's own, inside the pinned image."""

from __future__ import annotations

from dataclasses import dataclass

from repro.models.lock import Lock
from repro.models.outcome import RunResult
from repro.models.project import Project
from repro.project.stage import publish
from repro.workflows.execute import declared, execute, prepare, require_analysis
from repro.workflows.failure import require_success
from repro.workflows.lockfiles import fresh_lock
from repro.workflows.measuring import measure_folder
from repro.workflows.state import fresh_turn, staging
from repro.workflows.tools import Tools

_SIGINT = 130  # the status of a program that Ctrl-C ended


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """`command`: the user's own instead of the analysis. `publish`: copy outputs to the tree."""

    command: tuple[str, ...] | None = None
    interactive: bool = False
    stdin: bool = False
    publish: bool = True
    echo: bool = True


def run(project: Project, tools: Tools, options: RunOptions) -> RunResult:
    """Run the analysis (or a command) in the project's image.

    Raises AnalysisError when it fails, EngineError when the engine does; what a failed run
    wrote is kept below `.repro/runs` and never copied into the project. KeyboardInterrupt when
    Ctrl-C on its terminal ended the user's own command.
    """
    lock = fresh_lock(project)
    if options.command is None:
        require_analysis(project)
    if options.interactive:  # a person may sit at it for hours, and it writes no outputs
        return _run(project, lock, tools, options)
    with fresh_turn(project, tools) as lock:
        return _run(project, lock, tools, options)


def _run(project: Project, lock: Lock, tools: Tools, options: RunOptions) -> RunResult:
    recorded = execute(
        project,
        prepare(project, lock, tools),
        command=options.command,
        interactive=options.interactive,
        stdin=options.stdin,
        echo=options.echo,
    )
    if options.interactive and recorded.execution.code == _SIGINT:
        raise KeyboardInterrupt
    require_success(
        recorded,
        declared(project).limits,
        what="the analysis" if options.command is None else options.command[0],
        echoed=options.echo,
    )
    measurement = None if options.command else measure_folder(project, recorded.output_folder)
    copied: tuple[str, ...] = ()
    if options.publish:
        copied = publish(
            project, recorded.outputs, recorded.output_folder, staging=staging(project)
        )
    return RunResult(run=recorded, measurement=measurement, copied=copied)


def shell(project: Project, tools: Tools, command: tuple[str, ...] = ("/bin/bash",)) -> int:
    """Give a person a terminal in the pinned environment; return its exit status."""
    lock = fresh_lock(project)
    setting = prepare(project, lock, tools)
    return execute(project, setting, command=command, interactive=True).execution.code
