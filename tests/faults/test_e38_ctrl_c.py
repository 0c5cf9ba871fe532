"""E38: Ctrl-C, as a terminal sends it, ends everything with 130; a second one is immediate."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from select import select

import pytest

from tests.faults.server import Reply
from tests.faults.sources import World, on_mirror, pip_settings
from tests.support import Cli
from tests.terminal import CTRL_C, CTRL_D, terminal
from tests.watch import containers_over, processes_over, temporary, watching

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
            screen.until(lambda: bool(select([mirror], [], [], 0)[0]), "connection")
            connection, _ = mirror.accept()
            with connection:
                screen.send(CTRL_C)
                assert screen.wait() == 130
    assert "error: interrupted" in screen.text
    assert "Traceback" not in screen.text
    assert sorted(project.iterdir()) == before
    assert temporary(tmp_path) == []


@pytest.mark.network
@pytest.mark.docker
@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_while_the_analysis_runs(tiny: Cli, engine: str) -> None:
    (tiny.folder / "analysis.py").write_text(
        "import time\nprint('it runs', flush=True)\ntime.sleep(6000)  # e38\n"
    )
    argv = [*REPRO, "--engine", engine, "run"]
    with watching(tiny) as watch, terminal(argv, cwd=tiny.folder, env=watch.env) as screen:
        screen.expect("it runs", 120)
        assert processes_over(tiny.folder)
        assert bool(containers_over(tiny.folder)) is (engine == "docker")
        screen.send(CTRL_C)
        assert screen.wait() == 130
        watch.said(screen.text)
    assert "error: interrupted" in screen.text


@pytest.mark.network
def test_while_an_index_hangs(tiny: Cli) -> None:
    """apt's part is resolved; uv waits for an index that accepts and never answers."""
    (tiny.folder / "requirements.in").write_text("demo\n")
    with socket.create_server(("127.0.0.1", 0)) as index:
        settings = pip_settings(f"http://127.0.0.1:{index.getsockname()[1]}/simple/")
        cli = replace(tiny, extra={**tiny.extra, **settings})
        with watching(cli) as watch:
            with terminal([*REPRO, "snapshot"], cwd=tiny.folder, env=watch.env) as screen:
                screen.until(lambda: bool(select([index], [], [], 0)[0]), "connection")
                screen.send(CTRL_C)
                assert screen.wait() == 130
            watch.said(screen.text)
    assert "error: interrupted" in screen.text


@pytest.mark.network
def test_while_artifacts_are_fetched(world: World) -> None:
    """Some are stored, one arrives byte by byte: what is there is whole, the rest is not."""
    slow = world.deb("zlib1g")
    world.server.replies[on_mirror(slow)] = Reply(body=world.content(slow), drip=0.2)
    argv = [*REPRO, "build"]
    with (
        watching(world.cli) as watch,
        terminal(argv, cwd=world.cli.folder, env=watch.env) as screen,
    ):
        screen.until(lambda: world.server.count(on_mirror(slow)) > 0, "request")
        screen.send(CTRL_C)
        assert screen.wait() == 130
        watch.said(screen.text)
    assert "error: interrupted" in screen.text
    assert not world.store.has(slow.sha256)


@pytest.mark.network
def test_while_the_base_is_built(tiny: Cli, tmp_path: Path) -> None:
    """The artifacts are there, no layer is: mmdebstrap and all its children are gone after."""
    cache = tmp_path / "cache"
    shutil.copytree(tiny.cache / "sha256", cache / "sha256", copy_function=os.link)
    with watching(replace(tiny, cache=cache)) as watch:
        with terminal([*REPRO, "build"], cwd=tiny.folder, env=watch.env) as screen:
            screen.expect("bootstrapping", 120)
            screen.send(CTRL_C)
            assert screen.wait() == 130
        watch.said(screen.text)
    assert "error: interrupted" in screen.text
    assert list(cache.glob("layers/*")) == []


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
