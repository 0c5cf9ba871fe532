from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from repro.addresses import redact
from repro.download import Http
from repro.errors import LockError, NetworkError
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher, Wanted
from repro.store.stamps import Stamp

DATA = b"an artifact"
SHA = hashlib.sha256(DATA).hexdigest()


def wanted(*addresses: str, sha256: str = SHA) -> Wanted:
    return Wanted(
        label="pip six 1.0",
        filename="six.whl",
        sha256=sha256,
        size=len(DATA),
        addresses=lambda: addresses,
    )


def fetcher(tmp_path: Path, *, vendor: Path | None = None, offline: bool = False) -> Fetcher:
    store = Store(tmp_path / "store")
    return Fetcher(store=store, http=Http(), progress=Silent(), vendor=vendor, offline=offline)


def served(tmp_path: Path, data: bytes, name: str = "served") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return path.as_uri()


def test_a_wrong_hash_never_enters(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(LockError, match=SHA):
        store.put(iter([b"other"]), SHA, label="six")
    assert not store.has(SHA)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_objects_are_read_only_and_checked_when_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(iter([DATA]), SHA, label="six")
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.read(SHA, label="six") == DATA
    path.chmod(0o644)
    path.write_bytes(b"an artifacT")
    with pytest.raises(LockError, match="six"):
        store.read(SHA, label="six")


def settled(store: Store, data: bytes = DATA) -> Path:
    """An object that was changed long ago, and hashed since: a later process knows its stamp."""
    path = store.put(iter([data]), hashlib.sha256(data).hexdigest(), label="six")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.store.stamps.AT_REST", -1)
        assert store.has(path.name)
    assert (store.root / "checked" / path.name).is_file()
    time.sleep(0.011)  # the coarsest clock that stamps files here
    return path


def flip(path: Path) -> None:
    """Change one bit and put the time of the content back."""
    state = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        first = file.read(1)[0]
        file.seek(0)
        file.write(bytes([first ^ 1]))
    path.chmod(0o444)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def write_data(file: BinaryIO) -> None:
    file.write(DATA)


class Heard(Silent):
    """What the store says of itself."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("same_process", [True, False])
def test_a_flipped_bit_is_noticed_although_nothing_else_changed(
    tmp_path: Path, same_process: bool
) -> None:
    heard = Heard()
    store = Store(tmp_path, progress=heard)
    path = settled(store)
    asked = store if same_process else Store(tmp_path, progress=heard)
    flip(path)
    assert not asked.has(SHA, len(DATA), label="pip six 1.0")
    [note] = heard.notes
    assert note.startswith(f"warning: pip six 1.0: the store's copy {path} is damaged")
    assert not path.exists()
    kept = asked.kept_aside(SHA)
    assert kept is not None
    assert kept.read_bytes() != DATA
    assert not asked.has(SHA)
    assert len(heard.notes) == 1


def test_what_was_hashed_is_not_hashed_again_unless_it_is_asked_for(tmp_path: Path) -> None:
    """A disk that fails below its file system changes no stamp: only reading sees that."""
    path = settled(Store(tmp_path))
    flip(path)
    stamp = Stamp.of(path.lstat())
    (tmp_path / "checked" / SHA).write_bytes(stamp.render())  # as if nothing had been written
    assert Store(tmp_path).has(SHA)
    with pytest.raises(LockError, match=r"six: .* is damaged: sha256 is [0-9a-f]{64}"):
        Store(tmp_path).checked(SHA, label="six")
    assert Store(tmp_path).kept_aside(SHA) is not None


def test_a_thorough_store_believes_no_stamp(tmp_path: Path) -> None:
    path = settled(Store(tmp_path))
    flip(path)
    (tmp_path / "checked" / SHA).write_bytes(Stamp.of(path.lstat()).render())
    thorough = Store(tmp_path)
    thorough.thorough = True
    assert not thorough.has(SHA)


def test_an_object_that_was_just_changed_is_not_known_by_its_stamp(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(iter([DATA]), SHA, label="six")
    assert store.has(SHA)
    assert not (tmp_path / "checked").exists()


@pytest.mark.parametrize("data", [b"", b"1 2 3 4", b"1 2 3 4 11", b"a b c d e", b"1 2 3 4 10 1"])
def test_a_torn_stamp_is_none(data: bytes) -> None:
    assert Stamp.parse(data) is None
    assert Stamp.parse(b"1 2 3 4 10\n") == Stamp(inode=1, size=2, mtime=3, ctime=4)


def test_where_nothing_can_be_written_objects_are_still_known(tmp_path: Path) -> None:
    """A stamp that cannot be kept costs speed, no more."""
    store = Store(tmp_path)
    settled(store)
    (tmp_path / "checked" / SHA).unlink()
    (tmp_path / "checked").rmdir()
    (tmp_path / "checked").symlink_to("/dev/null")
    with pytest.raises(LockError, match="is a link"):
        Store(tmp_path).has(SHA)
    (tmp_path / "checked").unlink()
    shutil.rmtree(tmp_path / "tmp", ignore_errors=True)
    (tmp_path / "tmp").write_bytes(b"")  # in the way of every temporary
    assert Store(tmp_path).has(SHA)


def test_a_fresh_copy_that_another_process_put_there_is_not_set_aside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(iter([DATA]), SHA, label="six")
    store.set_aside(SHA, inode=path.stat().st_ino + 1)
    assert store.has(SHA)
    assert store.kept_aside(SHA) is None


def test_a_layer_whose_tar_was_damaged_is_known_to_be_lost(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = "ab" * 32
    layer = store.keep_layer("base", key, write_data)
    assert store.lost_layer(key) is None
    assert store.lost_layer("cd" * 32) is None
    flip(store.layer_path(layer))
    assert Store(tmp_path).layer(key) is None
    assert store.lost_layer(key) == tmp_path / "quarantine" / SHA


def test_a_layer_is_found_by_its_key_while_its_tar_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path)
    key = "1" * 64
    assert store.layer(key) is None

    def write(file: BinaryIO) -> None:
        file.write(DATA)

    layer = store.keep_layer("base", key, write)
    assert store.layer(key) == layer
    assert layer.digest == f"sha256:{SHA}"
    store.layer_path(layer).unlink()
    assert store.layer(key) is None


def test_sources_in_order(tmp_path: Path) -> None:
    """Vendored folder, store, addresses: what an earlier one has, no later one is asked for."""
    asked: list[str] = []

    def addresses() -> Iterator[str]:
        asked.append("mirror")
        yield served(tmp_path, DATA)

    item = Wanted(
        label="pip six 1.0", filename="six.whl", sha256=SHA, size=len(DATA), addresses=addresses
    )
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    (vendor / "six.whl").write_bytes(DATA)
    one = fetcher(tmp_path, vendor=vendor)
    one.fetch([item], what="packages")
    assert asked == []
    one.fetch([item], what="packages")
    assert asked == []
    one.store.path(SHA).unlink()
    fetcher(tmp_path).fetch([item], what="packages")
    assert asked == ["mirror"]


def test_wrong_bytes_at_one_address_do_not_hide_the_next(tmp_path: Path) -> None:
    bad, good = served(tmp_path, b"wrong", "bad"), served(tmp_path, DATA, "good")
    one = fetcher(tmp_path)
    one.fetch([wanted(bad, good)], what="packages")
    assert one.store.has(SHA)


def test_d32_wrong_bytes_everywhere(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="six"):
        fetcher(tmp_path).fetch([wanted(served(tmp_path, b"wrong"))], what="packages")


def test_nowhere_names_every_package_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="six") as caught:
        fetcher(tmp_path).fetch([wanted("file:///nowhere"), wanted(sha256="0" * 64)], what="x")
    assert "repro snapshot --upgrade six" in (caught.value.hint or "")
    with pytest.raises(NetworkError, match="offline"):
        fetcher(tmp_path, offline=True).fetch([wanted(served(tmp_path, DATA))], what="packages")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@example.org/x?token=secret", "https://example.org/x"),
        ("get http://secret@example.org/simple/ now", "get http://example.org/simple/ now"),
        ("https://me:p@ss@example.org/x", "https://example.org/x"),
        ("no address: a@b", "no address: a@b"),
        ("http://example.org/@scope/x a@b", "http://example.org/@scope/x a@b"),
    ],
)
def test_credentials_are_cut(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(("size", "says"), [(len(DATA) - 1, "larger"), (len(DATA) + 1, "bytes")])
def test_an_object_of_another_size_than_the_locks_never_enters(
    tmp_path: Path, size: int, says: str
) -> None:
    store = Store(tmp_path)
    with pytest.raises(LockError, match=says):
        store.put(iter([DATA]), SHA, label="six", size=size)
    assert not store.has(SHA)


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_wrong_file_in_the_vendored_folder_is_named_and_the_next_source_asked(
    tmp_path: Path,
) -> None:
    vendor, notes = tmp_path / "vendor", Notes()
    vendor.mkdir()
    item = wanted(served(tmp_path, DATA))
    (vendor / item.filename).write_bytes(bytes(len(DATA)))
    one = replace(fetcher(tmp_path, vendor=vendor), progress=notes)
    one.fetch([item], what="package")
    assert one.store.has(SHA)
    assert str(vendor / item.filename) in notes.said[0]


def test_a_wrong_file_in_the_vendored_folder_is_the_error_where_nothing_else_has_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "six.whl").write_bytes(bytes(len(DATA)))
    with pytest.raises(LockError, match=str(tmp_path / "six.whl")):
        fetcher(tmp_path, vendor=tmp_path).fetch([wanted()], what="package")
    with pytest.raises(LockError, match=str(tmp_path / "six.whl")):
        fetcher(tmp_path, vendor=tmp_path, offline=True).fetch([wanted()], what="package")
