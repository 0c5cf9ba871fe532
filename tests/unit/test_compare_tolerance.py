from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.compare.tolerance import judge, rule_for, worst_first
from repro.errors import UsageError
from repro.models.measurement import Scalar
from repro.models.project import MetricRule, Tolerance
from repro.models.verdict import Change

EXACT = Tolerance()
NAN = math.nan
INF = math.inf


def change(old: Scalar, new: Scalar, tolerance: Tolerance = EXACT, to: str | None = None) -> Change:
    return judge(old, new, tolerance, to).change


@pytest.mark.parametrize(
    ("old", "new", "tolerance", "expected"),
    [
        (100.0, 100.0, EXACT, Change.SAME),
        (100.0, 101.0, Tolerance(rel=0.01), Change.WITHIN),
        (100.0, 101.1, Tolerance(rel=0.01), Change.DRIFTED),
        (101.1, 100.0, Tolerance(rel=0.01), Change.DRIFTED),
        (-100.0, -101.0, Tolerance(rel=0.01), Change.WITHIN),
        (0.0, 1e-12, Tolerance(rel=0.5), Change.DRIFTED),
        (0.0, 1e-12, Tolerance(rel=0.5, abs=1e-9), Change.WITHIN),
        (1000.0, 1001.0, Tolerance(rel=0.01, abs=1e-9), Change.WITHIN),
        (0.3, 0.4, Tolerance(abs=0.1), Change.WITHIN),
        (1, 1.0, EXACT, Change.SAME),
        (0.0, -0.0, EXACT, Change.SAME),
        (10**23, 1e23, EXACT, Change.SAME),
        (2**53 + 1, 2.0**53, EXACT, Change.DRIFTED),
        (10**600, 10**600 + 1, EXACT, Change.DRIFTED),
        (10**600, 10**600 + 1, Tolerance(rel=1e-9), Change.WITHIN),
        (1e308, -1e308, Tolerance(rel=1.0), Change.DRIFTED),
        (1e308, -1e308, Tolerance(rel=2.0), Change.WITHIN),
        (5e-324, 1e-323, Tolerance(rel=1e-9), Change.DRIFTED),
        (NAN, NAN, EXACT, Change.SAME),
        (NAN, 0.0, Tolerance(abs=1e300), Change.DRIFTED),
        (0.0, NAN, Tolerance(abs=1e300), Change.DRIFTED),
        (10**400, NAN, EXACT, Change.DRIFTED),
        (INF, INF, EXACT, Change.SAME),
        (INF, -INF, Tolerance(rel=10.0), Change.DRIFTED),
        (INF, 1e308, Tolerance(rel=10.0), Change.DRIFTED),
        (1e308, INF, Tolerance(rel=10.0), Change.DRIFTED),
        (INF, NAN, Tolerance(rel=10.0), Change.DRIFTED),
        (True, True, EXACT, Change.SAME),
        (True, False, Tolerance(abs=1.0), Change.DRIFTED),
        (True, 1, Tolerance(abs=1.0), Change.RETYPED),
        (0, False, EXACT, Change.RETYPED),
        ("a", "a", EXACT, Change.SAME),
        ("1.0", "1.00", Tolerance(rel=1.0), Change.DRIFTED),
        ("1", 1, EXACT, Change.RETYPED),
        ("NaN", NAN, EXACT, Change.RETYPED),
        (None, None, EXACT, Change.SAME),
        (None, 0, Tolerance(abs=1.0), Change.RETYPED),
    ],
)
def test_the_formula(old: Scalar, new: Scalar, tolerance: Tolerance, expected: Change) -> None:
    assert change(old, new, tolerance) is expected


@pytest.mark.parametrize(
    ("old", "new", "direction", "expected"),
    [
        (1.0, 0.5, "lower", Change.IMPROVED),
        (1.0, 1.5, "lower", Change.DRIFTED),
        (1.0, 1.5, "higher", Change.IMPROVED),
        (1.0, 0.5, "higher", Change.DRIFTED),
        (1.0, 0.95, "lower", Change.WITHIN),
        (1.0, NAN, "lower", Change.DRIFTED),
        (1.0, NAN, "higher", Change.DRIFTED),
        (NAN, 1.0, "lower", Change.DRIFTED),
        (1.0, -INF, "lower", Change.DRIFTED),
        (1.0, INF, "higher", Change.DRIFTED),
        (False, True, "higher", Change.DRIFTED),
        ("a", "b", "higher", Change.DRIFTED),
    ],
)
def test_only_finite_numbers_improve(
    old: Scalar, new: Scalar, direction: str, expected: Change
) -> None:
    assert change(old, new, Tolerance(abs=0.1), direction) is expected


def test_differences_are_exact() -> None:
    judged = judge(469.5209, 573.8589, EXACT, None)
    assert judged.difference == 104.338
    assert judged.relative == 104.338 / 469.5209
    assert judge(0.0, 2.5, EXACT, None).relative is None
    assert judge(NAN, 2.5, EXACT, None).difference is None
    assert judge(10**400, 1, EXACT, None).difference == INF


@pytest.mark.parametrize("bad", [NAN, INF, -1.0])
def test_a_tolerance_that_would_pass_everything_is_refused(bad: float) -> None:
    with pytest.raises(UsageError, match="finite number >= 0"):
        judge(1.0, 2.0, Tolerance(rel=bad), None)
    with pytest.raises(UsageError, match="finite number >= 0"):
        judge(1.0, 2.0, Tolerance(abs=bad), None)


def test_the_last_rule_that_matches_wins() -> None:
    def rule(pattern: str, size: float) -> MetricRule:
        return MetricRule(pattern=pattern, tolerance=Tolerance(abs=size))

    rules = (rule("revenue.*", 1), rule("*.west", 2), rule("Revenue.west", 3), rule("a[b", 4))
    default = Tolerance(abs=9)
    found = {
        name: rule_for(name, rules, default).tolerance.abs
        for name in ("revenue.west", "revenue.east", "Revenue.west", "rmse", "a[b")
    }
    assert found == {
        "revenue.west": 2,
        "revenue.east": 1,
        "Revenue.west": 3,
        "rmse": 9,
        "a[b": 4,
    }


def test_worst_first() -> None:
    ranked = [
        (Change.MISSING, None, None),
        (Change.RETYPED, None, None),
        (Change.ADDED, None, None),
        (Change.DRIFTED, None, None),
        (Change.DRIFTED, 7.0, None),
        (Change.DRIFTED, 5.0, None),
        (Change.DRIFTED, 1.0, 0.5),
        (Change.DRIFTED, 9.0, 0.1),
        (Change.DRIFTED, 2.0, 0.1),
        (Change.IMPROVED, 5.0, 0.9),
        (Change.IGNORED, 5.0, 0.9),
        (Change.WITHIN, 5.0, 0.9),
        (Change.SAME, None, None),
    ]
    keys = [worst_first(*case) for case in ranked]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SIZES = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
TOLERANCES = st.builds(Tolerance, rel=SIZES, abs=SIZES)
DIRECTIONS = st.sampled_from([None, "lower", "higher"])


@settings(deadline=None)
@given(SCALARS, TOLERANCES, DIRECTIONS)
def test_everything_equals_itself(value: Scalar, tolerance: Tolerance, to: str | None) -> None:
    assert change(value, value, tolerance, to) is Change.SAME


@settings(deadline=None)
@given(SCALARS, SCALARS)
def test_being_the_same_is_symmetric(old: Scalar, new: Scalar) -> None:
    assert (change(old, new) is Change.SAME) == (change(new, old) is Change.SAME)
    assert (change(old, new) is Change.RETYPED) == (change(new, old) is Change.RETYPED)


@settings(deadline=None)
@given(st.floats() | st.integers(), st.floats() | st.integers(), TOLERANCES, SIZES, SIZES)
def test_a_wider_tolerance_never_finds_more(
    old: float, new: float, narrow: Tolerance, rel: float, size: float
) -> None:
    wide = Tolerance(rel=max(rel, narrow.rel), abs=max(size, narrow.abs))
    if not change(old, new, narrow).is_drift:
        assert not change(old, new, wide).is_drift


@settings(deadline=None)
@given(
    st.integers(-(10**12), 10**12),
    st.integers(-(10**12), 10**12),
    st.integers(0, 10**12),
    st.integers(0, 3),
)
def test_integers_agree_with_integer_arithmetic(old: int, new: int, size: int, rel: int) -> None:
    equal = abs(new - old) <= max(size, rel * abs(old))
    assert change(old, new, Tolerance(rel=rel, abs=size)).is_drift != equal
    assert change(float(old), new, Tolerance(rel=rel, abs=size)).is_drift != equal
