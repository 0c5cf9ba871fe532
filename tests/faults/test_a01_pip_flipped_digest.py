"""A1 for pip: one digit of a digest flipped in the lock; both digests are shown, nothing kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.pip.fetch import wanted
from repro.errors import LockError
from repro.locks.requirements import parse, render
from repro.models.project import Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.faults.server import serving
from tests.wheelhouse import Recipe, artifact, make_wheel


@pytest.mark.parametrize("says_hash", [True, False])
def test_a01_flipped_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says_hash: bool
) -> None:
    """Refused by what the index says, and where that says nothing, by the bytes themselves."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    locked = artifact(Recipe())
    text = render([locked])
    flipped = text.replace(
        locked.sha256, ("1" if locked.sha256[0] == "0" else "0") + locked.sha256[1:]
    )
    [pin] = parse(flipped, where="requirements.txt")
    item = replace(locked, sha256=pin.sha256)
    store = Store(tmp_path / "store")
    with serving() as server:
        hashes = None if says_hash else {Recipe().filename: ""}
        server.add_index({Recipe().filename: make_wheel(Recipe())}, project="demo", hashes=hashes)
        sources = Sources(indexes=(("default", f"{server.address}/simple"),))
        fetcher = Fetcher(store=store, http=Http(), progress=Silent())
        with pytest.raises(LockError) as caught:
            fetcher.fetch(wanted([item], sources, fetcher.http), what="pip packages")
    error = caught.value
    assert error.exit_code == 3
    for said in ("pip demo 1.0", pin.sha256, locked.sha256):
        assert said in error.message
    assert error.hint
    assert not [path for path in store.root.rglob("*") if path.is_file()]
