"""What a run says: kept in a file up to a limit, and passed on live."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from repro.files import local_errors, make_folder


class Log:
    """A run's log: takes bytes for ever, keeps the first `limit` of them."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = self._left = limit
        self._full = False
        self._lost = ""

    def write(self, chunk: bytes) -> None:
        """Keep what still fits, drop the rest."""
        kept = chunk[: self._left]
        self._file.write(kept)
        self._left -= len(kept)
        self._full = self._full or len(kept) < len(chunk)

    @property
    def cut(self) -> bool:
        """Whether something was dropped."""
        return self._full or bool(self._lost)

    def lost(self, why: str) -> None:
        """The rest of the output will never come."""
        self._lost = why

    def close(self) -> None:
        """Say on a last line of repro's own what is missing, whatever the limit."""
        if self._full:
            self._say(f"cut here, after {self._limit} bytes of output")
        if self._lost:
            self._say(self._lost)

    def _say(self, what: str) -> None:
        self._file.write(f"\n[repro: {what}]\n".encode())


@contextmanager
def opened(path: Path, limit: int) -> Iterator[Log]:
    """Yield a new log at `path`; says on its last line what is missing. Raises LocalError."""
    make_folder(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with local_errors(path):
        file = os.fdopen(os.open(path, flags, 0o644), "wb", buffering=0)
    with file:
        log = Log(file, limit)
        try:
            yield log
        finally:
            log.close()
