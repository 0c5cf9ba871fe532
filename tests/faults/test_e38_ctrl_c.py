"""E38: Ctrl-C, as a terminal sends it, ends everything with 130; a second one is immediate."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.terminal import CTRL_C, CTRL_D, terminal

REPRO = (sys.executable, "-m", "repro")

# A command of the real program that waits for a child; the child does not listen to SIGTERM.
SLOW = """
import sys, time, types, click
from repro import process
from repro.cli import group, main

@click.command("slow")
def slow():
    try:
        process.run(["sh", "-c", "trap '' TERM; echo $$ >child; while :; do sleep 0.1; done"])
    finally:
        open("unwinding", "w").close()
        if "stuck" in sys.argv[1:]:
            time.sleep(600)

module = types.ModuleType("repro.cli.commands.slow")
module.command = slow
sys.modules[module.__name__] = module
group.COMMANDS["slow"] = "Wait."
main.main(["slow"])
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"REPRO_CACHE": str(tmp_path / "cache"), "REPRO_DEBUG": "", "NO_COLOR": "1"}


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def read_pid(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


@pytest.mark.parametrize(("key", "code"), [(CTRL_C, 130), (CTRL_D, 2)])
def test_at_a_question(tmp_path: Path, env: dict[str, str], key: bytes, code: int) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "analysis.py").write_text("print(1)\n")
    with terminal([*REPRO, "init"], cwd=tmp_path / "project", env=env) as screen:
        screen.expect("write repro.toml?")
        screen.send(key)
        assert screen.wait() == code
    assert "Traceback" not in screen.text
    assert "error:" in screen.text
    assert [path.name for path in (tmp_path / "project").iterdir()] == ["analysis.py"]


def test_while_a_child_runs(tmp_path: Path, env: dict[str, str]) -> None:
    child = tmp_path / "child"
    with terminal([sys.executable, "-c", SLOW], cwd=tmp_path, env=env) as screen:
        screen.until(lambda: read_pid(child) > 0, "child")
        screen.send(CTRL_C)
        assert screen.wait() == 130
    assert "error: interrupted" in screen.text
    assert "Traceback" not in screen.text
    assert gone(read_pid(child))
    assert (tmp_path / "unwinding").exists()


def test_a_second_one_is_immediate(tmp_path: Path, env: dict[str, str]) -> None:
    """Unwinding hangs for ten minutes; the second Ctrl-C does not wait for it."""
    with terminal([sys.executable, "-c", SLOW, "stuck"], cwd=tmp_path, env=env) as screen:
        screen.until(lambda: read_pid(tmp_path / "child") > 0, "child")
        screen.send(CTRL_C)
        screen.until((tmp_path / "unwinding").exists, "unwinding")
        screen.send(CTRL_C)
        assert screen.wait() == 130
    assert "Traceback" not in screen.text
    assert gone(read_pid(tmp_path / "child"))


def test_while_a_mirror_hangs(tmp_path: Path, env: dict[str, str]) -> None:
    """A real `repro snapshot` whose mirror accepts the connection and never answers."""
    project = tmp_path / "project"
    project.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as mirror:
        port = mirror.getsockname()[1]
        (project / "repro.toml").write_text(
            '[environment]\nsuite = "bookworm"\npython = "3.11"\napt = ["libgomp1"]\n'
            f'[apt]\nmirror = "http://127.0.0.1:{port}"\n'
        )
        before = sorted(project.iterdir())
        with terminal([*REPRO, "snapshot"], cwd=project, env=env) as screen:
            mirror.settimeout(60)
            connection, _ = mirror.accept()
            with connection:
                screen.send(CTRL_C)
                assert screen.wait() == 130
    assert "error: interrupted" in screen.text
    assert "Traceback" not in screen.text
    assert sorted(project.iterdir()) == before
    left = [path for path in tmp_path.rglob("*") if ".repro-tmp-" in path.name]
    assert left == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_termination_unwinds_too(
    tmp_path: Path, env: dict[str, str], number: signal.Signals, code: int
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        cwd=tmp_path,
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not read_pid(tmp_path / "child"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code
    assert said == b"error: terminated\n"
    assert gone(read_pid(tmp_path / "child"))
