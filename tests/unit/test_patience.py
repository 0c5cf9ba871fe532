"""How long servers are waited for: settings and tries."""

from __future__ import annotations

from threading import Event

import pytest

from repro.errors import NetworkError, UsageError
from repro.patience import Patience, Tries, Waiting


def tries(*, stopped: Event | None = None, patience: Patience | None = None) -> Tries:
    waiting = Waiting(
        patience=patience or Patience(tries=2, first=0.01), stopped=stopped or Event()
    )
    return Tries("https://example.org/x", waiting)


def test_the_environment_says_how_long() -> None:
    assert Patience.of({}) == Patience()
    found = Patience.of({"REPRO_HTTP_TIMEOUT": "5", "REPRO_HTTP_DEADLINE": "0.5"})
    assert (found.read, found.total) == (5.0, 0.5)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "1e9", "0.0", "١", " 5", "9" * 400])
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="REPRO_HTTP_TIMEOUT"):
        Patience.of({"REPRO_HTTP_TIMEOUT": value})


def test_the_last_try_says_why_and_where() -> None:
    one = tries()
    one.next("HTTP 503")
    with pytest.raises(NetworkError, match=r"example\.org/x: HTTP 503; tried 2 times"):
        one.next("HTTP 503")


def test_what_was_brought_counts_from_the_first_try_again() -> None:
    one = tries()
    for _ in range(2):
        one.next("broke off", 0.0)
        one.renew()


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    with pytest.raises(NetworkError, match="asks to wait 3600 s"):
        tries().next("HTTP 429", 3600.0)


def test_nobody_waits_once_all_is_stopped() -> None:
    stopped = Event()
    one = tries(stopped=stopped)
    assert one.left() > 0
    stopped.set()
    with pytest.raises(NetworkError, match="stopped"):
        one.left()


def test_the_deadline_is_named() -> None:
    with pytest.raises(NetworkError, match="took over 0 s") as caught:
        tries(patience=Patience(total=0.0)).left()
    assert "REPRO_HTTP_DEADLINE" in (caught.value.hint or "")
