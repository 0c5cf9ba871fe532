"""J80: file names with newlines, leading dashes, quotes: exit 0; no shell ever reads them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support import TINY_ANALYSIS, Cli
from tests.watch import faulted

pytestmark = [pytest.mark.network, pytest.mark.docker]
ODD = (
    "-rf",
    "--help",
    "-c import os",
    "new\nline.csv",
    "tab\tand\rreturn",
    "quote'and\"both",
    "$(touch probe)",
    "`touch probe`",
    "; touch probe #",
    "a b  c ",
    "*",
    "a,b:c=d",
    "back\\slash\\n",
    "[link=x]y[bold]z",
    "\x1b[31mred",
    "caf\u00e9 \u202e \U0001f389",
    "n" * 255,
)
READ = """
import hashlib, os
seen = {}
for folder in ("data", "."):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and name in ODD:
            seen[path] = open(path, newline="").read()
            open(os.path.join("out", name), "w", newline="").write(name)
for name in ODD:
    assert seen["data/" + name] == "data " + name, name
    assert seen["./" + name] == "code " + name, name
"""


@pytest.fixture
def odd(tiny: Cli) -> Cli:
    """The small project with files of such names: data, code, and soon outputs."""
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace('"data/numbers.csv"', '"data/"'))
    for name in ODD:
        (tiny.folder / "data" / name).write_text(f"data {name}")
        (tiny.folder / name).write_text(f"code {name}")
    (tiny.folder / "analysis.py").write_text(f"ODD = {ODD!r}\n{READ}{TINY_ANALYSIS}")
    return tiny


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_they_go_all_the_way(odd: Cli, engine: str) -> None:
    """Through git's listing, the stage, the run, its record, the project and the baseline."""
    for command in (["init", "-q"], ["add", "--all", "."]):
        subprocess.run(["git", *command], cwd=odd.folder, check=True)
    ran = odd("--engine", engine, "run", "--json")
    assert ran.code == 0, ran
    assert {item["path"] for item in ran.json()["run"]["outputs"]} >= {f"out/{n}" for n in ODD}
    for name in ODD:
        assert (odd.folder / "out" / name).read_bytes() == name.encode()
    for command in (["accept", "--reason", "odd"], ["verify"], ["status"], ["diff"]):
        answer = odd("--engine", engine, *command) if command[0] != "status" else odd(*command)
        assert answer.code == 0, answer
        assert "\x1b[31mred" not in answer.out + answer.err
    assert {path.name for path in (odd.folder / "baseline/linux-amd64/outputs/out").iterdir()} == {
        *ODD, "metrics.json",
    }  # fmt: skip
    assert not list(odd.folder.rglob("probe"))


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_they_are_arguments_as_they_are(odd: Cli, engine: str) -> None:
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    answer = odd("--engine", engine, "run", "--", "python", "-c", script, *ODD)
    assert answer.code == 0, answer
    assert json.loads(answer.out) == list(ODD)


def test_a_changed_one_is_named(odd: Cli) -> None:
    """In a message it is inert, and can be told apart."""
    assert odd("accept", "--reason", "odd").code == 0
    Path(odd.folder / "data" / "new\nline.csv").write_text("changed")
    faulted(odd, "verify", code=3, says=[r"data/new\nline.csv"])
