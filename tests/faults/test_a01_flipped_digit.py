"""A1: one digit of a package's digest is flipped; the lock's own grammar cannot see it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.apt.fetch import wanted
from repro.errors import LockError
from repro.locks import apt
from repro.models.project import Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.unit.test_locks_apt import LIBGOMP, WHERE

CONTENT = b"a package's bytes"
TRUE = hashlib.sha256(CONTENT).hexdigest()


def test_a01_flipped_digit_is_shown_before_any_build(tmp_path: Path) -> None:
    flipped = ("1" if TRUE[0] == "0" else "0") + TRUE[1:]
    text = apt.render([replace(LIBGOMP, sha256=TRUE, size=len(CONTENT))])
    debs = apt.parse(text.replace(TRUE, flipped), where=WHERE)
    mirror = tmp_path / "mirror"
    path = mirror / "debian" / LIBGOMP.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    store = Store(tmp_path / "store")
    fetcher = Fetcher(store=store, http=Http(), progress=Silent())

    with pytest.raises(LockError) as caught:
        fetcher.fetch(wanted(debs, Sources(apt_mirror=mirror.as_uri())), what="packages")

    assert caught.value.exit_code == 3
    assert f"apt libgomp1 {LIBGOMP.version}" in caught.value.message
    assert TRUE in caught.value.message
    assert flipped in caught.value.message
    assert caught.value.hint
    assert not store.has(flipped)
    assert not store.has(TRUE)


def test_a01_a_digit_that_is_none() -> None:
    text = apt.render([LIBGOMP]).replace(LIBGOMP.sha256, "g" + LIBGOMP.sha256[1:])
    with pytest.raises(LockError, match=rf"{WHERE}:10: 'libgomp1': SHA256: 'gb0") as caught:
        apt.parse(text, where=WHERE)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "run: repro snapshot"
