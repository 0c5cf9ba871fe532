"""Temporaries that tell whether their maker lives.

A temporary is a file or folder named `.repro-tmp-XXXXXXXX`. Its maker holds a kernel lock
(flock(2)) on it for as long as it lives, so whoever can lock one has found what a killed process
left. A process number would not tell: numbers are given again, and containers have their own.
Whoever makes a temporary first removes the dead ones beside it.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = ".repro-tmp-"
NAME = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")  # as tempfile makes them


def temporary_file(parent: Path) -> tuple[int, Path]:
    """Return an open new file, locked until it is closed."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=parent)
        if locked(descriptor) is not False and still(descriptor, Path(name)):
            return descriptor, Path(name)
        os.close(descriptor)  # a sweep found it in the moment before it was locked


def temporary_folder(parent: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that locks it until it is closed."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if locked(descriptor) is not False and still(descriptor, folder):
                return folder, descriptor
            os.close(descriptor)


def locked(descriptor: int) -> bool | None:
    """Take a kernel lock; False when somebody has it, None where there is no such lock (NFS)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def still(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False
