"""`repro demo`: the drift, and where it can be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import verification
from repro.report.facts import facts
from repro.report.picture import picture

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import DemoResult


def render(result: DemoResult) -> RenderableType:
    """Lay it out for a person: what `repro verify` says, and what to look at next."""
    from rich.console import Group

    after = facts((("folder", result.folder), ("try", f"repro -C {result.folder} status")))
    return Group(verification.render(result.verification), "", after)


def svg(result: DemoResult) -> str:
    """Draw the drift as the picture of a terminal, for the README."""
    return picture(verification.render(result.verification), "repro verify")


def data(result: DemoResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {"folder": result.folder, "verification": verification.data(result.verification)}
