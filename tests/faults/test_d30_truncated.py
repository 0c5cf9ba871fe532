"""D30: a body that breaks off is resumed by Range and never stored short; exit 0."""

from __future__ import annotations

import pytest

from tests.faults.server import Reply
from tests.faults.sources import WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network
IMAGE = "lockfiles/linux-amd64/image.toml"


@pytest.mark.parametrize("length", [None, -1])
def test_d30_resumed_where_it_broke(pin: Pin, length: int | None) -> None:
    """Twice; also where only the lock says how long it is."""
    data = fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = [
        Reply(body=data, etag='"1"', cut=100, length=length),
        Reply(body=data, etag='"1"', cut=150),
        Reply(body=data, etag='"1"'),
    ]
    faulted(pinned.cli, "build", code=0, changes=[IMAGE])
    assert pinned.server.ranges[1:] == [None, "bytes=100-", "bytes=250-"]
    assert pinned.has_wheel()


def test_d30_a_body_that_is_always_cut_is_never_stored(pin: Pin) -> None:
    data = fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = Reply(body=data, cut=100)
    says = ["pip demo 1.0", f"broke off after 100 of {len(data)} bytes", "tried 4 times"]
    faulted(pinned.cli, "build", code=6, says=says)
    assert not pinned.has_wheel()
