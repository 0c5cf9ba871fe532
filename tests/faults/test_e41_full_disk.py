"""E41: the disk is full or broken, at the Nth call or for real: exit 7, path, nothing torn."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.remains import in_sight, require_readable, torn_objects
from tests.faults.sources import World
from tests.faults.syscalls import BROKEN, FULL, Command, Struck, require_strace, strikes
from tests.faults.three import BASELINE, LOCKS, Three
from tests.support import Cli, assert_refused, tree_digest
from tests.watch import temporary

pytestmark = pytest.mark.network

SAID = {FULL: "No space left on device", BROKEN: "Input/output error"}
SAMPLE = (("rename", FULL, 1), ("renameat2", BROKEN, 1), ("fsync", BROKEN, 1), ("mkdir", FULL, 5))


def refused(struck: Struck, fault: str, folder: Path) -> None:
    """It ended with 7, and said what the kernel said and where; or could do without that call."""
    assert "Traceback" not in struck.err, struck
    if struck.code:
        assert struck.code == 7, struck
        assert SAID[fault] in struck.err, struck
        assert str(folder) in struck.err, struck


@pytest.mark.parametrize(("name", "fault", "every"), [*SAMPLE, ("write", FULL, 4)])
def test_accept_at_the_nth_call(three: Three, name: str, fault: str, every: int) -> None:
    require_strace()
    words = ("accept", "--reason", "new")

    def command() -> Command:
        three.reset()
        argv = [sys.executable, "-m", "repro", *words]
        return Command(argv=argv, cwd=three.folder, env=three.cli.env)

    codes = []
    for struck in strikes(command, name, fault, every=every):
        codes.append(struck.code)
        refused(struck, fault, three.folder.parent)
        require_readable(three.folder)
        assert tree_digest(three.folder / LOCKS) == tree_digest(three.template / LOCKS)
        old = tree_digest(three.folder / BASELINE) == tree_digest(three.template / BASELINE)
        assert old or 'reason = "new"' in (three.folder / BASELINE / "seal.toml").read_text()
        # what is refused is not done, but for the sync of the folder, behind it
        assert old is (struck.code != 0) or (struck.code and name == "fsync"), struck
        assert temporary(three.folder) == []
    assert 7 in codes, codes
    assert codes[-1] == 0, codes


@pytest.mark.parametrize(("name", "fault", "every"), [("rename", FULL, 1), ("write", FULL, 12)])
def test_build_at_the_nth_call(three: Three, name: str, fault: str, every: int) -> None:
    """Three wheels are fetched, and layers made of them; the record of the image comes last."""
    require_strace()

    def command() -> Command:
        three.reset()
        three.forget_wheels()
        argv = [sys.executable, "-m", "repro", "build"]
        return Command(argv=argv, cwd=three.folder, env=three.cli.env, threads=True)

    recorded = (three.folder / LOCKS / "image.toml").read_bytes()
    codes = []
    for struck in strikes(command, name, fault, every=every):
        codes.append(struck.code)
        refused(struck, fault, three.folder.parent)
        require_readable(three.folder)
        assert torn_objects(three.store) == []
        assert temporary(three.folder) == temporary(three.store) == []
        record = three.folder / LOCKS / "image.toml"
        assert record.exists() is (struck.code == 0), struck
        assert struck.code or record.read_bytes() == recorded
    assert 7 in codes, codes
    assert codes[-1] == 0, codes


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system in memory of that size at `folder`, gone after the block."""
    if os.geteuid() != 0:
        pytest.skip("needs root: to mount a small file system")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_store_of_a_megabyte(world: World) -> None:
    """A hundred packages do not fit: how much is needed, how much there is, and where."""
    before = tree_digest(world.cli.folder)
    with small_disk(world.cli.cache, "1m"):
        answer = world.cli("build")
        needed = sum(deb.size for deb in world.debs)
        assert_refused(answer, 7, str(world.cli.cache), f"{needed:,} bytes", "REPRO_CACHE")
        assert world.server.asked == []  # said before anything was fetched
        assert torn_objects(world.cli.cache) == []
        assert temporary(world.cli.cache) == []
    assert tree_digest(world.cli.folder) == before


def test_a_disk_that_fills_up_while_it_fetches(world: World) -> None:
    """There was room at first, and something else took it."""
    before = tree_digest(world.cli.folder)
    needed = sum(deb.size for deb in world.debs)
    with small_disk(world.cli.cache, str(needed + (4 << 20))):
        hog = world.cli.cache / "something-else"
        child = subprocess.Popen(
            [sys.executable, "-m", "repro", "build"],
            cwd=world.cli.folder,
            env=world.cli.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not any(world.cli.cache.glob("sha256/*")):
            assert child.poll() is None
            time.sleep(0.01)
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={hog}", "bs=1M"], capture_output=True, check=False
        )
        _, said = child.communicate(timeout=300)
        assert child.returncode == 7, said
        assert b"Traceback" not in said
        assert str(world.cli.cache).encode() in said
        assert b"No space left on device" in said
        assert torn_objects(world.cli.cache) == []
        assert temporary(world.cli.cache) == []
    assert tree_digest(world.cli.folder) == before


def test_a_vendored_folder_on_a_disk_of_a_megabyte(tiny: Cli, tmp_path: Path) -> None:
    """What did fit is whole; where there is more room, the rest comes in addition."""
    away = tmp_path / "away"
    before = tree_digest(tiny.folder)
    with small_disk(away, "1m"):
        answer = tiny("vendor", str(away))
        assert_refused(answer, 7, str(away), "bytes are needed there")
        objects = [path for path in away.glob("sha256/*/*") if path.is_file()]
        assert all(path.name == hashlib.sha256(path.read_bytes()).hexdigest() for path in objects)
        assert temporary(away) == temporary(tiny.folder) == []
        assert tree_digest(tiny.folder) == before
        subprocess.run(["mount", "-o", "remount,size=300m", str(away)], check=True)
        answer = tiny("vendor", str(away), "--json")
        assert answer.json()["added"] == answer.json()["files"] - len(objects)
        checked = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
        subprocess.run(checked, cwd=away, check=True)


@pytest.mark.parametrize("words", [("run",), ("verify",), ("accept", "--reason", "x")])
def test_a_project_on_a_full_disk(three: Three, tmp_path: Path, words: tuple[str, ...]) -> None:
    """No byte is free where the project lies: 7; with some room again it is as it was."""
    place = tmp_path / "place"
    with small_disk(place, "1m"):
        folder = place / "project"
        shutil.copytree(three.template, folder, symlinks=True)
        shutil.rmtree(folder / ".repro")
        (folder / "analysis.py").write_text("# other code\n" + (folder / "analysis.py").read_text())
        hog = place / "something-else"
        with hog.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                before = tree_digest(folder)
        cli = Cli(cache=three.store, folder=folder, extra=three.cli.extra)
        answer = cli(*words)
        assert_refused(answer, 7, str(folder), "No space left on device")
        assert tree_digest(folder) == before
        assert in_sight(folder) == []
        hog.unlink()
        again = cli(*words)
        assert again.code == 0, again
        assert temporary(folder) == []
