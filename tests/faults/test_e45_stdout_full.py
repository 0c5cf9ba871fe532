"""E45: stdout is closed or full: exit 7 that says so, and what was done is saved nevertheless."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.faults.three import BASELINE, Three
from tests.support import Cli
from tests.watch import temporary

pytestmark = pytest.mark.network

CLOSED, FULL = ">&-", ">/dev/full"


def redirected(cli: Cli, redirection: str, *words: str) -> tuple[int, str]:
    """Run the command with its stdout elsewhere; return exit status and stderr."""
    script = f"exec {shlex.join([sys.executable, '-m', 'repro', *words])} {redirection}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=cli.folder, env=cli.env, stderr=subprocess.PIPE, check=False
    )
    return done.returncode, done.stderr.decode()


def refused(code: int, said: str, redirection: str) -> None:
    assert code == 7, said
    assert "Traceback" not in said
    why = "Bad file descriptor" if redirection == CLOSED else "No space left on device"
    assert f"standard output: {why}" in said, said


@pytest.mark.parametrize("redirection", [CLOSED, FULL])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_a_run_is_recorded_and_its_outputs_are_copied(
    three: Three, redirection: str, form: tuple[str, ...]
) -> None:
    runs = three.folder / ".repro" / "runs"
    before = set(runs.iterdir())
    for path in (three.folder / "out").iterdir():
        path.unlink()
    refused(*redirected(three.cli, redirection, "run", *form), redirection)
    [new] = set(runs.iterdir()) - before
    assert (new / "run.toml").is_file()
    assert (three.folder / "out/more.txt").read_text() == "more"
    assert '"total": 3' in (three.folder / "out/metrics.json").read_text()
    assert temporary(three.folder) == []


@pytest.mark.parametrize("redirection", [CLOSED, FULL])
def test_a_baseline_is_accepted(three: Three, redirection: str) -> None:
    refused(*redirected(three.cli, redirection, "accept", "--reason", "new"), redirection)
    assert 'reason = "new"' in (three.folder / BASELINE / "seal.toml").read_text()
    assert three.cli("verify").code == 0


@pytest.mark.parametrize("redirection", [CLOSED, FULL])
def test_a_verdict_that_nobody_hears_is_no_success(three: Three, redirection: str) -> None:
    """Neither 0, which reads as reproduced, nor 10: it was not told."""
    runs = three.folder / ".repro" / "runs"
    before = set(runs.iterdir())
    refused(*redirected(three.cli, redirection, "verify"), redirection)
    assert len(set(runs.iterdir()) - before) == 1


@pytest.mark.parametrize("redirection", [CLOSED, FULL])
def test_an_image_is_recorded(three: Three, redirection: str) -> None:
    three.forget_image()
    refused(*redirected(three.cli, redirection, "build"), redirection)
    record = "lockfiles/linux-amd64/image.toml"
    assert (three.folder / record).read_bytes() == (three.template / record).read_bytes()


def test_a_reader_that_goes_away(three: Three) -> None:
    """`repro run | head -0`: a broken pipe is no bug either, and the run is recorded."""
    before = set((three.folder / ".repro" / "runs").iterdir())
    code, said = redirected(three.cli, "| true", "run")
    assert code == 0, said  # the shell's: of the last in the pipe
    assert "Traceback" not in said
    assert "bug" not in said
    assert len(set((three.folder / ".repro" / "runs").iterdir()) - before) == 1
