"""The stage of a run: measured, lent to the sandbox's user, then taken back and made tame."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from repro import process
from repro.errors import LocalError, UsageError
from repro.files import local_errors
from repro.models.execution import Mount

DEEPEST = 200
"""Folders below each other that are taken back; a run that makes more loses the deepest."""
LONGEST = 3000
"""Bytes of a path, for the same reason: the kernel takes 4,095."""

BLOCK = 4096
"""Bytes that every file and folder counts for at least: empty ones fill a disk too."""

USER = 0x72657072
"""The user and group number that a run of root's gets on the host: "repr" in ASCII.

1,919,250,546 lies where neither distributions, nor systemd, nor subuid ranges allocate
(https://systemd.io/UIDS-GIDS): it owns no file, so it may read only what everybody may.
"""
_IN_CONTAINER = 65533
"""The same where root is a container's with 65,536 numbers."""


def dedicated_user(uid: int, status: str, uid_map: str, gid_map: str) -> int | None:
    """The number that a run gets, or None when it keeps ours (because we are not really root).

    Arguments are our user and the texts of /proc/self/{status,uid_map,gid_map}. Formats: proc(5),
    user_namespaces(7).
    """
    effective = next(
        (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0
    )
    needed = sum(1 << number for number in (0, 6, 7, 21))  # CHOWN, SETGID, SETUID, SYS_ADMIN
    if uid != 0 or effective & needed != needed:
        return None
    for user in (USER, _IN_CONTAINER):
        if _maps(uid_map, user) and _maps(gid_map, user):
            return user
    return None


def is_global_root(uid_map: str) -> bool:
    """Whether user 0 here may be the kernel's own, whom no limit on processes binds."""
    return any(line.split()[:2] == ["0", "0"] for line in uid_map.splitlines())


def _maps(text: str, number: int) -> bool:
    ranges = (tuple(map(int, line.split())) for line in text.splitlines())
    return any(inside <= number < inside + count for inside, _, count in ranges)


@contextlib.contextmanager
def lent(stage: Path, user: int | None) -> Iterator[None]:
    """Give the stage to the sandbox's user for the block, then take it back.

    Afterwards the caller owns everything in it, can read every folder, and no file is setuid.
    Raises LocalError.
    """
    try:
        if user is not None:
            with local_errors(stage):
                _give(stage, user, user)
        yield
    finally:
        take_back(stage)


def require_readable(mounts: Iterable[Mount], user: int | None) -> None:
    """Check that the run may read what is bound, when root gives it another number than its own.

    Only what everybody may read counts: both engines then say the same. Raises UsageError.
    """
    if user is None:
        return
    for mount in mounts:
        source = mount.source.resolve()
        if not source.exists():  # the engine says so in its own words
            continue
        with local_errors(source):
            for path, state in _walk(source):
                needed = 0o005 if stat.S_ISDIR(state.st_mode) else 0o004
                if not stat.S_ISLNK(state.st_mode) and state.st_mode & needed != needed:
                    raise UsageError(
                        f"{path}: mode {stat.S_IMODE(state.st_mode):04o}: the run could not read "
                        "it, because a run of root's has a user number of its own",
                        hint=f"chmod -R o+rX {shlex.quote(str(source))}; "
                        "or run repro as an ordinary user",
                    )


def _give(stage: Path, uid: int, gid: int) -> None:
    for path, _ in _walk(stage):
        os.chown(path, uid, gid, follow_symlinks=False)


def take_back(stage: Path) -> None:
    """Make everything in the stage the caller's and harmless to walk. Raises LocalError.

    Only when no process of the run is left: paths are looked up more than once.
    """
    uid, gid = os.geteuid(), os.getegid()
    with local_errors(stage):
        for path, state in _walk(stage, tame=True):
            if (state.st_uid, state.st_gid) != (uid, gid):
                os.chown(path, uid, gid, follow_symlinks=False)
            if stat.S_ISREG(state.st_mode) and state.st_mode & 0o6000:
                os.chmod(path, state.st_mode & 0o1777)  # noqa: PTH101


def _walk(stage: Path, *, tame: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the stage and every path below it, parents first, symlinks unfollowed.

    `tame` opens folders that forbid reading to their owner, and removes what lies too deep.
    """
    waiting = [(str(stage), 0)]
    while waiting:
        path, depth = waiting.pop()
        state = os.lstat(path)
        if tame and (depth > DEEPEST or len(os.fsencode(path)) > LONGEST):
            _remove(path)
            continue
        yield path, state
        if not stat.S_ISDIR(state.st_mode):
            continue
        if tame and state.st_mode & 0o700 != 0o700:
            os.chmod(path, stat.S_IMODE(state.st_mode) | 0o700)  # noqa: PTH101
        with os.scandir(path) as entries:
            waiting.extend((entry.path, depth + 1) for entry in entries)


def _remove(path: str) -> None:
    """Remove a tree of any depth; rm has no limit where Python's recursion has."""
    done = process.run(["rm", "-rf", "--", path])
    if done.code:
        raise LocalError(f"cannot remove {path[:200]}…: {done.tail(1)}")


def written(folder: Path) -> int:
    """Bytes that the files below a folder take, each file once, in whole blocks.

    Folders that may not be read count as themselves; files that vanish meanwhile as nothing.
    """
    total = 0
    seen: set[tuple[int, int]] = set()
    waiting = [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if state.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    if (state.st_dev, state.st_ino) in seen:
                        continue
                    seen.add((state.st_dev, state.st_ino))
                total += max(1, -(-state.st_size // BLOCK)) * BLOCK
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return total
