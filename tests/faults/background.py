"""A command in the background, to be interrupted; it does not outlive its block."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import Cli

SLOW = """\
import time
print("it runs", flush=True)
time.sleep(6000)
"""


@contextmanager
def running(cli: Cli, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `repro run` whose analysis has begun and does not end; it is gone after the block."""
    script = cli.folder / "analysis.py"
    usual = script.read_text()
    script.write_text(SLOW)
    child = subprocess.Popen(
        [sys.executable, "-m", "repro", "--engine", "sandbox", "run", *words],
        cwd=cli.folder,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"it runs\n"
        script.write_text(usual)
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
