"""Rows G53, G54, G55, G56, G57, G59 and G61 of FAULTS.md, end to end."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.support import Cli, assert_refused, tree_digest


def analysis(cli: Cli, text: str) -> None:
    (cli.folder / "analysis.py").write_text(text)


@pytest.mark.network
def test_g53_nonzero_exit(tiny: Cli) -> None:
    analysis(tiny, "import sys\nfor n in range(50): print('line', n)\nsys.exit(17)\n")
    before = tree_digest(tiny.folder)
    answer = tiny("verify")
    assert_refused(answer, 4, "status 17", "line 49", "line 30", "log")
    assert "line 29\n" not in answer.err
    assert tree_digest(tiny.folder) == before
    assert_refused(tiny("accept", "--reason", "no"), 4, "status 17")
    assert tree_digest(tiny.folder) == before


@pytest.mark.network
@pytest.mark.parametrize(
    "text",
    ["print('no file')\n", "open('out/metrics.json', 'w').close()\n"],
    ids=["absent", "empty"],
)
def test_g54_metrics_absent_or_empty(tiny: Cli, text: str) -> None:
    """A stale copy in the user's tree can not pass for the output."""
    (tiny.folder / "out").mkdir(exist_ok=True)
    baseline = tiny.folder / "baseline/linux-amd64/outputs/out/metrics.json"
    shutil.copy(baseline, tiny.folder / "out/metrics.json")
    analysis(tiny, text)
    assert_refused(tiny("verify"), 4, "out/metrics.json")


@pytest.mark.network
@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}", "[" * 200_000, "\ufeff{}",
     '{"a": "\\ud800"}'],
    ids=["duplicate", "overflow", "digits", "deep", "bom", "surrogate"],
)  # fmt: skip
def test_g55_malformed(tiny: Cli, text: str) -> None:
    (tiny.folder / "metrics.in").write_text(text)
    analysis(tiny, "open('out/metrics.json', 'wb').write(open('metrics.in', 'rb').read())\n")
    assert_refused(tiny("verify"), 4, "out/metrics.json")


@pytest.mark.network
def test_g56_nan_equals_only_nan(tiny: Cli) -> None:
    analysis(tiny, "open('out/metrics.json','w').write('{\"count\": 40, \"mean\": NaN}')\n")
    assert_refused(tiny("verify"), 10, "mean", "became NaN")
    assert tiny("accept", "--reason", "NaN it is").code == 0
    assert tiny("verify").code == 0


@pytest.mark.network
@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"count": 40, "mean": 74.28571428571429, "more": 1}, "more"),
        ({"count": 40}, "mean"),
        ({"count": 40, "mean": "74.28571428571429"}, "mean"),
        ({"count": True, "mean": 74.28571428571429}, "count"),
    ],
    ids=["added", "missing", "retyped", "boolean"],
)
def test_g57_added_missing_retyped(tiny: Cli, written: dict[str, object], says: str) -> None:
    analysis(tiny, f"open('out/metrics.json','w').write({json.dumps(written)!r})\n")
    answer = tiny("verify", "--json")
    assert_refused(answer, 10, says)
    changes = {m["name"]: m["change"] for m in answer.json()["comparison"]["metrics"]}
    assert changes[says] in ("added", "missing", "retyped"), changes


@pytest.mark.network
def test_g59_data_changed(tiny: Cli) -> None:
    """Said before running: no run is recorded."""
    runs = tiny.folder / ".repro/runs"
    count = len(list(runs.iterdir()))
    with (tiny.folder / "data/numbers.csv").open("a") as file:
        file.write("1\n")
    assert_refused(tiny("verify"), 3, "data/numbers.csv")
    assert len(list(runs.iterdir())) == count


@pytest.mark.network
def test_g61_no_baseline(tiny: Cli) -> None:
    shutil.rmtree(tiny.folder / "baseline")
    assert_refused(tiny("verify"), 2, "no baseline", "repro accept")
    (tiny.folder / "baseline/linux-arm64").mkdir(parents=True)
    assert_refused(tiny("verify"), 2, "linux-arm64", "repro accept")
