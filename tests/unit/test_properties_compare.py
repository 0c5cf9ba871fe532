"""Comparison as a whole: what it must never lose, invent, or see differently from the other side.

What is symmetric: the names that are found, with added and missing exchanged, and for every pair
the kinds SAME and RETYPED. Whether a pair drifts is symmetric where `rel` is 0: `rel` is relative
to the baseline, so from 1 to 2 is 100 % and from 2 to 1 is 50 %. A direction turns with the sides.
"""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections import Counter
from decimal import Decimal
from operator import itemgetter
from typing import Any

import tomli_w
import yaml
from hypothesis import given
from hypothesis import strategies as st

from repro.compare.compare import compare
from repro.compare.metrics import compare_metrics
from repro.compare.tables import compare_table
from repro.compare.tolerance import judge
from repro.measure.measure import measure
from repro.measure.metrics import read_metrics
from repro.measure.tables import read_table
from repro.models.measurement import Measurement, Metric, Scalar, Table
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance
from repro.models.verdict import Change, Comparison

NUMBERS = st.one_of(
    st.floats(),
    st.integers(-9, 9),
    st.integers(-(10**640), 10**640),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308]),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9, max_value=9).map(
        float
    ),
)
TEXTS = st.sampled_from(["", "a", "1", "nan", "[]", "{}"]) | st.text(max_size=3)
SCALARS: st.SearchStrategy[Scalar] = st.none() | st.booleans() | NUMBERS | TEXTS
NAMES = st.sampled_from(["a", "b", "a.b", "a.c", "time_s", "A", "", "[x]"])
VALUES = st.dictionaries(NAMES, SCALARS)
SIZES = st.sampled_from([0.0, 1e-9, 0.1, 1.0, 1e300]) | st.floats(0, 1e9)
TOLERANCES = st.builds(Tolerance, rel=SIZES, abs=SIZES)
RULES = st.lists(
    st.builds(
        MetricRule,
        pattern=st.sampled_from(["a", "a.*", "*", "time_*", "[ab]", "nothing"]),
        tolerance=TOLERANCES,
        ignore=st.sampled_from([None, None, "timing"]),
        direction=st.sampled_from([None, "lower", "higher"]),
    ),
    max_size=3,
).map(tuple)
SETTINGS = st.builds(MetricSettings, default=TOLERANCES, rules=RULES)

TURNED = {Change.ADDED: Change.MISSING, Change.MISSING: Change.ADDED}


def metrics(values: dict[str, Scalar]) -> tuple[Metric, ...]:
    return tuple(Metric(name=name, value=value, file="m.json") for name, value in values.items())


# ---- metrics -------------------------------------------------------------------------------


@given(VALUES, VALUES, SETTINGS)
def test_every_metric_is_found_once_and_the_verdict_is_theirs(
    old: dict[str, Scalar], new: dict[str, Scalar], settings: MetricSettings
) -> None:
    found = compare_metrics(metrics(old), metrics(new), settings)
    assert Counter(change.name for change in found) == Counter(old.keys() | new.keys())
    for change in found:
        if change.change is Change.MISSING:
            assert change.name not in new
        if change.change is Change.ADDED:
            assert change.name not in old
        ignored = change.change is Change.IGNORED
        assert ignored == (change.reason == "timing")
    whole = compare(
        Measurement(metrics=metrics(old)), Measurement(metrics=metrics(new)), settings, ()
    )
    assert whole.drifted == any(change.change.is_drift for change in found)
    drifting = [change.change.is_drift for change in whole.metrics]
    assert drifting == sorted(drifting, reverse=True), "what drifted comes first"


@given(VALUES, SETTINGS)
def test_nothing_is_found_in_itself(values: dict[str, Scalar], settings: MetricSettings) -> None:
    found = compare_metrics(metrics(values), metrics(values), settings)
    assert {change.change for change in found} <= {Change.SAME, Change.IGNORED}


@given(VALUES, VALUES, SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_metrics_means_nothing(
    old: dict[str, Scalar], new: dict[str, Scalar], settings: MetricSettings, order: random.Random
) -> None:
    def shuffled(values: dict[str, Scalar]) -> tuple[Metric, ...]:
        found = [*metrics(values)]
        order.shuffle(found)
        return tuple(found)

    found = compare_metrics(metrics(old), metrics(new), settings)
    assert repr(compare_metrics(shuffled(old), shuffled(new), settings)) == repr(found)


@given(VALUES, VALUES, SIZES)
def test_both_sides_find_the_same(
    old: dict[str, Scalar], new: dict[str, Scalar], size: float
) -> None:
    settings = MetricSettings(default=Tolerance(abs=size))
    there = compare_metrics(metrics(old), metrics(new), settings)
    back = compare_metrics(metrics(new), metrics(old), settings)
    assert {c.name: c.change for c in there} == {
        c.name: TURNED.get(c.change, c.change) for c in back
    }
    assert {c.name: c.difference for c in there} == {c.name: c.difference for c in back}


@given(VALUES, VALUES, SETTINGS, SIZES, SIZES)
def test_a_wider_tolerance_finds_no_more(
    old: dict[str, Scalar],
    new: dict[str, Scalar],
    settings: MetricSettings,
    rel: float,
    size: float,
) -> None:
    def wider(tolerance: Tolerance) -> Tolerance:
        return Tolerance(rel=max(tolerance.rel, rel), abs=max(tolerance.abs, size))

    wide = MetricSettings(
        default=wider(settings.default),
        rules=tuple(
            MetricRule(
                pattern=rule.pattern, tolerance=wider(rule.tolerance),
                ignore=rule.ignore, direction=rule.direction,
            )
            for rule in settings.rules
        ),
    )  # fmt: skip

    def drifted(by: MetricSettings) -> set[str]:
        found = compare_metrics(metrics(old), metrics(new), by)
        return {change.name for change in found if change.change.is_drift}

    assert drifted(wide) <= drifted(settings)


FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300)


@given(FINITE, FINITE, TOLERANCES)
def test_a_direction_forgives_one_side_only(old: float, new: float, tolerance: Tolerance) -> None:
    plain = judge(old, new, tolerance, None).change
    lower, higher = (judge(old, new, tolerance, to).change for to in ("lower", "higher"))
    if plain is Change.DRIFTED:
        assert {lower, higher} == {Change.IMPROVED, Change.DRIFTED}
        assert (lower is Change.IMPROVED) == (new < old)
    else:
        assert lower is higher is plain


DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-99, max_value=99)


@given(DECIMALS, DECIMALS, st.decimals(places=6, min_value=0, max_value=9))
def test_the_formula_holds_in_the_decimals_that_people_write(
    old: Decimal, new: Decimal, size: Decimal
) -> None:
    """0.3 and 0.4 under abs = 0.1 are equal, whatever binary fractions say."""
    found = judge(float(old), float(new), Tolerance(abs=float(size)), None).change
    assert found.is_drift == (abs(new - old) > size)


# ---- from bytes to a verdict ---------------------------------------------------------------

KEYS = st.text("abcxyz_0", min_size=1, max_size=4)
LEAVES = (
    st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4)
)
DOCUMENTS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


@given(DOCUMENTS)
def test_one_document_in_three_formats_is_the_same_metrics(document: dict[str, Any]) -> None:
    texts = {
        "m.json": json.dumps(document),
        "m.toml": tomli_w.dumps(document),
        "m.yaml": yaml.dump(document, Dumper=yaml.SafeDumper, allow_unicode=True),
    }
    sides = [
        Measurement(metrics=read_metrics(text.encode(), file=file)) for file, text in texts.items()
    ]
    exact = MetricSettings(default=Tolerance())
    for other in sides[1:]:
        found = compare(sides[0], other, exact, ())
        assert {change.change for change in found.metrics} == {Change.SAME}


@given(st.dictionaries(KEYS, st.integers() | st.floats(), min_size=1), st.booleans())
def test_a_csv_of_metrics_is_what_json_says(values: dict[str, float], header: bool) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    if header:
        writer.writerow(["name", "value"])
    writer.writerows(values.items())
    old = read_metrics(json.dumps(values).encode(), file="m.json")
    new = read_metrics(file.getvalue().encode(), file="m.csv")
    found = compare_metrics(old, new, MetricSettings(default=Tolerance()))
    assert {change.change for change in found} == {Change.SAME}


@given(DOCUMENTS, DOCUMENTS)
def test_every_metric_of_two_files_is_measured(one: dict[str, Any], two: dict[str, Any]) -> None:
    one, two = {f"one_{k}": v for k, v in one.items()}, {f"two_{k}": v for k, v in two.items()}
    files = {"a.json": json.dumps(one).encode(), "b.json": json.dumps(two).encode()}
    found = measure(files.__getitem__, MetricSettings(files=tuple(files)), ())
    apart = [metric for file, data in files.items() for metric in read_metrics(data, file=file)]
    assert repr(found.metrics) == repr(tuple(sorted(apart, key=lambda metric: metric.name)))


# ---- tables --------------------------------------------------------------------------------

COLUMNS = ("k", "l", "v", "w", "time_s")
CELLS = (
    st.sampled_from(
        ["", "1", "1.0", "1.1", "1.10", "-0.0", "0", "nan", "NaN", "inf", "1e999", " 1"]
    )
    | NUMBERS.map(str)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)
)
KEY_CELLS = st.sampled_from(["1", "1.0", "1.1", "1.10", " 1", "a", "nan", "NaN", ""]) | CELLS
"""Few, so that they meet: also such as only text tells apart."""

COLUMN_RULES = st.lists(
    st.builds(
        MetricRule,
        pattern=st.sampled_from(["v", "w", "*", "time_*"]),
        tolerance=TOLERANCES,
        ignore=st.sampled_from([None, None, "timing"]),
    ),
    max_size=2,
).map(tuple)
TABLE_SETTINGS = st.builds(
    TableSettings,
    file=st.just("t.csv"),
    key=st.sampled_from([(), ("k",), ("k", "l")]),
    default=TOLERANCES,
    columns=COLUMN_RULES,
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Tables of some of the columns, `k` and `l` among them, in any order."""
    more = draw(st.sets(st.sampled_from(COLUMNS[2:])))
    columns = draw(st.permutations(["k", "l", *sorted(more)]))
    row = st.tuples(*(KEY_CELLS if name in ("k", "l") else CELLS for name in columns))
    at = columns.index("k")
    rows = draw(st.lists(row, max_size=5, unique_by=draw(st.sampled_from([None, itemgetter(at)]))))
    return Table(file="t.csv", columns=tuple(columns), rows=tuple(rows))


@given(tables(), TABLE_SETTINGS)
def test_no_table_differs_from_itself(table: Table, settings: TableSettings) -> None:
    found = compare_table(table, table, settings)
    if found.problem is None:
        assert found.change is Change.SAME
        assert (found.rows_compared, found.cells) == (len(table.rows), ())
    else:
        assert found.change is Change.DRIFTED
        assert "not unique" in found.problem


@given(tables(), tables(), TABLE_SETTINGS)
def test_every_row_column_and_cell_is_accounted_for(
    old: Table, new: Table, settings: TableSettings
) -> None:
    found = compare_table(old, new, settings)
    if found.problem is not None:
        assert found.change is Change.DRIFTED
        return
    assert found.rows_compared + len(found.rows_missing) == len(old.rows)
    assert found.rows_compared + len(found.rows_added) == len(new.rows)
    ignored = {rule.pattern for rule in settings.columns if rule.ignore}
    if not ignored:
        assert set(found.columns_missing) == set(old.columns) - set(new.columns)
        assert set(found.columns_added) == set(new.columns) - set(old.columns)
    lost = found.rows_added or found.rows_missing or found.columns_added or found.columns_missing
    drifted = any(cell.change.is_drift for cell in found.cells)
    assert found.change.is_drift == bool(lost or drifted)
    assert Comparison(metrics=(), tables=(found,)).drifted == found.change.is_drift
    places = Counter((cell.row, cell.column, cell.old, cell.new) for cell in found.cells)
    if not settings.key:
        assert set(places.values()) <= {1}


@given(tables(), tables(), TABLE_SETTINGS, st.randoms(use_true_random=False))
def test_by_key_no_order_means_anything(
    old: Table, new: Table, settings: TableSettings, order: random.Random
) -> None:
    def shuffled(table: Table) -> Table:
        columns = [*range(len(table.columns))]
        order.shuffle(columns)
        rows = [*table.rows]
        if settings.key:
            order.shuffle(rows)
        return Table(
            file=table.file,
            columns=tuple(table.columns[at] for at in columns),
            rows=tuple(tuple(row[at] for at in columns) for row in rows),
        )

    def seen(one: Table, other: Table) -> object:
        found = compare_table(one, other, settings)
        return (
            found.change,
            found.problem is None,
            found.rows_compared,
            Counter(found.rows_added),
            Counter(found.rows_missing),
            set(found.columns_added),
            set(found.columns_missing),
            Counter(map(repr, found.cells)),
        )

    assert seen(shuffled(old), shuffled(new)) == seen(old, new)


@given(tables(), tables(), TABLE_SETTINGS, SIZES)
def test_both_sides_find_the_same_cells(
    old: Table, new: Table, settings: TableSettings, size: float
) -> None:
    settings = TableSettings(file="t.csv", key=settings.key, default=Tolerance(abs=size))
    there, back = compare_table(old, new, settings), compare_table(new, old, settings)
    assert there.change is back.change
    assert (there.problem is None) == (back.problem is None)
    assert Counter(there.rows_added) == Counter(back.rows_missing)
    assert there.columns_added == back.columns_missing
    assert Counter((c.column, c.old, c.new, c.change) for c in there.cells) == Counter(
        (c.column, c.new, c.old, TURNED.get(c.change, c.change)) for c in back.cells
    )


@given(tables(), tables(), TABLE_SETTINGS, SIZES)
def test_a_wider_tolerance_finds_no_more_cells(
    old: Table, new: Table, settings: TableSettings, size: float
) -> None:
    def drifted(tolerance: Tolerance) -> Counter[tuple[str, str, str, str]]:
        by = TableSettings(file="t.csv", key=settings.key, default=tolerance)
        found = compare_table(old, new, by).cells
        return Counter((c.row, c.column, c.old, c.new) for c in found if c.change.is_drift)

    narrow = settings.default
    wide = Tolerance(rel=max(narrow.rel, size), abs=max(narrow.abs, size))
    assert drifted(wide) <= drifted(narrow)


@given(tables())
def test_a_table_survives_its_file(table: Table) -> None:
    """As `csv` writes it, everything quoted: also cells that hold line ends."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([table.columns, *table.rows])
    assert read_table(file.getvalue().encode(), file="t.csv") == table
