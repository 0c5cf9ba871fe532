"""G56: NaN equals only NaN, an infinity only itself: exit 10 or 0, never by chance."""

from __future__ import annotations

import pytest

from repro.compare.compare import compare
from repro.measure.metrics import read_metrics
from repro.measure.tables import read_table
from repro.models.lock import LockDiff
from repro.models.measurement import Measurement
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance
from repro.models.verdict import Comparison, Verdict, Verification
from repro.report.text import to_string
from repro.report.verification import render

GENEROUS = MetricSettings(
    default=Tolerance(rel=1e300, abs=1e300),
    rules=(MetricRule(pattern="rmse", tolerance=Tolerance(abs=1e300), direction="lower"),),
)


def verdict(comparison: Comparison) -> Verdict:
    return Verdict.DRIFTED if comparison.drifted else Verdict.REPRODUCED


def metrics(token: str, name: str = "loss") -> Measurement:
    data = f'{{"{name}": {token}}}'.encode()
    return Measurement(metrics=read_metrics(data, file="out/metrics.json"))


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_it_equals_itself(token: str) -> None:
    found = compare(metrics(token), metrics(token), MetricSettings(), ())
    assert verdict(found).exit_code == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NaN", "0"),
        ("0", "NaN"),
        ("NaN", "Infinity"),
        ("Infinity", "-Infinity"),
        ("Infinity", "1e308"),
        ("1e308", "Infinity"),
        ("NaN", '"NaN"'),
        ("NaN", "null"),
    ],
)
@pytest.mark.parametrize("name", ["loss", "rmse"])
def test_it_equals_nothing_else_under_any_tolerance(old: str, new: str, name: str) -> None:
    found = compare(metrics(old, name), metrics(new, name), GENEROUS, ())
    assert verdict(found).exit_code == 10
    shown = to_string(
        render(
            Verification(
                verdict=verdict(found),
                comparison=found,
                environment=LockDiff(changes=()),
                engine="sandbox",
                run_id="r",
            )
        )
    )
    assert "drifted: 1 of 1 metric" in shown
    assert "NaN equals only NaN" in shown


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("NaN", "nan", 0), ("0.0", "NaN", 10), ("NaN", "", 10), ("", "", 0), ("inf", "-inf", 10)],
)
def test_cells_of_tables(old: str, new: str, code: int) -> None:
    before, after = (
        Measurement(
            metrics=(), tables=(read_table(f"k,v\nWest,{cell}\n".encode(), file="out/t.csv"),)
        )
        for cell in (old, new)
    )
    settings = TableSettings(file="out/t.csv", key=("k",), default=Tolerance(rel=1e300, abs=1e300))
    assert verdict(compare(before, after, MetricSettings(), (settings,))).exit_code == code
