"""E39: SIGTERM ends everything with 143, within seconds: fetching, bootstrap, analysis."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from repro.files import sweep
from tests.faults.remains import gone, held_locks, torn_objects
from tests.faults.server import Reply
from tests.faults.sources import World, on_mirror
from tests.support import Cli, tree_digest
from tests.watch import TEMPORARY, containers_over, processes_over, temporary

pytestmark = pytest.mark.network

PATIENCE = 60.0
"""Seconds after which it hangs, also on a busy machine; usually it takes a tenth of one."""


@contextmanager
def started(cli: Cli, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command in the background; killed at the end of the block if it is still there."""
    child = subprocess.Popen(
        [sys.executable, "-m", "repro", *words],
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def until(holds: Callable[[], bool], child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def terminate(child: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM; it ends, says so in one line and shows no traceback."""
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=PATIENCE)
    assert child.returncode == 143, said
    assert said.decode().splitlines()[-1] == "error: terminated"
    assert b"Traceback" not in said


def until_gone(processes: set[int]) -> None:
    """Whoever was killed may take a moment to end, and to be reaped by init."""
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid in processes if not gone(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def below(process: int) -> set[int]:
    """All processes that descend from one."""
    found, waiting = set[int](), [process]
    while waiting:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = {int(word) for word in (thread / "children").read_text().split()}
                waiting += children - found
                found |= children
    return found


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_while_the_analysis_runs(tiny: Cli, engine: str) -> None:
    script = tiny.folder / "analysis.py"
    usual = script.read_text()
    script.write_text(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '6000'])\n"
        "print('it runs', flush=True)\ntime.sleep(6000)\n"
    )
    before = tree_digest(tiny.folder)
    with started(tiny, "--engine", engine, "run") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"it runs\n"
        children = below(child.pid)
        assert bool(children) is (engine == "sandbox")
        assert processes_over(tiny.folder)
        terminate(child)
    assert tree_digest(tiny.folder) == before
    until_gone(children)
    assert processes_over(tiny.folder) == []
    assert containers_over(tiny.folder) == []
    assert temporary(tiny.folder) == held_locks(tiny.folder / ".repro") == []
    script.write_text(usual)
    answer = tiny("--engine", engine, "run")
    assert answer.code == 0, answer


def test_while_the_base_is_built(tiny: Cli, tmp_path: Path) -> None:
    """In the midst of dpkg: mmdebstrap, its children and its folder in memory are gone."""
    cli = with_artifacts_only(tiny, tmp_path)
    before = tree_digest(cli.folder)
    with started(cli, "build") as child:
        until(lambda: b"dpkg" in names(below(child.pid)), child)
        children, folders = below(child.pid), held_temporaries(child.pid)
        terminate(child)
    until_gone(children)
    assert folders
    assert [path for path in folders if path.exists()] == []
    assert tree_digest(cli.folder) == before
    assert temporary(cli.cache) == held_locks(cli.cache) == []
    assert list(cli.cache.glob("layers/*")) == []


def test_killed_while_the_base_is_built(tiny: Cli, tmp_path: Path) -> None:
    """E40 there: nobody can clean up, but the kernel ends mmdebstrap and all its children."""
    cli = with_artifacts_only(tiny, tmp_path)
    with started(cli, "build") as child:
        until(lambda: b"dpkg" in names(below(child.pid)), child)
        children, folders = below(child.pid), held_temporaries(child.pid)
        child.kill()
        child.wait()
        until_gone(children)
    assert held_locks(cli.cache) == []
    assert torn_objects(cli.cache) == []
    assert list(cli.cache.glob("layers/*")) == []
    assert folders
    for path in folders:
        sweep(path.parent)  # as the next bootstrap does
    assert [path for path in folders if path.exists()] == []


def held_temporaries(pid: int) -> set[Path]:
    """The temporaries that a command holds, wherever it made them."""
    links = {path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    return {path for path in links if path.name.startswith(TEMPORARY)}


def with_artifacts_only(tiny: Cli, tmp_path: Path) -> Cli:
    """The command with a store that has all artifacts, and no layer."""
    cache = tmp_path / "cache"
    shutil.copytree(tiny.cache / "sha256", cache / "sha256", copy_function=os.link)
    return Cli(cache=cache, folder=tiny.folder)


def names(processes: set[int]) -> set[bytes]:
    """Names of the programs that they run."""
    found = set()
    for pid in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(Path(f"/proc/{pid}/comm").read_bytes().strip())
    return found


def test_while_it_fetches(world: World) -> None:
    """A hundred packages, of which one never comes; what did arrive is whole and is kept."""
    before = tree_digest(world.cli.folder)
    held = world.debs[40]
    world.server.replies[on_mirror(held)] = Reply(hang=True)
    with started(world.cli, "build") as child:
        until(lambda: world.server.count(on_mirror(held)) > 0, child)
        until(lambda: world.store.has(world.debs[0].sha256), child)
        terminate(child)
    assert tree_digest(world.cli.folder) == before
    assert temporary(world.cli.cache) == held_locks(world.cli.cache) == []
    assert torn_objects(world.cli.cache) == []
    assert not world.store.has(held.sha256)
    assert world.store.has(world.debs[0].sha256)
