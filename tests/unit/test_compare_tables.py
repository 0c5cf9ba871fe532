from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.compare.tables import compare_table, compare_tables, parse_cell
from repro.measure.tables import read_table
from repro.models.measurement import Table
from repro.models.project import MetricRule, TableSettings, Tolerance
from repro.models.verdict import Change, TableChange

BY_REGION = TableSettings(file="t.csv", key=("region",))
BY_POSITION = TableSettings(file="t.csv")


def table(text: str) -> Table:
    return read_table(text.encode(), file="t.csv")


def compared(old: str, new: str, settings: TableSettings = BY_REGION) -> TableChange:
    return compare_table(table(old), table(new), settings)


def cells(change: TableChange) -> list[tuple[str, str, str, str, Change]]:
    return [(c.row, c.column, c.old, c.new, c.change) for c in change.cells]


def test_rows_are_matched_by_key_in_any_order() -> None:
    change = compared("region,n\nA,1\nB,2\n", "region,n\nB,2\nA,1\n")
    assert (change.change, change.rows_compared, change.cells) == (Change.SAME, 2, ())


def test_by_position_the_order_is_significant() -> None:
    change = compared("region,n\nA,1\nB,2\n", "region,n\nB,2\nA,1\n", BY_POSITION)
    assert change.change is Change.DRIFTED
    assert {(c.row, c.column) for c in change.cells} == {
        ("1", "region"),
        ("1", "n"),
        ("2", "region"),
        ("2", "n"),
    }


def test_the_order_of_columns_means_nothing() -> None:
    assert compared("region,n,m\nA,1,2\n", "m,region,n\n2,A,1\n").change is Change.SAME


def test_numbers_are_compared_as_numbers() -> None:
    change = compared(
        "region,n\nA,1.0\nB,1e3\nC,nan\nD,7\n", "region,n\nA,1.00\nB,1000\nC,NaN\nD,+7.\n"
    )
    assert change.change is Change.SAME


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", None),
        ("", "0", Change.ADDED),
        ("0", "", Change.MISSING),
        ("", "NaN", Change.ADDED),
        ("NaN", "0", Change.DRIFTED),
        ("0", "NaN", Change.DRIFTED),
        ("5", "five", Change.RETYPED),
        ("01234", "1234", Change.RETYPED),
        ("Nan", "NaN", Change.RETYPED),
        ("1.0000000001", "1", Change.WITHIN),
        ("1.1", "1", Change.DRIFTED),
        ("a", "b", Change.DRIFTED),
        ("inf", "Infinity", None),
        ("inf", "-inf", Change.DRIFTED),
        ("NA", "NaN", Change.RETYPED),
        ("12345678901234567890", "12345678901234567891", Change.WITHIN),
        ("9" * 5000, "9" * 5000 + "0", Change.DRIFTED),
        (" 1", "1 ", None),
    ],
)
def test_cells(old: str, new: str, expected: Change | None) -> None:
    change = compared(f"region,n\nA,{old}\n", f"region,n\nA,{new}\n")
    assert [cell.change for cell in change.cells] == ([expected] if expected else [])
    assert change.change.is_drift == bool(expected and expected.is_drift)


def test_rows_and_columns_on_one_side_are_drift() -> None:
    change = compared("region,n,old\nA,1,x\nB,2,x\n", "region,n,new\nB,2,y\nC,3,y\n")
    assert change.change is Change.DRIFTED
    assert (change.rows_missing, change.rows_added) == (("A",), ("C",))
    assert (change.columns_missing, change.columns_added) == (("old",), ("new",))
    assert change.rows_compared == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("region,n\nA,1\nB,2\n", "region,n\nB,2\n"),
        ("region,n\nB,2\n", "region,n\nA,1\nB,2\n"),
        ("region,n,m\nA,1,2\n", "region,n\nA,1\n"),
        ("region,n\nA,1\n", "region,n,m\nA,1,2\n"),
    ],
    ids=["row missing", "row added", "column missing", "column added"],
)
def test_each_alone_is_drift(old: str, new: str) -> None:
    change = compared(old, new)
    assert (change.change, change.cells) == (Change.DRIFTED, ())


def test_a_key_that_became_float_still_matches() -> None:
    by_id = TableSettings(file="t.csv", key=("id",))
    assert compared("id,n\n7,1\nNaN,2\n", "id,n\n7.0,1\nnan,2\n", by_id).change is Change.SAME


def test_keys_that_only_text_tells_apart_match_as_text() -> None:
    by_version = TableSettings(file="t.csv", key=("version",))
    change = compared("version,n\n1.1,1\n1.10,2\n", "version,n\n1.10,2\n1.1,3\n", by_version)
    assert cells(change) == [("1.1", "n", "1", "3", Change.DRIFTED)]


def test_a_key_of_two_columns() -> None:
    by_two = TableSettings(file="t.csv", key=("region", "year"))
    change = compared("region,year,n\nA,1,1\nA,2,2\n", "region,year,n\nA,2,3\nA,1,1\n", by_two)
    assert cells(change) == [("A / 2", "n", "2", "3", Change.DRIFTED)]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("region,n\nA,1\n", "region,n\nA,1\nA,2\n", "not unique in the run: A (2 rows)"),
        ("region,n\nA,1\nA,1\n", "region,n\nA,1\n", "not unique in the baseline: A (2 rows)"),
        ("region,n\nA,1\n", "area,n\nA,1\n", "the run has no key column region; it has area, n"),
    ],
)
def test_a_key_that_cannot_match_is_drift(old: str, new: str, problem: str) -> None:
    change = compared(old, new)
    assert change.change is Change.DRIFTED
    assert problem in str(change.problem)


def test_columns_have_their_own_rules() -> None:
    rules = (
        MetricRule(pattern="*", tolerance=Tolerance(rel=0.5)),
        MetricRule(pattern="t_*", tolerance=Tolerance(), ignore="timing"),
        MetricRule(pattern="err", tolerance=Tolerance(abs=0.1), direction="lower"),
    )
    settings = TableSettings(file="t.csv", key=("region",), columns=rules)
    change = compared(
        "region,n,t_s,t_gone,err\nA,1,5,1,3\n", "region,n,t_s,err\nA,1.4,9,2\n", settings
    )
    assert {c.column: c.change for c in change.cells} == {
        "n": Change.WITHIN,
        "t_s": Change.IGNORED,
        "err": Change.IMPROVED,
    }
    assert [c.reason for c in change.cells if c.column == "t_s"] == ["timing"]
    assert change.change is Change.IMPROVED
    assert change.columns_missing == ()


def test_worst_cells_first() -> None:
    change = compared("region,n,m\nA,100,1\nB,100,2\n", "region,n,m\nA,101,NaN\nB,150,\n")
    assert [(c.row, c.column) for c in change.cells] == [
        ("B", "m"),
        ("A", "m"),
        ("B", "n"),
        ("A", "n"),
    ]


def test_a_table_on_one_side_only_is_drift() -> None:
    one = Table(file="a.csv", columns=("n",), rows=())
    two = Table(file="b.csv", columns=("n",), rows=())
    found = compare_tables((one,), (two,), ())
    assert [(t.file, t.change) for t in found] == [
        ("a.csv", Change.MISSING),
        ("b.csv", Change.ADDED),
    ]


CELL = (
    st.text(st.characters(codec="utf-8"), max_size=4)
    | st.floats().map(str)
    | st.integers().map(str)
)
ROWS = st.lists(st.tuples(CELL, CELL), max_size=5)


def of(rows: list[tuple[str, str]]) -> Table:
    return Table(file="t.csv", columns=("k", "v"), rows=tuple(rows))


@settings(deadline=None)
@given(ROWS)
def test_a_table_never_drifts_from_itself(rows: list[tuple[str, str]]) -> None:
    exact = TableSettings(file="t.csv", default=Tolerance())
    assert compare_table(of(rows), of(rows), exact).change is Change.SAME


@settings(deadline=None)
@given(ROWS)
def test_by_key_no_order_drifts(rows: list[tuple[str, str]]) -> None:
    unique = list({key: (key, value) for key, value in rows}.values())
    by_key = TableSettings(file="t.csv", key=("k",))
    assert compare_table(of(unique), of(unique[::-1]), by_key).change is Change.SAME


@settings(deadline=None)
@given(ROWS, ROWS)
def test_both_directions_find_the_same_cells(
    old: list[tuple[str, str]], new: list[tuple[str, str]]
) -> None:
    exact = TableSettings(file="t.csv", default=Tolerance())
    there = compare_table(of(old), of(new), exact)
    back = compare_table(of(new), of(old), exact)
    assert {(c.row, c.column) for c in there.cells} == {(c.row, c.column) for c in back.cells}
    assert there.rows_added == back.rows_missing


@settings(deadline=None)
@given(CELL)
def test_cells_are_numbers_text_or_missing(text: str) -> None:
    value = parse_cell(text)
    assert isinstance(value, int | float) or value == (text or None)
