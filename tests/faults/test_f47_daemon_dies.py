"""F47: the daemon dies in the middle of a run: exit 5, the verdict is unknown, and no other."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.engines.docker.engine import LOST, Docker
from repro.errors import EngineError
from repro.models.execution import Ending
from repro.models.project import Limits
from tests.faults.engine_api import (
    EngineApi,
    Fault,
    answer,
    cut,
    cut_after,
    daemon_gone,
    dropped,
    hang,
    raw,
)
from tests.faults.private_daemon import PrivateDaemon
from tests.integration.docker_daemon import Bench, bench, host_store
from tests.support import Answer, Cli, assert_refused, tree_digest

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker
SLOW = 'import time\nprint("started", flush=True)\ntime.sleep(600)\n'


def meanwhile(cli: Cli, *arguments: str, act: Callable[[], None]) -> Answer:
    """Run a command, and do something once it runs a container."""
    child = subprocess.Popen(
        [sys.executable, "-m", "repro", *arguments], cwd=cli.folder, env=cli.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        act()
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    return Answer(code=child.returncode, out=out.decode(), err=err.decode())


def until_running(daemon: PrivateDaemon) -> None:
    deadline = time.monotonic() + 60
    while not any(item["State"] == "running" for item in daemon.containers()):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.network
def test_f47_killed_and_started_again(tiny: Cli, own_daemon: PrivateDaemon) -> None:
    """SIGKILL to a real dockerd: its container lives on, until the next run of repro."""
    script = (tiny.folder / "analysis.py").read_text()
    (tiny.folder / "analysis.py").write_text(SLOW + script)
    before = tree_digest(tiny.folder)
    cli = Cli(cache=tiny.cache, folder=tiny.folder, extra=own_daemon.env)

    def kill() -> None:
        until_running(own_daemon)
        time.sleep(0.3)
        own_daemon.kill()

    answered = meanwhile(cli, "--engine", "docker", "verify", act=kill)
    assert_refused(
        answered, 5, "verdict is unknown", str(own_daemon.socket), "docker rm --force repro-"
    )
    assert "eproduced" not in answered.out + answered.err
    assert tree_digest(tiny.folder) == before
    assert list((tiny.folder / ".repro" / "tmp").iterdir()) == []

    own_daemon.start()
    assert len(own_daemon.containers()) == 1, "nobody could remove it"
    (tiny.folder / "analysis.py").write_text(script)
    healed = cli("--engine", "docker", "verify")
    assert healed.code == 0, healed
    assert own_daemon.containers() == []


@pytest.mark.network
def test_f47_stopped_by_its_service_manager(tiny: Cli, own_daemon: PrivateDaemon) -> None:
    """SIGTERM to dockerd ends its containers first: that is no failure of the analysis."""
    (tiny.folder / "analysis.py").write_text(SLOW)
    cli = Cli(cache=tiny.cache, folder=tiny.folder, extra=own_daemon.env)

    def stop() -> None:
        until_running(own_daemon)
        own_daemon.stop()

    answered = meanwhile(cli, "--engine", "docker", "verify", act=stop)
    own_daemon.start()
    assert_refused(answered, 5, "unknown")


def started(bench: Bench) -> None:
    deadline = time.monotonic() + 30
    while not (bench.stage / "started").exists():
        assert time.monotonic() < deadline, "the job does not start"
        time.sleep(0.02)


WAIT = r"POST /containers/[^/]+/wait"


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (WAIT, cut()),
        (WAIT, answer(500, "ttrpc: closed")),
        (WAIT, answer(200, {"StatusCode": None, "Error": None})),
        (WAIT, answer(200, {"StatusCode": 0, "Error": {"Message": "no such task"}})),
        (WAIT, answer(200, {})),
        (WAIT, answer(200, [])),
        (WAIT, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"Stat")),
        (WAIT, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")),
        (WAIT, raw(b"\0\xff" * 50)),
        (WAIT, cut_after(3)),
        (r"GET /containers/repro-\w+/json", cut()),
        (r"GET /containers/repro-\w+/json", answer(200, {})),
        (r"GET /containers/repro-\w+/json", answer(200, {"State": []})),
        (r"POST /containers/[^/]+/start", cut()),
        (r"POST /containers/[^/]+/attach", cut()),
        (r"POST /containers/create", cut()),
        (r"POST /containers/create", answer(201, {"no": "Id"})),
        (r"DELETE /containers", answer(500, "device or resource busy")),
    ],
)  # fmt: skip
def test_f47_one_call_fails(bench: Bench, tmp_path: Path, pattern: str, fault: Fault) -> None:
    """Never an exit status that nobody reported, and nothing is left where it can be removed."""
    with EngineApi(tmp_path) as api:
        api.on(pattern, fault)
        engine = Docker(bench.store, base_url=api.url)
        with pytest.raises(EngineError) as caught:
            engine.run(bench.job(("sh", "-c", "echo said")))
    assert caught.value.exit_code == 5
    assert caught.value.hint
    if not pattern.startswith("DELETE"):
        assert bench.containers() == []
    else:
        (left,) = bench.containers()
        assert f"docker rm --force {left['Names'][0].lstrip('/')}" in caught.value.hint


def test_f47_everything_ends_at_once(bench: Bench, tmp_path: Path) -> None:
    with EngineApi(tmp_path) as api:
        api.on(r"POST /containers/[^/]+/start", daemon_gone)
        with pytest.raises(EngineError, match=str(api.path)) as caught:
            Docker(bench.store, base_url=api.url).run(bench.job(("true",)))
    assert "may still be there" in caught.value.message


def test_f47_wait_never_answers(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time and patience are limited also where a daemon says nothing."""
    monkeypatch.setattr("repro.engines.docker.engine.DRAIN", 1.0)
    with EngineApi(tmp_path) as api:
        api.on(WAIT, hang())
        engine = Docker(bench.store, base_url=api.url)
        with pytest.raises(EngineError, match="verdict is unknown") as caught:
            engine.run(bench.job(("sleep", "100"), limits=Limits(timeout=1.0)))
    assert "did not say within 1 s that it ended" in caught.value.message
    assert bench.containers() == []


def test_f47_line_to_the_output_is_lost(bench: Bench, tmp_path: Path) -> None:
    """The run goes on, its outputs are files; the log says that it is not whole."""
    gone = threading.Event()

    def cut_line() -> None:
        started(bench)
        gone.set()

    with EngineApi(tmp_path) as api:
        api.on(r"POST /containers/[^/]+/attach", dropped(gone))
        engine = Docker(bench.store, base_url=api.url)
        cutter = threading.Thread(target=cut_line)
        cutter.start()
        script = "echo before; touch started; sleep 1; echo after; echo done > out"
        done = engine.run(bench.job(("sh", "-c", script)))
        cutter.join()
    assert (done.ending, done.code, done.log_cut) == (Ending.EXITED, 0, True)
    assert bench.said == f"before\n\n[repro: {LOST}]\n"
    assert (bench.stage / "out").read_text() == "done\n"
    assert bench.containers() == []
