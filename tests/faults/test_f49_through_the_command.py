"""F49 as a user meets it: `timeout` in repro.toml ends a run that ignores SIGTERM."""

from __future__ import annotations

import subprocess
import uuid

import pytest

from tests.support import Cli
from tests.watch import faulted

STUBBORN = """\
import os, signal, subprocess, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "MARKER"], start_new_session=True)
print("started", flush=True)
open("out/metrics.json", "w").write("{}")
while True:
    time.sleep(0.05)
"""


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize(("engine", "command"), [("sandbox", "run"), ("docker", "verify")])
def test_the_limit_is_named_and_nothing_is_left(tiny: Cli, engine: str, command: str) -> None:
    marker = uuid.uuid4().hex
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace('timeout = "60s"', 'timeout = "5s"'))
    (tiny.folder / "analysis.py").write_text(STUBBORN.replace("MARKER", marker))
    says = ['[analysis] timeout = "5s"', "started", "log.txt"]
    faulted(tiny, "--engine", engine, command, code=4, says=says)
    listed = subprocess.run(
        ["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True
    )
    assert marker not in listed.stdout
