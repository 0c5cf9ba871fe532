"""D27 and D32 for pip: what an index no longer has, and what it has with other bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.pip.fetch import wanted
from repro.errors import LockError, NetworkError
from repro.models.project import Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.faults.server import Reply, Server, serving
from tests.wheelhouse import Recipe, artifact, make_wheel

RECIPE = Recipe()
FILE = f"/files/{RECIPE.filename}"
PAGE = "/simple/demo/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with serving() as server:
        server.add_index({RECIPE.filename: make_wheel(RECIPE)}, project="demo")
        yield server


def fetch(server: Server, store: Store, *, login: str = "") -> None:
    address = server.address.replace("://", f"://{login}")
    sources = Sources(indexes=(("default", f"{address}/simple"),))
    fetcher = Fetcher(store=store, http=Http(), progress=Silent())
    fetcher.fetch(wanted([artifact(RECIPE)], sources, fetcher.http), what="pip packages")


def left_behind(store: Store) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("path", [FILE, PAGE])
def test_d27_gone(tmp_path: Path, server: Server, status: int, path: str) -> None:
    server.replies[path] = Reply(status=status)
    store = Store(tmp_path / "store")
    with pytest.raises(NetworkError) as caught:
        fetch(server, store, login="me:hunter2@")
    error = caught.value
    assert error.exit_code == 6
    for said in ("pip demo 1.0", f"{server.address}{path}", str(status)):
        assert said in error.message
    assert "hunter2" not in str(error)
    assert "repro snapshot --upgrade demo" in (error.hint or "")
    assert server.count(path) == 1
    assert left_behind(store) == []


def test_d27_the_login_is_sent_to_the_index_and_its_files(tmp_path: Path, server: Server) -> None:
    fetch(server, Store(tmp_path / "store"), login="me:hunter2@")
    assert server.asked == [PAGE, FILE]
    assert all(given and given.startswith("Basic ") for given in server.authorizations)


def test_d27_a_second_index_still_has_it(tmp_path: Path, server: Server) -> None:
    server.add_index({RECIPE.filename: make_wheel(RECIPE)}, project="demo", root="/other/simple")
    server.replies[PAGE] = Reply(status=404)
    sources = Sources(
        indexes=(
            ("default", f"{server.address}/simple"),
            ("other", f"{server.address}/other/simple"),
        )
    )
    store = Store(tmp_path / "store")
    fetcher = Fetcher(store=store, http=Http(), progress=Silent())
    locked = artifact(RECIPE)
    fetcher.fetch(wanted([locked], sources, fetcher.http), what="pip packages")
    assert store.read(locked.sha256, label="demo") == make_wheel(RECIPE)


def test_d32_other_bytes_are_not_asked_for_again(tmp_path: Path, server: Server) -> None:
    evil = make_wheel(Recipe(files={"demo.py": b"EVIL = 1\n"}))
    server.replies[FILE] = Reply(body=evil)
    store = Store(tmp_path / "store")
    with pytest.raises(LockError) as caught:
        fetch(server, store)
    error = caught.value
    assert error.exit_code == 3
    for said in ("pip demo 1.0", artifact(RECIPE).sha256, artifact(RECIPE, evil).sha256):
        assert said in error.message
    assert error.hint
    assert server.count(FILE) == 1
    assert left_behind(store) == []
