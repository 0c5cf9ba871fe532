"""What long work shows on stderr: a live display for a person, plain lines for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import TYPE_CHECKING, TextIO

from repro.addresses import redact
from repro.progress import Progress, Silent, Task
from repro.report.console import coloured, is_terminal
from repro.report.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as Live
    from rich.progress import Task as LiveTask
    from rich.progress import TaskID

QUICK = 0.5
"""Seconds: a task that ends sooner leaves no line."""

LATE = 0.2
"""Seconds: a task that ends sooner shows no bar."""


def make_progress(*, quiet: bool, stream: TextIO | None = None) -> Progress:
    """Return the display that suits stderr (or `stream`)."""
    stream = stream or sys.stderr
    if quiet or stream is None:
        return Silent()
    return Terminal(stream) if is_terminal(stream) else Lines(stream)


def _clean(text: str) -> str:
    return safe(redact(text))


class Lines:
    """One line when a task has lasted QUICK seconds, one when it ended. No animation."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def note(self, text: str) -> None:
        """Write one line; where stderr takes none (a full disk), the work goes on unseen."""
        with self._lock, suppress(OSError):
            self._stream.write(_clean(text) + "\n")
            self._stream.flush()

    @contextmanager
    def task(self, label: str, total: int | None = None) -> Iterator[Task]:
        """See Progress.task; may be called from several threads."""
        start = time.monotonic()
        opening = Timer(QUICK, self.note, (f"{label} …",))
        opening.daemon = True
        opening.start()
        ending = "stopped"
        try:
            yield _Uncounted()
            ending = "done"
        finally:
            opening.cancel()
            opening.join()
            seconds = time.monotonic() - start
            if seconds >= QUICK:
                self.note(f"{label}: {ending} after {seconds:.1f} s")


class _Uncounted:
    def advance(self, amount: int = 1) -> None:
        """A log shows no counts."""


class Terminal:
    """Bars while tasks are open, and a line for each that took a while.

    The display is there only while a task is open: whoever needs the terminal has it after.
    Rich is imported when the first task opens.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._live: Live | None = None
        self._open = 0

    def note(self, text: str) -> None:
        """Write one line, above the bars where there are some."""
        with self._lock:
            if self._live is None:
                self._stream.write(_clean(text) + "\n")
                self._stream.flush()
            else:
                self._live.console.print(_clean(text))

    @contextmanager
    def task(self, label: str, total: int | None = None) -> Iterator[Task]:
        """See Progress.task; may be called from several threads."""
        start = time.monotonic()
        live = self._enter()
        bar = live.add_task(_clean(label), total=total)
        mark = "✗"
        try:
            yield _Bar(live, bar)
            mark = "✓"
        finally:
            live.remove_task(bar)
            live.refresh()
            seconds = time.monotonic() - start
            if seconds >= QUICK:
                self.note(f"{mark} {label}  {seconds:.1f} s")
            self._leave()

    def _enter(self) -> Live:
        with self._lock:
            if self._live is None:
                self._live = _make_live(self._stream)
                self._live.start()
            self._open += 1
            return self._live

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0 and self._live is not None:
                self._live.stop()
                self._live = None


class _Bar:
    def __init__(self, live: Live, bar: TaskID) -> None:
        self._live = live
        self._bar = bar

    def advance(self, amount: int = 1) -> None:
        """Count; Rich's own lock makes it safe from any thread."""
        self._live.advance(self._bar, amount)


def _make_live(stream: TextIO) -> Live:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        ProgressColumn,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Live

    console = Console(
        file=stream,
        force_terminal=True,
        no_color=not coloured(stream),
        highlight=False,
        markup=False,
        emoji=False,
    )

    class Counted(ProgressColumn):
        """A bar only where there is something to count to; the spinner is motion enough."""

        bar = BarColumn(bar_width=24)

        def render(self, task: LiveTask) -> RenderableType:
            return self.bar(task) if task.total else ""

    class Late(Live):
        """Shows only tasks that are worth a bar, so that quick ones do not flicker."""

        def get_renderables(self) -> Iterator[RenderableType]:
            late = [task for task in self.tasks if (task.elapsed or 0.0) >= LATE]
            yield self.make_tasks_table(late)

    return Late(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        Counted(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        refresh_per_second=8,
        redirect_stdout=False,  # stdout is the caller's
        redirect_stderr=False,
    )
