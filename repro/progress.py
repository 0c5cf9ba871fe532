"""How long work tells a person where it is; the terminal form lives in `repro.report`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol


class Task(Protocol):
    """One running piece of work."""

    def advance(self, amount: int = 1) -> None:
        """Add `amount` units (bytes, files, packages: as the task's total is counted)."""


class Progress(Protocol):
    """Where work reports to. Never writes to stdout."""

    def task(self, label: str, total: int | None = None) -> _TaskContext:
        """Open a task; `total` in the caller's unit, None when unknown."""

    def note(self, text: str) -> None:
        """Say one line that stays."""


class _TaskContext(Protocol):
    def __enter__(self) -> Task: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None: ...


def counted(pieces: Iterable[bytes], task: Task) -> Iterator[bytes]:
    """Count the pieces as progress, and take it back when they turn out to be void."""
    passed = 0
    try:
        for piece in pieces:
            passed += len(piece)
            task.advance(len(piece))
            yield piece
    except BaseException:
        task.advance(-passed)
        raise


class _SilentTask:
    def advance(self, amount: int = 1) -> None:
        """Count nothing."""


class Silent:
    """A Progress that says nothing (libraries, `--quiet`, tests)."""

    @contextmanager
    def task(self, label: str, total: int | None = None) -> Iterator[Task]:
        """See Progress.task."""
        yield _SilentTask()

    def note(self, text: str) -> None:
        """Drop the line."""
