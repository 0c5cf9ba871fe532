"""Whole measurements against each other."""

from __future__ import annotations

from repro.compare.metrics import compare_metrics
from repro.compare.tables import compare_tables
from repro.models.measurement import Measurement
from repro.models.project import MetricSettings, TableSettings
from repro.models.verdict import Comparison


def compare(
    old: Measurement,
    new: Measurement,
    metrics: MetricSettings,
    tables: tuple[TableSettings, ...],
) -> Comparison:
    """Judge everything that was measured against the baseline `old`, worst first."""
    return Comparison(
        metrics=compare_metrics(old.metrics, new.metrics, metrics),
        tables=compare_tables(old.tables, new.tables, tables),
    )
