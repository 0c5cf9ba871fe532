"""G57: a metric that came, went or changed its type is drift, listed by name: exit 10."""

from __future__ import annotations

import json

import pytest

from repro.compare.compare import compare
from repro.measure.metrics import read_metrics
from repro.models.lock import LockDiff
from repro.models.measurement import Measurement
from repro.models.project import MetricRule, MetricSettings, Tolerance
from repro.models.verdict import Verdict, Verification
from repro.report.text import to_string
from repro.report.verification import data, render

GENEROUS = Tolerance(rel=1e300, abs=1e300)


def judged(old: object, new: object, *rules: MetricRule) -> Verification:
    before, after = (
        Measurement(metrics=read_metrics(json.dumps(side).encode(), file="out/metrics.json"))
        for side in (old, new)
    )
    found = compare(before, after, MetricSettings(default=GENEROUS, rules=rules), ())
    return Verification(
        verdict=Verdict.DRIFTED if found.drifted else Verdict.REPRODUCED,
        comparison=found,
        environment=LockDiff(changes=()),
        engine="sandbox",
        run_id="r",
    )


@pytest.mark.parametrize(
    ("old", "new", "name", "word"),
    [
        ({"a": 1, "rmse": 1}, {"a": 1}, "rmse", "missing"),
        ({"a": 1, "rmse": None}, {"a": 1}, "rmse", "missing"),
        ({"a": 1}, {"a": 1, "rmse": 1}, "rmse", "added"),
        ({"a": 1, "rmse": 1}, {"a": 1, "rmse": "1"}, "rmse", "number → text"),
        ({"a": 1, "rmse": 1}, {"a": 1, "rmse": True}, "rmse", "number → bool"),
        ({"a": 1, "rmse": 0}, {"a": 1, "rmse": None}, "rmse", "number → null"),
        ({"a": 1, "fold": [1, 2]}, {"a": 1, "fold": [1]}, "fold.1", "missing"),
        ({"a": 1, "fold": []}, {"a": 1}, "fold", "missing"),
    ],
)
def test_it_is_drift_and_is_listed(old: object, new: object, name: str, word: str) -> None:
    verification = judged(old, new)
    assert verification.verdict.exit_code == 10
    row = next(r for r in to_string(render(verification)).splitlines() if r.startswith(f"  {name}"))
    assert word in row
    listed = data(verification)["comparison"]
    assert isinstance(listed, dict)
    assert listed["metrics"][0]["name"] == name


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_a_direction_does_not_excuse_a_missing_metric(direction: str) -> None:
    rule = MetricRule(pattern="rmse", tolerance=GENEROUS, direction=direction)
    assert judged({"a": 1, "rmse": 1}, {"a": 1}, rule).verdict.exit_code == 10


def test_only_an_ignore_with_its_reason_does() -> None:
    rule = MetricRule(pattern="runtime_s", tolerance=Tolerance(), ignore="timing")
    verification = judged({"a": 1, "runtime_s": 1}, {"a": 1}, rule)
    assert verification.verdict.exit_code == 0
    assert "ignored 1: runtime_s (timing)" in to_string(render(verification))
