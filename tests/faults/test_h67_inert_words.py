"""H67, H68 and G58: what an analysis prints, names or writes too much of is inert and bounded."""

from __future__ import annotations

import json

import pytest

from tests.support import Cli
from tests.watch import faulted

ENGINES = ("sandbox", "docker")
SANDBOX = ("--engine", "sandbox")
HOSTILE = "::error::pwned\n##vso[task.setvariable]x\n\x1b]0;t\x07\x1b[31mred \x9b31m \u202e[/foo]"
NAMES = (
    "<script>alert(1)</script>", "a|b", '=cmd("x")', "@SUM(1)", "\x1b[31mred\x1b[0m", "a\nb",
    "\u202eevil", "::error::x", "[link=x]y[/foo]", "\u200b", "",
)  # fmt: skip


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("words", [["verify"], ["verify", "--json"]], ids=" ".join)
def test_h67_commands_and_escapes_of_a_failed_analysis(
    tiny: Cli, engine: str, words: list[str]
) -> None:
    (tiny.folder / "analysis.py").write_text(f"print({HOSTILE!r})\nraise SystemExit(3)\n")
    answer = faulted(tiny, "--engine", engine, *words, code=4, says=["status 3", "pwned"])
    text = answer.err + answer.out
    if "--json" in words:
        text = answer.err
        assert "pwned" in answer.json()["error"]["message"]
    assert "::error::" not in text
    assert "##vso[" not in text
    assert "\u202e" not in text


@pytest.mark.network
def test_h68_names_of_metrics(tiny: Cli) -> None:
    metrics = {name: n for n, name in enumerate(NAMES)}
    (tiny.folder / "metrics.in").write_text(json.dumps(metrics))
    analysis = "open('out/metrics.json', 'w').write(open('metrics.in').read())\n"
    (tiny.folder / "analysis.py").write_text(analysis)
    answer = faulted(tiny, *SANDBOX, "verify", code=10, says=["<script>", "a|b", "[link=x]y[/foo]"])
    assert "::error::" not in answer.out
    assert "\u202e" not in answer.out
    answer = faulted(tiny, *SANDBOX, "verify", "--json", code=10)
    assert answer.out.isascii()
    added = {m["name"] for m in answer.json()["comparison"]["metrics"] if m["change"] == "added"}
    assert added == set(NAMES)
    faulted(tiny, *SANDBOX, "accept", "--reason", "odd names", code=0, changes=["baseline"])
    faulted(tiny, *SANDBOX, "verify", code=0, says=["reproduced: 11 metrics"])


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_g58_too_much_output(tiny: Cli, engine: str) -> None:
    """A file beyond `max-output` ends the run; the disk never held more."""
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace("timeout =", 'max-output = "20m"\ntimeout ='))
    with (tiny.folder / "analysis.py").open("a") as file:
        file.write("for n in range(10_000):\n    open(f'out/{n}', 'wb').write(bytes(1 << 20))\n")
    says = ['[analysis] max-output = "20m"', "raise the limit"]
    faulted(tiny, "--engine", engine, "verify", code=4, says=says)
    kept = sum(path.stat().st_size for path in (tiny.folder / ".repro").rglob("*"))
    assert kept < 400 << 20, "what it wrote before it was ended"


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ENGINES)
def test_g58_too_much_standard_output(tiny: Cli, engine: str) -> None:
    """The log is capped and says so on its last line."""
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace("timeout =", 'max-log = "1m"\ntimeout ='))
    with (tiny.folder / "analysis.py").open("a") as file:
        file.write("import os\nfor _ in range(100):\n    os.write(1, b'x' * (1 << 20))\n")
    answer = faulted(tiny, "--engine", engine, "verify", "--json", code=0)
    log = tiny.folder / ".repro/runs" / answer.json()["run"] / "log.txt"
    assert log.stat().st_size < (1 << 20) + 100
    assert log.read_bytes().endswith(b"\n[repro: cut here, after 1048576 bytes of output]\n")


@pytest.mark.network
def test_g58_a_metrics_file_that_is_data(tiny: Cli) -> None:
    text = "open('out/metrics.json', 'w').write('{\"a\": \"' + 'x' * (5 << 20) + '\"}')\n"
    (tiny.folder / "analysis.py").write_text(text)
    says = ["out/metrics.json is larger than 4 MiB", "summary numbers"]
    faulted(tiny, *SANDBOX, "verify", code=4, says=says)
