"""A verdict and its evidence, worst first, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from repro.compare.tolerance import FORMULA
from repro.models.project import Tolerance
from repro.models.verdict import (
    CellChange,
    Change,
    Comparison,
    MetricChange,
    TableChange,
    Verdict,
    Verification,
)
from repro.report import lockdiff
from repro.report.changes import Sides, cell_lines, metric_lines
from repro.report.facts import json_scalar
from repro.report.text import Cell, Report, counted, flow, line, percent, safe, words

if TYPE_CHECKING:
    from rich.text import Text

METRICS = 40
"""Most drifted metrics that are listed; `--json` lists all."""

CELLS = 20
"""Most cells of one table that are listed."""

NAMES = 12
"""Most names and packages in a list of things that did not drift."""

_MARKS = {
    Verdict.REPRODUCED: ("✓", "bold green"),
    Verdict.DRIFTED: ("✗", "bold red"),
    Verdict.NONDETERMINISTIC: ("?", "bold yellow"),
}


# ------------------------------------------------------------------- for people


def render(verification: Verification) -> Report:
    """The whole verification: verdict, metrics, tables, environment, formula, next step."""
    return Report(lambda width: _lines(verification, width))


def render_comparison(comparison: Comparison, *, old: str = "old", new: str = "new") -> Report:
    """Two measurements side by side, without a verdict's environment and next step."""

    def lines(width: int) -> list[Text]:
        verdict = Verdict.DRIFTED if comparison.drifted else Verdict.REPRODUCED
        word = "differ" if comparison.drifted else "equal"
        headline = _headline(verdict, word, comparison)
        body = _comparison_lines(comparison, width, Sides(old=old, new=new))
        return _sections([headline], *body, _formula(comparison, width, Sides(old=old, new=new)))

    return Report(lines)


def _lines(verification: Verification, width: int) -> list[Text]:
    comparison, sides = verification.comparison, Sides()
    return _sections(
        [_headline(verification.verdict, verification.verdict.value, comparison)],
        *_comparison_lines(comparison, width, sides),
        lockdiff.lines(verification.environment, width, limit=NAMES),
        _notes(verification, width),
        _formula(comparison, width, sides),
        _ending(verification, width),
    )


def _sections(*sections: list[Text]) -> list[Text]:
    """All that hold something, an empty line between them."""
    made: list[Text] = []
    for section in sections:
        if section:
            made += [line(""), *section] if made else section
    return made


def _headline(verdict: Verdict, word: str, comparison: Comparison) -> Text:
    mark, style = _MARKS[verdict]
    return line(Cell(f"{mark} {word}", style), Cell(f": {_counts(comparison)}", "bold"))


def _counts(comparison: Comparison) -> str:
    """`9 of 15 metrics, 1 of 1 table`; when nothing drifted, just how many were judged."""
    judged = [m for m in comparison.metrics if m.change is not Change.IGNORED]
    groups = (
        ("metric", sum(m.change.is_drift for m in judged), len(judged)),
        ("table", sum(t.change.is_drift for t in comparison.tables), len(comparison.tables)),
    )
    parts = [
        f"{drifted} of {counted(total, noun)}" if comparison.drifted else counted(total, noun)
        for noun, drifted, total in groups
        if total
    ]
    return ", ".join(parts) or "nothing was compared, no metric and no table is declared"


def _comparison_lines(comparison: Comparison, width: int, sides: Sides) -> list[list[Text]]:
    metrics = comparison.metrics
    drifted = [m for m in metrics if m.change.is_drift]
    improved = [m for m in metrics if m.change is Change.IMPROVED]
    made = []
    if drifted:
        listed = metric_lines(drifted[:METRICS], width, sides)
        made.append(listed + _more(len(drifted) - METRICS, "drifted metric"))
    if improved:
        title = line(Cell("improved", "bold green"), ", which is no drift")
        listed = metric_lines(improved[:METRICS], width, sides)
        made.append([title, *listed, *_more(len(improved) - METRICS, "improved metric")])
    made.append(_quiet_metrics(metrics, width))
    made += [_table_lines(table, width, sides) for table in comparison.tables]
    return made


def _quiet_metrics(metrics: Sequence[MetricChange], width: int) -> list[Text]:
    """What did not drift, summarised."""
    same = [m.name for m in metrics if m.change is Change.SAME]
    within = [m for m in metrics if m.change is Change.WITHIN]
    ignored = [f"{m.name} ({m.reason})" for m in metrics if m.change is Change.IGNORED]
    made = []
    if within:
        names = [f"{m.name} ({_size(m)})" for m in within]
        made += _listed("within tolerance", names, width)
    if same:
        made += _listed("unchanged", same, width)
    if ignored:
        made += _listed("ignored", ignored, width)
    return made


def _size(change: MetricChange) -> str:
    old, new = change.old, change.new
    if change.difference is None or not isinstance(old, int | float):
        return "equal"
    assert isinstance(new, int | float)
    if change.relative is None:
        return f"{change.difference:.1e}"
    return percent(old, new, change.relative)


def _listed(title: str, names: Sequence[str], width: int) -> list[Text]:
    shown = list(names[:NAMES])
    if len(names) > NAMES:
        shown.append(f"and {len(names) - NAMES} more")
    return flow(Cell(f"{title} {len(names)}:", ""), shown, width, style="dim")


def _more(number: int, noun: str) -> list[Text]:
    if number <= 0:
        return []
    return [line(Cell(f"  and {counted(number, 'more ' + noun)}; --json lists all", "dim"))]


def _table_lines(table: TableChange, width: int, sides: Sides) -> list[Text]:
    drifted = [c for c in table.cells if c.change.is_drift]
    improved = [c for c in table.cells if c.change is Change.IMPROVED]
    made = [line(Cell(safe(table.file), "bold"), f"  {_table_summary(table, drifted, sides)}")]
    if table.problem:
        made += words(table.problem, width, style="red")
    for title, names in (
        ("rows added", table.rows_added),
        ("rows missing", table.rows_missing),
        ("columns added", table.columns_added),
        ("columns missing", table.columns_missing),
    ):
        if names:
            made += _listed(title, names, width)
    if drifted:
        made += cell_lines(drifted[:CELLS], width, sides)
        made += _more(len(drifted) - CELLS, "drifted cell")
    if improved:
        made.append(line("  ", Cell("improved", "green"), ", which is no drift"))
        made += cell_lines(improved[:CELLS], width, sides)
        made += _more(len(improved) - CELLS, "improved cell")
    return made + _quiet_cells(table, width)


def _table_summary(table: TableChange, drifted: Sequence[CellChange], sides: Sides) -> str:
    if table.change is Change.ADDED:
        return f"not in the {sides.old}"
    if table.change is Change.MISSING:
        return f"only in the {sides.old}"
    if table.problem:
        return "cannot be compared"
    rows = counted(table.rows_compared, "row")
    if not drifted:
        return f"{rows} compared" if table.change.is_drift else f"unchanged, {rows}"
    touched = len({cell.row for cell in drifted})
    return f"{counted(len(drifted), 'cell')} drifted in {touched} of {rows}"


def _quiet_cells(table: TableChange, width: int) -> list[Text]:
    made = []
    within = sum(c.change is Change.WITHIN for c in table.cells)
    if within:
        made.append(line("  ", f"within tolerance: {counted(within, 'cell')}"))
    reasons = {c.column: c.reason for c in table.cells if c.change is Change.IGNORED}
    if reasons:
        made += _listed("ignored columns", [f"{n} ({r})" for n, r in reasons.items()], width)
    return made


def _notes(verification: Verification, width: int) -> list[Text]:
    notes = []
    if verification.code_changed:
        names = list(verification.code_changed[:NAMES])
        more = len(verification.code_changed) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        notes.append(f"the code differs from the baseline's: {listed}")
    if verification.cpu_differs:
        notes.append("the CPU differs too: vector code may round differently on it")
    notes += verification.notes
    return [text for note in notes for text in _note(note, width)]


def _note(note: str, width: int) -> list[Text]:
    first, *rest = words(note, width - 4, indent=2)
    return [line(Cell("note", "yellow"), first.plain), *(line("    ", r.plain) for r in rest)]


def _formula(comparison: Comparison, width: int, sides: Sides) -> list[Text]:
    if not comparison.metrics and not comparison.tables:
        return []
    said = FORMULA.replace("baseline", sides.old).replace("now", sides.new)
    return words(f"equal: {said}; NaN equals only NaN", width, style="dim", indent=0)


def _ending(verification: Verification, width: int) -> list[Text]:
    made = [line(Cell(f"run {verification.run_id} on the {verification.engine} engine", "dim"))]
    if verification.verdict is Verdict.DRIFTED:
        made.append(line("if the new numbers are right: ", Cell(_ACCEPT, "bold")))
    return made


_ACCEPT = 'repro accept --reason "…"'


# ---------------------------------------------------------------------- as JSON


def data(verification: Verification) -> dict[str, object]:
    """The whole verification as values of strict JSON (see `comparison_data`)."""
    return {
        "verdict": verification.verdict.value,
        "exit_code": verification.verdict.exit_code,
        "engine": verification.engine,
        "run": verification.run_id,
        "comparison": comparison_data(verification.comparison),
        "environment": lockdiff.data(verification.environment),
        "cpu_differs": verification.cpu_differs,
        "code_changed": list(verification.code_changed),
        "notes": list(verification.notes),
    }


def comparison_data(comparison: Comparison) -> dict[str, object]:
    """Every metric and every cell that is not the same, worst first, as values of strict JSON.

    NaN and the infinities are text, as `json_scalar` writes them; `old_type` and `new_type`
    tell them from text that looks alike, and null from a metric that is not there.
    """
    return {
        "drifted": comparison.drifted,
        "formula": FORMULA,
        "counts": _count_changes(m.change for m in comparison.metrics),
        "metrics": [_metric_data(metric) for metric in comparison.metrics],
        "tables": [_table_data(table) for table in comparison.tables],
    }


def _count_changes(changes: Iterable[Change]) -> dict[str, int]:
    counts = dict.fromkeys((change.value for change in Change), 0)
    for change in changes:
        counts[change.value] += 1
    return counts


def _metric_data(change: MetricChange) -> dict[str, object]:
    old_absent = change.change is Change.ADDED
    new_absent = change.change is Change.MISSING
    return {
        "name": change.name,
        "change": change.change.value,
        "old": json_scalar(change.old),
        "new": json_scalar(change.new),
        "old_type": "absent" if old_absent else _type(change.old),
        "new_type": "absent" if new_absent else _type(change.new),
        "difference": json_scalar(change.difference),
        "relative": json_scalar(change.relative),
        "tolerance": _tolerance_data(change.tolerance),
        "reason": change.reason,
    }


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "number"


def _tolerance_data(tolerance: Tolerance) -> dict[str, float]:
    return {"rel": tolerance.rel, "abs": tolerance.abs}


def _table_data(table: TableChange) -> dict[str, object]:
    return {
        "file": table.file,
        "change": table.change.value,
        "problem": table.problem,
        "rows_compared": table.rows_compared,
        "rows_added": list(table.rows_added),
        "rows_missing": list(table.rows_missing),
        "columns_added": list(table.columns_added),
        "columns_missing": list(table.columns_missing),
        "cells": [_cell_data(cell) for cell in table.cells],
    }


def _cell_data(cell: CellChange) -> dict[str, object]:
    return {
        "row": cell.row,
        "column": cell.column,
        "change": cell.change.value,
        "old": cell.old,
        "new": cell.new,
        "difference": json_scalar(cell.difference),
        "relative": json_scalar(cell.relative),
        "tolerance": _tolerance_data(cell.tolerance),
        "reason": cell.reason,
    }
