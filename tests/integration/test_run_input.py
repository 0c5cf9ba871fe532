"""`repro run -- COMMAND` has the caller's standard input, like any program in a pipe."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Cli, cache, tiny, tiny_template

__all__ = ["cache", "tiny", "tiny_template"]
pytestmark = [pytest.mark.network, pytest.mark.docker]
ENGINES = pytest.mark.parametrize("engine", ["sandbox", "docker"])
PLENTY = b"a line of many\n" * 200_000


def piped(
    cli: Cli, engine: str, *command: str, data: bytes, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "repro", "--engine", engine, "run", *options, "--", *command],
        cwd=cli.folder, env=cli.env, input=data, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@ENGINES
def test_what_is_piped_in_comes_out(tiny: Cli, engine: str) -> None:
    done = piped(tiny, engine, "sha256sum", data=PLENTY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{hashlib.sha256(PLENTY).hexdigest()}  -\n"


@ENGINES
def test_input_that_nobody_reads(tiny: Cli, engine: str) -> None:
    """More of it than any pipe holds."""
    done = piped(tiny, engine, "true", data=PLENTY)
    assert done.returncode == 0, done.stderr


@ENGINES
def test_input_that_never_ends(tiny: Cli, engine: str) -> None:
    """Nobody waits for a writer that only holds the pipe open."""
    ours, theirs = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "repro", "--engine", engine, "run", "--", "head", "-n", "1"],
            cwd=tiny.folder, env=tiny.env, stdin=ours, capture_output=True, timeout=60,
            check=False, preexec_fn=lambda: os.write(theirs, b"one\ntwo\n"),
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (0, b"one\n"), done.stderr


@ENGINES
def test_closed_input_is_empty(tiny: Cli, engine: str) -> None:
    line = f"exec {sys.executable} -m repro --engine {engine} run -- cat <&-"
    done = subprocess.run(
        ["sh", "-c", line], cwd=tiny.folder, env=tiny.env, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b""), done.stderr


@ENGINES
def test_the_analysis_has_none(tiny: Cli, engine: str) -> None:
    """What a pipe holds is no input of a run that is to be repeated."""
    script = Path(tiny.folder / "analysis.py")
    script.write_text("import sys\nassert sys.stdin.read() == ''\n" + script.read_text())
    done = subprocess.run(
        [sys.executable, "-m", "repro", "--engine", engine, "run"],
        cwd=tiny.folder, env=tiny.env, input=b"typed", capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
