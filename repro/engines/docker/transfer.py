"""Files that travel to a daemon and back as tars, where it does not see this machine's own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from repro.errors import LocalError
from repro.files import CHUNK, local_errors, open_regular
from repro.image.ustar import END, Member, header, padding


def folder_chunks(folder: Path, prefix: str, *, owner: int | None = None) -> Iterator[bytes]:
    """Yield a tar of what lies below a folder, each name below `prefix`; links unfollowed.

    Folders, files and symbolic links travel, with their modes; `owner` (user and group number)
    owns them, None: who owns them here. Raises LocalError for a file that changes meanwhile.
    """
    waiting = [("", folder)]
    while waiting:
        name, path = waiting.pop()
        with local_errors(path):
            state = path.lstat()
            inside = f"{prefix}/{name}" if name else prefix
            yield from _member(inside, path, state, owner)
            if stat.S_ISDIR(state.st_mode):
                below = sorted(os.listdir(path), reverse=True)  # noqa: PTH208 - names alone
                waiting += [(f"{name}/{one}".lstrip("/"), path / one) for one in below]
    yield END


def _member(inside: str, path: Path, state: os.stat_result, owner: int | None) -> Iterator[bytes]:
    uid, gid = (state.st_uid, state.st_gid) if owner is None else (owner, owner)
    mode = stat.S_IMODE(state.st_mode) & 0o1777
    if stat.S_ISDIR(state.st_mode):
        yield header(Member(name=f"{inside}/", type=b"5", mode=mode, uid=uid, gid=gid))
    elif stat.S_ISLNK(state.st_mode):
        link = os.readlink(path)  # noqa: PTH115
        yield header(Member(name=inside, type=b"2", mode=0o777, uid=uid, gid=gid, link=link))
    elif stat.S_ISREG(state.st_mode):
        size = state.st_size
        yield header(Member(name=inside, type=b"0", mode=mode, uid=uid, gid=gid, size=size))
        yield from _content(path, size)
        yield padding(size)


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with open_regular(path) as file:
        while left and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left or file.read(1):
            raise LocalError(f"{path}: changed while it was read", hint="run it again")
