"""D29: a server that drips, or takes a request and never answers: both deadlines, exit 6."""

from __future__ import annotations

import pytest

from tests.faults.server import Reply
from tests.faults.sources import PAGE, WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network


def test_d29_a_drip_ends_at_the_total_deadline(pin: Pin) -> None:
    """Each byte comes in time; all of them would take a minute."""
    data = fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = Reply(body=data, drip=0.1)
    says = ["pip demo 1.0", f"{pinned.server.address}{WHEEL}: took over 2 s", "REPRO_HTTP_DEADLINE"]
    faulted(pinned.cli, "build", code=6, says=says, env={"REPRO_HTTP_DEADLINE": "2"})
    assert pinned.server.count(WHEEL) == 1
    assert not pinned.has_wheel()


@pytest.mark.parametrize("path", [PAGE, WHEEL])
def test_d29_silence_ends_at_the_read_deadline(pin: Pin, path: str) -> None:
    pinned = pin(fresh_wheel())
    pinned.server.replies[path] = Reply(hang=True)
    says = ["pip demo 1.0", f"{pinned.server.address}{path}: no answer in time; tried 4 times"]
    faulted(pinned.cli, "build", code=6, says=says, env={"REPRO_HTTP_TIMEOUT": "0.3"})
    assert pinned.server.count(path) == 4
