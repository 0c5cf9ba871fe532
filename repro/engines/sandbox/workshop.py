"""Changing an image without a daemon: root, its files in a folder, bubblewrap around them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from repro.engines.sandbox.diagnosis import INSTALL
from repro.engines.sandbox.seccomp import PACKAGE, filters
from repro.engines.stage import dedicated_user
from repro.engines.workshop import BOTH_WAYS, CAPABILITIES, FILES, HOSTNAME, Work, Worked
from repro.errors import EngineError
from repro.files import CHUNK, local_errors
from repro.image.layer import CAPABILITY, Entry
from repro.image.merged import Merged
from repro.process import run, which
from repro.store.artifacts import Store

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_Stamp = tuple[int, int, int]


class SandboxWorkshop:
    """See Workshop: for root alone, since nobody else can give files their owners."""

    name = "sandbox"

    def __init__(self, store: Store) -> None:
        self._store = store

    def unable(self) -> str | None:
        """See Workshop.unable."""
        texts = (Path("/proc/self", name).read_text() for name in ("status", "uid_map", "gid_map"))
        if dedicated_user(os.geteuid(), *texts) is None:
            return "only root can give an image's files their owners"
        if which("bwrap") is None:
            return INSTALL
        if filters(self._store.root / "seccomp") is None:
            return f"apt-get install {PACKAGE}"
        return None

    @contextmanager
    def worked(self, work: Work, before: Merged) -> Iterator[Worked]:
        """See Workshop.worked."""
        if (problem := self.unable()) is not None:
            raise EngineError(
                f"the sandbox cannot change images here: {problem}", hint=f"do it {BOTH_WAYS}"
            )
        with self._store.scratch() as folder:
            root = folder / "root"
            with local_errors(folder):
                lay_out(before, root)
                stamps = _stamps(root)
            code = self._run(work, root)
            with local_errors(folder):
                touched = {
                    path for path, stamp in _stamps(root).items() if stamps.get(path) != stamp
                }
            yield Worked(code=code, after=entries_below(root), touched=touched)

    def _run(self, work: Work, root: Path) -> int:
        programs = filters(self._store.root / "seccomp") or ()
        with ExitStack() as stack:
            numbers = [_memory_file(stack, program) for program in programs]
            with local_errors(work.log), work.log.open("wb") as log:
                done = run(
                    _command(work, root, numbers),
                    env={},
                    pass_fds=numbers,
                    stdout=log.fileno(),
                    timeout=work.timeout,
                )
                log.seek(0, os.SEEK_END)
                log.write(done.stderr)  # bubblewrap's own words
        return done.code


def _command(work: Work, root: Path, programs: list[int]) -> list[str | Path]:
    return [
        which("bwrap") or "bwrap",
        *("--bind", root, "/", "--proc", "/proc", "--dev", "/dev"),
        *("--ro-bind", work.files, FILES, "--chdir", "/"),
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--hostname", HOSTNAME, "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL"),
        *(word for name in CAPABILITIES for word in ("--cap-add", f"CAP_{name}")),
        "--clearenv",
        *(word for pair in work.env for word in ("--setenv", *pair)),
        *(word for number in programs for word in ("--add-seccomp-fd", str(number))),
        "--",
        *work.argv,
    ]


def _memory_file(stack: ExitStack, data: bytes) -> int:
    descriptor = os.memfd_create("repro")
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def lay_out(image: Merged, root: Path) -> None:
    """Write an image's files into a new folder, with owners and modes; devices are left out.

    Nothing is followed: a parent is always a folder that this made. Raises OSError.
    """
    root.mkdir(0o755)
    for path in sorted(image.entries):  # parents come first
        entry = image.entries[path]
        where = f"{root}/{path}"
        if entry.kind == "dir":
            os.mkdir(where, 0o700)  # noqa: PTH102 - 20,000 of them: no Path objects
        elif entry.kind == "file":
            _write(where, entry)
        elif entry.kind == "symlink":
            os.symlink(entry.link, where)  # noqa: PTH211
        elif entry.kind == "fifo":
            os.mkfifo(where)
        else:
            continue
        os.lchown(where, entry.uid, entry.gid)
        if entry.kind != "symlink":
            os.chmod(where, entry.mode)  # noqa: PTH101 - after the owner, who clears some bits
        for name, value in entry.xattrs:
            os.setxattr(where, name, value.encode("utf-8", "surrogateescape"))


def _write(where: str, entry: Entry) -> None:
    with open(where, "xb") as file, entry.open() as source:  # noqa: PTH123
        while chunk := source.read(CHUNK):
            file.write(chunk)


def entries_below(root: Path) -> Iterator[Entry]:
    """Yield all that lies below a folder; names that share a file as hard links to the first."""
    seen: dict[tuple[int, int], str] = {}
    for path, state in _walk(root):
        kind = _KINDS.get(stat.S_IFMT(state.st_mode), "")
        if not kind:  # a socket: its program has ended
            continue
        inode = (state.st_dev, state.st_ino)
        first = seen.setdefault(inode, path) if kind != "dir" else path
        where = root / path
        yield Entry(
            path=path,
            mode=stat.S_IMODE(state.st_mode),
            kind=kind if first == path else "hardlink",
            data=partial(_opened, where) if kind == "file" and first == path else b"",
            size=state.st_size if kind == "file" and first == path else 0,
            link=_link(where, kind, first, path),
            uid=state.st_uid,
            gid=state.st_gid,
            xattrs=_capability(where) if kind == "file" and first == path else (),
            major=os.major(state.st_rdev) if kind in ("char", "block") else 0,
            minor=os.minor(state.st_rdev) if kind in ("char", "block") else 0,
        )


def _link(where: Path, kind: str, first: str, path: str) -> str:
    if first != path:
        return first
    return os.readlink(where) if kind == "symlink" else ""  # noqa: PTH115


def _opened(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.fdopen(descriptor, "rb")


def _capability(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        value = os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:  # it has none
        return ()
    return ((CAPABILITY, value.decode("utf-8", "surrogateescape")),)


def _stamps(root: Path) -> Mapping[str, _Stamp]:
    """Inode, size and inode time of every path: the kernel moves the last with every change."""
    return {path: (state.st_ino, state.st_size, state.st_ctime_ns) for path, state in _walk(root)}


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every path below, in order, parents first; links are not followed."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = f"{folder}/{entry.name}".lstrip("/")
                state = entry.stat(follow_symlinks=False)
                yield path, state
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(path)
