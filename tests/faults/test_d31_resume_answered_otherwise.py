"""D31: a resume that is answered with 200, another offset or other bytes starts anew; exit 0."""

from __future__ import annotations

import pytest

from tests.faults.server import Ranges, Reply
from tests.faults.sources import WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network
IMAGE = "lockfiles/linux-amd64/image.toml"


@pytest.mark.parametrize(
    ("ranges", "asked"),
    [
        (Ranges.IGNORED, [None, "bytes=100-"]),  # the 200 itself is the whole body
        (Ranges.SHIFTED, [None, "bytes=100-", None]),
        (Ranges.LYING, [None, "bytes=100-", None]),  # only the digest can tell
        (Ranges.REFUSED, [None, "bytes=100-", None]),
    ],
)
def test_d31_restarted_never_spliced(pin: Pin, ranges: Ranges, asked: list[str | None]) -> None:
    data = fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = [
        Reply(body=data, etag='"1"', cut=100),
        Reply(body=data, etag='"1"', ranges=ranges),
    ]
    faulted(pinned.cli, "build", code=0, changes=[IMAGE])
    assert pinned.server.ranges[1:] == asked
    assert pinned.has_wheel()


def test_d31_what_changed_between_is_other_bytes(pin: Pin) -> None:
    """If-Range keeps the server from giving the rest of another file; the digest refuses it."""
    data, other = fresh_wheel(), fresh_wheel()
    pinned = pin(data)
    pinned.server.replies[WHEEL] = [
        Reply(body=data, etag='"1"', cut=100),
        Reply(body=other, etag='"2"'),
    ]
    faulted(pinned.cli, "build", code=3, says=["pip demo 1.0", "the lock says"])
    assert pinned.server.count(WHEEL) == 2
    assert not pinned.has_wheel()
