"""A2: one package's hash is removed from apt.lock: all or nothing."""

from __future__ import annotations

import re

import pytest

from repro.errors import LockError
from repro.locks import apt
from tests.unit.test_locks_apt import TEXT, WHERE


@pytest.mark.parametrize(("package", "line"), [("libgomp1", 1), ("zlib1g", 13)])
def test_a02_hash_removed(package: str, line: int) -> None:
    text = re.sub(rf"(Package: {package}\n(?:.+\n)*?)SHA256: .*\n", r"\1", TEXT)
    assert text.count("SHA256") == 1
    with pytest.raises(LockError) as caught:
        apt.parse(text, where=WHERE)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"{WHERE}:{line}: '{package}': no SHA256"
    assert caught.value.hint == "run: repro snapshot"
