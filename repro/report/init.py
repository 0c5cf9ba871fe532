"""`repro init`: what was set up, and what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import accept, build, run, snapshot
from repro.report.facts import facts, how_many, short
from repro.report.run import metrics

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import InitResult


def render(result: InitResult) -> RenderableType:
    """Lay it out for a person: the metrics, each step in a line, then the next one."""
    from rich.console import Group

    rows = [_config(result)]
    if result.snapshot:
        lock = result.snapshot.lock
        rows.append(("packages", how_many(lock.counts)))
    if result.build:
        rows.append(("image", short(result.build.image.id)))
    if result.run:
        rows.append(("run", result.run.run.id))
    if result.accepted:
        rows.append(("baseline", f"baseline/{result.accepted.baseline.platform}"))
    report = facts([*rows, ("next", _next(result))])
    if result.run is None or result.run.measurement is None:
        return report
    return Group(metrics(result.run.measurement), "", report)


def _config(result: InitResult) -> tuple[str, str]:
    if result.config is None:
        return "repro.toml", "not written"
    return result.config, "written" if result.config_written else "kept as it is"


def _next(result: InitResult) -> str:
    if result.accepted:
        return "commit repro.toml, lockfiles/ and baseline/; from now on: repro verify"
    if result.run:
        return 'repro accept --reason "…", when you trust these numbers'
    if result.build and not result.runnable:
        return f"say in {result.config} what to run ([analysis] command), then: repro init"
    if result.build:
        return "repro run"
    if result.snapshot:
        return "repro build"
    return "repro snapshot" if result.config else "repro init, when you are ready"


def data(result: InitResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {
        "config": result.config,
        "config_written": result.config_written,
        "snapshot": snapshot.data(result.snapshot) if result.snapshot else None,
        "build": build.data(result.build) if result.build else None,
        "run": run.data(result.run) if result.run else None,
        "accepted": accept.data(result.accepted) if result.accepted else None,
    }
