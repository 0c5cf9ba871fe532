"""Files that travel to a daemon and back as tars, where it does not see this machine's own."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.engines.stage import BLOCK
from repro.errors import EngineError, LocalError
from repro.files import CHUNK, local_errors, open_regular
from repro.image.layer import DAMAGED
from repro.image.ustar import END, Member, header, padding


def folder_chunks(folder: Path, prefix: str, *, owner: int | None = None) -> Iterator[bytes]:
    """Yield a tar of a folder or file under the name `prefix`; links unfollowed.

    Folders, files and symbolic links travel, with modes and times; `owner` (user and group
    number) owns them, None: who owns them here. Raises LocalError for a file that changes
    meanwhile.
    """
    yield from members(folder, prefix, owner=owner)
    yield END


def members(folder: Path, prefix: str, *, owner: int | None = None) -> Iterator[bytes]:
    """Yield what `folder_chunks` does, without the tar's end: more may follow."""
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


def _member(inside: str, path: Path, state: os.stat_result, owner: int | None) -> Iterator[bytes]:
    uid, gid = (state.st_uid, state.st_gid) if owner is None else (owner, owner)
    mode = stat.S_IMODE(state.st_mode) & 0o1777
    mtime = max(0, int(state.st_mtime))
    if stat.S_ISDIR(state.st_mode):
        name, kind, size, link = f"{inside}/", b"5", 0, ""
    elif stat.S_ISLNK(state.st_mode):
        name, kind, size, link = inside, b"2", 0, os.readlink(path)  # noqa: PTH115
        mode = 0o777
    elif stat.S_ISREG(state.st_mode):
        name, kind, size, link = inside, b"0", state.st_size, ""
    else:
        return
    yield header(
        Member(name=name, type=kind, mode=mode, uid=uid, gid=gid, size=size, link=link, mtime=mtime)
    )
    if kind == b"0":
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


class _Stream(io.RawIOBase):
    """Chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def unpack_folder(chunks: Iterator[bytes], folder: Path, *, most: int) -> bool:
    """Fill an empty folder from a tar whose names all begin with one folder's; False: cut short.

    No more is unpacked once all would take `most` bytes, in whole blocks. Nothing is written
    through a link: a parent is always a folder that this made. Devices and sockets are left
    out, no file is setuid. Raises EngineError for a tar that is damaged, or whose names leave
    the folder.
    """
    made: dict[str, tuple[int, int]] = {}
    left = most
    try:
        reader = io.BufferedReader(_Stream(chunks), CHUNK)
        with tarfile.open(fileobj=reader, mode="r|", bufsize=CHUNK) as tar:
            for member in tar:
                if "/" in member.name.strip("/") and not member.islnk():  # each file once
                    left -= max(1, -(-member.size // BLOCK)) * BLOCK
                if left < 0:
                    return False
                _unpack(tar, member, folder, made)
    except DAMAGED as error:
        raise EngineError(
            f"docker: the run's files came back damaged: {error}", hint="run it again"
        ) from error
    finally:
        for path, (mode, mtime) in sorted(made.items(), reverse=True):
            os.utime(folder / path, (mtime, mtime))
            (folder / path).chmod(mode | 0o700)
    return True


def _unpack(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, made: dict[str, tuple[int, int]]
) -> None:
    path = _inside(member.name)
    mtime = int(member.mtime)
    if not path:
        made[""] = (member.mode & 0o1777, mtime)
        return
    if path.rpartition("/")[0] not in made:
        raise EngineError(f"docker: {path!r} came back without its folder", hint="run it again")
    where = folder / path
    if member.isdir():
        where.mkdir(0o700)
        made[path] = (member.mode & 0o1777, mtime)
    elif member.issym():
        where.symlink_to(member.linkname)
    elif member.isfifo():
        os.mkfifo(where)
    elif member.islnk():
        os.link(folder / _inside(member.linkname), where, follow_symlinks=False)
    elif member.isreg():
        source = tar.extractfile(member)
        assert source is not None
        with where.open("xb") as file:
            shutil.copyfileobj(source, file, CHUNK)
            os.fchmod(file.fileno(), member.mode & 0o1777)
        os.utime(where, (mtime, mtime))


def _inside(name: str) -> str:
    """A member's path below the folder that came, "" for that folder itself."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts:
        raise EngineError(f"docker: {name!r} came back, which is no path", hint="run it again")
    return "/".join(parts[1:])
