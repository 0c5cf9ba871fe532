"""Whether a folder tree is still what it was: by its stamps quickly, by its content in full."""

from __future__ import annotations

import filecmp
import hashlib
import os
import stat
from array import array
from collections.abc import Iterator
from pathlib import Path

from repro.files import local_errors


def stamp(folder: Path) -> str:
    """Return one sha256 (hex) over inode, size and inode time of the folder and all in it.

    Names are in it too: a file that is added, gone or renamed gives its folder a new time. 4 µs
    an entry. What it sees and what it does not is said at `repro.store.stamps.Stamp`; a folder
    that its own owner may not read counts as it stands, without what is in it. Raises LocalError.
    """
    with local_errors(folder):
        state = folder.lstat()
        found = [(state.st_ino, state.st_size, state.st_ctime_ns)]
        waiting = [str(folder)]
        while waiting:
            try:
                entries = os.scandir(waiting.pop())
            except PermissionError:
                continue
            with entries:
                for entry in entries:
                    state = entry.stat(follow_symlinks=False)
                    found.append((state.st_ino, state.st_size, state.st_ctime_ns))
                    if stat.S_ISDIR(state.st_mode):
                        waiting.append(entry.path)
    found.sort()  # a file system may list a folder in any order
    numbers = array("q")
    for one in found:
        numbers.extend(one)
    return hashlib.sha256(numbers.tobytes()).hexdigest()


def difference(one: Path, other: Path) -> str | None:
    """Return the first path, relative, that is not the same in two trees; None if none is.

    Compared are names, kinds, modes, owners, times of content, links' targets, extended
    attributes and all bytes. Raises LocalError.
    """
    with local_errors(other):
        return next(_differences(str(one), str(other), ""), None)


def _differences(one: str, other: str, path: str) -> Iterator[str]:
    left, right = os.lstat(one), os.lstat(other)
    if stat.S_ISDIR(left.st_mode) and stat.S_ISDIR(right.st_mode):
        ours, theirs = _names(one), _names(other)
        for name in sorted(ours | theirs):  # before the folder, whose time they change
            below = f"{path}/{name}".lstrip("/")
            if name in ours and name in theirs:
                yield from _differences(f"{one}/{name}", f"{other}/{name}", below)
            else:
                yield below
    if _facts(left) != _facts(right) or _attributes(one) != _attributes(other):
        yield path or "."
    elif stat.S_ISLNK(left.st_mode):
        if os.readlink(one) != os.readlink(other):  # noqa: PTH115
            yield path
    elif stat.S_ISREG(left.st_mode) and not filecmp.cmp(one, other, shallow=False):
        yield path


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208
    except PermissionError:  # a folder that its own owner may not read
        return set()


def _facts(state: os.stat_result) -> tuple[int, ...]:
    """What must be the same; a folder's size is the file system's own affair."""
    size = 0 if stat.S_ISDIR(state.st_mode) else state.st_size
    return (state.st_mode, state.st_uid, state.st_gid, state.st_mtime_ns, state.st_rdev, size)


def _attributes(path: str) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if name.startswith("user.")  # others are the machine's: SELinux
    }
