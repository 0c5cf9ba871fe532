"""A program on a real pseudo-terminal, for what only a terminal does: Ctrl-C, prompts, width."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

CTRL_C = b"\x03"
CTRL_D = b"\x04"

# A session of its own whose controlling terminal is standard input; then the program itself.
_LAUNCH = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """The far end of a terminal on which a program runs."""

    def __init__(self, child: subprocess.Popen[bytes], master: int) -> None:
        self._child = child
        self._master = master
        self._seen = b""

    @property
    def text(self) -> str:
        """All that the program has written so far."""
        return self._seen.decode(errors="replace")

    def send(self, keys: bytes) -> None:
        """Type."""
        os.write(self._master, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; the kernel tells the program in front of it."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str, timeout: float = 60.0) -> None:
        """Wait until the program has written `text`."""
        self.until(lambda: text in self.text, f"{text!r} on the terminal", timeout)

    def until(self, holds: Callable[[], bool], what: str, timeout: float = 60.0) -> None:
        """Wait for a condition, reading on; AssertionError when it does not come."""
        deadline = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < deadline, f"no {what}; seen:\n{self.text}"
            ended = self._child.poll() is not None
            self._read()
            assert not ended or holds(), f"ended without {what}; seen:\n{self.text}"

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the program's end; return its exit status."""
        deadline = time.monotonic() + timeout
        while self._child.poll() is None:
            assert time.monotonic() < deadline, f"does not end; seen:\n{self.text}"
            self._read()
        self._read()
        return self._child.returncode

    def _read(self) -> None:
        while select.select([self._master], [], [], 0.05)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the other end is closed
                return
            if not data:
                return
            self._seen += data


@contextmanager
def terminal(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Run a program on a new terminal of 80 columns; it does not outlive the block."""
    master, slave = os.openpty()
    settings = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **(env or {})}
    child = subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env=settings,
    )
    os.close(slave)
    try:
        yield Terminal(child, master)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)
