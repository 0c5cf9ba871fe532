"""Whose a store may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.errors import LocalError, LockError
from repro.store.artifacts import Store
from repro.store.guard import require_own

SHA = "ab" * 32


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o3775])
def test_own_and_shared_with_a_group(tmp_path: Path, mode: int) -> None:
    (tmp_path / "sha256").mkdir()
    for path in (tmp_path, tmp_path / "sha256"):
        path.chmod(mode)
    require_own(tmp_path, trusted=False)


@pytest.mark.parametrize("name", ["", "sha256"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_open_to_everybody(tmp_path: Path, name: str, mode: int) -> None:
    (tmp_path / "sha256").mkdir()
    (tmp_path / name).chmod(mode)
    with pytest.raises(LockError, match=f"mode {mode:04o}") as caught:
        require_own(tmp_path, trusted=False)
    assert f"chmod o-w {tmp_path / name}" in (caught.value.hint or "")
    require_own(tmp_path, trusted=True)
    with pytest.raises(LockError):
        Store(tmp_path).has(SHA)
    assert not Store(tmp_path, trusted=True).has(SHA)


def test_a_link_is_no_part_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    store = tmp_path / "store"
    store.mkdir()
    (store / "layers").symlink_to(tmp_path / "elsewhere")
    for trusted in (False, True):
        with pytest.raises(LockError, match="layers: is a link"):
            require_own(store, trusted=trusted)


def test_there_need_be_none_yet(tmp_path: Path) -> None:
    require_own(tmp_path / "none", trusted=False)
    assert not Store(tmp_path / "none").has(SHA)


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="file"):
        Store(tmp_path / "file" / "store").has(SHA)
    with pytest.raises(LocalError, match="Not a directory"):
        Store(tmp_path / "file").has(SHA)
