"""Reading a file system that is not, or not only, this machine's: a prefix, a container, an image.

Nothing in it is ever run.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from repro.errors import LocalError, LockError
from repro.image.layer import Entry
from repro.image.merged import MOST_WHOLE, Merged

_PIECE = 1 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENXIO)


class Facts(NamedTuple):
    """What a regular file is: `size` in bytes, `sha256` hex."""

    size: int
    sha256: str
    executable: bool


class FileTree(Protocol):
    """Files by absolute POSIX paths; links are followed inside the tree."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder, sorted; none where there is no such folder."""

    def open(self, path: str) -> BinaryIO | io.RawIOBase | None:
        """Open a regular file for reading; None where there is none. Raises LocalError."""

    def facts(self, path: str) -> Facts | None:
        """Return what a regular file is; None where there is none. Raises LocalError."""

    def target(self, path: str) -> str:
        """Return the path itself with all links followed, whether it exists or not."""


def read(tree: FileTree, path: str) -> bytes | None:
    """Return a file's bytes, None where there is no regular file.

    Raises LockError for one of more than MOST_WHOLE bytes, LocalError.
    """
    file = tree.open(path)
    if file is None:
        return None
    with file:
        parts: list[bytes] = []
        left = MOST_WHOLE
        while piece := file.read(_PIECE):
            parts.append(piece)
            left -= len(piece)
            if left < 0:
                raise LockError(
                    f"{path}: has more than {MOST_WHOLE >> 20} MiB", hint="is it damaged?"
                )
    return b"".join(parts)


class Folder:
    """The files of this machine below `root`: one user's view, as the kernel gives it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._prefix = str(root).rstrip("/")

    def names(self, folder: str) -> tuple[str, ...]:
        """See FileTree.names. Raises LocalError for a folder that may not be read."""
        try:
            return tuple(sorted(entry.name for entry in os.scandir(f"{self._prefix}/{folder}")))
        except OSError as error:
            if error.errno in _ABSENT:
                return ()
            raise _refused(folder, error) from error

    def open(self, path: str) -> io.FileIO | None:
        """See FileTree.open."""
        try:
            return _opened(f"{self._prefix}/{path}")
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise _refused(path, error) from error

    def facts(self, path: str) -> Facts | None:
        """See FileTree.facts."""
        file = self.open(path)
        if file is None:
            return None
        digest, size = hashlib.sha256(), 0
        try:
            with file:
                mode = os.fstat(file.fileno()).st_mode
                while piece := file.read(_PIECE):
                    digest.update(piece)
                    size += len(piece)
        except OSError as error:
            raise _refused(path, error) from error
        return Facts(size, digest.hexdigest(), bool(mode & 0o111))

    def target(self, path: str) -> str:
        """See FileTree.target."""
        try:
            place = (self._root / path.lstrip("/")).resolve()
            return "/" + place.relative_to(self._root.resolve()).as_posix()
        except (OSError, RuntimeError, ValueError):
            return path


class Layered:
    """The files of an image or of a container, as its layers' tars have them."""

    def __init__(self, files: Merged) -> None:
        self._files = files
        self._one = threading.Lock()  # a tar is read at one place at a time

    def names(self, folder: str) -> tuple[str, ...]:
        """See FileTree.names."""
        return self._files.names(folder)

    def open(self, path: str) -> io.BytesIO | None:
        """See FileTree.open: the content is in memory."""
        found = self._file(path)
        if found is None:
            return None
        with self._one, found.open() as file:
            return io.BytesIO(file.read())

    def facts(self, path: str) -> Facts | None:
        """See FileTree.facts."""
        found = self._file(path)
        if found is None:
            return None
        digest, size = hashlib.sha256(), 0
        with self._one, found.open() as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
        return Facts(size, digest.hexdigest(), bool(found.mode & 0o111))

    def target(self, path: str) -> str:
        """See FileTree.target."""
        found = self._files.find(path)
        return "/" + found[0] if found is not None else path

    def _file(self, path: str) -> Entry | None:
        found = self._files.find(path)
        return found[1] if found is not None and found[1].kind == "file" else None


def _opened(path: str) -> io.FileIO:
    """Open what the path leads to, through links as Python does; no FIFO and no device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return io.FileIO(descriptor)


def _refused(path: str, error: OSError) -> LocalError:
    return LocalError(f"{path}: {error.strerror}", hint="check its owner and permissions")
