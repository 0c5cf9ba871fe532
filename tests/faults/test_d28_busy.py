"""D28: 429, 500, 503: bounded tries, each Retry-After waited for or not begun; exit 6."""

from __future__ import annotations

import re

import pytest

from tests.faults.server import Reply, busy
from tests.faults.sources import PAGE, WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network
TRIES = 4


@pytest.mark.parametrize(("path", "status"), [(WHEEL, 429), (WHEEL, 503), (PAGE, 500)])
def test_d28_a_server_that_stays_busy(pin: Pin, path: str, status: int) -> None:
    pinned = pin(fresh_wheel())
    pinned.server.replies[path] = Reply(status=status)
    shown = f"{pinned.server.address}{path}: HTTP {status}; tried {TRIES} times"
    answer = faulted(pinned.cli, "build", code=6, says=["pip demo 1.0", shown])
    assert pinned.server.count(path) == TRIES
    assert f"127.0.0.1: HTTP {status}; asking again in 2 s" in answer.err, "a wait is visible"
    assert not pinned.has_wheel()


def test_d28_retry_after_is_waited_for(pin: Pin) -> None:
    """The wheel comes after the wait, and nothing else stands in the build's way."""
    data = fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = [busy(429, after=2), Reply(body=data)]
    answer = faulted(pinned.cli, "build", code=0, changes=["lockfiles/linux-amd64/image.toml"])
    waited = re.search(
        r"127\.0\.0\.1: HTTP 429; asking again in 2 s: done after (\S+) s", answer.err
    )
    assert waited is not None, answer
    assert float(waited[1]) >= 2
    assert pinned.server.count(WHEEL) == 2


def test_d28_a_retry_after_of_an_hour_is_not_begun(pin: Pin) -> None:
    pinned = pin(fresh_wheel())
    pinned.server.replies[WHEEL] = busy(after=3600)
    faulted(pinned.cli, "build", code=6, says=["pip demo 1.0", "HTTP 503; asks to wait 3600 s"])
    assert pinned.server.count(WHEEL) == 1
