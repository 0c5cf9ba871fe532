from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from repro.compare.compare import compare
from repro.compare.tolerance import FORMULA
from repro.measure.metrics import read_metrics
from repro.measure.tables import read_table
from repro.models.lock import LockDiff, PackageChange
from repro.models.measurement import Measurement, Metric, Scalar, Table
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance
from repro.models.verdict import Change, Comparison, Verdict, Verification
from repro.report.text import to_string, width_of
from repro.report.verification import (
    METRICS,
    comparison_data,
    data,
    render,
    render_comparison,
)
from tests.unit import golden_files

FLAGSHIP = Path(__file__).parent / "data" / "drift" / "01-pandas-empty-sum-py27"
PANDAS = PackageChange(ecosystem="pip", name="pandas", old="0.20.3", new="0.21.0")
RULES = (
    MetricRule(pattern="rmse", tolerance=Tolerance(abs=0.01), direction="lower"),
    MetricRule(pattern="runtime_s", tolerance=Tolerance(), ignore="timing"),
    MetricRule(pattern="near", tolerance=Tolerance(rel=1e-15)),
    MetricRule(pattern="huge", tolerance=Tolerance()),
)


def measurement(values: dict[str, Scalar], *tables: Table) -> Measurement:
    metrics = tuple(Metric(name=name, value=value, file="m.json") for name, value in values.items())
    return Measurement(metrics=metrics, tables=tables)


def verification(comparison: Comparison, *packages: PackageChange, **more: object) -> Verification:
    verdict = Verdict.DRIFTED if comparison.drifted else Verdict.REPRODUCED
    facts: dict[str, object] = {"engine": "sandbox", "run_id": "20260301-101500-4f2a", **more}
    return Verification(
        verdict=verdict,
        comparison=comparison,
        environment=LockDiff(changes=packages),
        **facts,  # type: ignore[arg-type]
    )


def of(old: dict[str, Scalar], new: dict[str, Scalar], *rules: MetricRule) -> Verification:
    settings = MetricSettings(rules=rules)
    return verification(compare(measurement(old), measurement(new), settings, ()))


def flagship() -> Verification:
    def side(letter: str) -> Measurement:
        return Measurement(
            metrics=read_metrics((FLAGSHIP / f"metrics-{letter}.json").read_bytes(), file="m.json"),
            tables=(
                read_table(
                    (FLAGSHIP / f"by_region-{letter}.csv").read_bytes(), file="out/by_region.csv"
                ),
            ),
        )

    tables = (TableSettings(file="out/by_region.csv", key=("region",)),)
    return verification(compare(side("a"), side("b"), MetricSettings(), tables), PANDAS)


def everything() -> Verification:
    fox = "the quick brown fox jumps over the lazy dog and " * 3
    nested = "a_very.long.metric_name_that_goes_on.and_on.for_ever_and_ever"
    old: dict[str, Scalar] = {
        nested: 1.0,
        "rmse": 0.31,
        "runtime_s": 12.5,
        "top_tag": "viz",
        "flag": True,
        "text": fox + "A",
        "kind": "5",
        "gone": 3.25,
        "near": 99.9999999999986,
        "noise": 1.0,
        "same": 1,
        "huge": 10**60,
        "null": None,
        "infinite": 1.0,
    }
    new: dict[str, Scalar] = {
        nested: 1.1,
        "rmse": 0.25,
        "runtime_s": 13.5,
        "top_tag": "sql",
        "flag": False,
        "text": fox + "B",
        "kind": 5,
        "fresh": 7,
        "near": 100.0,
        "noise": 1.0 + 1e-13,
        "same": 1,
        "huge": 10**60 + 1,
        "null": 0.0,
        "infinite": math.inf,
    }
    before = (
        read_table(b"id,n,t_s,loss\nA,1,5,3\nB,2,5,2\nC,3,5,2\n", file="out/t.csv"),
        read_table(b"id\nA\nA\n", file="out/twice.csv"),
    )
    after = (
        read_table(b"id,n,t_s,loss,x\nA,1.5,6,1,0\nB,,5,2,0\nD,4,5,2,0\n", file="out/t.csv"),
        read_table(b"id\nA\nA\n", file="out/twice.csv"),
    )
    tables = (
        TableSettings(
            file="out/t.csv",
            key=("id",),
            columns=(
                MetricRule(pattern="t_s", tolerance=Tolerance(), ignore="timing"),
                MetricRule(pattern="loss", tolerance=Tolerance(), direction="lower"),
            ),
        ),
        TableSettings(file="out/twice.csv", key=("id",)),
    )
    comparison = compare(
        measurement(old, *before), measurement(new, *after), MetricSettings(rules=RULES), tables
    )
    apt = [
        PackageChange(ecosystem="apt", name=f"libfoo{i}", old=f"1.{i}-2+deb12u1", new=f"1.{i}-3")
        for i in range(14)
    ]
    return verification(
        comparison,
        *apt,
        PackageChange(ecosystem="pip", name="numpy", old=None, new="1.26.4"),
        PackageChange(ecosystem="python", name="python", old="3.11", new="3.13"),
        cpu_differs=True,
        code_changed=("clean.py", "src/features.py"),
        notes=("not enforced here: the memory limit, for want of a controller on this host",),
    )


@pytest.mark.parametrize("width", [80, 120, 48])
def test_the_flagship(width: int) -> None:
    shown = to_string(render(flagship()), width=width)
    golden_files.check(f"flagship-{width}.txt", shown)
    assert max(map(width_of, shown.splitlines())) <= width
    assert "\x1b" not in shown


def test_the_flagship_in_words() -> None:
    shown = to_string(render(flagship()))
    assert "drifted: 9 of 15 metrics, 1 of 1 table" in shown
    assert "unchanged 6:" in shown
    assert "pandas  0.20.3  →  0.21.0" in shown
    assert FORMULA in shown
    assert "repro accept --reason" in shown


def test_the_flagship_in_colour() -> None:
    shown = to_string(render(flagship()), color=True)
    golden_files.check("flagship-colour.txt", shown)
    assert "\x1b[1;31mdrifted" in shown.replace("✗ ", "")


@pytest.mark.parametrize("width", [80, 48])
def test_everything_at_once(width: int) -> None:
    shown = to_string(render(everything()), width=width)
    golden_files.check(f"everything-{width}.txt", shown)
    assert max(map(width_of, shown.splitlines())) <= width


def test_reproduced() -> None:
    shown = to_string(render(of({"a": 1, "nan": math.nan}, {"a": 1, "nan": math.nan})))
    golden_files.check("reproduced.txt", shown)
    assert shown.startswith("✓ reproduced: 2 metrics\n")
    assert "accept" not in shown


def test_nothing_declared_never_reads_as_a_pass_of_something() -> None:
    assert "nothing was compared" in to_string(render(of({}, {})))


def test_ignored_metrics_are_not_counted_as_reproduced() -> None:
    shown = to_string(render(of({"a": 1, "runtime_s": 1}, {"a": 1}, *RULES)))
    assert "reproduced: 1 metric\n" in shown
    assert "ignored 1: runtime_s (timing)" in shown


def test_two_sides_have_their_names() -> None:
    comparison = of({"a": 1}, {"a": 2}).comparison
    shown = to_string(render_comparison(comparison, old="run-1", new="run-2"))
    assert shown.splitlines()[2].split() == ["metric", "run-1", "run-2", "difference", "tolerance"]
    assert "|run-2 - run-1| <= max(abs, rel * |run-1|)" in shown
    assert "accept" not in shown


def test_many_drifts_are_cut_and_counted() -> None:
    old: dict[str, Scalar] = {f"m{i:03}": 1 for i in range(100)}
    new: dict[str, Scalar] = dict.fromkeys(old, 2)
    shown = to_string(render(of(old, new)))
    assert "drifted: 100 of 100 metrics" in shown
    assert f"and {100 - METRICS} more drifted metrics; --json lists all" in shown
    assert len(shown.splitlines()) < METRICS + 15


HOSTILE: dict[str, Scalar] = {
    "\x1b[31mred": 1,
    "[link=http://example.org]y[/link]": 1,
    "[/foo]": "a",
    "::error::pwned": 1,
    "##[group]": 1,
    "<script>": 1,
    "|": 1,
    "=cmd()": 1,
    "a\nb": 1,
    "\u202egnp.exe": 1,
    ":smile:": 1,
    "": 1,
}


@pytest.mark.parametrize("color", [True, False])
def test_hostile_names_and_values_are_inert(color: bool) -> None:
    new: dict[str, Scalar] = dict.fromkeys(HOSTILE, 2)
    new["[/foo]"] = "\x1b]0;title\x07\n::error::x"
    table = Table(file="\x1b[2Jt.csv", columns=("k", "\x1b[1mv"), rows=(("\x07", "1"),))
    after = Table(file="\x1b[2Jt.csv", columns=("k", "\x1b[1mv"), rows=(("\x07", "\x1b[5m"),))
    comparison = compare(measurement(HOSTILE, table), measurement(new, after), MetricSettings(), ())
    hostile = verification(comparison, notes=("\x1b[8m",), code_changed=("a\x1b.py",))
    shown = to_string(render(hostile), color=color)
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x1b[5m" not in shown
    assert "\x1b[8m" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert not any(row.strip().startswith("::") for row in shown.splitlines())
    assert "##[" not in shown
    assert ":smile:" in shown
    assert "[/foo]" in shown
    assert color or "\x1b" not in shown


def test_json_is_strict_and_lists_everything() -> None:
    text = json.dumps(data(flagship()), allow_nan=False)
    body = json.loads(text)
    assert (body["verdict"], body["exit_code"]) == ("drifted", 10)
    assert body["comparison"]["counts"]["drifted"] == 9
    assert body["comparison"]["counts"]["same"] == 6
    first = body["comparison"]["metrics"][0]
    assert first["name"] == "net_revenue"
    assert (first["old"], first["old_type"], first["new_type"]) == (5164.73, "number", "number")
    assert isinstance(first["new"], str)
    assert first["new"].lower() == "nan"
    assert first["tolerance"] == {"rel": 1e-9, "abs": 0.0}
    assert [c["column"] for c in body["comparison"]["tables"][0]["cells"]] == ["revenue", "share"]
    assert body["environment"] == [
        {"ecosystem": "pip", "name": "pandas", "old": "0.20.3", "new": "0.21.0"}
    ]


def test_json_tells_null_from_absent_and_text_from_nan() -> None:
    comparison = of({"a": None, "b": None, "c": "NaN"}, {"a": None, "c": math.nan}).comparison
    body = json.loads(json.dumps(comparison_data(comparison), allow_nan=False))
    found = {m["name"]: (m["old_type"], m["new_type"]) for m in body["metrics"]}
    assert found == {"a": ("null", "null"), "b": ("null", "absent"), "c": ("text", "number")}


def test_json_of_everything_is_golden() -> None:
    text = json.dumps(data(everything()), indent=2, allow_nan=False) + "\n"
    golden_files.check("everything.json", text)
    assert Change.IMPROVED.value in text
