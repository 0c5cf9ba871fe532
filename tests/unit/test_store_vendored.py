"""A vendored folder: what counts as there, what is added and what is obsolete."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from repro.errors import LocalError, LockError
from repro.models.project import VENDOR_MARK
from repro.project.detect import is_vendored
from repro.store.artifacts import Store
from repro.store.fetch import Wanted
from repro.store.vendored import Vendored

DATA = b"a package"


def want(data: bytes = DATA, name: str = "one_1.0.deb") -> Wanted:
    sha256 = hashlib.sha256(data).hexdigest()
    return Wanted(label="apt one 1.0", filename=name, sha256=sha256, size=len(data), addresses=list)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.put([DATA], want().sha256, label="one")
    return store


@pytest.fixture
def vendored(tmp_path: Path) -> Vendored:
    (tmp_path / "vendor").mkdir()
    return Vendored(root=tmp_path / "vendor")


def test_an_object_is_a_second_name_of_the_stores(vendored: Vendored, store: Store) -> None:
    assert vendored.find(want(), store) is None
    [(item, path)] = vendored.add([want()], store)
    assert path.samefile(store.path(item.sha256))
    assert path == vendored.root / "sha256" / item.sha256[:2] / item.sha256
    assert vendored.find(want(), store) == path
    assert [p.name for p in vendored.root.iterdir()] == ["sha256"]


def test_without_links_it_is_a_copy(
    vendored: Vendored, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link", str(self), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    [(_, path)] = vendored.add([want()], store)
    assert path.read_bytes() == DATA
    assert not path.samefile(store.path(want().sha256))
    assert path.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("data", [b"", b"another", b"A package"])
def test_what_is_not_whole_is_not_there(data: bytes, vendored: Vendored, store: Store) -> None:
    [(_, path)] = vendored.add([want()], store)
    path.unlink()
    path.write_bytes(data)
    assert vendored.find(want(), store) is None
    assert [found.read_bytes() for _, found in vendored.add([want()], store)] == [DATA]


def test_a_users_own_file_counts_by_its_name(vendored: Vendored, store: Store) -> None:
    own = vendored.root / want().filename
    own.write_bytes(DATA)
    assert vendored.find(want(), store) == own
    own.write_bytes(b"not this!")
    assert vendored.find(want(), store) is None


def test_what_the_store_lacks_cannot_be_added(vendored: Vendored, store: Store) -> None:
    with pytest.raises(LockError, match=r"apt one 1\.0: not in the store"):
        list(vendored.add([want(b"another")], store))


def test_links_are_not_followed(vendored: Vendored, store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (vendored.root / "sha256").symlink_to(outside)
    for look in (lambda: vendored.find(want(), store), lambda: vendored.obsolete(())):
        with pytest.raises(LockError, match="is a link"):
            look()
    (vendored.root / "sha256").unlink()
    (vendored.root / want().filename).symlink_to(outside)
    with pytest.raises(LockError, match="is a link"):
        vendored.find(want(), store)


def test_only_objects_are_obsolete(vendored: Vendored, store: Store) -> None:
    [(_, kept)] = vendored.add([want()], store)
    old = vendored.root / "sha256" / "00" / ("00" + "1" * 62)
    odd = vendored.root / "sha256" / "00" / "README"
    wrong = vendored.root / "sha256" / "00" / ("22" + "1" * 62)
    old.parent.mkdir(parents=True, exist_ok=True)
    for path in (old, odd, wrong, vendored.root / "mine.whl"):
        path.write_bytes(b"x")
    assert vendored.obsolete([want()]) == (old,)
    vendored.remove([old])
    assert not old.exists()
    for path in (odd, wrong, vendored.root / "mine.whl", kept):
        assert path.exists()
    odd.unlink()
    wrong.unlink()
    old.write_bytes(b"x")
    vendored.remove([old])
    assert not old.parent.exists()


def test_the_manifest_is_what_sha256sum_reads_and_the_same_every_time(
    vendored: Vendored, store: Store
) -> None:
    store.put([b"b"], hashlib.sha256(b"b").hexdigest(), label="b")
    placed = list(vendored.add([want(), want(b"b", "b.whl")], store))
    vendored.write_manifest(placed)
    manifest = vendored.root / "SHA256SUMS"
    first = manifest.read_bytes(), manifest.stat().st_ino
    vendored.write_manifest(reversed(placed))
    assert first == (manifest.read_bytes(), manifest.stat().st_ino)
    for item, path in placed:
        line = f"{item.sha256}  {path.relative_to(vendored.root)}\n"
        assert line in manifest.read_text()
    assert is_vendored(vendored.root)


def test_what_is_a_vendored_folder(tmp_path: Path) -> None:
    assert not is_vendored(tmp_path)
    manifest = tmp_path / "SHA256SUMS"
    manifest.write_bytes(b"0123  somebody else's\n")
    assert not is_vendored(tmp_path)
    manifest.write_bytes(VENDOR_MARK)
    assert is_vendored(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert not is_vendored(link)


def test_a_folder_that_may_not_be_written(vendored: Vendored, store: Store) -> None:
    (vendored.root / "sha256").write_bytes(b"in the way")
    with pytest.raises(LocalError, match="sha256"):
        list(vendored.add([want()], store))
