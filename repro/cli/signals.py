"""Ctrl-C and termination: unwind once, then at once."""

from __future__ import annotations

import os
import signal
from threading import Timer
from types import FrameType

from repro.errors import Terminated

LAST_RESORT = 1.0
"""Seconds that the cleaning up has after a second Ctrl-C."""

INTERRUPTED = 130
TERMINATED = 143


class Interrupts:
    """Handlers for SIGINT, SIGTERM and SIGHUP.

    The first signal raises (KeyboardInterrupt or Terminated), so that everything unwinds. The
    second raises too, which ends the waiting in the unwinding, and leaves LAST_RESORT seconds
    before the process is gone in any case. The third ends it on the spot.
    """

    def __init__(self) -> None:
        self.seen = 0

    def install(self) -> None:
        """Set the handlers; a signal that the parent ignores (nohup) stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._arrived)

    def finish(self) -> None:
        """From here on any signal ends the process on the spot: all has been unwound."""
        self.seen = 2

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        code = INTERRUPTED if number == signal.SIGINT else TERMINATED
        self.seen += 1
        if self.seen > 2:
            os._exit(code)
        if self.seen == 2:
            last = Timer(LAST_RESORT, os._exit, (code,))
            last.daemon = True
            last.start()
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated
