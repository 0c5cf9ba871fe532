"""HTTP's edges that need no network."""

from __future__ import annotations

import pytest

from repro.download import Http
from repro.errors import NetworkError


def test_a_ca_bundle_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`requests` raises a bare OSError for it, before it connects."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(NetworkError, match=r"bundle\.pem") as caught:
        Http().get("https://example.org/")
    assert "REQUESTS_CA_BUNDLE" in (caught.value.hint or "")
