"""`repro vendor`: what lies in the vendored folder now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report.facts import facts
from repro.report.text import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import VendorResult


def render(result: VendorResult) -> RenderableType:
    """Lay it out for a person."""
    new = f"{result.added} new" if result.added else "all were there"
    return facts(
        (
            ("folder", result.folder),
            ("artifacts", f"{result.files}, {result.size / 1e6:.0f} MB, {new}"),
            *((("obsolete", _obsolete(result)),) if result.obsolete else ()),
            *(("note", note) for note in result.notes),
        )
    )


def _obsolete(result: VendorResult) -> str:
    count = counted(len(result.obsolete), "artifact")
    if result.pruned:
        return f"{count} removed"
    return f"{count} that no lock needs; to remove: repro vendor --prune"


def data(result: VendorResult) -> dict[str, object]:
    """Return the same as JSON values."""
    return {
        "folder": result.folder,
        "files": result.files,
        "added": result.added,
        "size": result.size,
        "obsolete": list(result.obsolete),
        "pruned": result.pruned,
        "notes": list(result.notes),
    }
