"""F49: the analysis does not end and ignores SIGTERM; it is killed and nothing is left."""

from __future__ import annotations

import subprocess
import time
import uuid

import pytest

from repro.models.execution import Ending
from repro.models.project import Limits
from tests.contract.conftest import Bench, bench, contract_image, contract_store, engine

__all__ = ["bench", "contract_image", "contract_store", "engine"]
pytestmark = pytest.mark.network  # once a machine: the image is bootstrapped from the mirror

STUBBORN = """\
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
marker = sys.argv[1]
for _ in range(3):          # with children that left the session
    if os.fork() == 0:
        os.setsid()
        break
print("started", flush=True)
while True:
    open("/project/beat", "a").write(".")
    time.sleep(0.02)
"""


def processes_with(marker: str) -> list[str]:
    """Command lines on this host that hold the marker, also those of containers."""
    lines = subprocess.run(
        ["ps", "-eo", "pid,stat,args", "-ww"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in lines if marker in line]


def test_it_is_killed_and_nothing_is_left(bench: Bench) -> None:
    marker = uuid.uuid4().hex
    limits = Limits(timeout=3.0)
    begin = time.monotonic()
    ran = bench.run(bench.job(("python3", "-c", STUBBORN, marker), limits=limits))
    took = time.monotonic() - begin
    assert ran.execution.ending is Ending.TIMEOUT
    assert not ran.execution.succeeded
    assert ran.code == 137
    assert 3.0 <= ran.execution.seconds <= took
    assert ran.log.startswith("started\n")  # what it said until then is kept
    assert processes_with(marker) == []
    beats = (bench.stage / "beat").stat().st_size
    assert beats > 0
    time.sleep(0.3)
    assert (bench.stage / "beat").stat().st_size == beats


def test_the_time_is_that_of_all_steps(bench: Bench) -> None:
    step = ("sh", "-c", "echo step >>seen; sleep 1.5")
    ran = bench.run(bench.job(step, step, step, step, limits=Limits(timeout=4.0)))
    assert ran.execution.ending is Ending.TIMEOUT
    assert ran.execution.step in (1, 2)
    assert (bench.stage / "seen").read_text().count("step") == ran.execution.step + 1


@pytest.mark.parametrize("how", ["while :; do :; done", "sleep 600", "cat /dev/zero >/dev/null"])
def test_every_way_of_not_ending(bench: Bench, how: str) -> None:
    ran = bench.shell(f"trap '' TERM; {how}", limits=Limits(timeout=1.5))
    assert ran.execution.ending is Ending.TIMEOUT


def test_the_next_run_is_not_disturbed(bench: Bench) -> None:
    assert bench.shell("sleep 60", limits=Limits(timeout=1.0)).execution.ending is Ending.TIMEOUT
    assert bench.shell("echo well").log == "well\n"
