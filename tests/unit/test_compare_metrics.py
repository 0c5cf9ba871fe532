from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.compare.compare import compare
from repro.compare.metrics import compare_metrics
from repro.measure.measure import measure
from repro.models.measurement import Metric, Scalar
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance
from repro.models.verdict import Change, Comparison

DRIFT = Path(__file__).parent / "data" / "drift"
EXACT = MetricSettings(default=Tolerance())


def metrics(**values: Scalar) -> tuple[Metric, ...]:
    return tuple(Metric(name=name, value=value, file="m.json") for name, value in values.items())


def changes(
    old: tuple[Metric, ...], new: tuple[Metric, ...], *rules: MetricRule
) -> dict[str, Change]:
    found = compare_metrics(old, new, MetricSettings(rules=rules))
    return {change.name: change.change for change in found}


def test_a_metric_on_one_side_only_is_drift() -> None:
    found = changes(metrics(a=1, b=1), metrics(b=1, c=1))
    assert found == {"a": Change.MISSING, "c": Change.ADDED, "b": Change.SAME}


def test_null_is_not_missing() -> None:
    assert changes(metrics(a=None), metrics(a=None)) == {"a": Change.SAME}
    assert changes(metrics(a=None), ()) == {"a": Change.MISSING}


@pytest.mark.parametrize(("old", "new"), [({"t": 1.0}, {}), ({}, {"t": 1}), ({"t": 1}, {"t": "x"})])
def test_an_ignored_metric_is_never_drift_and_says_why(
    old: dict[str, Scalar], new: dict[str, Scalar]
) -> None:
    rule = MetricRule(pattern="t", tolerance=Tolerance(), ignore="timing")
    settings = MetricSettings(rules=(rule,))
    (change,) = compare_metrics(metrics(**old), metrics(**new), settings)
    assert (change.change, change.reason) == (Change.IGNORED, "timing")
    assert not Comparison(metrics=(change,)).drifted


def test_an_improvement_is_no_drift_and_says_its_direction() -> None:
    rule = MetricRule(pattern="rmse", tolerance=Tolerance(abs=0.01), direction="lower")
    settings = MetricSettings(rules=(rule,))
    (change,) = compare_metrics(metrics(rmse=0.3), metrics(rmse=0.2), settings)
    assert (change.change, change.reason, change.difference) == (Change.IMPROVED, "lower", 0.1)
    (change,) = compare_metrics(metrics(rmse=0.3), metrics(rmse=math.nan), settings)
    assert change.change is Change.DRIFTED


def test_worst_first_then_by_name() -> None:
    old = metrics(same=1, gone=1, kind=1, nan=1.0, zero=0, big=1.0, small=10.0, y=1.0, b=2.0)
    new = metrics(same=1, kind="1", nan=math.nan, zero=3, big=2.0, small=10.1, y=1.5, b=3.0, came=1)
    order = [change.name for change in compare_metrics(old, new, MetricSettings())]
    assert order == ["gone", "kind", "came", "nan", "zero", "big", "b", "y", "small", "same"]


MOVED = {
    "01-pandas-empty-sum-py27": (
        "avg_month_revenue avg_region_revenue coupon_codes months_reported net_revenue "
        "orders_without_coupon refunded regions_reported worst_month_revenue",
        6,
    ),
    "02-pandas-dates-none": (
        "busiest_month discharge_kinds discharge_missing home_share mean_stay_dated "
        "unparsed_dates visits_in_february",
        4,
    ),
    "05-sklearn-kmeans-ninit": ("inertia largest_segment silhouette smallest_segment", 3),
    "06-scipy-simpson": ("cv_auc max_auc mean_auc p_vs_reference t_vs_reference", 3),
    "08-joint-pandas3-pyarrow": (
        "distinct_streets matched_order_share matched_rows mean_orders_per_street zone1_orders",
        4,
    ),
    "09-transitive-pytz": (
        "busiest_hour events_in_opening_hours mean_local_hour open_share_mexico open_share_tehran",
        5,
    ),
    "19-two-independent-causes": (
        "combined_score largest_segment q1_signups segment_spread unparsed_signups",
        3,
    ),
    "21-system-sqlite-sum": ("cash_is_100 rounded_price sum_cash sum_fx", 6),
    "23-nondeterministic-hash-order": ("sampled_mean_count top_tag total_weight", 4),
    "25-optional-bottleneck-float32": (
        "readings_beyond_1_5_sigma std_float32 var_float32",
        6,
    ),
}
"""What CAUSE.md of each measured case says: the metrics that moved, and how many did not."""


def real_case(
    name: str, settings: MetricSettings, tables: tuple[TableSettings, ...] = ()
) -> Comparison:
    """Two sides as two runs really wrote them, measured and compared."""

    def side(letter: str) -> dict[str, bytes]:
        folder = DRIFT / name
        return {
            path.name.replace(f"-{letter}.", "."): path.read_bytes()
            for path in folder.glob(f"*-{letter}.*")
        }

    old, new = (measure(side(letter).__getitem__, settings, tables) for letter in "ab")
    return compare(old, new, settings, tables)


@pytest.mark.parametrize("case", MOVED)
def test_real_drift_is_found_exactly(case: str) -> None:
    moved, unchanged = MOVED[case]
    found = real_case(case, MetricSettings(files=("metrics.json",), default=Tolerance()))
    assert {m.name for m in found.metrics if m.change.is_drift} == set(moved.split())
    assert sum(m.change is Change.SAME for m in found.metrics) == unchanged
    assert found.drifted


def test_every_measured_case_is_tested() -> None:
    assert sorted(MOVED) == sorted(path.name for path in DRIFT.iterdir())


def test_the_default_tolerance_forgives_rounding_noise_only() -> None:
    """SQLite's 99.9999999999986 against 100.0 is the one real change below 1e-9."""
    for case, (moved, _) in MOVED.items():
        found = real_case(case, MetricSettings(files=("metrics.json",)))
        forgiven = set(moved.split()) - {m.name for m in found.metrics if m.change.is_drift}
        assert forgiven == ({"sum_cash"} if case == "21-system-sqlite-sum" else set())


def test_the_flagship_with_its_table() -> None:
    found = real_case(
        "01-pandas-empty-sum-py27",
        MetricSettings(files=("metrics.json",)),
        (TableSettings(file="by_region.csv", key=("region",)),),
    )
    assert [m.name for m in found.metrics[:4]] == [
        "net_revenue",
        "refunded",
        "worst_month_revenue",
        "orders_without_coupon",
    ]
    (table,) = found.tables
    assert table.change is Change.DRIFTED
    assert table.rows_compared == 4
    assert [(c.row, c.column, c.old, c.new) for c in table.cells] == [
        ("West", "revenue", "0.0", "NaN"),
        ("West", "share", "0.0", "NaN"),
    ]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
VALUES = st.dictionaries(st.sampled_from("abcdef"), SCALARS)


@settings(deadline=None)
@given(VALUES)
def test_a_measurement_never_drifts_from_itself(values: dict[str, Scalar]) -> None:
    found = compare_metrics(metrics(**values), metrics(**values), EXACT)
    assert all(change.change is Change.SAME for change in found)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_both_directions_find_the_same_metrics(
    old: dict[str, Scalar], new: dict[str, Scalar]
) -> None:
    swapped = {Change.MISSING: Change.ADDED, Change.ADDED: Change.MISSING}
    there = {c.name: c.change for c in compare_metrics(metrics(**old), metrics(**new), EXACT)}
    back = {c.name: c.change for c in compare_metrics(metrics(**new), metrics(**old), EXACT)}
    assert there == {name: swapped.get(change, change) for name, change in back.items()}
    assert there.keys() == old.keys() | new.keys()
