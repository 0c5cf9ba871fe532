"""F49 on docker: a run that outlives its time, and SIGTERM, is killed and removed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from repro.models.execution import Ending
from repro.models.project import Limits
from tests.integration.docker_daemon import Bench, bench, host_store

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker

DEAF = "trap '' TERM INT HUP; while :; do date >> beats; sleep 0.1; done"


@pytest.mark.parametrize(
    "script",
    [DEAF, f"({DEAF}) & sleep 100", "sleep 100"],
    ids=["deaf", "deaf child", "obedient"],
)
def test_f49_timeout(bench: Bench, script: str) -> None:
    done = bench.shell(script, limits=Limits(timeout=1.5))
    assert done.ending is Ending.TIMEOUT
    assert done.code in (137, 143)
    assert done.seconds >= 1.5
    assert bench.containers() == []
    _nothing_beats(bench.stage)


def _nothing_beats(stage: Path) -> None:
    """Whatever wrote into the stage has ended."""
    before = {path.name: path.stat().st_size for path in stage.iterdir()}
    time.sleep(0.5)
    assert {path.name: path.stat().st_size for path in stage.iterdir()} == before


def test_f49_time_is_the_whole_jobs(bench: Bench) -> None:
    job = bench.job(("sleep", "1"), ("sleep", "1"), ("sleep", "100"), limits=Limits(timeout=5))
    done = bench.engine.run(job)
    assert (done.ending, done.step) == (Ending.TIMEOUT, 2)
    assert bench.containers() == []


def test_f49_what_was_said_until_then_is_kept(bench: Bench) -> None:
    done = bench.shell("echo before; sleep 100", limits=Limits(timeout=3))
    assert done.ending is Ending.TIMEOUT
    assert bench.said == "before\n"
