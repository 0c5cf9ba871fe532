"""`repro snapshot --from`: what was installed there, and the files that say so now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report import snapshot
from repro.report.text import file_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import RecordResult


def render(result: RecordResult, *, whole: bool) -> RenderableType:
    """Lay it out for a person; `whole`: with the text of every file (a dry run)."""
    from rich.console import Group

    rows = [("from", result.source)]
    if result.inputs:
        rows.append(("inputs", ", ".join(name for name, _ in result.inputs)))
    if result.vendored:
        rows.append(("vendored", ", ".join(result.vendored)))
    parts: list[RenderableType] = [snapshot.render(result.snapshot, head=rows)]
    if whole:
        for name, text in (*result.inputs, *result.locks):
            parts += ["", file_text(name, text)]
    return Group(*parts)


def data(result: RecordResult, *, whole: bool) -> dict[str, object]:
    """Return the same as JSON values: those of a snapshot, and where they came from."""
    files = {"inputs": dict(result.inputs)}
    if whole:
        files["locks"] = dict(result.locks)
    return {
        **snapshot.data(result.snapshot),
        "from": {"source": result.source, "vendored": list(result.vendored), **files},
    }
