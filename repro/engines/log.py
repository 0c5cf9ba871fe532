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
        self._left = limit
        self.cut = False
        """Whether something was dropped."""

    def write(self, chunk: bytes) -> None:
        """Keep what still fits, drop the rest."""
        kept = chunk[: self._left]
        self._file.write(kept)
        self._left -= len(kept)
        self.cut = self.cut or len(kept) < len(chunk)

    def say(self, line: str) -> None:
        """Write a line of repro's own, whatever the limit."""
        self._file.write(line.encode(errors="replace") + b"\n")


@contextmanager
def opened(path: Path, limit: int) -> Iterator[Log]:
    """Yield a new log at `path`; says on its last line when it was cut. Raises LocalError."""
    make_folder(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with local_errors(path):
        file = os.fdopen(os.open(path, flags, 0o644), "wb", buffering=0)
    with file:
        log = Log(file, limit)
        try:
            yield log
        finally:
            if log.cut:
                log.say(f"\n[repro: cut here, after {limit} bytes of output]")
