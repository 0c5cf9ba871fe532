"""Rules that judge nothing: most often a misspelt name, whose metric keeps the default."""

from __future__ import annotations

from collections.abc import Iterable

from repro.compare.tolerance import rule_for
from repro.models.measurement import Measurement
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance


def judges_something(found: Measurement, metrics: MetricSettings) -> bool:
    """Whether anything of a measurement is judged: a table, or a metric that no rule ignores."""
    return bool(found.tables) or any(
        rule_for(metric.name, metrics.rules, metrics.default).ignore is None
        for metric in found.metrics
    )


def unused_rules(
    measured: Iterable[Measurement],
    metrics: MetricSettings,
    tables: Iterable[TableSettings],
) -> tuple[str, ...]:
    """Say of each pattern that matches no metric, and no column of its table, that it does not."""
    measured = tuple(measured)
    names = {metric.name for one in measured for metric in one.metrics}
    said = [
        f"[metrics] {p!r} matches no metric: is it misspelt?" for p in _idle(metrics.rules, names)
    ]
    for table in tables:
        columns = {
            column
            for one in measured
            for found in one.tables
            if found.file == table.file
            for column in found.columns
        }
        idle = _idle(table.columns, columns)
        said += [
            f"[[tables]] {table.file}: {pattern!r} matches no column: is it misspelt?"
            for pattern in idle
        ]
    return tuple(said)


def _idle(rules: Iterable[MetricRule], names: Iterable[str]) -> list[str]:
    names = tuple(names)
    return [
        rule.pattern
        for rule in rules
        if not any(rule_for(name, (rule,), Tolerance()) is rule for name in names)
    ]
