"""Canonical layers, images and archives, over real trees on the disk (BUILD.md §3).

A layer is a function of what a tree holds: not of the order in which it was made, of its times,
or of who wrote the tar. And it loses nothing: Python's own reader finds the same tree in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import stat
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.image.archive import archive_chunks
from repro.image.config import compose
from repro.image.layer import CAPABILITY, Entry, canonical, is_dropped, write_layer
from repro.models.image import EPOCH, Layer
from repro.store.artifacts import Store
from tests.mutations import CORPUS, damaged, read_or_refused

# ---- trees ---------------------------------------------------------------------------------

LONG = "x" * 101, "y" * 155, "z" * 255, "é" * 127
STRANGE = (
    "a b",
    "a\nb",
    "é",
    "e\u0301",
    "\udcff",
    "\udc80é",
    "日本",
    "-rf",
    "#",
    "a\\b",
    "x=1\n",
    "0",
)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "c", "b-c", "b.c", "B", "usr", "lib"]),
    st.sampled_from([*STRANGE, *LONG]),
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=6).filter(
        lambda name: name not in (".", "..") and not name.startswith(".wh.")
    ),
)
DEEP = st.lists(NAMES, min_size=1, max_size=5) | st.just(["d" * 60] * 8)
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2711, 0o000])
LINKS = st.sampled_from(["a", "../up", "/usr/lib", "é" * 60, "l" * 101, "\udcff", "x" * 3000, "."])


@dataclass(frozen=True)
class Node:
    """One name of a tree: `link` is a symlink's text, or the name that a hard link shares."""

    path: str
    kind: str
    mode: int = 0o755
    data: bytes = b""
    link: str = ""


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Trees without parents that are files; hard links name a file of the tree."""
    nodes: dict[str, Node] = {}
    for parts in draw(st.lists(DEEP, max_size=8)):
        path = "/".join(parts)
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        if path in nodes or any(nodes[p].kind != "dir" for p in parents if p in nodes):
            continue
        for parent in parents:
            mode = draw(st.sampled_from([0o755, 0o700, 0o1777]))
            nodes.setdefault(parent, Node(parent, "dir", mode))
        kind = draw(st.sampled_from(["file", "file", "dir", "symlink", "hardlink"]))
        files = [name for name, node in nodes.items() if node.kind == "file"]
        if kind == "symlink":
            nodes[path] = Node(path, kind, 0o777, link=draw(LINKS))
        elif kind == "hardlink" and files:
            nodes[path] = Node(path, kind, link=draw(st.sampled_from(files)))
        elif kind == "dir":
            nodes[path] = Node(path, kind, draw(st.sampled_from([0o755, 0o500])))
        else:
            data = draw(st.binary(max_size=40) | st.sampled_from([b"", b"x" * 512, b"y" * 513]))
            nodes[path] = Node(path, "file", draw(MODES), data)
    return list(nodes.values())


def made(top: Path, nodes: Sequence[Node], order: random.Random) -> None:
    """Make a tree on the disk: in another order, and at other times, for each `order`."""
    shuffled = [*nodes]
    order.shuffle(shuffled)
    for node in sorted(shuffled, key=lambda node: node.kind == "hardlink"):
        path = top / node.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if node.kind == "dir":
            path.mkdir(exist_ok=True)
        elif node.kind == "symlink":
            path.symlink_to(node.link)
        elif node.kind == "hardlink":
            os.link(top / node.link, path)
        else:
            path.write_bytes(node.data)
            path.chmod(node.mode)
    for node in sorted(nodes, key=lambda node: -node.path.count("/")):
        if node.kind == "dir":
            (top / node.path).chmod(node.mode)
        if node.kind != "symlink":
            os.utime(top / node.path, (order.randrange(1 << 31), order.randrange(1 << 31)))


def archived(top: Path, order: random.Random) -> bytes:
    """A tar of a tree as another program writes it: any order, a format of its own."""
    file = io.BytesIO()
    kind = order.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    names = [path.relative_to(top).as_posix() for path in walked(top)]
    order.shuffle(names)
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        tar.add(top, ".", recursive=False)
        for name in names:
            tar.add(top / name, f"./{name}", recursive=False)
    return file.getvalue()


def walked(top: Path) -> list[Path]:
    """Everything below `top`, links not followed."""
    found = []
    for folder, folders, files in os.walk(top):
        found += [Path(folder, name) for name in (*folders, *files)]
    return found


def canonical_bytes(tar: bytes) -> bytes:
    file = io.BytesIO()
    canonical(io.BytesIO(tar), file)
    return file.getvalue()


def entries(nodes: Sequence[Node]) -> list[Entry]:
    """The same tree as its maker would describe it, files opened only when they are asked for."""
    return [
        Entry(
            path=node.path,
            mode=node.mode,
            kind=node.kind,
            data=partial(io.BytesIO, node.data) if node.kind == "file" else b"",
            size=len(node.data),
            link=node.link,
        )
        for node in nodes
    ]


def written(made_of: Sequence[Entry]) -> bytes:
    file = io.BytesIO()
    write_layer(file, made_of)
    return file.getvalue()


Seen = tuple[str, int, bytes, str]
"""Kind, mode, content, link."""


def on_disk(top: Path) -> dict[str, Seen]:
    """A tree as the disk has it; of the names of one file the first has it."""
    first: dict[int, str] = {}
    found: dict[str, Seen] = {}
    paths = {path.relative_to(top).as_posix(): path for path in walked(top)}
    for name in sorted(paths, key=os.fsencode):
        path, status = paths[name], paths[name].lstat()
        mode = stat.S_IMODE(status.st_mode)
        if path.is_symlink():
            found[name] = ("symlink", 0o777, b"", os.readlink(path))  # noqa: PTH115
        elif path.is_dir():
            found[name] = ("dir", mode, b"", "")
        elif status.st_ino in first:
            found[name] = ("hardlink", mode, b"", first[status.st_ino])
        else:
            first[status.st_ino] = name
            found[name] = ("file", mode, path.read_bytes(), "")
    return found


KINDS = {b"0": "file", b"1": "hardlink", b"2": "symlink", b"5": "dir"}


def read_back(layer: bytes) -> dict[str, Seen]:
    """A layer as Python's reader sees it, which also checks what holds for every member."""
    found: dict[str, Seen] = {}
    order: list[bytes] = []
    with tarfile.open(fileobj=io.BytesIO(layer), encoding="utf-8") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid) == (EPOCH, 0, 0)
            assert (member.uname, member.gname) == ("", "")
            parent = member.name.rpartition("/")[0]
            assert not parent or found[parent][0] == "dir", "a parent comes first, and is explicit"
            stream = tar.extractfile(member) if member.isreg() else None
            data = stream.read() if stream is not None else b""
            link = member.linkname
            found[member.name] = (KINDS[member.type], member.mode, data, link)
            order.append(os.fsencode(member.name))
    assert order == sorted(order), "sorted by the bytes of the path"
    assert len(layer) % 512 == 0
    assert layer.endswith(bytes(1024))
    return found


def kept(tree: dict[str, Seen]) -> dict[str, Seen]:
    """What `canonical` does not drop, as BUILD.md §3 lists it."""
    return {
        name: seen for name, seen in tree.items() if not is_dropped(name, folder=seen[0] == "dir")
    }


@given(trees(), st.integers(0, 1 << 32))
def test_a_real_tree_in_any_order_is_the_same_layer(nodes: list[Node], seed: int) -> None:
    order = random.Random(seed)
    layers, trees_ = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("one", "two"):
            top = Path(folder, name)
            top.mkdir()
            made(top, nodes, order)
            trees_.append(on_disk(top))
            layers.append(canonical_bytes(archived(top, order)))
    assert layers[0] == layers[1]
    assert read_back(layers[0]) == kept(trees_[0]) == kept(trees_[1])
    assert canonical_bytes(layers[0]) == layers[0], "a canonical layer is its own canonical form"


@given(trees(), st.randoms(use_true_random=False))
def test_described_or_archived_it_is_the_same_layer(
    nodes: list[Node], order: random.Random
) -> None:
    described = entries(nodes)
    layer = written(described)
    order.shuffle(described)
    assert written(described) == layer
    seen = read_back(layer)
    assert set(seen) == {node.path for node in nodes}
    for node in nodes:
        kind, mode, data, link = seen[node.path]
        if node.kind != "hardlink" and kind != "hardlink":
            assert (kind, mode, data, link) == (node.kind, node.mode, node.data, node.link)


@given(trees(), st.text("\0\x01\xff\udcff\udc80ab\n", min_size=1, max_size=20))
def test_a_capability_survives_and_no_other_attribute_is_accepted(
    nodes: list[Node], value: str
) -> None:
    capable = Entry(path="ping", mode=0o755, kind="file", data=b"x", xattrs=((CAPABILITY, value),))
    others = [entry for entry in entries(nodes) if entry.path.partition("/")[0] != "ping"]
    layer = written([*others, capable])
    assert canonical_bytes(layer) == layer
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getmember("ping").pax_headers[f"SCHILY.xattr.{CAPABILITY}"] == value
    other = Entry(path="q", mode=0o644, kind="file", xattrs=(("user.note", value),))
    with pytest.raises(LockError, match=r"user\.note"):
        written([other])


BIG = st.integers(-2, 1 << 70)


@given(
    path=st.text("a./\0\n\udcff\ud800", max_size=5) | NAMES,
    link=st.text("a./\0\n\udcff\ud800", max_size=5) | LINKS,
    kind=st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "block", "fifo", "socket"]),
    numbers=st.tuples(BIG, BIG, BIG, BIG, BIG),
)
def test_any_entry_is_written_faithfully_or_refused(
    path: str, link: str, kind: str, numbers: tuple[int, int, int, int, int]
) -> None:
    """What a tar cannot say is never written as something else."""
    mode, uid, gid, major, minor = numbers
    device = kind in ("char", "block")
    entry = Entry(
        path=path, mode=mode, kind=kind, link=link if kind in ("symlink", "hardlink") else "",
        uid=uid, gid=gid, major=major if device else 0, minor=minor if device else 0,
    )  # fmt: skip
    there = [Entry(path="a", mode=0o644, kind="file", data=b"x")]
    layer = read_or_refused(lambda: written([*there, entry]), LockError, names="layer")
    if layer is None:
        return
    name = "/".join(part for part in path.split("/") if part not in ("", "."))
    with tarfile.open(fileobj=io.BytesIO(layer), encoding="utf-8") as tar:
        found = {member.name: member for member in tar}
    if not name or name == "a":
        return
    member = found[name]
    assert (member.uid, member.gid, member.mode) == (
        (uid, gid, mode & 0o7777) if kind != "symlink" else (uid, gid, 0o777)
    )
    if kind == "symlink":
        assert member.linkname == link
    if device:
        assert (member.devmajor, member.devminor) == (major, minor)


def _sample() -> bytes:
    return written(
        [
            Entry(path="usr/bin/x", mode=0o755, kind="file", data=b"x" * 600),
            Entry(path="usr/bin/é" + "l" * 120, mode=0o755, kind="symlink", link="x" * 120),
            Entry(path="usr/bin/y", mode=0o755, kind="hardlink", link="usr/bin/x"),
            Entry(path="z", mode=0o755, kind="file", data=b"", xattrs=((CAPABILITY, "\x01"),)),
        ]
    )


def _gnu_sample() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in (("a" * 150, b"1"), ("b", b"2" * 700)):
            info = tarfile.TarInfo(name)
            info.size, info.uid = len(data), 1 << 30
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _sparse_sample() -> bytes:
    """A sparse file as GNU tar writes it in PAX: its map lies in the headers."""
    return _pax({"GNU.sparse.map": "0,4,8,4", "GNU.sparse.name": "s", "GNU.sparse.size": "12"})


def _pax(headers: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.size, info.pax_headers = 8, headers
        tar.addfile(info, io.BytesIO(b"datadata"))
    return file.getvalue()


SAMPLES = (_sample(), _gnu_sample(), _sparse_sample())


def _fixed(data: bytes) -> bytes:
    """With the checksum of whatever looks like a header corrected, as a maker would."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for at, block in enumerate(blocks):
        if len(block) == 512 and b"ustar" in block[250:270]:
            total = sum(block[:148]) + 8 * 32 + sum(block[156:])
            blocks[at] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def check_tar(data: bytes) -> None:
    layer = read_or_refused(lambda: canonical_bytes(data), LockError, names="l")
    if layer is not None:
        assert canonical_bytes(layer) == layer


@given(damaged(*SAMPLES), st.booleans())
def test_a_damaged_tar_is_read_or_refused(data: bytes, fixed: bool) -> None:
    check_tar(_fixed(data) if fixed else data)


@given(st.data())
def test_a_tar_with_a_few_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    tar = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 6))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(
            st.sampled_from(b"\x00\xff\x800179 =\nLKxgSV25") | st.integers(0, 255)
        )
    check_tar(_fixed(bytes(tar)))


@pytest.mark.parametrize("path", sorted((CORPUS / "layer").glob("*")), ids=lambda path: path.name)
def test_what_once_broke_the_reader(path: Path) -> None:
    check_tar(path.read_bytes())


def test_headers_of_headers_of_headers_are_refused() -> None:
    """`tarfile` reads the header after an extended one by calling itself."""
    one = _pax({"comment": "x"})
    with pytest.raises(LockError, match="damaged"):
        canonical_bytes(one[:1024] * 1200 + one[1024:])


# ---- images --------------------------------------------------------------------------------

PAIRS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), st.text(max_size=5), max_size=5
)
LAYERS = st.lists(st.binary(max_size=30), min_size=1, max_size=4, unique=True)


def stored_layers(store: Store, contents: Sequence[bytes]) -> tuple[Layer, ...]:
    """Real layers in a store."""
    found = []
    for number, data in enumerate(contents):
        tar = written([Entry(path="f", mode=0o644, kind="file", data=data)])
        digest = hashlib.sha256(tar).hexdigest()
        store.put([tar], digest, label="layer")
        found.append(
            Layer(name=f"layer {number}", key=digest, digest=f"sha256:{digest}", size=len(tar))
        )
    return tuple(found)


@given(LAYERS, PAIRS, PAIRS)
def test_an_image_is_canonical_json_and_no_order_matters(
    contents: list[bytes], env: dict[str, str], labels: dict[str, str]
) -> None:
    layers = tuple(
        Layer(name="n", key=f"{at}", digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=at)
        for at, data in enumerate(contents)
    )
    image = compose(layers, env=tuple(env.items()), labels=tuple(labels.items()))
    other = compose(
        layers, env=tuple(reversed(env.items())), labels=tuple(reversed(labels.items()))
    )
    assert (image.config, image.manifest, image.id) == (other.config, other.manifest, other.id)
    for data in (image.config, image.manifest):
        again = json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"))
        assert again.encode() == data
    config = json.loads(image.config)
    assert config["rootfs"]["diff_ids"] == [layer.digest for layer in layers]
    assert config["config"]["Labels"] == labels
    assert sorted(f"{name}={value}" for name, value in env.items()) == sorted(
        config["config"]["Env"]
    )


@given(LAYERS, st.integers(0, 15))
def test_an_archive_is_reproducible_and_every_blob_is_its_digest(
    contents: list[bytes], omitted: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        layers = stored_layers(store, contents)
        image = compose(layers, env=())
        omit = frozenset(layer.digest for at, layer in enumerate(layers) if omitted >> at & 1)
        archive = b"".join(archive_chunks(image, store, omit=omit))
        assert b"".join(archive_chunks(image, store, omit=omit)) == archive
    blobs = set()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            data = stream.read()
            if member.name.startswith("blobs/sha256/"):
                assert hashlib.sha256(data).hexdigest() == member.name.rpartition("/")[2]
                blobs.add(f"sha256:{member.name.rpartition('/')[2]}")
            elif member.name == "index.json":
                assert json.loads(data)["manifests"][0]["digest"] == image.manifest_digest
    wanted = {image.id, image.manifest_digest, *(layer.digest for layer in layers)} - omit
    assert blobs == wanted
