"""The only writer of files: temporary name, fsync, rename; and the locks between processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from repro.errors import LocalError

CHUNK = 1 << 20
_TEMPORARY = ".repro-tmp-"


@contextmanager
def local_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a LocalError that names the path and what to do."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if isinstance(where, bytes):
            where = where.decode(errors="replace")
        hints = {
            errno.ENOSPC: "free some space on that file system, or move the cache: REPRO_CACHE=DIR",
            errno.EDQUOT: "free some of your quota, or move the cache: REPRO_CACHE=DIR",
            errno.EACCES: "check its owner and permissions",
            errno.EPERM: "check its owner and permissions",
            errno.EEXIST: "something else is in the way there: rename or remove it",
            errno.ENOTDIR: "something else is in the way there: rename or remove it",
            errno.EROFS: "that file system is read-only; move the cache: REPRO_CACHE=DIR",
        }
        raise LocalError(f"{where}: {error.strerror}", hint=hints.get(error.errno or 0)) from error


def make_folder(path: Path, mode: int = 0o777) -> Path:
    """Make a folder and its parents if they are missing; return it. Raises LocalError."""
    with local_errors(path):
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    return path


def sync_folder(path: Path) -> None:
    """Make renames inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(folder: Path) -> None:
    """Have all that was written below `folder` on the disk: one call for all files."""
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, mode: int = 0o644, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path`, whole and durable, when the block ends well.

    When it does not, nothing at `path` changes and no temporary file stays. Not `durable`: for
    files of which there are thousands, and that can be made again. Raises LocalError.
    """
    make_folder(path.parent)
    with local_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), mode)
                if durable:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `data` in one step. Raises LocalError."""
    with replacing(path, mode) as file:
        file.write(data)


def write_together(folder: Path, contents: dict[str, bytes]) -> None:
    """Write several files of one folder: all temporary files first, then all renames."""
    make_folder(folder)
    with local_errors(folder):
        waiting: list[tuple[Path, Path]] = []
        try:
            for name, data in contents.items():
                descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
                waiting.append((Path(temporary), folder / name))
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchmod(file.fileno(), 0o644)
                    os.fsync(file.fileno())
            for temporary_path, path in waiting:
                temporary_path.replace(path)
        finally:
            for temporary_path, _ in waiting:
                temporary_path.unlink(missing_ok=True)
        sync_folder(folder)


def replace_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it at `path` in place of what was there. Raises LocalError."""
    make_folder(path.parent)
    with local_errors(path), scratch(path.parent) as temporary:
        fresh = temporary / "new"
        fresh.mkdir()
        fill(fresh)
        sync_file_system(fresh)
        if path.exists():
            _exchange(fresh, path)
        else:
            fresh.rename(path)
        sync_folder(path.parent)


def _exchange(one: Path, other: Path) -> None:
    """Swap two folders in one step (renameat2(2)): at no moment is there none at `other`.

    Where a file system cannot, two renames, the first undone when the second fails.
    """
    import ctypes

    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if swap is not None:
        if not swap(here, os.fsencode(one), here, os.fsencode(other), exchange):
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(number, os.strerror(number), str(other))
    aside = one.with_name("old")
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise


@contextmanager
def scratch(parent: Path, mode: int = 0o700) -> Iterator[Path]:
    """Yield a new private folder below `parent`; it is gone when the block ends."""
    make_folder(parent)
    with local_errors(parent):
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent))
        folder.chmod(mode)
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(path: Path) -> None:
    """Remove a folder and all below it, also where a folder in it is not writable."""

    def unlock(function: Callable[..., object], name: str, error: BaseException) -> None:
        if isinstance(error, FileNotFoundError):
            return
        parent = Path(name).parent
        parent.chmod(0o700)
        if Path(name).is_dir() and not Path(name).is_symlink():
            Path(name).chmod(0o700)
            shutil.rmtree(name)
        else:
            function(name)

    def unlock_311(function: Callable[..., object], name: str, info: object) -> None:
        assert isinstance(info, tuple)
        unlock(function, name, info[1])

    with local_errors(path):
        shutil.rmtree(path, onerror=unlock_311)


def digest_file(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 hex of a regular file; a symlink is not followed."""
    with local_errors(path), open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return os.fstat(file.fileno()).st_size, digest


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading; a link, FIFO or device raises OSError, unopened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        yield file


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield what `os.walk` does; a folder that cannot be read is a LocalError, not empty."""

    def refuse(error: OSError) -> None:
        raise error

    with local_errors(top):
        for folder, folders, files in os.walk(top, onerror=refuse):
            yield Path(folder), folders, files


def copy_regular(source: Path, target: Path, mode: int = 0o644) -> None:
    """Copy one regular file's content to a new file. Raises LocalError."""
    make_folder(target.parent)
    with local_errors(source), open_regular(source) as old, target.open("xb") as new:
        shutil.copyfileobj(old, new, CHUNK)
        os.fchmod(new.fileno(), mode)


@contextmanager
def exclusive(path: Path, *, what: str, timeout: float = 600.0) -> Iterator[None]:
    """Hold a kernel lock on the file `path`; it is free again when its holder dies.

    Waits up to `timeout` seconds. Raises LocalError naming the holder's process when that is
    not enough.
    """
    make_folder(path.parent)
    with local_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        with local_errors(path):
            _acquire(descriptor, path, what=what, deadline=time.monotonic() + timeout)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, *, what: str, deadline: float) -> None:
    """Take the lock and write into it who has it."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise LocalError(
                    f"{what} is held by process {holder or 'unknown'}",
                    hint=f"wait for it to end ({path})",
                ) from error
            time.sleep(0.05)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
