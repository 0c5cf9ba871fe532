"""`repro export`: what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report.facts import facts

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import ExportResult


def render(result: ExportResult) -> RenderableType:
    """Lay it out for a person."""
    return facts(
        (
            *(("written", path) for path in result.files),
            *(("note", note) for note in result.notes),
        )
    )


def data(result: ExportResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {
        "format": result.format,
        "files": list(result.files),
        "notes": list(result.notes),
    }
