"""A4: a path in apt.lock becomes `file:`, `../`, absolute or another scheme: refused unread."""

from __future__ import annotations

import pytest

from repro.errors import LockError
from repro.locks import apt
from tests.unit.test_locks_apt import LIBGOMP, TEXT, WHERE


@pytest.mark.parametrize(
    "path",
    [
        "file:///etc/passwd",
        "file:pool/x.deb",
        "http://evil.example.org/pool/x.deb",
        "//evil.example.org/pool/x.deb",
        "/etc/passwd",
        "/pool/x.deb",
        "../pool/x.deb",
        "pool/../../x.deb",
        "pool/../x.deb",
        "pool/./x.deb",
        "pool//x.deb",
        "pool/.hidden.deb",
        "pool/-x.deb",
        "pool/x.deb/",
        "pool/x.deb?y",
        "pool/x.deb#y",
        "pool/%2e%2e/x.deb",
        "pool/a b.deb",
        "pool/a\\b.deb",
        "pool\\x.deb",
        "pool/ⅹ.deb",
        "pool/x.sh",
        "pool.deb",
        "dists/x.deb",
    ],
)
def test_a04_path_elsewhere(path: str) -> None:
    with pytest.raises(LockError) as caught:
        apt.parse(TEXT.replace(LIBGOMP.filename, path), where=WHERE)
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"{WHERE}:8: 'libgomp1': Filename ")
    assert caught.value.hint == "run: repro snapshot"


def test_a04_credentials_of_an_address_are_not_repeated() -> None:
    with pytest.raises(LockError) as caught:
        apt.parse(
            TEXT.replace(LIBGOMP.filename, "https://user:secret@example.org/pool/x.deb"),
            where=WHERE,
        )
    assert "secret" not in str(caught.value)
