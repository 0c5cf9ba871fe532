"""Metrics against their baseline."""

from __future__ import annotations

from collections.abc import Iterable

from repro.compare.tolerance import Judgement, judge, rule_for, worst_first
from repro.models.measurement import Metric
from repro.models.project import MetricRule, MetricSettings
from repro.models.verdict import Change, MetricChange


def compare_metrics(
    old: Iterable[Metric], new: Iterable[Metric], settings: MetricSettings
) -> tuple[MetricChange, ...]:
    """Judge every metric of the baseline `old` and of `new`, worst first; equal ones by name.

    A metric on one side only is MISSING or ADDED, a drift, unless a rule ignores it. An ignored
    metric is IGNORED whatever it did.
    """
    before = {metric.name: metric for metric in old}
    after = {metric.name: metric for metric in new}
    changes = [
        _compare(name, before.get(name), after.get(name), settings)
        for name in before.keys() | after.keys()
    ]
    return tuple(sorted(changes, key=_order))


def _order(change: MetricChange) -> tuple[tuple[int, float, float], str]:
    return worst_first(change.change, change.difference, change.relative), change.name


def _compare(
    name: str, old: Metric | None, new: Metric | None, settings: MetricSettings
) -> MetricChange:
    rule = rule_for(name, settings.rules, settings.default)
    judged = _judge(old, new, rule)
    change, reason = judged.change, None
    if rule.ignore is not None:
        change, reason = Change.IGNORED, rule.ignore
    elif change is Change.IMPROVED:
        reason = rule.direction
    return MetricChange(
        name=name,
        change=change,
        old=old.value if old else None,
        new=new.value if new else None,
        tolerance=rule.tolerance,
        difference=judged.difference,
        relative=judged.relative,
        reason=reason,
    )


def _judge(old: Metric | None, new: Metric | None, rule: MetricRule) -> Judgement:
    if new is None:
        return Judgement(change=Change.MISSING)
    if old is None:
        return Judgement(change=Change.ADDED)
    return judge(old.value, new.value, rule.tolerance, rule.direction)
