"""E38 in `repro verify`: Ctrl-C while it runs; then the same command gives its verdict."""

from __future__ import annotations

import sys

import pytest

from tests.support import Cli
from tests.terminal import CTRL_C, terminal
from tests.watch import watching

SLOW = "import time\nprint('it runs', flush=True)\ntime.sleep(6000)\n"


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize("words", [["verify"], ["accept", "--reason", "it was interrupted"]])
def test_ctrl_c_and_again(tiny: Cli, engine: str, words: list[str]) -> None:
    script = tiny.folder / "analysis.py"
    usual = script.read_text()
    script.write_text(SLOW)
    argv = [sys.executable, "-m", "repro", "--engine", engine, *words]
    with watching(tiny) as watch, terminal(argv, cwd=tiny.folder, env=watch.env) as screen:
        logs = ".repro/tmp/*/run/log.txt"
        screen.until(
            lambda: any("it runs" in path.read_text() for path in tiny.folder.glob(logs)),
            "run",
            50,
        )
        screen.send(CTRL_C)
        assert screen.wait() == 130, screen.text
        watch.said(screen.text)
    assert "error: interrupted" in screen.text
    assert "reproduced" not in screen.text
    script.write_text(usual)
    answer = tiny("--engine", engine, *words)
    assert answer.code == 0, answer
