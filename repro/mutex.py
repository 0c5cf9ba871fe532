"""Kernel locks between processes: free when their holder dies; who waits says for whom."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from repro.errors import LocalError
from repro.files import local_errors, make_folder
from repro.progress import Progress, Silent

SOON = 0.5
"""Seconds of waiting that nobody is told of."""

_POLL = 0.05
_NOTE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """How this process waits: at most `seconds`, saying so to `progress`.

    `who` is what others are told while it holds a lock: a command and a folder, no arguments.
    """

    seconds: float = 600.0
    progress: Progress = field(default_factory=Silent)
    who: str = "repro"


@contextmanager
def exclusive(path: Path, *, what: str, claim: Claim) -> Iterator[None]:
    """Hold a kernel lock (flock(2)) on the file `path`, which names its holder meanwhile.

    `what` is the thing that one process at a time may do. Raises LocalError naming the holder
    when it is not free in time.
    """
    make_folder(path.parent)
    with local_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        with local_errors(path):
            _acquire(descriptor, path, what=what, claim=claim)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _note(claim.who), 0)
        yield
        with suppress(OSError):  # it is free in any case: the note is only for who waits
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, *, what: str, claim: Claim) -> None:
    begin = time.monotonic()
    deadline = begin + claim.seconds
    if _comes(descriptor, until=min(deadline, begin + SOON)):
        return
    note = b""
    while time.monotonic() < deadline:
        note = _read(descriptor)
        with claim.progress.task(f"waiting for {_holder(note)}"):
            if _comes(descriptor, until=deadline, note=note):
                return
    waited = f", and did not end within {claim.seconds:g} s" if claim.seconds else ""
    raise LocalError(
        f"{what}: {_holder(note or _read(descriptor))} is at it{waited}",
        hint=f"wait for it, longer with --lock-timeout SECONDS; or end it (the lock is {path})",
    )


def _comes(descriptor: int, *, until: float, note: bytes | None = None) -> bool:
    """Wait for the lock; False when the time is over, or when another than `note` has it."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until or (note is not None and _read(descriptor) != note):
                return False
            time.sleep(_POLL)
        else:
            return True


def _note(who: str) -> bytes:
    line = f"{os.getpid()} {time.time():.0f} {who}"
    return line.encode(errors="replace")[: _NOTE - 1] + b"\n"


def _read(descriptor: int) -> bytes:
    return os.pread(descriptor, _NOTE, 0)


def _holder(note: bytes) -> str:
    """Name the process that wrote this note: number, command, folder, and for how long."""
    try:
        process, since, who = note.decode(errors="replace").strip().split(" ", 2)
        seconds = max(0.0, time.time() - int(since))
    except ValueError:  # it has the lock, and did not come to write yet
        return "another process"
    return f"process {process} ({who}, for {seconds:.0f} s)"
