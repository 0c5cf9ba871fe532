"""Metric and cell changes as the rows of one kind of table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.models.measurement import Scalar
from repro.models.numerals import parse_number
from repro.models.verdict import CellChange, Change, MetricChange
from repro.report.text import (
    Cell,
    Column,
    clip_pair,
    grid,
    line,
    middle,
    pair,
    percent,
    safe,
    scalar,
    signed,
    text_pair,
    tolerance,
    width_of,
)

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {Change.IMPROVED: "green", Change.WITHIN: "", Change.IGNORED: "dim"}
_VALUE = 18
"""Cells that text may take in a table; longer text is cut around the difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sides:
    """What the two sides are called."""

    old: str = "baseline"
    new: str = "now"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """One change, ready to be laid out: `subject` names it (metric; or row and column)."""

    subject: tuple[str, ...]
    old: str
    new: str
    difference: str
    relative: str
    allowed: str
    style: str


def metric_lines(changes: Sequence[MetricChange], width: int, sides: Sides) -> list[Text]:
    """A table of metrics, one a line; where it does not fit, a few lines for each."""
    return _lay_out(("metric",), [_metric_row(change) for change in changes], width, sides)


def cell_lines(changes: Sequence[CellChange], width: int, sides: Sides) -> list[Text]:
    """The same for the cells of one table."""
    return _lay_out(("row", "column"), [_cell_row(change) for change in changes], width, sides)


def _lay_out(titles: tuple[str, ...], rows: Sequence[_Row], width: int, sides: Sides) -> list[Text]:
    columns = (
        *(Column(title=title, least=12 if len(titles) == 1 else 8) for title in titles),
        Column(title=sides.old, right=True),
        Column(title=sides.new, right=True),
        Column(title="difference", right=True),
        Column(title="", right=True),
        Column(title="tolerance"),
    )
    cells = [_cells(row) for row in rows]
    narrow = sorted(range(len(rows)), key=lambda i: sum(width_of(c.text) for c in cells[i]))
    while 2 * len(narrow) > len(rows):
        kept = sorted(narrow)
        table = grid(columns, [cells[i] for i in kept], width)
        if table is not None:
            laid = dict(zip(kept, table[1:], strict=True))
            body = [
                [laid[i]] if i in laid else _stacked(rows[i], width, sides)
                for i in range(len(rows))
            ]
            return [table[0], *(text for lines in body for text in lines)]
        narrow.pop()
    return [text for row in rows for text in _stacked(row, width, sides)]


def _cells(row: _Row) -> tuple[Cell, ...]:
    old, new = _clipped(row, _VALUE)
    return (
        *(Cell(name, "bold" if i == 0 else "") for i, name in enumerate(row.subject)),
        Cell(old),
        Cell(new, row.style),
        Cell(row.difference, row.style),
        Cell(row.relative, row.style),
        Cell(row.allowed, "dim"),
    )


def _clipped(row: _Row, room: int) -> tuple[str, str]:
    """Both values; floats are never cut, since a lost exponent would be another number."""
    if any(isinstance(parse_number(text), float) for text in (row.old, row.new)):
        return row.old, row.new
    return clip_pair(row.old, row.new, room)


def _stacked(row: _Row, width: int, sides: Sides) -> list[Text]:
    """A row too wide for the table: its name, then its values in one line, else one each."""
    name = line("  ", Cell(middle(", ".join(row.subject), max(8, width - 2)), "bold"))
    short = _one_line(row)
    if width_of(short.plain) <= width:
        return [name, short]
    label = max(len(sides.old), len(sides.new), len("tolerance"))
    old, new = _clipped(row, max(8, width - label - 6))
    facts = (
        (sides.old, old, ""),
        (sides.new, new, row.style),
        ("", f"{row.difference}  {row.relative}".strip(), row.style),
        ("tolerance", row.allowed, "dim"),
    )
    return [name] + [
        line("    ", Cell(title.ljust(label), "dim"), "  ", Cell(text, style))
        for title, text, style in facts
        if text
    ]


def _one_line(row: _Row) -> Text:
    moved = "  ".join(part for part in (row.difference, row.relative) if part)
    allowed = Cell(f"  ({row.allowed})" if row.allowed else "", "dim")
    arrow = Cell(" → ", "dim")
    return line(
        "    ", row.old, arrow, Cell(row.new, row.style), "  ", Cell(moved, row.style), allowed
    )


def _metric_row(change: MetricChange) -> _Row:
    old, new = change.old, change.new
    if change.change is Change.MISSING:
        shown = scalar(old), "-"
    elif change.change is Change.ADDED:
        shown = "-", scalar(new)
    else:
        shown = pair(old, new)
    difference, relative = _movement(change, old, new)
    return _Row(
        subject=(safe(change.name) or '""',),
        old=shown[0],
        new=shown[1],
        difference=difference,
        relative=relative,
        allowed=_allowed(change, old, new),
        style=_STYLES.get(change.change, "red"),
    )


def _cell_row(change: CellChange) -> _Row:
    old, new = _cell_value(change.old), _cell_value(change.new)
    shown = text_pair(change.old, change.new)
    difference, relative = _movement(change, old, new)
    return _Row(
        subject=(safe(change.row) or '""', safe(change.column) or '""'),
        old=shown[0],
        new=shown[1],
        difference=difference,
        relative=relative,
        allowed=_allowed(change, old, new),
        style=_STYLES.get(change.change, "red"),
    )


def _cell_value(text: str) -> Scalar:
    value = parse_number(text.strip(" "))
    return text if value is None else value


def _movement(change: MetricChange | CellChange, old: Scalar, new: Scalar) -> tuple[str, str]:
    """(difference, relative difference), or what happened in words."""
    cell = isinstance(change, CellChange)
    if change.change is Change.MISSING:
        return ("became empty" if cell else "missing"), ""
    if change.change is Change.ADDED:
        return ("was empty" if cell else "added"), ""
    if change.change is Change.RETYPED or _kind(old) != _kind(new):
        return f"{_kind(old)} → {_kind(new)}", ""
    if change.difference is None or isinstance(old, str | None) or isinstance(new, str | None):
        return _in_words(old, new), ""
    relative = percent(old, new, change.relative) if change.relative is not None else ""
    return signed(old, new, change.difference), relative


def _in_words(old: Scalar, new: Scalar) -> str:
    if isinstance(new, float) and not math.isfinite(new):
        return f"became {scalar(new)}"
    if isinstance(old, float) and not math.isfinite(old):
        return f"was {scalar(old)}"
    return "changed"


def _allowed(change: MetricChange | CellChange, old: Scalar, new: Scalar) -> str:
    """The tolerance; `exact` for all but numbers, nothing where one side is not there."""
    if change.change in (Change.MISSING, Change.ADDED):
        return ""
    numbers = _kind(old) == _kind(new) == "number"
    return tolerance(change.tolerance) if numbers else "exact"


def _kind(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"
