"""Limits: control groups as the kernel describes them, memory by hand, bytes on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.engines.sandbox.limits import (
    Controller,
    Group,
    Polled,
    controller,
    counter,
    descendants,
)
from repro.engines.stage import BLOCK, written

V1 = "9:name=systemd:/\n4:memory:/api/12:34\n1:cpu,cpuacct:/\n0::/\n"
V1_MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
33 30 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
37 30 0:33 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
44 30 0:40 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2 = "0::/user.slice/user-0.slice/session-3.scope\n"
V2_MOUNTS = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_one() -> None:
    assert controller(V1, V1_MOUNTS) == Controller(
        parents=(Path("/sys/fs/cgroup/memory/api/12:34"),), version=1
    )


def test_version_two_tries_the_group_above_as_well() -> None:
    here = Path("/sys/fs/cgroup/user.slice/user-0.slice/session-3.scope")
    assert controller(V2, V2_MOUNTS) == Controller(parents=(here, here.parent), version=2)


def test_version_two_at_the_root() -> None:
    assert controller("0::/\n", V2_MOUNTS) == Controller(
        parents=(Path("/sys/fs/cgroup"),), version=2
    )


def test_a_mount_of_a_part_of_the_tree() -> None:
    """As in a container: the mount's root is the container's own group."""
    mounts = "9 8 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    found = controller("4:memory:/docker/abc/inner\n", mounts)
    assert found == Controller(parents=(Path("/sys/fs/cgroup/memory/inner"),), version=1)


def test_no_control_groups() -> None:
    assert controller("", "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n") is None
    assert controller(V1, "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n") is None


@pytest.mark.parametrize(
    ("version", "file", "text", "expected"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", True),
        (2, "memory.events", "low 0\nhigh 0\nmax 31\noom 0\noom_kill 0\n", False),
        (2, "memory.events", "low 0\nhigh 0\nmax 31\noom 1\noom_kill 1\n", True),
    ],
)
def test_kills_are_counted(
    tmp_path: Path, version: int, file: str, text: str, expected: bool
) -> None:
    (tmp_path / file).write_text(text)
    assert Group(path=tmp_path, version=version).exceeded(None, frozenset()) is expected


def test_counter() -> None:
    assert counter("oom_kill_disable 7\noom_kill 3\n", "oom_kill") == 3
    assert counter("", "oom_kill") == 0


# ---- polled ------------------------------------------------------------------------------------


def process(
    proc: Path, pid: int, children: tuple[int, ...], *, rss: int, pss: int, shared: int = 0
) -> None:
    """One process as /proc shows it; sizes in KiB."""
    task = proc / str(pid) / "task" / str(pid)
    task.mkdir(parents=True)
    (task / "children").write_text("".join(f"{child} " for child in children))
    (proc / str(pid) / "status").write_text(
        f"Name:\tx\nVmRSS:\t999999999 kB\nRssAnon:\t{rss:8} kB\nRssShmem:\t{shared:8} kB\n"
    )
    (proc / str(pid) / "smaps_rollup").write_text(f"Pss_Anon: {pss} kB\nPss_Shmem: {shared} kB\n")


def test_a_tree_is_added_up(tmp_path: Path) -> None:
    process(tmp_path, 10, (11, 12), rss=1000, pss=1000)
    process(tmp_path, 11, (13,), rss=1000, pss=1000)
    process(tmp_path, 12, (), rss=1000, pss=1000)
    process(tmp_path, 13, (), rss=1000, pss=1000)
    process(tmp_path, 99, (), rss=1000000, pss=1000000)  # somebody else's
    assert list(descendants(10, tmp_path)) == [10, 11, 12, 13]
    assert not Polled(limit=4000 << 10, proc=tmp_path).exceeded(10, frozenset())
    assert Polled(limit=3999 << 10, proc=tmp_path).exceeded(10, frozenset())


def test_pages_that_a_fork_shares_count_once(tmp_path: Path) -> None:
    process(tmp_path, 10, (11, 12), rss=3000, pss=1000)
    process(tmp_path, 11, (), rss=3000, pss=1000)
    process(tmp_path, 12, (), rss=3000, pss=1000)
    assert not Polled(limit=3000 << 10, proc=tmp_path).exceeded(10, frozenset())
    assert Polled(limit=2999 << 10, proc=tmp_path).exceeded(10, frozenset())


def test_processes_that_ended_meanwhile(tmp_path: Path) -> None:
    process(tmp_path, 10, (11, 12), rss=1000, pss=1000)
    assert list(descendants(10, tmp_path)) == [10, 11, 12]
    assert not Polled(limit=1000 << 10, proc=tmp_path).exceeded(10, frozenset())
    assert not Polled(limit=0, proc=tmp_path).exceeded(None, frozenset())


def test_the_hosts_file_systems_do_not_count(tmp_path: Path) -> None:
    """Before bwrap has changed its root, /tmp is the host's, and may hold gigabytes."""
    process(tmp_path, 10, (), rss=10, pss=10)
    (tmp_path / "10/root").symlink_to("/")
    assert not Polled(limit=20 << 10, proc=tmp_path).exceeded(10, frozenset())
    own = frozenset({Path("/tmp").stat().st_dev})
    assert Polled(limit=20 << 10, proc=tmp_path).exceeded(10, own)


# ---- on disk -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 20_000), max_size=8))
def test_every_file_counts_whole_blocks(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("stage")
    for number, size in enumerate(sizes):
        (folder / str(number)).write_bytes(bytes(size))
    expected = sum(max(BLOCK, -(-size // BLOCK) * BLOCK) for size in sizes)
    assert written(folder) == expected


def test_links_folders_and_holes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_bytes(bytes(3 * BLOCK))
    base = written(tmp_path)
    os.link(tmp_path / "a/file", tmp_path / "same")
    assert written(tmp_path) == base  # one file
    (tmp_path / "link").symlink_to("/usr")
    assert written(tmp_path) == base + BLOCK  # not followed
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(100 * BLOCK)
    assert written(tmp_path) == base + BLOCK + 100 * BLOCK  # whoever copies it pays for it


def test_a_stage_that_vanished(tmp_path: Path) -> None:
    assert written(tmp_path / "gone") == 0
