"""D35: a TLS certificate that nobody vouches for: exit 6, and no insecure second try."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.server import self_signed
from tests.faults.sources import Pin, fresh_wheel
from tests.watch import faulted

pytestmark = pytest.mark.network


def test_d35_when_a_wheel_is_fetched(pin: Pin, tmp_path: Path) -> None:
    pinned = pin(fresh_wheel(), tls=self_signed(tmp_path))
    says = ["pip demo 1.0", "its TLS certificate is not trusted", "self-signed"]
    answer = faulted(pinned.cli, "build", code=6, says=[*says, "REQUESTS_CA_BUNDLE"])
    assert pinned.server.asked == [], "nothing was asked over that connection"
    assert "tried" not in answer.err, "it is not asked again"


def test_d35_when_the_index_is_resolved_from(pin: Pin, tmp_path: Path) -> None:
    pinned = pin(fresh_wheel(), tls=self_signed(tmp_path))
    (pinned.cli.folder / "requirements.in").write_text("demo\nother\n")
    env = {"SSL_CERT_FILE": "", "UV_HTTP_RETRIES": "0"}
    faulted(pinned.cli, "snapshot", code=6, says=["requirements.in", "ertificate"], env=env)
    assert pinned.server.asked == []
