"""Limits that are watched from outside: memory of all processes together, bytes written."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from repro.errors import EngineError


class Memory(Protocol):
    """Tells whether a run used more memory than it may."""

    def exceeded(self, process: int | None, scratch: frozenset[int]) -> bool:
        """Whether it did.

        `process` is the root of the tree that runs (None: it has ended), `scratch` the device
        numbers of memory file systems that count too.
        """


# ---- ordinary user: the processes' own figures -------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Polled:
    """Adds up what /proc says of every process; `limit` in bytes.

    Not a hard limit: what is allocated between two looks passes. A control group is better,
    but an ordinary user has none.
    """

    limit: int
    proc: Path = Path("/proc")

    def exceeded(self, process: int | None, scratch: frozenset[int]) -> bool:
        """See Memory.exceeded."""
        if process is None:
            return False
        found = tuple(descendants(process, self.proc))
        files = max((self._files(pid, scratch) for pid in found), default=0)
        anonymous = sum(self._figure(pid, "status", ("RssAnon", "RssShmem")) for pid in found)
        if anonymous + files <= self.limit:
            return False
        # Resident pages that a fork still shares were counted once for each process: weigh
        # them properly now that it matters. Pages of /dev/shm are in both figures.
        shared = sum(self._figure(pid, "smaps_rollup", ("Pss_Shmem",)) for pid in found)
        private = sum(self._figure(pid, "smaps_rollup", ("Pss_Anon",)) for pid in found)
        return private + max(shared, files) > self.limit

    def _figure(self, pid: int, file: str, names: tuple[str, ...]) -> int:
        """Sum of some `Name:  N kB` lines, in bytes; 0 for a process that has ended."""
        try:
            text = (self.proc / str(pid) / file).read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return 0
        found = re.findall(rf"^({'|'.join(names)}):\s+(\d+) kB$", text, re.MULTILINE)
        return sum(int(kib) << 10 for _, kib in found)

    def _files(self, pid: int, scratch: frozenset[int]) -> int:
        """Bytes in the run's own memory file systems, where this process sees them."""
        used = 0
        for folder in ("tmp", "dev/shm"):
            path = self.proc / str(pid) / "root" / folder
            with contextlib.suppress(OSError):  # not mounted yet, or ended
                if path.stat().st_dev in scratch:  # and not the host's, before bwrap is ready
                    state = os.statvfs(path)
                    used += (state.f_blocks - state.f_bfree) * state.f_frsize
        return used


def tasks(process: int, proc: Path = Path("/proc")) -> int:
    """Return how many processes and threads a tree has: what RLIMIT_NPROC counts."""
    total = 0
    for pid in descendants(process, proc):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += sum(1 for _ in (proc / str(pid) / "task").iterdir())
    return total


def descendants(process: int, proc: Path = Path("/proc")) -> Iterator[int]:
    """Yield a process and all below it, parents first."""
    waiting = [process]
    while waiting:
        pid = waiting.pop(0)
        yield pid
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in sorted((proc / str(pid) / "task").iterdir()):
                text = (thread / "children").read_text(encoding="ascii")
                waiting.extend(int(word) for word in text.split())


# ---- root: a control group ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A control group of one run, with a hard memory limit."""

    path: Path
    version: int

    def add(self, process: int) -> None:
        """Move a process into the group; its children will be born there."""
        with contextlib.suppress(ProcessLookupError):  # it failed already, and will say why
            (self.path / "cgroup.procs").write_text(str(process), encoding="ascii")

    def exceeded(self, process: int | None, scratch: frozenset[int]) -> bool:
        """See Memory.exceeded: the kernel counts what it killed, if only a child."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return counter((self.path / name).read_text(encoding="ascii"), "oom_kill") > 0


def counter(text: str, name: str) -> int:
    """Return the value of a `name N` line, 0 when there is none."""
    found = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Controller:
    """Folders in which a group for memory may be made, best first; version of the interface."""

    parents: tuple[Path, ...]
    version: int


def controller(own: str, mounts: str) -> Controller | None:
    """Find this process's memory controller; arguments are /proc/self/{cgroup,mountinfo}.

    With version 2 a group that holds processes cannot have children with limits; the one above
    often can. Format: cgroups(7), proc(5).
    """
    places = {}
    for line in own.splitlines():
        _, controllers, place = line.split(":", 2)
        places[controllers] = place
    for version, kind, named in ((1, "cgroup", "memory"), (2, "cgroup2", "")):
        path = next((place for c, place in places.items() if named in c.split(",")), None)
        mounted = _mounted(mounts, kind, named)
        if path is None or mounted is None:
            continue
        root, target = mounted
        inside = path.removeprefix(root.rstrip("/")).lstrip("/")
        here = Path(target) / inside
        parents = (here,) if version == 1 or not inside else (here, here.parent)
        return Controller(parents=parents, version=version)
    return None


def _mounted(mounts: str, kind: str, named: str) -> tuple[str, str] | None:
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        words, (found, _, options) = left.split(), right.split(" ", 2)
        if found == kind and (not named or named in options.split(",")):
            return words[3], words[4]
    return None


@contextlib.contextmanager
def group(memory: int) -> Iterator[Group | None]:
    """Yield a new control group limited to `memory` bytes, or None where none can be made.

    It is gone afterwards. Raises EngineError when processes in it cannot be ended.
    """
    found = controller(
        Path("/proc/self/cgroup").read_text(encoding="utf-8"),
        Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
    )
    made = None
    if found is not None:
        for parent in found.parents:
            _remove_abandoned(parent)
        candidates = (_made(parent, found.version, memory) for parent in found.parents)
        made = next((path for path in candidates if path is not None), None)
    if made is None or found is None:
        yield None
        return
    try:
        yield Group(path=made, version=found.version)
    finally:
        _remove(made)


def _made(parent: Path, version: int, memory: int) -> Path | None:
    """Make and limit a group, or None when this host does not let us."""
    path = parent / f"repro-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    settings = (
        (("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory))
        if version == 1
        else (("memory.max", memory), ("memory.swap.max", 0), ("memory.oom.group", 1))
    )
    try:
        path.mkdir()
    except OSError:
        return None
    try:
        for number, (name, value) in enumerate(settings):
            if number == 0 or (path / name).exists():  # without swap accounting: only the first
                (path / name).write_text(str(value), encoding="ascii")
    except OSError:
        path.rmdir()
        return None
    return path


def _remove_abandoned(parent: Path) -> None:
    """Remove the empty groups of engines that were killed."""
    for path in parent.glob("repro-*-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):  # somebody else was faster, or may and we may not
                path.rmdir()


def _remove(path: Path) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise EngineError(
                    f"the control group {path} still holds processes",
                    hint=f"end them, then: rmdir {path}",
                ) from error
            for pid in (path / "cgroup.procs").read_text(encoding="ascii").split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.01)
        else:
            return


# ---- bytes written -----------------------------------------------------------------------
