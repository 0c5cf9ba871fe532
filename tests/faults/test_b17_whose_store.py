"""B17: a store that others may write is not run from, unless its user says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sources import World
from tests.watch import faulted

pytestmark = pytest.mark.network

TRUST = {"REPRO_TRUST_CACHE": "1"}
SOMEBODY = 12345


@pytest.fixture
def shared(stocked: World) -> Iterator[World]:
    """The stock, its owner and modes as before afterwards."""
    folders = [stocked.cli.cache, *(p for p in stocked.cli.cache.iterdir() if p.is_dir())]
    states = {path: path.stat() for path in folders}
    yield stocked
    for path, state in states.items():
        os.chown(path, state.st_uid, state.st_gid)
        path.chmod(state.st_mode & 0o7777)


@pytest.mark.parametrize("name", ["", "sha256", "layers", "unpacked", "seccomp"])
def test_b17_everybody_may_write(shared: World, name: str) -> None:
    path = shared.cli.cache / name
    path.chmod(0o777)
    says = [str(path), "mode 0777", f"chmod o-w {path}", "REPRO_TRUST_CACHE=1"]
    faulted(shared.cli, "build", code=3, says=says)
    assert shared.cli("build", env=TRUST).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_b17_of_another_user(shared: World) -> None:
    os.chown(shared.cli.cache, SOMEBODY, -1)
    says = [str(shared.cli.cache), f"user {SOMEBODY}", "REPRO_CACHE=DIR", "REPRO_TRUST_CACHE=1"]
    faulted(shared.cli, "build", code=3, says=says)
    assert shared.cli("build", env=TRUST).code == 0
    assert shared.cli("build", env={"REPRO_TRUST_CACHE": "0"}).code == 3


def test_b17_a_group_may_share_one(shared: World) -> None:
    """Who lets a group write means to; the sticky bit of its folders is no matter either."""
    for path in (shared.cli.cache, *shared.cli.cache.iterdir()):
        if path.is_dir():
            path.chmod(0o3775)
    assert shared.cli("build").code == 0


def test_b17_a_store_made_without_a_umask_is_nobody_elses(stocked: World, tmp_path: Path) -> None:
    """Some containers start with umask 0: what repro makes there is believed by the next run."""
    there = {"REPRO_CACHE": str(tmp_path / "fresh")}
    old = os.umask(0)
    try:
        answers = [stocked.cli("build", "--offline", env=there) for _ in range(2)]
    finally:
        os.umask(old)
    assert [answer.code for answer in answers] == [6, 6], answers
    made = list((tmp_path / "fresh").rglob("*"))
    assert [path for path in made if path.stat().st_mode & 0o002] == []
    assert (tmp_path / "fresh/locks") in made
