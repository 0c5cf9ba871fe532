"""The only writer of files: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from repro.errors import LocalError
from repro.temporaries import NAME, locked, still, temporary_file, temporary_folder

CHUNK = 1 << 20
_ROOM = "free some space on that file system"


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
            errno.ENOSPC: f"{_ROOM}, or move the cache: REPRO_CACHE=DIR",
            errno.EDQUOT: "free some of your quota, or move the cache: REPRO_CACHE=DIR",
            errno.EACCES: "check its owner and permissions",
            errno.EPERM: "check its owner and permissions",
            errno.EEXIST: "something else is in the way there: rename or remove it",
            errno.ENOTDIR: "something else is in the way there: rename or remove it",
            errno.EROFS: "that file system is read-only; move the cache: REPRO_CACHE=DIR",
        }
        raise LocalError(f"{where}: {error.strerror}", hint=hints.get(error.errno or 0)) from error


def require_room(folder: Path, size: int) -> None:
    """Raise LocalError when the file system of `folder` has less than `size` bytes left."""
    with local_errors(folder):
        state = os.statvfs(make_folder(folder))
    free = state.f_bavail * state.f_frsize
    if state.f_blocks and free < size:  # some network file systems say 0 of everything
        raise LocalError(
            f"{folder}: {size:,} bytes are needed there, {free:,} are free",
            hint=f"{_ROOM}, or move the cache: REPRO_CACHE=DIR",
        )


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
def replacing(
    path: Path, mode: int = 0o644, *, durable: bool = True, staging: Path | None = None
) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path`, whole and durable, when the block ends well.

    When it does not, nothing at `path` changes and no temporary file stays. Not `durable`: for
    files of which there are thousands, and that can be made again. The temporary file lies in
    `staging` where a rename from there reaches `path`, else beside it. Raises LocalError.
    """
    make_folder(path.parent)
    with local_errors(path):
        parent = _within_reach(staging, path.parent)
        if durable:
            sweep(parent)
        descriptor, temporary = temporary_file(parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), mode)
                if durable:
                    os.fsync(file.fileno())
                temporary.replace(path)  # while it is locked
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_atomic(
    path: Path, data: bytes, mode: int = 0o644, *, staging: Path | None = None
) -> None:
    """Replace `path` by `data` in one step; `staging` as in `replacing`. Raises LocalError."""
    with replacing(path, mode, staging=staging) as file:
        file.write(data)


def write_together(
    folder: Path, contents: Mapping[str, bytes], *, staging: Path | None = None
) -> None:
    """Write several files below one folder in one step: all are old or all are new.

    Their names are relative paths; what else lies there stays. Where the folder cannot be
    exchanged (a mount point, a folder of an image's lower layer; or a mount, a linked folder or
    `staging` below it) the files are replaced one after the other, in the order of `contents`.
    `staging` as in `replacing`. Raises LocalError.
    """
    folder = folder.resolve()
    make_folder(folder.parent)
    with local_errors(folder), scratch(_within_reach(staging, folder.parent)) as temporary:
        fresh = temporary / "new"
        fresh.mkdir()
        try:
            if temporary.resolve().is_relative_to(folder):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(folder))
            if folder.is_dir():
                _keep_others(folder, fresh, {folder / name for name in contents})
            for name, data in contents.items():
                _write_new(fresh / name, data)
            _put(fresh, folder)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            for name, data in contents.items():
                write_atomic(folder / name, data, staging=staging)


def _write_new(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _keep_others(folder: Path, fresh: Path, replaced: set[Path]) -> None:
    """Have in `fresh` all that is below `folder` but what is replaced; links where possible.

    Raises OSError with EXDEV where `folder` must not be moved for what is mounted or linked in it.
    """
    for path in folder.iterdir():
        target = fresh / path.name
        if path.is_dir() and not path.is_symlink():
            if path in replaced:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            if _mount(path) != _mount(folder):  # it would move along, and go with the old folder
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
            target.mkdir()
            _keep_others(path, target, replaced)
        elif path not in replaced:
            if any(path in one.parents for one in replaced):  # a link to a folder that is written
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
            try:
                os.link(path, target, follow_symlinks=False)
            except OSError:  # links are forbidden
                shutil.copy2(path, target, follow_symlinks=False)
    shutil.copystat(folder, fresh)


def replace_folder(
    path: Path, fill: Callable[[Path], None], *, staging: Path | None = None
) -> None:
    """Fill a new folder and put it at `path` in place of what was there.

    `staging` as in `replacing`. Raises LocalError.
    """
    make_folder(path.parent)
    with local_errors(path), scratch(_within_reach(staging, path.parent)) as temporary:
        fresh = temporary / "new"
        fresh.mkdir()
        fill(fresh)
        sync_file_system(fresh)
        _put(fresh, path)


def _put(fresh: Path, path: Path) -> None:
    """Have a new folder at `path`, in one step; what was there is at `fresh` then."""
    sync_folder(fresh)
    if path.exists():
        exchange(fresh, path)
    else:
        fresh.rename(path)
    sync_folder(path.parent)


def exchange(one: Path, other: Path) -> None:
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
    sweep(parent)
    with local_errors(parent):
        folder, descriptor = temporary_folder(parent)
    try:
        with local_errors(folder):
            folder.chmod(mode)
        yield folder
    finally:
        try:
            remove_tree(folder)
        finally:
            os.close(descriptor)


def sweep(parent: Path) -> None:
    """Remove the temporaries directly in `parent` that this user's dead processes left there.

    What cannot be removed stays for the next sweep: it is in nobody's way.
    """
    try:
        with os.scandir(parent) as entries:
            found = [Path(entry.path) for entry in entries if NAME.fullmatch(entry.name)]
    except OSError:  # whoever came to write here says what is wrong with it
        return
    for path in found:
        with suppress(OSError, LocalError):
            _remove_dead(path)


def _remove_dead(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(descriptor)
        folder = stat.S_ISDIR(state.st_mode)
        if state.st_uid != os.geteuid() or not (folder or stat.S_ISREG(state.st_mode)):
            return
        if locked(descriptor) and still(descriptor, path):
            remove_tree(path) if folder else path.unlink()
    finally:
        os.close(descriptor)


def _within_reach(staging: Path | None, folder: Path) -> Path:
    """`staging` if a rename from there reaches `folder`: both on one mount; else `folder`."""
    if staging is None:
        return folder
    make_folder(staging)
    return staging if _mount(staging) == _mount(folder) else folder


def _mount(folder: Path) -> str:
    """The number of the mount that a folder is on (proc(5), fdinfo)."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    finally:
        os.close(descriptor)
    return text.partition("mnt_id:")[2].split()[0]


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
