"""A3: only MD5 or SHA1 is left in apt.lock: a weak hash is refused."""

from __future__ import annotations

import pytest

from repro.errors import LockError
from repro.locks import apt
from tests.unit.test_locks_apt import LIBGOMP, TEXT, WHERE

STRONG = f"SHA256: {LIBGOMP.sha256}"
MD5 = "MD5sum: 0123456789abcdef0123456789abcdef"
SHA1 = "SHA1: 0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("new", "named"),
    [(MD5, "MD5sum"), (SHA1, "SHA1"), (f"{MD5}\n{SHA1}", "MD5sum, SHA1")],
)
def test_a03_only_a_weak_hash(new: str, named: str) -> None:
    with pytest.raises(LockError) as caught:
        apt.parse(TEXT.replace(STRONG, new), where=WHERE)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"{WHERE}:10: 'libgomp1': only a weak hash ({named})"
    assert caught.value.hint == "run: repro snapshot"


@pytest.mark.parametrize("weak", [MD5.split()[1], SHA1.split()[1]])
def test_a03_a_weak_hash_under_the_strong_one_s_name(weak: str) -> None:
    with pytest.raises(LockError, match=rf"{WHERE}:10: 'libgomp1': SHA256") as caught:
        apt.parse(TEXT.replace(STRONG, f"SHA256: {weak}"), where=WHERE)
    assert caught.value.exit_code == 3


def test_a03_a_weak_hash_beside_the_strong_one() -> None:
    with pytest.raises(LockError, match="MD5sum does not belong here"):
        apt.parse(TEXT.replace(STRONG, f"{MD5}\n{STRONG}"), where=WHERE)
