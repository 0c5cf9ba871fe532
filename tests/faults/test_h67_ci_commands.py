"""H67: the analysis prints commands for terminals and CI systems: inert wherever they come."""

from __future__ import annotations

import re

import pytest

from tests.support import Cli
from tests.watch import faulted

pytestmark = pytest.mark.network
HOSTILE = (
    "::error file=x::injected",
    "::set-env name=PATH::/evil",
    "  ::add-mask::injected",
    "##[add-path]/evil",
    "##vso[task.setvariable variable=x]evil",
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\x1b]8;;https://example.org\x1b\\link",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b31m\u202e\u2066gnp.exe",
    "a\rerror: the verdict is reproduced",
    "[link=https://example.org]x[/link] [/foo]",
)
COMMAND = re.compile(r"^\s*::[a-z-]+[^:]*::|##\[|##vso\[", re.MULTILINE)


def script(code: int) -> str:
    return f"import sys\nfor line in {HOSTILE!r}:\n    print(line)\nsys.exit({code})\n"


def test_in_json(tiny: Cli) -> None:
    """Also as data, which a CI log may show; as text, on both engines: test_h67_inert_words."""
    (tiny.folder / "analysis.py").write_text(script(3))
    answer = faulted(tiny, "verify", "--json", code=4, says=["status 3", "red", "gnp.exe"])
    assert not COMMAND.search(answer.out + answer.err), answer
    assert "##[add-path]/evil" in answer.json()["error"]["message"]


def test_live_on_github(tiny: Cli) -> None:
    """`run` shows the program's own bytes; the runner is told to obey none of them."""
    (tiny.folder / "analysis.py").write_text(script(3))
    answer = tiny("--engine", "sandbox", "run", env={"GITHUB_ACTIONS": "true"})
    assert answer.code == 4
    begin = re.match(r"::stop-commands::([0-9a-f]{32})\n", answer.err)
    assert begin is not None, answer.err
    shown, end, after = answer.err.partition(f"::{begin[1]}::\n")
    assert end
    assert "error: the analysis ended with status 3" in after
    assert not COMMAND.search(after), after
    assert all(line in answer.out for line in HOSTILE)
    assert "injected" not in shown


def test_live_elsewhere(tiny: Cli) -> None:
    (tiny.folder / "analysis.py").write_text(script(3))
    answer = tiny("--engine", "sandbox", "run", env={"GITHUB_ACTIONS": ""})
    assert answer.code == 4
    assert not COMMAND.search(answer.err), answer.err
    assert "status 3" in answer.err
    assert answer.err.count("red") == 0, "what was shown live is not shown again"
