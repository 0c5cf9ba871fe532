"""D34: a redirect to another origin gets no credentials, and its bytes are as good; exit 0."""

from __future__ import annotations

import pytest

from tests.faults.server import Reply, redirect, serving
from tests.faults.sources import WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network


def test_d34_another_origin_gets_no_login(pin: Pin) -> None:
    data = fresh_wheel()
    pinned = pin(data)
    with serving() as other:
        other.replies["/wheel"] = Reply(body=data)
        pinned.server.replies[WHEEL] = redirect(f"{other.address}/wheel")
        faulted(pinned.cli, "build", code=0, changes=["lockfiles/linux-amd64/image.toml"])
        assert other.asked == ["/wheel"]
        assert other.authorizations == [None]
    assert all(pinned.server.authorizations), "its own origin gets it"
