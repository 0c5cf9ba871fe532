"""`repro diff`: two sides of anything, beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import lockdiff, verification
from repro.report.facts import facts

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import DiffResult


def render(result: DiffResult) -> RenderableType:
    """Lay it out for a person: packages, then numbers."""
    from rich.console import Group

    parts: list[RenderableType] = [facts((("old", result.old), ("new", result.new)))]
    if result.environment is not None:
        parts += ["", lockdiff.render(result.environment)]
    if result.comparison is not None:
        parts += ["", verification.render_comparison(result.comparison)]
    return Group(*parts)


def data(result: DiffResult) -> dict[str, object]:
    """Return the same as JSON values."""
    environment, comparison = result.environment, result.comparison
    return {
        "old": result.old,
        "new": result.new,
        "differs": result.differs,
        "changes": lockdiff.data(environment) if environment is not None else None,
        "comparison": verification.comparison_data(comparison) if comparison is not None else None,
    }
