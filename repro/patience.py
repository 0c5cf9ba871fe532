"""How long and how often a server is asked before it counts as unreachable."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event
from urllib.parse import urlsplit

from repro.errors import NetworkError, UsageError
from repro.progress import Progress, Silent

_NOTICED = 1.0  # seconds: a longer wait is shown
_SLOWEST = 1 << 15  # bytes a second, on the average of a large file


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long servers are waited for, in seconds.

    `read` is the longest silence, `total` the time for one address (a large file has more: what
    it takes at 32 KiB/s), `first` the pause before the second try, doubled for each further one,
    `longest` the longest Retry-After that is waited for; `tries` is how many connections in a row
    may fail.
    """

    connect: float = 15.0
    read: float = 60.0
    total: float = 1800.0
    first: float = 0.5
    longest: float = 60.0
    tries: int = 4

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Patience:
        """Return what `REPRO_HTTP_TIMEOUT` (`read`) and `REPRO_HTTP_DEADLINE` (`total`) say.

        Raises UsageError for a value that is no positive number.
        """
        return cls(
            read=_seconds(environ, "REPRO_HTTP_TIMEOUT", cls().read),
            total=_seconds(environ, "REPRO_HTTP_DEADLINE", cls().total),
        )


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name)
    if not value:
        return default
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", value) or not float(value):
        raise UsageError(
            f"{name}: {value[:40]!r} is no positive number of seconds",
            hint=f"for example: {name}=120",
        )
    return float(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What all waiting of one program shares: how long, where it is shown, what ends it."""

    patience: Patience = field(default_factory=Patience)
    progress: Progress = field(default_factory=Silent)
    stopped: Event = field(default_factory=Event)


class Tries:
    """The tries and the time that one address has; `shown` is it without secrets.

    `size` is what is expected from there, in bytes.
    """

    def __init__(self, shown: str, waiting: Waiting, size: int | None = None) -> None:
        self.shown = shown
        self._waiting = waiting
        self._total = waiting.patience.total + (size or 0) / _SLOWEST
        self._deadline = time.monotonic() + self._total
        self._failed = 0

    def left(self) -> float:
        """Seconds until the deadline. Raises NetworkError after it, and when all is stopped."""
        if self._waiting.stopped.is_set():
            raise NetworkError(f"{self.shown}: stopped")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise NetworkError(
                f"{self.shown}: took over {self._total:.0f} s",
                hint="try again later, or allow more time: REPRO_HTTP_DEADLINE=SECONDS",
            )
        return left

    def renew(self) -> None:
        """Count from the first try again: the last connection brought something."""
        self._failed = 0

    def next(self, why: str, wait: float | None = None) -> None:
        """Return when the next try is due: after `wait` seconds, or a little later each time.

        Raises NetworkError saying `why` when there is none.
        """
        patience = self._waiting.patience
        self._failed += 1
        if self._failed >= patience.tries:
            raise NetworkError(f"{self.shown}: {why}; tried {self._failed} times")
        wait = max(wait or 0.0, patience.first * 2.0 ** (self._failed - 1))
        if wait > min(patience.longest, self.left()):
            raise NetworkError(
                f"{self.shown}: {why}; asks to wait {wait:.0f} s",
                hint="run it again then; what did arrive is kept",
            )
        if wait <= _NOTICED:
            self._waiting.stopped.wait(wait)
        else:
            host = urlsplit(self.shown).hostname
            with self._waiting.progress.task(f"{host}: {why}; asking again in {wait:.0f} s"):
                self._waiting.stopped.wait(wait)
