"""D33: a redirect that never ends, or that leaves https, is refused with 6; I72 beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.server import Reply, redirect, self_signed, serving
from tests.faults.sources import WHEEL, Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network
TOKEN = "canary-in-location"


def test_d33_a_loop(pin: Pin) -> None:
    pinned = pin(fresh_wheel())
    pinned.server.replies[WHEEL] = redirect(f"/again?token={TOKEN}")
    pinned.server.replies["/again"] = redirect(f"{WHEEL}?token={TOKEN}")
    says = ["pip demo 1.0", f"{pinned.server.address}{WHEEL}: is redirected more than 5 times"]
    answer = faulted(pinned.cli, "build", code=6, says=says)
    assert TOKEN not in answer.out + answer.err
    assert len(pinned.server.asked) == 1 + 1 + 5  # page, wheel, five redirects


def test_d33_from_https_to_http(pin: Pin, tmp_path: Path) -> None:
    """The right bytes lie there: they are not asked for."""
    data = fresh_wheel()
    certificate = self_signed(tmp_path)
    pinned = pin(data, tls=certificate)
    trusted = {"REQUESTS_CA_BUNDLE": str(certificate.file)}
    with serving() as plain:
        plain.replies["/wheel"] = Reply(body=data)
        pinned.server.replies[WHEEL] = redirect(f"{plain.address}/wheel?token={TOKEN}")
        says = ["pip demo 1.0", "redirects from https to an address that is not"]
        answer = faulted(pinned.cli, "build", code=6, says=says, env=trusted)
        assert plain.asked == []
    assert TOKEN not in answer.out + answer.err
    assert pinned.server.count(WHEEL) == 1


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/gone", "file:///etc/hostname", "/nothing"])
def test_i72_a_token_in_a_location_is_never_shown(pin: Pin, to: str) -> None:
    """Refused connections, other schemes, 404: the exception's own text holds the address."""
    pinned = pin(fresh_wheel())
    pinned.server.replies[WHEEL] = redirect(f"{to}?token={TOKEN}")
    answer = faulted(pinned.cli, "build", code=6, says=["pip demo 1.0", pinned.server.address])
    assert TOKEN not in answer.out + answer.err
