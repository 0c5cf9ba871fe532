from __future__ import annotations

import errno
import io
import os
import threading
import time

import pytest

from repro.progress import Progress, Silent
from repro.report import progress as module
from repro.report.progress import Lines, Terminal, make_progress


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def work(progress: Progress, seconds: float) -> None:
    with progress.task("building layers", 800) as task:

        def count() -> None:
            for _ in range(100):
                task.advance()

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(seconds)


def test_quiet_says_nothing() -> None:
    assert isinstance(make_progress(quiet=True), Silent)


def test_a_log_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUICK", 0.05)
    stream = io.StringIO()
    progress = make_progress(quiet=False, stream=stream)
    assert isinstance(progress, Lines)
    work(progress, 0.15)
    first, last = stream.getvalue().splitlines()
    assert first == "building layers …"
    assert last.startswith("building layers: done after ")
    assert "\x1b" not in stream.getvalue()


def test_quick_tasks_do_not_flood_a_log() -> None:
    stream = io.StringIO()
    progress = Lines(stream)
    for number in range(200):
        with progress.task(f"task {number}") as task:
            task.advance()
    assert stream.getvalue() == ""


def test_a_task_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUICK", 0.01)
    stream = io.StringIO()

    def divide() -> None:
        with Lines(stream).task("dividing"):
            time.sleep(0.05)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        divide()
    assert "dividing: stopped after" in stream.getvalue()


def test_a_terminal_gets_its_line_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "QUICK", 0.05)
    before = set(threading.enumerate())
    stream = Tty()
    progress = make_progress(quiet=False, stream=stream)
    assert isinstance(progress, Terminal)
    with progress.task("outer"):
        work(progress, 0.3)
        progress.note("half way")
    text = stream.getvalue()
    assert "✓ building layers" in text
    assert "half way" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is shown again
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_a_dumb_terminal_is_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(quiet=False, stream=Tty()), Lines)


@pytest.mark.parametrize("stream", [io.StringIO(), Tty()])
def test_labels_are_inert_and_without_secrets(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "QUICK", 0.0)
    progress = make_progress(quiet=False, stream=stream)
    progress.note("from https://me:hunter2@example.org/ \x07[/foo] [link=x]")
    with progress.task("\x07[/foo] [link=x]y"):
        time.sleep(0.05)
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "\x07" not in text
    assert "[/foo]" in text


class Full(io.StringIO):
    """A log on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_log_on_a_full_disk_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task's first line comes from a thread of its own, which would end in a traceback."""
    monkeypatch.setattr(module, "QUICK", 0.0)
    ended: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", ended.append)
    progress = Lines(Full())
    progress.note("a word")
    with progress.task("dividing"):
        time.sleep(0.05)
    assert ended == []
