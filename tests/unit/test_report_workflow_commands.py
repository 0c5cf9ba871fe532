"""Between its two lines GitHub's runner obeys nothing."""

from __future__ import annotations

import re

import pytest

from repro.report.workflow_commands import stopped


def test_on_github(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        with stopped({"GITHUB_ACTIONS": "true"}):
            print("::error::x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    seen = capsys.readouterr()
    assert seen.out == "::error::x\n"
    assert re.fullmatch(r"::stop-commands::([0-9a-f]{32})\n::\1::\n", seen.err)


def test_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with stopped({"GITHUB_ACTIONS": "false"}):
        print("x")
    assert capsys.readouterr() == ("x\n", "")
