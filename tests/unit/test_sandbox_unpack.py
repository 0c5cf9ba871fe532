"""Unpacking layers: what a canonical layer becomes, and what a hostile one does not."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.engines.sandbox.trees import stamp
from repro.engines.sandbox.unpack import OPAQUE, unpack, unpacked, verified
from repro.errors import EngineError, LockError
from repro.files import scratch
from repro.image.layer import Entry, write_layer
from repro.models.image import EPOCH, Layer
from repro.progress import Silent
from repro.store.artifacts import Store


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def member(
    name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def keep(store: Store, data: bytes) -> Layer:
    def write(file: BinaryIO) -> None:
        file.write(data)

    return store.keep_layer("odd", "key", write)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with scratch(tmp_path) as folder:  # also removes folders that forbid it
        yield Store(folder / "store")


def test_every_kind_of_member(store: Store) -> None:
    entries = [
        Entry(path="etc", mode=0o755, kind="dir"),
        Entry(path="etc/conf", mode=0o640, kind="file", data=b"text"),
        Entry(path="etc/same", mode=0o640, kind="hardlink", link="etc/conf"),
        Entry(path="etc/away", mode=0o777, kind="symlink", link="../../outside"),
        Entry(path="bin/su", mode=0o6755, kind="file", data=b"elf"),
        Entry(path="closed", mode=0o555, kind="dir"),
        Entry(path="closed/in", mode=0o400, kind="file", data=b"x"),
        Entry(path="pipe", mode=0o600, kind="fifo"),
        Entry(path="dev/null", mode=0o666, kind="char", major=1, minor=3),
        Entry(path="shared", mode=0o1777, kind="dir"),
    ]
    layer = store.keep_layer("all", "key", lambda file: write_layer(file, entries))
    folder = unpack(store, layer)
    assert folder == unpacked(store, layer)
    assert (folder / "etc/conf").read_bytes() == b"text"
    assert (folder / "etc/conf").samefile(folder / "etc/same")
    assert (folder / "etc/away").readlink() == Path("../../outside")
    assert stat.S_IMODE((folder / "bin/su").stat().st_mode) == 0o755  # no setuid of ours
    assert stat.S_IMODE((folder / "closed").stat().st_mode) == 0o555
    assert stat.S_IMODE((folder / "shared").stat().st_mode) == 0o1777
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    assert not (folder / "dev/null").exists()  # a run's own /dev has it
    for path in folder.rglob("*"):
        assert path.lstat().st_mtime == EPOCH, path
        assert path.lstat().st_uid == os.geteuid()


def test_it_is_unpacked_once(store: Store) -> None:
    layer = keep(store, tar_of((member("a"), b"1")))
    folder = unpack(store, layer)
    (folder / "mark").touch()
    store.layer_path(layer).unlink()
    assert (unpack(store, layer) / "mark").exists()


def grown(folder: Path) -> None:
    (folder / "d/new").touch()


def gone(folder: Path) -> None:
    (folder / "d/b").unlink()


def rewritten(folder: Path) -> None:
    """As a careful editor does: the same size, the times of content put back."""
    path, state = folder / "d/b", (folder / "d/b").stat()
    path.write_bytes(b"KONTENT")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def other_mode(folder: Path) -> None:
    (folder / "d/b").chmod(0o755)


def other_link(folder: Path) -> None:
    (folder / "l").unlink()
    (folder / "l").symlink_to("d/c")


def other_kind(folder: Path) -> None:
    (folder / "d/b").unlink()
    (folder / "d/b").symlink_to("c")


def marked(folder: Path) -> None:
    os.setxattr(folder / "d", OPAQUE, b"y")


SAMPLE = (
    (member("d/", tarfile.DIRTYPE, mode=0o755), b""),
    (member("d/b"), b"content"),
    (member("d/c"), b"more"),
    (member("l", tarfile.SYMTYPE, link="d/b"), b""),
)


class Heard(Silent):
    """What the store says of itself."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (grown, "d/new"),
        (gone, "d/b"),
        (rewritten, "d/b"),
        (other_mode, "d/b"),
        (other_link, "l"),
        (other_kind, "d/b"),
        (marked, "d"),
    ],
)
def test_a_changed_folder_is_unpacked_anew(
    store: Store, change: Callable[[Path], None], named: str
) -> None:
    heard = Heard()
    store = Store(store.root, progress=heard)
    layer = keep(store, tar_of(*SAMPLE))
    folder = unpack(store, layer)
    assert verified(store, layer) == folder
    time.sleep(0.011)  # the coarsest clock that stamps files here
    times = [(path, path.lstat().st_mtime_ns) for path in (folder, folder / "d")]
    change(folder)
    for path, moment in times:
        os.utime(path, ns=(moment, moment))
    assert verified(store, layer) == folder
    assert len(heard.notes) == 1
    assert f" {folder / named} was changed in the cache" in heard.notes[0]
    assert (folder / "d/b").read_bytes() == b"content"
    assert sorted(path.name for path in (folder / "d").iterdir()) == ["b", "c"]
    assert verified(store, layer) == folder
    assert len(heard.notes) == 1


def test_a_folder_that_only_looks_changed_is_kept(store: Store) -> None:
    """A backup that was put back, or a stamp that a killed process did not write."""
    heard = Heard()
    store = Store(store.root, progress=heard)
    layer = keep(store, tar_of(*SAMPLE))
    folder = unpack(store, layer)
    inode = folder.stat().st_ino
    (folder / "d/b").chmod(0o600)
    (folder / "d/b").chmod(0o644)
    assert verified(store, layer) == folder
    folder.with_name(f"{folder.name}.seal").unlink()
    assert unpack(store, layer) == folder
    assert folder.stat().st_ino == inode
    assert heard.notes == []


def test_a_link_in_its_place_is_not_followed(store: Store) -> None:
    layer = keep(store, tar_of(*SAMPLE))
    folder = unpack(store, layer)
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.symlink_to(aside)
    for ask in (unpack, verified):
        with pytest.raises(LockError, match="is a link"):
            ask(store, layer)


def test_a_thorough_store_compares_every_byte(store: Store) -> None:
    """What a failing disk changed below its file system has the right stamp."""
    layer = keep(store, tar_of(*SAMPLE))
    folder = unpack(store, layer)
    rewritten(folder)
    folder.with_name(f"{folder.name}.seal").write_text(stamp(folder))
    assert verified(store, layer) == folder
    assert (folder / "d/b").read_bytes() == b"KONTENT"  # not seen by its stamp
    thorough = Store(store.root)
    thorough.thorough = True
    unpack(thorough, layer)
    assert (folder / "d/b").read_bytes() == b"content"


def test_whiteouts(store: Store) -> None:
    folder = unpack(
        store,
        keep(
            store,
            tar_of(
                (member("a/.wh.gone"), b""),
                (member("b/.wh..wh..opq"), b""),
                (member(".wh.top"), b""),
                (member("a/.wh..wh.plnk"), b""),
            ),
        ),
    )
    for name in ("a/gone", "top"):
        state = (folder / name).lstat()
        assert stat.S_ISCHR(state.st_mode)
        assert state.st_rdev == 0
    assert os.getxattr(folder / "b", OPAQUE) == b"y"
    assert sorted(path.name for path in (folder / "a").iterdir()) == ["gone"]


def test_a_whiteout_hides_lower_layers_only_whatever_the_order(store: Store) -> None:
    folder = unpack(
        store,
        keep(
            store,
            tar_of(
                (member("./"), b""),
                (member("/", tarfile.DIRTYPE, mode=0o755), b""),  # as kaniko names the root
                (member("new/", tarfile.DIRTYPE, mode=0o750), b""),
                (member("new/in"), b"x"),
                (member(".wh.new"), b""),
                (member(".wh.later"), b""),
                (member("later/in"), b"x"),
                (member(".wh.named"), b""),
                (member("named/", tarfile.DIRTYPE, mode=0o700), b""),
                (member("kept"), b"x"),
                (member(".wh.kept"), b""),
                (member(".wh.file"), b""),
                (member("file"), b"y"),
            ),
        ),
    )
    for name in ("new", "later", "named"):
        assert os.getxattr(folder / name, OPAQUE) == b"y", name
    assert (folder / "new/in").read_bytes() == (folder / "later/in").read_bytes() == b"x"
    assert stat.S_IMODE((folder / "named").stat().st_mode) == 0o700
    assert (folder / "kept").read_bytes() == b"x"
    assert (folder / "file").read_bytes() == b"y"


@pytest.mark.parametrize("mtime", ["nan", "-62135596800", "253402300800", "1e300", "1.5"])
def test_a_time_that_no_file_has_is_no_error(store: Store, mtime: str) -> None:
    info = member("a")
    info.pax_headers = {"mtime": mtime}
    folder = unpack(store, keep(store, tar_of((info, b"x"))))
    assert (folder / "a").stat().st_mtime == (1.5 if mtime == "1.5" else 0)


def test_a_later_member_wins(store: Store) -> None:
    data = tar_of(
        (member("./a"), b"old"),
        (member("a", tarfile.SYMTYPE, link="/etc"), b""),
        (member("a"), b"new"),
    )
    assert (unpack(store, keep(store, data)) / "a").read_bytes() == b"new"


HOSTILE = {
    "parent": [(member("../evil"), b"x")],
    "parent inside": [(member("a/../../evil"), b"x")],
    "absolute": [(member("/evil"), b"x")],
    "absolute folder": [(member("/evil/", tarfile.DIRTYPE), b"")],
    "whiteout of the parent": [(member("a/.wh..."), b""), (member("a/../.wh.x"), b"")],
    "through a link": [
        (member("way", tarfile.SYMTYPE, link="OUTSIDE"), b""),
        (member("way/evil"), b"x"),
    ],
    "through a link to a folder of the layer": [
        (member("real/", tarfile.DIRTYPE), b""),
        (member("way", tarfile.SYMTYPE, link="real"), b""),
        (member("way/evil"), b"x"),
    ],
    "a folder becomes a link": [
        (member("way/", tarfile.DIRTYPE), b""),
        (member("way", tarfile.SYMTYPE, link="OUTSIDE"), b""),
        (member("way/evil"), b"x"),
    ],
    "hard link outside": [(member("evil", tarfile.LNKTYPE, link="../probe"), b"")],
    "absolute hard link": [(member("evil", tarfile.LNKTYPE, link="OUTSIDE/probe"), b"")],
    "hard link through a link": [
        (member("way", tarfile.SYMTYPE, link="OUTSIDE"), b""),
        (member("evil", tarfile.LNKTYPE, link="way/probe"), b""),
    ],
    "hard link to nothing": [(member("evil", tarfile.LNKTYPE, link="nothing"), b"")],
    "below a file": [(member("a"), b"x"), (member("a/b"), b"x")],
    "unknown type": [(member("a", b"Z"), b"")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_leaves_the_folder(store: Store, name: str) -> None:
    outside = store.root.parent / "outside"
    outside.mkdir()
    (outside / "probe").write_text("untouched")
    members = []
    for template, data in HOSTILE[name]:
        info = member(template.name, template.type)
        info.linkname = template.linkname.replace("OUTSIDE", str(outside))
        members.append((info, data))
    layer = keep(store, tar_of(*members))
    with pytest.raises(LockError, match="layer odd: "):
        unpack(store, layer)
    assert not unpacked(store, layer).exists()
    assert list((store.root / "tmp").iterdir()) == []
    assert [path.name for path in outside.iterdir()] == ["probe"]
    assert (outside / "probe").stat().st_nlink == 1
    assert not list(store.root.parent.rglob("evil"))


def test_a_flipped_byte(store: Store) -> None:
    layer = keep(store, tar_of((member("a"), b"content")))
    path = store.layer_path(layer)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"content", b"kontent"))
    with pytest.raises(
        LockError, match=r"layer odd: .*sha256/.* is damaged: sha256 is [0-9a-f]{64}"
    ) as caught:
        unpack(store, layer)
    assert "run it again" in (caught.value.hint or "")
    assert not unpacked(store, layer).exists()
    kept = store.kept_aside(path.name)
    assert kept is not None
    assert b"kontent" in kept.read_bytes()


@pytest.mark.parametrize("length", [0, 100, 512, 700, 1023, 2000])
def test_a_short_file(store: Store, length: int) -> None:
    layer = keep(store, tar_of((member("a"), b"c" * 1000), (member("b"), b"d" * 1000)))
    path = store.layer_path(layer)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(LockError, match="layer odd"):
        unpack(store, layer)
    assert not unpacked(store, layer).exists()


def test_a_layer_that_the_store_lacks(store: Store) -> None:
    layer = Layer(name="base", key="k", digest="sha256:" + "0" * 64, size=1)
    with pytest.raises(EngineError, match="layer base is not in the store"):
        unpack(store, layer)


names = st.text("abcé.-_ ", min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.tuples(names, names), st.binary(max_size=2000), max_size=12))
def test_what_was_packed_comes_out(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[tuple[str, str], bytes]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    entries = [
        Entry(path=f"{folder}/{name}", mode=0o644, kind="file", data=data)
        for (folder, name), data in contents.items()
    ]
    layer = store.keep_layer("all", "key", lambda file: write_layer(file, entries))
    folder = unpack(store, layer)
    found = {
        (path.parent.name, path.name): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == contents
