"""Rows G53, G54, G55, G56, G57, G59 and G61 of FAULTS.md, through the whole command.

What a run leaves behind is judged on the host: one engine shows it. How it ended is the engine's.
"""

from __future__ import annotations

import json
import shutil

import pytest

from tests.support import Cli
from tests.watch import faulted

ENGINES = ("sandbox", "docker")
SANDBOX = ("--engine", "sandbox")


def analysis(cli: Cli, text: str) -> None:
    (cli.folder / "analysis.py").write_text(text)


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_g53_nonzero_exit(tiny: Cli, engine: str) -> None:
    analysis(tiny, "import sys\nfor n in range(50): print('line', n)\nsys.exit(17)\n")
    says = ["status 17", "line 49", "line 30", "log.txt"]
    for words in (["verify"], ["run"], ["accept", "--reason", "no"]):
        answer = faulted(tiny, "--engine", engine, *words, code=4, says=says)
        assert "| line 29\n" not in answer.err


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_g53_killed_by_a_signal(tiny: Cli, engine: str) -> None:
    """What was written before does not count, complete as it may look."""
    text = (tiny.folder / "analysis.py").read_text()
    analysis(tiny, text + "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)\n")
    faulted(tiny, "--engine", engine, "verify", code=4, says=["status 139", "log.txt"])


@pytest.mark.network
def test_g53_the_first_of_two_steps_fails(tiny: Cli) -> None:
    """The second, which would write good metrics, does not run."""
    config = tiny.folder / "repro.toml"
    steps = 'command = [["python", "-c", "raise SystemExit(3)"], ["python", "analysis.py"]]'
    config.write_text(config.read_text().replace('command = ["python", "analysis.py"]', steps))
    faulted(tiny, *SANDBOX, "verify", code=4, says=["status 3"])


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "text",
    ["print('no file')\n", "open('out/metrics.json', 'w').close()\n"],
    ids=["absent", "empty"],
)
def test_g54_metrics_absent_or_empty(tiny: Cli, engine: str, text: str) -> None:
    """A stale copy in the user's tree can not pass for the output."""
    (tiny.folder / "out").mkdir(exist_ok=True)
    baseline = tiny.folder / "baseline/linux-amd64/outputs/out/metrics.json"
    shutil.copy(baseline, tiny.folder / "out/metrics.json")
    analysis(tiny, text)
    faulted(
        tiny, "--engine", engine, "verify", code=4, says=["looked for: out/metrics.json", "outputs"]
    )


@pytest.mark.network
@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": 1, "a": 2}', "line 1, column 10"),
        ('{"a": 1e999}', "line 1, column 7"),
        ('{"a": ' + "9" * 5000 + "}", "line 1, column 7"),
        ("[" * 200_000, "line 1, column 101"),
        ("\ufeff{}", "byte 0"),
        ('{"a": "\\ud800"}', "line 1, column 7"),
        ('{"a": 1', "line 1, column 8"),
    ],
    ids=["duplicate", "overflow", "digits", "deep", "bom", "surrogate", "cut"],
)
def test_g55_malformed(tiny: Cli, text: str, where: str) -> None:
    (tiny.folder / "metrics.in").write_text(text)
    analysis(tiny, "open('out/metrics.json', 'wb').write(open('metrics.in', 'rb').read())\n")
    faulted(tiny, *SANDBOX, "verify", code=4, says=[f"out/metrics.json, {where}: "])
    faulted(tiny, *SANDBOX, "run", code=4, says=[f"out/metrics.json, {where}: "])


@pytest.mark.network
def test_g56_nan_equals_only_nan(tiny: Cli) -> None:
    analysis(tiny, "open('out/metrics.json','w').write('{\"count\": 40, \"mean\": NaN}')\n")
    faulted(tiny, *SANDBOX, "verify", code=10, says=["mean", "became NaN"])
    faulted(tiny, *SANDBOX, "accept", "--reason", "NaN it is", code=0, changes=["baseline"])
    faulted(tiny, *SANDBOX, "verify", code=0, says=["reproduced: 2 metrics"])
    analysis(tiny, "open('out/metrics.json','w').write('{\"count\": 40, \"mean\": 1e308}')\n")
    faulted(tiny, *SANDBOX, "verify", code=10, says=["mean", "NaN"])


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
    answer = faulted(tiny, *SANDBOX, "verify", "--json", code=10, says=[says])
    changes = {m["name"]: m["change"] for m in answer.json()["comparison"]["metrics"]}
    assert changes[says] in ("added", "missing", "retyped"), changes


@pytest.mark.network
def test_g59_data_changed(tiny: Cli) -> None:
    """Said before running: no run is recorded."""
    runs = tiny.folder / ".repro/runs"
    count = len(list(runs.iterdir()))
    with (tiny.folder / "data/numbers.csv").open("a") as file:
        file.write("1\n")
    faulted(tiny, *SANDBOX, "verify", code=3, says=["data/numbers.csv", "repro accept"])
    assert len(list(runs.iterdir())) == count


@pytest.mark.network
@pytest.mark.parametrize("how", ["missing", "a folder's file more", "a folder's file renamed"])
def test_g59_data_missing_or_another_set(tiny: Cli, how: str) -> None:
    config, data = tiny.folder / "repro.toml", tiny.folder / "data"
    runs = len(list((tiny.folder / ".repro/runs").iterdir()))
    if how == "missing":
        (data / "numbers.csv").unlink()
        faulted(tiny, *SANDBOX, "verify", code=3, says=["data/numbers.csv", "missing", "restore"])
    else:
        config.write_text(config.read_text().replace('"data/numbers.csv"', '"data/"'))
        faulted(tiny, *SANDBOX, "accept", "--reason", "all data", code=0, changes=["baseline"])
        runs = len(list((tiny.folder / ".repro/runs").iterdir()))
        if how.endswith("more"):
            (data / "more.csv").write_text("value\n1\n")
        else:
            (data / "numbers.csv").rename(data / "more.csv")
        faulted(tiny, *SANDBOX, "verify", code=3, says=["data/more.csv"])
    assert len(list((tiny.folder / ".repro/runs").iterdir())) == runs


@pytest.mark.network
def test_g61_no_baseline(tiny: Cli) -> None:
    shutil.rmtree(tiny.folder / "baseline")
    faulted(tiny, *SANDBOX, "verify", code=2, says=["no baseline", "repro accept"])
    (tiny.folder / "baseline/linux-arm64").mkdir(parents=True)
    faulted(tiny, *SANDBOX, "verify", code=2, says=["linux-arm64", "repro accept"])
