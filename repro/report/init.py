"""`repro init`: what was set up, and what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import accept, build, run, snapshot
from repro.report.facts import facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import InitResult


def render(result: InitResult) -> RenderableType:
    """Lay it out for a person: each step in a line, then the next one."""
    rows = [("repro.toml", "written" if result.config_written else "not written")]
    if result.snapshot:
        lock = result.snapshot.lock
        rows.append(("lock", f"{len(lock.debs)} apt and {len(lock.pip)} pip packages"))
    if result.build:
        rows.append(("image", short(result.build.image.id)))
    if result.run:
        rows.append(("run", result.run.run.id))
    if result.accepted:
        rows.append(("baseline", str(result.accepted.baseline.folder)))
    return facts([*rows, ("next", _next(result))])


def _next(result: InitResult) -> str:
    if result.accepted:
        return "commit repro.toml, lockfiles/ and baseline/; from now on: repro verify"
    if result.run:
        return 'repro accept --reason "…", when you trust these numbers'
    if result.build:
        return "repro run"
    if result.snapshot:
        return "repro build"
    return "repro snapshot"


def data(result: InitResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {
        "config_written": result.config_written,
        "snapshot": snapshot.data(result.snapshot) if result.snapshot else None,
        "build": build.data(result.build) if result.build else None,
        "run": run.data(result.run) if result.run else None,
        "accepted": accept.data(result.accepted) if result.accepted else None,
    }
