"""When two values are equal: the one place that says it."""

from __future__ import annotations

import decimal
import fnmatch
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from repro.errors import UsageError
from repro.models.measurement import Scalar
from repro.models.project import MetricRule, Tolerance
from repro.models.verdict import Change

FORMULA = "|now - baseline| <= max(abs, rel * |baseline|)"
"""The formula of `judge`, as it is printed with every result."""

# Exact: sums and products of two doubles, or of integers of a few thousand digits, need less.
# Inexact would raise.
_EXACT = decimal.Context(
    prec=20_000,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    traps=[decimal.Inexact, decimal.InvalidOperation],
)
_ROUNDED = decimal.Context(prec=20, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[])

_SEVERITY = (
    Change.MISSING,
    Change.RETYPED,
    Change.ADDED,
    Change.DRIFTED,
    Change.IMPROVED,
    Change.IGNORED,
    Change.WITHIN,
    Change.SAME,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What became of one value; `difference` and `relative` as in MetricChange."""

    change: Change
    difference: float | None = None
    relative: float | None = None


def judge(old: Scalar, new: Scalar, tolerance: Tolerance, direction: str | None) -> Judgement:
    """Judge a value against its baseline `old`.

    Two numbers are equal iff |new - old| <= max(abs, rel * |old|), in exact decimal arithmetic
    on the numbers as they are written: 0.4 against 0.3 with abs = 0.1 is equal, and nothing
    overflows. NaN equals only NaN, an infinity only itself. int and float are both numbers; a
    bool is none. Booleans, text and null are compared exactly. Another kind of value than the
    baseline's is RETYPED, never equal.

    Beyond the tolerance, a finite number that moved in `direction` ("lower", "higher") from a
    finite baseline is IMPROVED; NaN never is.
    """
    if _kind(old) is not _kind(new):
        return Judgement(change=Change.RETYPED)
    if _kind(old) is not float:
        return Judgement(change=Change.SAME if old == new else Change.DRIFTED)
    assert isinstance(old, int | float)
    assert isinstance(new, int | float)
    if is_nan(old) and is_nan(new):
        return Judgement(change=Change.SAME)
    if old == new:
        return Judgement(change=Change.SAME, difference=0.0, relative=0.0)
    if not _finite(old) or not _finite(new):
        return Judgement(change=Change.DRIFTED)
    return _judge_finite(old, new, tolerance, direction)


def _judge_finite(old: float, new: float, tolerance: Tolerance, direction: str | None) -> Judgement:
    baseline = _exact(old)
    signed = _EXACT.subtract(_exact(new), baseline)
    size, scale = _size(signed), _size(baseline)
    limit = max(_limit(tolerance.abs, "abs"), _EXACT.multiply(_limit(tolerance.rel, "rel"), scale))
    if not size:
        change = Change.SAME
    elif size <= limit:
        change = Change.WITHIN
    elif direction is not None and (signed < 0) == (direction == "lower"):
        change = Change.IMPROVED
    else:
        change = Change.DRIFTED
    relative = float(_ROUNDED.divide(size, scale)) if scale else None
    return Judgement(change=change, difference=float(size), relative=relative)


def _size(value: Decimal) -> Decimal:
    """|value|; unlike abs(), not rounded to the current context."""
    return value.copy_abs()


def _exact(value: float) -> Decimal:
    """The number as it is written: the shortest decimal that reads back as this double."""
    return Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))


@functools.lru_cache(maxsize=1024)
def _limit(value: float, name: str) -> Decimal:
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"a tolerance must be a finite number >= 0: {name} = {value}")
    return _exact(value)


def is_nan(value: Scalar) -> bool:
    """Whether a value is NaN; an integer too large for a double is not."""
    return isinstance(value, float) and math.isnan(value)


def _finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def _kind(value: Scalar) -> type[object]:
    """The kind of a value; every number is of the kind float."""
    if value is None or isinstance(value, bool | str):
        return type(value)
    return float


def rule_for(name: str, rules: Iterable[MetricRule], default: Tolerance) -> MetricRule:
    """The last rule whose pattern matches `name` (fnmatch, case-sensitive), else the default."""
    found = MetricRule(pattern="*", tolerance=default)
    for rule in rules:
        if rule.pattern == name or fnmatch.fnmatchcase(name, rule.pattern):
            found = rule
    return found


def worst_first(
    change: Change, difference: float | None, relative: float | None
) -> tuple[int, float, float]:
    """Sort key: what drifted before what did not, then by relative and absolute difference.

    What has no size (NaN or an infinity on one side, text) is the worst of its group, then
    what left a baseline of 0.
    """
    group = _SEVERITY.index(change)
    if change is Change.SAME:
        return group, 0.0, 0.0
    if difference is None:
        return group, -math.inf, -math.inf
    if relative is None and difference:
        return group, -math.inf, -difference
    return group, -(relative or 0.0), -difference
