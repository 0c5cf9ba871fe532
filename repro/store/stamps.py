"""What the disk said of an object when its bytes were last hashed; the idea is git's index."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

AT_REST = 2_000_000_000
"""Nanoseconds that must lie between an object's last change and its hashing.

A later change within the same tick of the file system's clock would leave its times as they
are: the "racy git" problem. Two seconds is the coarsest clock in use.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """An object's inode, size (bytes), and times of content and inode (ns since 1970).

    Every write, also one that puts the time of the content back, sets the time of the inode,
    which only who sets the machine's clock can choose. So an equal stamp means that nobody
    changed the object through its file system; what a failing disk changes below it is seen
    only when the bytes are read.
    """

    inode: int
    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, state: os.stat_result) -> Stamp:
        """The stamp of what `lstat` said."""
        return cls(
            inode=state.st_ino,
            size=state.st_size,
            mtime=state.st_mtime_ns,
            ctime=state.st_ctime_ns,
        )

    @classmethod
    def parse(cls, data: bytes) -> Stamp | None:
        """Read what `render` wrote; None for anything else."""
        try:
            inode, size, mtime, ctime, end = (int(word) for word in data.split())
        except ValueError:
            return None
        stamp = cls(inode=inode, size=size, mtime=mtime, ctime=ctime)
        return stamp if end == sum((inode, size, mtime, ctime)) else None

    def render(self) -> bytes:
        """One line, with a sum that a torn one does not have."""
        numbers = (self.inode, self.size, self.mtime, self.ctime)
        return " ".join(map(str, (*numbers, sum(numbers)))).encode() + b"\n"

    def at_rest(self, moment: int) -> bool:
        """Whether the object was unchanged long enough at that moment (ns since 1970)."""
        return moment - self.ctime > AT_REST


def now() -> int:
    """The moment, by the clock that stamps files (ns since 1970)."""
    return time.time_ns()
