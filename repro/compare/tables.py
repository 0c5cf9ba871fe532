"""Tables against their baseline: rows matched by key or position, cells as numbers or text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from repro.compare.tolerance import Judgement, is_nan, judge, rule_for, worst_first
from repro.models.measurement import Scalar, Table
from repro.models.numerals import parse_number
from repro.models.project import MetricRule, TableSettings
from repro.models.verdict import CellChange, Change, TableChange

_Key = tuple[Scalar, ...]
_WORST = (Change.DRIFTED, Change.IMPROVED, Change.IGNORED, Change.WITHIN)


def compare_table(old: Table, new: Table, settings: TableSettings) -> TableChange:
    """Judge a table against its baseline `old`, worst cells first.

    Rows are matched by the columns of `settings.key` (their order then means nothing), else by
    position. Keys that write numbers match as numbers (7 is 7.0), unless that makes two rows
    one (1.1 and 1.10): then all keys match as text.

    Cells that write numbers are compared as numbers ("1.0" equals "1.00"), others as text; ""
    is a missing value and equals only "". The order of columns means nothing. Rows or columns
    on one side only are drift, as is a key that cannot match rows: then `problem` says why, and
    nothing is compared. Columns with an `ignore` rule may be absent.
    """
    sides = ((old, "the baseline"), (new, "the run"))
    problems = [_key_problem(table, settings.key, side) for table, side in sides]
    problem = next(filter(None, problems), None)
    if problem:
        return TableChange(file=old.file, change=Change.DRIFTED, problem=problem)
    as_numbers = all(_unique(table, settings.key, as_numbers=True) for table, _ in sides)
    before = _by_key(old, settings.key, as_numbers=as_numbers)
    after = _by_key(new, settings.key, as_numbers=as_numbers)
    added = tuple(_label(key) for key in after if key not in before)
    missing = tuple(_label(key) for key in before if key not in after)
    columns_added = _only_in(new, old, settings)
    columns_missing = _only_in(old, new, settings)
    common = [key for key in before if key in after]
    cells: list[CellChange] = []
    for column, at, now, rule in _shared_columns(old, new, settings):
        for key in common:
            was, becomes = before[key][at], after[key][now]
            if was != becomes:
                cells.extend(_compare_cell(key, column, was, becomes, rule))
    cells.sort(key=lambda c: worst_first(c.change, c.difference, c.relative))
    ragged = bool(added or missing or columns_added or columns_missing)
    return TableChange(
        file=old.file,
        change=Change.DRIFTED if ragged else _worst(cells),
        rows_compared=len(common),
        rows_added=added,
        rows_missing=missing,
        columns_added=columns_added,
        columns_missing=columns_missing,
        cells=tuple(cells),
    )


def compare_tables(
    old: Iterable[Table], new: Iterable[Table], settings: Iterable[TableSettings]
) -> tuple[TableChange, ...]:
    """Judge every table that either side has; those that drifted first, then by file.

    A table without settings is compared by position with the default tolerance; a table on one
    side only is MISSING or ADDED, a drift.
    """
    before = {table.file: table for table in old}
    after = {table.file: table for table in new}
    known = {setting.file: setting for setting in settings}
    changes = []
    for file in before.keys() | after.keys():
        was, now = before.get(file), after.get(file)
        if was is None or now is None:
            change = Change.MISSING if now is None else Change.ADDED
            changes.append(TableChange(file=file, change=change))
        else:
            changes.append(compare_table(was, now, known.get(file) or TableSettings(file=file)))
    return tuple(sorted(changes, key=lambda change: (not change.change.is_drift, change.file)))


def parse_cell(text: str) -> Scalar:
    """A cell's value: None for "", a number where it writes one, else the text itself."""
    number = parse_number(text.strip(" "))
    return number if number is not None else text or None


def _compare_cell(
    key: _Key, column: str, old: str, new: str, rule: MetricRule
) -> Iterator[CellChange]:
    """Nothing when both texts mean the same value."""
    judged = _judge_cell(parse_cell(old), parse_cell(new), rule)
    if judged.change is Change.SAME:
        return
    yield CellChange(
        row=_label(key),
        column=column,
        change=judged.change if rule.ignore is None else Change.IGNORED,
        old=old,
        new=new,
        tolerance=rule.tolerance,
        difference=judged.difference,
        relative=judged.relative,
        reason=rule.ignore,
    )


def _judge_cell(old: Scalar, new: Scalar, rule: MetricRule) -> Judgement:
    if old is not None and new is None:
        return Judgement(change=Change.MISSING)
    if old is None and new is not None:
        return Judgement(change=Change.ADDED)
    return judge(old, new, rule.tolerance, rule.direction)


def _worst(cells: list[CellChange]) -> Change:
    if any(cell.change.is_drift for cell in cells):
        return Change.DRIFTED
    found = {cell.change for cell in cells}
    return next((change for change in _WORST if change in found), Change.SAME)


def _shared_columns(
    old: Table, new: Table, settings: TableSettings
) -> Iterator[tuple[str, int, int, MetricRule]]:
    """(name, index in old, index in new, rule) of each column of both that is no key."""
    after = {name: index for index, name in enumerate(new.columns)}
    for index, name in enumerate(old.columns):
        if name in after and name not in settings.key:
            yield name, index, after[name], rule_for(name, settings.columns, settings.default)


def _only_in(one: Table, other: Table, settings: TableSettings) -> tuple[str, ...]:
    present = frozenset(other.columns)
    return tuple(
        name
        for name in one.columns
        if name not in present and rule_for(name, settings.columns, settings.default).ignore is None
    )


def _key_problem(table: Table, key: tuple[str, ...], side: str) -> str | None:
    absent = [name for name in key if name not in table.columns]
    if absent:
        return f"{side} has no key column {', '.join(absent)}; it has {', '.join(table.columns)}"
    if _unique(table, key, as_numbers=False):
        return None
    counts = Counter(_keys(table, key, as_numbers=False))
    twice = [found for found, count in counts.items() if count > 1]
    shown = ", ".join(f"{_label(found)} ({counts[found]} rows)" for found in twice[:3])
    more = f" and {len(twice) - 3} more" if len(twice) > 3 else ""
    return f"the key {', '.join(key)} is not unique in {side}: {shown}{more}"


def _unique(table: Table, key: tuple[str, ...], *, as_numbers: bool) -> bool:
    return len(set(_keys(table, key, as_numbers=as_numbers))) == len(table.rows)


def _by_key(table: Table, key: tuple[str, ...], *, as_numbers: bool) -> dict[_Key, tuple[str, ...]]:
    return dict(zip(_keys(table, key, as_numbers=as_numbers), table.rows, strict=True))


def _keys(table: Table, key: tuple[str, ...], *, as_numbers: bool) -> Iterator[_Key]:
    """What identifies each row: its key cells, without a key its position from 1."""
    if not key:
        yield from ((position,) for position in range(1, len(table.rows) + 1))
        return
    indexes = [table.columns.index(name) for name in key]
    for row in table.rows:
        cells = (row[index] for index in indexes)
        yield tuple(_identity(cell) for cell in cells) if as_numbers else tuple(cells)


def _identity(cell: str) -> Scalar:
    """The value of a key cell; NaN as the one object that equals itself in a tuple."""
    value = parse_cell(cell)
    return math.nan if is_nan(value) else value


def _label(key: _Key) -> str:
    """A key for a person: its values, joined with a slash."""
    return " / ".join("" if value is None else str(value) for value in key)
