"""The person's terminal while a program inside has it."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterator

STDIN = 0


@contextlib.contextmanager
def lent_terminal() -> Iterator[None]:
    """Leave the terminal's keys to the program inside for the block; then put it in order.

    Without a terminal on standard input only the signals are left alone.
    """
    with _deaf(), _restored():
        yield


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Let the keys of interrupt and quit pass by: they are meant for the program inside.

    A handler that does nothing rather than SIG_IGN, which the child would inherit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Put back the terminal's modes and its foreground group.

    A shell inside changes both, and cannot restore a group that its namespace does not know.
    """
    if not os.isatty(STDIN):
        yield
        return
    modes, group = termios.tcgetattr(STDIN), os.tcgetpgrp(STDIN)
    try:
        yield
    finally:
        # Whoever is in the background is stopped for touching the terminal, unless deaf to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(STDIN, group)
            termios.tcsetattr(STDIN, termios.TCSADRAIN, modes)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
