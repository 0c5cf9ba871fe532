"""Watching one launched step to its end: its output, its limits, its status documents."""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from repro.engines.log import Log
from repro.engines.sandbox.limits import Memory, tasks
from repro.engines.stage import written
from repro.models.execution import Ending

MEMORY_EVERY = 0.02
OUTPUT_EVERY = 0.05
SHARE = 20
"""A look that takes t seconds is not repeated within SHARE times t: at most 5 % of one core."""
CHUNK = 1 << 16
HEAD = 4096
"""Bytes of output that are remembered: when bwrap itself fails, they are its message."""
LAST = 5.0
"""Seconds that the kernel gets to end the processes of a pid namespace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What is watched.

    `deadline` is on the monotonic clock; `pids` counts the launcher and bwrap too; `output` is
    the size in bytes of the whole stage that may not be passed.
    """

    deadline: float
    memory: Memory
    pids: int
    stage: Path
    output: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a step ended.

    `status` holds what launcher and bwrap said about it, merged; `code` is bwrap's own exit
    status, `head` the beginning of what was written; `crowded` as in Execution.
    """

    ending: Ending
    code: int
    status: Mapping[str, object]
    head: str
    crowded: bool


@dataclass(kw_only=True, slots=True)
class _Look:
    """A check that is made every so often, less often when it is dear."""

    every: float
    check: Callable[[], bool]
    ending: Ending
    due: float = 0.0

    def taken(self, now: float) -> bool:
        """Check if it is due; whether the limit is broken."""
        if now < self.due:
            return False
        broken = self.check()
        spent = time.monotonic() - now
        self.due = now + max(self.every, SHARE * spent)
        return broken


@dataclass(kw_only=True, slots=True)
class Supervisor:
    """Watches one child that becomes bwrap.

    `outputs` are (descriptor to read, descriptor to echo to or None) pairs; `said` is the
    status pipe. The descriptors stay the caller's.
    """

    child: subprocess.Popen[bytes]
    outputs: tuple[tuple[int, int | None], ...]
    said: int
    log: Log
    _status: bytes = b""
    _head: bytes = b""
    _deaf: set[int] = field(default_factory=set)
    """Echo targets that can no longer be written to."""
    _crowded: bool = False
    _first: int | None = None
    """Descriptor of the first process of the step's namespace: all others die with it, and
    before it is gone."""

    def watch(self, bounds: Bounds) -> Outcome:
        """Return when nothing of the step is left, however it ended."""
        try:
            ending = self._watch(bounds)
        finally:
            self.kill()
        self._read_status()
        self._drain()
        status = self._documents()
        return Outcome(
            ending=self._last_look(ending, status.get("exit-code"), bounds),
            code=self.child.returncode,
            status=status,
            head=self._head.decode(errors="replace"),
            crowded=self._crowded,
        )

    def kill(self) -> None:
        """End everything and wait until it is gone; a look when it already is."""
        self._read_status()
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            select.select([self._first], [], [], LAST)
            os.close(self._first)
            self._first = None
        if self.child.poll() is None:
            self.child.kill()  # a first process that is not known yet dies of it
            self.child.wait()

    def _watch(self, bounds: Bounds) -> Ending:
        looks = (
            _Look(
                every=MEMORY_EVERY,
                check=lambda: bounds.memory.exceeded(self.child.pid, self._scratch()),
                ending=Ending.MEMORY,
            ),
            _Look(
                every=OUTPUT_EVERY,
                check=lambda: written(bounds.stage) > bounds.output,
                ending=Ending.OUTPUT,
                due=time.monotonic() + OUTPUT_EVERY,
            ),
        )
        with self._selector() as selector:
            while True:
                now = time.monotonic()
                if now >= bounds.deadline:
                    self._crowded = tasks(self.child.pid) >= bounds.pids
                    return Ending.TIMEOUT
                for look in looks:
                    if look.taken(now):
                        return look.ending
                until = min(bounds.deadline, *(look.due for look in looks))
                for key, _ in selector.select(max(0.0, until - time.monotonic())):
                    if key.data == "ended":
                        return Ending.EXITED
                    if key.data == "status":
                        self._read_status()
                    elif not self._copy(key.fd, key.data):
                        selector.unregister(key.fd)

    @contextlib.contextmanager
    def _selector(self) -> Iterator[selectors.BaseSelector]:
        ended = os.pidfd_open(self.child.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(ended, selectors.EVENT_READ, "ended")
                os.set_blocking(self.said, False)
                selector.register(self.said, selectors.EVENT_READ, "status")
                for source, echo in self.outputs:
                    selector.register(source, selectors.EVENT_READ, echo)
                yield selector
        finally:
            os.close(ended)

    def _copy(self, source: int, echo: int | None) -> bool:
        """Pass on what is there; False at the end of the stream."""
        chunk = os.read(source, CHUNK)
        if chunk:
            self.log.write(chunk)
            self._head += chunk[: HEAD - len(self._head)]
            self._echo(chunk, echo)
        return bool(chunk)

    def _echo(self, chunk: bytes, target: int | None) -> None:
        """Pass output on live; a reader that went away does not end the run."""
        if target is None or target in self._deaf:
            return
        try:
            while chunk:
                chunk = chunk[os.write(target, chunk) :]
        except OSError:
            self._deaf.add(target)

    def _drain(self) -> None:
        """Copy what is still in the pipes; their writers are gone.

        But for one that bwrap lost before it was told of: it must not be waited for.
        """
        for source, echo in self.outputs:
            while select.select([source], [], [], LAST)[0] and self._copy(source, echo):
                pass

    def _read_status(self) -> None:
        os.set_blocking(self.said, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.said, CHUNK):
                self._status += chunk
        pid = self._documents().get("first")
        if self._first is None and isinstance(pid, int):
            self._first = _child(pid, of=self.child.pid)

    def _scratch(self) -> frozenset[int]:
        """Device numbers of the memory file systems that the run may fill."""
        devices = self._documents().get("scratch")
        return frozenset(devices if isinstance(devices, list) else ())

    def _documents(self) -> dict[str, object]:
        """Everything said so far: a JSON object a line, and bwrap's own may span lines."""
        merged: dict[str, object] = {}
        text = self._status.decode(errors="replace")
        decoder = json.JSONDecoder()
        while text := text.lstrip():
            try:
                document, end = decoder.raw_decode(text)
            except ValueError:  # the rest has not arrived yet
                break
            merged.update(document)
            text = text[end:]
        return merged

    def _last_look(self, ending: Ending, code: object, bounds: Bounds) -> Ending:
        """Look once more at limits that were passed since, or that killed only a child.

        If nobody waited for that child, an exit status of 0 means nothing.
        """
        if ending is not Ending.EXITED:
            return ending
        if bounds.memory.exceeded(None, frozenset()):
            return Ending.MEMORY
        size = written(bounds.stage)
        # A single file stops exactly at the limit, and its writer with an error.
        if size > bounds.output or (code != 0 and size == bounds.output):
            return Ending.OUTPUT
        return ending


def _child(pid: int, *, of: int) -> int | None:
    """Descriptor of a process if it is (still) a child of that parent."""
    try:
        descriptor = os.pidfd_open(pid)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (ProcessLookupError, FileNotFoundError):
        return None
    # The name in brackets may hold anything; the parent's number is the second word after it.
    if int(state.rpartition(")")[2].split()[1]) == of:
        return descriptor
    os.close(descriptor)
    return None
