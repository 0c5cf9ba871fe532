"""What goes in and out of a container: the attached line, its frames, the terminal."""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

from repro.engines.docker.api import Daemon
from repro.engines.docker.container import in_background
from repro.engines.log import Log

CHUNK = 1 << 16
STDIN, STDOUT = 0, 1
_STDERR_STREAM = 2


class Echo:
    """Passes bytes on to this process's stdout and stderr; stops when nobody reads them.

    A closed terminal must not lose the run: its log and outputs are still kept.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    def write(self, data: bytes, *, error: bool = False) -> None:
        """Write to stdout, or to stderr."""
        if not self._enabled:
            return
        stream = sys.stderr if error else sys.stdout
        try:
            stream.buffer.write(data)
            stream.flush()
        except (OSError, ValueError):  # ValueError: it was closed
            self._enabled = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """The attached connection: `reader` gives what the container prints, `line` takes stdin.

    `kept` is the SDK's own object: the connection closes when it is collected.
    """

    reader: BufferedReader
    line: Any
    kept: Any

    def send(self, data: bytes) -> None:
        """Pass bytes on to the container's stdin."""
        self.line.sendall(data)

    def finish(self) -> None:
        """Say that no more comes, and go on reading."""
        if hasattr(self.line, "shutdown_write"):  # through ssh
            self.line.shutdown_write()
        else:
            self.line.shutdown(socket.SHUT_WR)

    def abandon(self) -> None:
        """End both directions, and whoever waits for them."""
        with suppress(OSError):  # it is closed already
            self.line.shutdown(socket.SHUT_RDWR)


@contextmanager
def attached(daemon: Daemon, name: str, *, stdin: bool) -> Iterator[Line]:
    """Attach to a container that is not started yet, so that nothing is missed."""
    params = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
    with daemon.doing("attaching to the container"):
        kept = daemon.client.attach_socket(name, params)
        line = getattr(kept, "_sock", kept)
        line.settimeout(None)  # an analysis may be silent for hours
        reader = line.makefile("rb", CHUNK)
        whole = Line(reader=reader, line=line, kept=kept)
    try:
        yield whole
    finally:
        whole.abandon()  # closing alone would wait for the reader
        reader.close()
        kept.close()


def frames(reader: BufferedReader, *, terminal: bool) -> Iterator[tuple[bool, bytes]]:
    """Yield (is stderr, bytes) until the container closes its streams.

    Format: Engine API, "Stream format" of attach; a terminal has one stream and no frames.
    """
    if terminal:
        while data := reader.read1(CHUNK):
            yield False, data
        return
    while len(head := reader.read(8)) == 8:
        stream, left = struct.unpack(">BxxxL", head)
        while left and (data := reader.read(min(left, CHUNK))):
            left -= len(data)
            yield stream == _STDERR_STREAM, data


def pump(line: Line, log: Log, echo: Echo, *, terminal: bool) -> None:
    """Bring everything that the container prints to the log and the echo."""
    for error, data in frames(line.reader, terminal=terminal):
        log.write(data)
        echo.write(data, error=error)


def has_terminal() -> bool:
    """Whether a person sits at this process."""
    return os.isatty(STDIN) and os.isatty(STDOUT)


def terminal_size() -> tuple[int, int]:
    """Columns and rows of this process's terminal."""
    size = os.get_terminal_size(STDOUT)
    return (size.columns or 80, size.lines or 24)  # some terminals do not know


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Have the terminal pass every key on for the block, Ctrl-C and Ctrl-D too.

    Entered before the program inside is started: the end of input that is typed at its first
    prompt would be lost between the two ways of reading.
    """
    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)  # what was typed ahead is kept
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


@contextmanager
def keyboard(line: Line) -> Iterator[None]:
    """Pass this process's stdin on for the block."""
    with ExitStack() as stack:
        stop_reader, stop_writer = os.pipe()
        stack.callback(os.close, stop_reader)
        forwarding = in_background(lambda: _forward(line, stop_reader))
        stack.callback(forwarding.exception, 5.0)
        stack.callback(line.abandon)  # wakes a send that nobody takes any more
        stack.callback(os.close, stop_writer)  # ends the thread
        yield


def _forward(line: Line, stop: int) -> None:
    while True:
        ready, _, _ = select.select([STDIN, stop], [], [])
        if stop in ready:
            return
        data = os.read(STDIN, CHUNK)
        try:
            if not data:
                line.finish()
                return
            line.send(data)
        except OSError:  # it ended while a key was pressed
            return
