"""Canonical layers: the same content is the same bytes, whatever the order it came in."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import LockError
from repro.image.layer import CAPABILITY, Entry, canonical, is_dropped, write_layer
from repro.models.image import EPOCH


def layer(*entries: Entry) -> bytes:
    file = io.BytesIO()
    write_layer(file, entries)
    return file.getvalue()


def canonical_bytes(tar: bytes) -> bytes:
    file = io.BytesIO()
    canonical(io.BytesIO(tar), file)
    return file.getvalue()


def members(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {member.name: member for member in archive}


def content(tar: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        stream = archive.extractfile(name)
        assert stream is not None
        return stream.read()


def test_a_package_hides_nothing_of_others() -> None:
    with pytest.raises(LockError, match=r"usr/\.wh\.bin'?: no layer can hold a file of that name"):
        canonical_bytes(foreign_tar((info("usr/.wh.bin"), b"")))


def foreign_tar(*infos: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar as another program writes it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def info(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **values: int
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mtime = kind, link, values.pop("mtime", 1234567890)
    made.uname, made.gname = "builder", "staff"
    for key, value in values.items():
        setattr(made, key, value)
    return made


def file_entry(path: str, data: bytes = b"x", mode: int = 0o644) -> Entry:
    return Entry(path=path, mode=mode, kind="file", data=data)


# ---- properties --------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """One name of a made-up file system; names with one `share` are one file."""

    path: str
    kind: str
    mode: int
    data: bytes
    share: int | None


NAMES = st.sampled_from(
    ["a", "b", "b-c", "b.c", "é", "usr", "etc", "hostname", "tmp", "log", "var", "x" * 60, "\udcff"]
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """File systems: parents are folders, names of one file agree."""
    nodes: dict[str, Node] = {}
    for path in draw(st.lists(PATHS, max_size=12, unique=True)):
        parents = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        if any(parent in nodes and nodes[parent].kind != "dir" for parent in parents):
            continue
        if any(other.startswith(path + "/") for other in nodes):
            continue
        for parent in parents:
            mode = draw(st.sampled_from([0o755, 0o700, 0o1777]))
            nodes.setdefault(parent, Node(parent, "dir", mode, b"", None))
        kind = draw(st.sampled_from(["file", "file", "file", "dir", "symlink", "fifo"]))
        share = draw(st.sampled_from([None, None, 1, 2])) if kind == "file" else None
        data = b"shared %d" % share if share else draw(st.binary(max_size=40))
        mode = 0o644 if share else draw(st.sampled_from([0o644, 0o755, 0o4755]))
        nodes[path] = Node(path, kind, mode, data, share)
    return list(nodes.values())


TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def archived(nodes: Sequence[Node], mtime: int) -> bytes:
    """A tar in this very order: of the names of one file the first has it, as tar(1) does."""
    first: dict[int, str] = {}
    infos = []
    for node in nodes:
        if node.share and node.share in first:
            made = info(f"./{node.path}", tarfile.LNKTYPE, f"./{first[node.share]}", mtime=mtime)
            infos.append((made, b""))
            continue
        if node.share:
            first[node.share] = node.path
        link = "some/where" if node.kind == "symlink" else ""
        made = info(f"./{node.path}", TYPES[node.kind], link, mode=node.mode, mtime=mtime)
        infos.append((made, node.data if node.kind == "file" else b""))
    return foreign_tar(*infos)


@settings(deadline=None)  # this machine may be busy
@given(trees(), st.randoms(use_true_random=False))
def test_any_creation_order_gives_the_same_bytes(nodes: list[Node], random: object) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert canonical_bytes(archived(nodes, 1)) == canonical_bytes(archived(shuffled, 1700000000))


@settings(deadline=None)  # this machine may be busy
@given(trees())
def test_canonical_is_its_own_fixed_point(nodes: list[Node]) -> None:
    once = canonical_bytes(archived(nodes, 1))
    assert canonical_bytes(once) == once


@settings(deadline=None)  # this machine may be busy
@given(trees())
def test_canonical_keeps_names_modes_and_content(nodes: list[Node]) -> None:
    found = members(canonical_bytes(archived(nodes, 1)))
    names = [name.encode("utf-8", "surrogateescape") for name in found]
    assert names == sorted(names)
    for node in nodes:
        if is_dropped(node.path, folder=node.kind == "dir"):
            continue
        member = found[node.path]
        assert member.mtime == EPOCH
        assert (member.uname, member.gname) == ("", "")
        if node.kind != "symlink":
            assert member.mode == node.mode


@settings(deadline=None)  # this machine may be busy
@given(trees(), st.randoms(use_true_random=False))
def test_order_of_entries_does_not_matter(nodes: list[Node], random: object) -> None:
    entries = [
        Entry(path=node.path, mode=node.mode, kind=node.kind, data=node.data, link="elsewhere")
        if node.kind == "symlink"
        else Entry(path=node.path, mode=node.mode, kind=node.kind, data=node.data)
        for node in nodes
    ]
    straight = layer(*entries)
    random.shuffle(entries)  # type: ignore[attr-defined]
    assert layer(*entries) == straight


# ---- bytes -------------------------------------------------------------------------------


def test_bytes_are_those_of_every_python_and_every_release() -> None:
    """An image ID hangs on these bytes: change them only with the recipe's number."""
    tar = layer(
        Entry(
            path="opt/venv/bin/tool", mode=0o4755, kind="file", data=b"#!/bin/sh\n", uid=7, gid=8
        ),
        Entry(path="opt/link", mode=0o644, kind="symlink", link="venv/bin/tool"),
        Entry(path="opt/other", mode=0o644, kind="hardlink", link="opt/venv/bin/tool"),
        Entry(path="dev/null", mode=0o666, kind="char", major=1, minor=3),
        Entry(path="run/fifo", mode=0o600, kind="fifo"),
        file_entry("opt/é/" + "long" * 40, b"1" * 600),
        replace(file_entry("usr/bin/ping"), xattrs=((CAPABILITY, "\x01\0\0\x02\0\udcff"),)),
    )
    assert len(tar) % 512 == 0
    assert hashlib.sha256(tar).hexdigest() == (
        "186a0df9ddb14dd25fe60bd57ca6c85b865d7d8d6de9f4c48e272a0dd5e44ca0"
    )


def test_empty_layer_is_an_empty_archive() -> None:
    assert layer() == bytes(1024)


def test_parents_are_explicit_and_come_first() -> None:
    tar = layer(file_entry("opt/venv/lib/x.py"))
    assert list(members(tar)) == ["opt", "opt/venv", "opt/venv/lib", "opt/venv/lib/x.py"]
    parent = members(tar)["opt/venv"]
    assert (parent.isdir(), parent.mode, parent.uid, parent.gid) == (True, 0o755, 0, 0)


def test_explicit_parent_keeps_its_mode() -> None:
    tar = layer(file_entry("root/x"), Entry(path="root/", mode=0o40700, kind="dir", uid=5))
    assert (members(tar)["root"].mode, members(tar)["root"].uid) == (0o700, 5)


@pytest.mark.parametrize(
    "path",
    ["short", "n" * 100, "n" * 101, "d/" * 90 + "n" * 300, "é", "a\nb", "\udcff\udc80", "=", " "],
)
def test_every_name_survives(path: str) -> None:
    tar = layer(file_entry(path, b"data"), Entry(path="zz", mode=0o777, kind="symlink", link=path))
    assert content(tar, path) == b"data"
    assert members(tar)["zz"].linkname == path


def test_large_numbers_survive() -> None:
    tar = layer(replace(file_entry("x"), uid=0o7777777 + 1, gid=4_000_000_000))
    assert (members(tar)["x"].uid, members(tar)["x"].gid) == (0o10000000, 4_000_000_000)


def test_file_capabilities_survive_and_other_attributes_do_not() -> None:
    value = "\x01\0\0\x02\0 \0\0\udcff"
    one = info("./usr/bin/ping")
    one.pax_headers = {f"SCHILY.xattr.{CAPABILITY}": value, "SCHILY.xattr.user.x": "y"}
    member = members(canonical_bytes(foreign_tar((one, b"elf"))))["usr/bin/ping"]
    assert member.pax_headers == {f"SCHILY.xattr.{CAPABILITY}": value}
    with pytest.raises(LockError, match=r"'user\.x' cannot be kept"):
        layer(replace(file_entry("x"), xattrs=(("user.x", "y"),)))


def test_content_may_come_from_elsewhere() -> None:
    opened: list[io.BytesIO] = []

    def opener() -> io.BytesIO:
        opened.append(io.BytesIO(b"y" * 3_000_000))
        return opened[-1]

    tar = layer(Entry(path="big", mode=0o644, kind="file", data=opener, size=3_000_000))
    assert content(tar, "big") == b"y" * 3_000_000
    assert all(file.closed for file in opened)


@pytest.mark.parametrize("size", [0, 9, 11])
def test_content_of_another_length_is_refused(size: int) -> None:
    entry = Entry(path="x", mode=0o644, kind="file", data=lambda: io.BytesIO(bytes(10)), size=size)
    with pytest.raises(LockError, match=f"'x' has 10 bytes where its entry says {size}"):
        layer(entry)


# ---- hard links --------------------------------------------------------------------------


def test_hard_links_hang_on_the_first_name() -> None:
    tar = layer(
        Entry(path="a", mode=0, kind="hardlink", link="z"),
        Entry(path="m", mode=0, kind="hardlink", link="a"),
        replace(file_entry("z", b"data", 0o755), uid=3),
    )
    found = members(tar)
    assert [(m.name, m.type, m.linkname) for m in found.values()] == [
        ("a", tarfile.REGTYPE, ""),
        ("m", tarfile.LNKTYPE, "a"),
        ("z", tarfile.LNKTYPE, "a"),
    ]
    assert {(m.mode, m.uid) for m in found.values()} == {(0o755, 3)}
    assert content(tar, "z") == b"data"


def test_link_to_a_dropped_name_takes_the_content() -> None:
    tar = foreign_tar(
        (info("./tmp/x", mode=0o640), b"data"),
        (info("./usr/y", tarfile.LNKTYPE, "./tmp/x"), b""),
    )
    found = members(canonical_bytes(tar))
    assert found["usr/y"].isreg()
    assert found["usr/y"].mode == 0o640
    assert "tmp/x" not in found


def test_hard_linked_symlink_becomes_two() -> None:
    tar = foreign_tar(
        (info("b", tarfile.SYMTYPE, "to"), b""), (info("a", tarfile.LNKTYPE, "b"), b"")
    )
    found = members(canonical_bytes(tar))
    assert [found[name].linkname for name in ("a", "b")] == ["to", "to"]
    assert all(member.issym() for member in found.values())


@pytest.mark.parametrize(
    "entries",
    [
        (Entry(path="a", mode=0, kind="hardlink", link="gone"),),
        (Entry(path="a", mode=0, kind="hardlink", link="a"),),
        (
            Entry(path="a", mode=0, kind="hardlink", link="b"),
            Entry(path="b", mode=0, kind="hardlink", link="a"),
        ),
        (
            Entry(path="a", mode=0, kind="hardlink", link="b"),
            Entry(path="b", mode=0o755, kind="dir"),
        ),
    ],
)
def test_link_to_no_file_is_refused(entries: tuple[Entry, ...]) -> None:
    with pytest.raises(LockError, match=r"hard link to '.*', which is no file"):
        layer(*entries)


# ---- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a/..", "a\0b"])
@pytest.mark.parametrize("kind", ["file", "hardlink"])
def test_path_that_escapes_is_refused(path: str, kind: str) -> None:
    entry = file_entry(path) if kind == "file" else Entry(path="x", mode=0, kind=kind, link=path)
    with pytest.raises(LockError, match="not a path inside the layer"):
        layer(entry)


@pytest.mark.parametrize(
    "other",
    [
        file_entry("x", b"two"),
        file_entry("x", b"longer"),
        file_entry("x", b"one", 0o755),
        Entry(path="x", mode=0o644, kind="symlink", link="y"),
        replace(file_entry("x", b"one"), uid=1),
    ],
)
def test_two_different_entries_for_one_path_are_refused(other: Entry) -> None:
    with pytest.raises(LockError, match="two different entries for 'x'") as caught:
        layer(file_entry("x", b"one"), replace(other, path="./x"))
    assert "lock one of them only" in str(caught.value)


def test_the_same_entry_twice_is_one() -> None:
    def lazily() -> io.BytesIO:
        return io.BytesIO(b"one")

    lazy = Entry(path="x", mode=0o644, kind="file", data=lazily, size=3)
    assert layer(file_entry("x", b"one"), lazy) == layer(file_entry("x", b"one"))


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_name_below_something_that_is_no_folder_is_refused(kind: str) -> None:
    with pytest.raises(LockError, match=f"'lib/x' lies below 'lib', which is a {kind}"):
        layer(Entry(path="lib", mode=0o644, kind=kind, link="usr/lib"), file_entry("lib/x"))


def test_overlay_whiteout_is_refused() -> None:
    with pytest.raises(LockError, match="whiteout"):
        layer(Entry(path="x", mode=0, kind="char"))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(LockError, match="unknown kind 'door'"):
        layer(Entry(path="x", mode=0, kind="door"))


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "header overwritten": lambda tar: tar[:512] + b"\xff" * 512 + tar[1024:],
    "cut inside a header": lambda tar: tar[:600],
    "cut between headers": lambda tar: tar[:512],
    "cut inside content": lambda tar: tar[:1536],
    "no end": lambda tar: tar[: 512 + 512 + 2048],
    "no tar": lambda _: b"hello" * 500,
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_damaged_tar_is_refused(harm: Callable[[bytes], bytes]) -> None:
    whole = foreign_tar((info("x"), b""), (info("y"), bytes(2000)))
    assert set(members(canonical_bytes(whole))) == {"x", "y"}
    with pytest.raises(LockError, match="tar is damaged"):
        canonical_bytes(harm(whole))


# ---- what is dropped ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id",
        "etc/passwd-",
        "etc/apt/sources.list", "etc/apt/apt.conf.d/99mmdebstrap", "etc/.pwd.lock", ".dockerenv",
        "etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "var/log/apt/history.log",
        "var/cache/ldconfig/aux-cache", "var/cache/apt/pkgcache.bin", "var/lib/apt/lists/Packages",
        "var/lib/dpkg/status-old", "var/lib/dpkg/lock-frontend", "var/cache/debconf/config.dat-old",
        "tmp/x", "run/lock/x", "dev/null", "proc/1", "sys/x", "root/.cache/pip/x", "var/tmp/x",
    ],
)  # fmt: skip
def test_traces_of_the_build_are_dropped(path: str) -> None:
    tar = foreign_tar((info(f"./{path}"), b"trace"), (info("./etc/passwd"), b"root"))
    assert path not in members(canonical_bytes(tar))
    assert "etc/passwd" in members(canonical_bytes(tar))


@pytest.mark.parametrize(
    "path",
    [
        "etc/passwd", "etc/hosts.allow", "etc/ld.so.cache", "etc/ssh/ssh_config",
        "var/lib/dpkg/status",
        "usr/lib/python3/dist-packages/a.pyc", "usr/share/tmp/x", "opt/etc/hostname", "tmpfile",
        "var/lib/dpkg/info/libc6:amd64.list", "etc/apt/sources.list.d/x.list", "usr/lib/x-old",
    ],
)  # fmt: skip
def test_what_packages_brought_is_kept(path: str) -> None:
    assert path in members(canonical_bytes(foreign_tar((info(f"./{path}"), b"data"))))


@pytest.mark.parametrize(
    "path", ["var/log/apt", "var/cache/apt/archives/partial", "tmp", "run", "dev"]
)
def test_folders_that_programs_expect_stay(path: str) -> None:
    tar = foreign_tar((info(f"./{path}", tarfile.DIRTYPE, mode=0o1777), b""))
    member = members(canonical_bytes(tar))[path]
    assert stat.S_IMODE(member.mode) == 0o1777
