"""The guards over a conda package: what is taken, and every way to be refused."""

from __future__ import annotations

import bz2
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.ecosystems.conda.archive import Contents, inspect, listing
from repro.errors import LockError
from tests.conda_archives import (
    PLACEHOLDER,
    Package,
    Part,
    link,
    part,
    pressed,
    tarred,
    zipped,
)
from tests.wheelhouse import Member, raw_zip

WHERE = "conda demo 1.0: demo-1.0-0.conda"


def look(folder: Path, data: bytes, suffix: str = ".conda") -> Contents:
    path = folder / "object"
    path.write_bytes(data)
    return inspect(path, f"demo-1.0-0{suffix}", WHERE)


def refused(folder: Path, data: bytes, suffix: str = ".conda") -> str:
    with pytest.raises(LockError) as caught:
        look(folder, data, suffix)
    assert caught.value.hint
    assert caught.value.message.startswith(WHERE)
    return caught.value.message.removeprefix(f"{WHERE}: ")


# ---------------------------------------------------------------------- taken


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_files_links_and_folders_are_known(tmp_path: Path, suffix: str) -> None:
    text = f"#!{PLACEHOLDER}/bin/python\n".encode()
    package = Package(
        parts=[
            part("bin/demo", text, mode=0o755),
            part("lib/libdemo.so.1", b"\x7fELF"),
            link("lib/libdemo.so", "libdemo.so.1"),
            link("lib/same", "lib/libdemo.so.1", kind=tarfile.LNKTYPE),
            part("empty", type=tarfile.DIRTYPE, mode=0o755),
            part("bin/.demo-post-link.sh", b"echo"),
            part("x/" * 60 + "long", b"1"),
        ],
        suffix=suffix,
        listed={"var/run": {"_path": "var/run", "path_type": "directory"}},
    )
    found = look(tmp_path, package.archive(), suffix)
    files = {item.path: item for item in found.files}
    assert files["bin/demo"].replaced
    assert files["bin/demo"].mode == 0o755
    assert files["lib/libdemo.so"].link == "libdemo.so.1"
    assert files["lib/same"].kind == "hardlink"
    assert files["lib/same"].sha256 == files["lib/libdemo.so.1"].sha256
    assert found.folders == ("empty", "var/run")
    assert found.scripts == ("bin/.demo-post-link.sh",)
    assert "x/" * 60 + "long" in files
    assert found.metadata.name == "demo"
    assert set(listing(tmp_path / "object", package.filename, WHERE)) == {*files, "var/run"}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_the_standard_library_writes_is_read(tmp_path: Path, form: int) -> None:
    buffer = io.BytesIO()
    names = ["share/" + "n" * 80, f"share/{'d' * 60}/{'e' * 70}"]
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name in [*names, *(["share/été"] if form != tarfile.USTAR_FORMAT else [])]:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = 3, 1_600_000_000
            tar.addfile(member, io.BytesIO(b"abc"))
            names = sorted({*names, name})
    package = Package(parts=[part(name, b"abc") for name in names])
    members = package.members() | {f"pkg-{package.stem}.tar.zst": pressed(buffer.getvalue())}
    assert [item.path for item in look(tmp_path, zipped(members)).files] == names


def test_files_that_differ_in_case_alone_are_taken(tmp_path: Path) -> None:
    """ncurses, which every Python needs, has share/terminfo/2/2621A and 2621a."""
    parts = [part("share/terminfo/2/2621A", b"1"), part("share/terminfo/2/2621a", b"2")]
    parts += [part("share/terminfo/E/x", b"1"), part("share/terminfo/e/x", b"2")]
    assert len(look(tmp_path, Package(parts=parts).archive()).files) == 4


def test_a_package_from_before_paths_json(tmp_path: Path) -> None:
    package = Package(
        suffix=".tar.bz2",
        parts=[part("bin/demo", PLACEHOLDER.encode()), link("bin/other", "demo")],
        info={
            "info/paths.json": None,
            "info/files": b"bin/demo\nbin/other\n",
            "info/has_prefix": f'{PLACEHOLDER} text "bin/demo"\n'.encode(),
        },
    )
    found = look(tmp_path, package.archive(), ".tar.bz2")
    assert [(item.path, item.replaced) for item in found.files] == [
        ("bin/demo", True),
        ("bin/other", False),
    ]


# -------------------------------------------------------------------- refused

LONG = b"././@LongLink"


def pax(**records: str) -> bytes:
    """An extended header that says these."""
    body = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + len(str(len(rest) + 2))
        body += str(length).encode() + rest
    head = tarfile.TarInfo("PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, len(body)
    whole = head.tobuf(tarfile.USTAR_FORMAT)
    return whole + body + bytes(-len(body) % 512)


DEMO = part("share/demo.txt", b"demo\n")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([part("../escape", b"1")], "'../escape' leaves its folder"),
        ([part("/etc/passwd", b"1")], "'/etc/passwd' is an absolute path"),
        ([part("lib/../../x", b"1")], "leaves its folder"),
        ([part("lib//x", b"1")], "empty or '.' part"),
        ([part("lib/a\nb", b"1")], "control character"),
        ([part("lib/a\udce9", b"1")], "is not UTF-8"),
        ([link("lib/x", "../../etc/passwd")], "links out of the prefix, to '../../etc/passwd'"),
        ([link("lib/x", "/etc/passwd")], "links out of the prefix, to '/etc/passwd'"),
        ([link("x", "..")], "links out of the prefix"),
        ([link("lib/x", "../..")], "links out of the prefix"),
        ([link("x", "/etc/passwd", kind=tarfile.LNKTYPE)], "which is no file before it"),
        ([link("x", "../y", kind=tarfile.LNKTYPE)], "which is no file before it"),
        ([link("x", "share/demo.txt", kind=tarfile.LNKTYPE), DEMO], "which is no file before it"),
        ([DEMO, link("y", "share", kind=tarfile.LNKTYPE)], "which is no file before it"),
        ([link("x", "y"), link("z", "x", kind=tarfile.LNKTYPE)], "which is no file before it"),
        ([link("d", "share"), part("d/x", b"1")], "'d' is a symlink, and 'd/x' lies below it"),
        ([link("D", "share"), part("d/x", b"1")], "'D' is a symlink, and 'd/x' lies below it"),
        ([DEMO, part("share/demo.txt/x", b"1")], "is a file, and"),
        ([part("x", type=tarfile.CHRTYPE)], "'x' is a device"),
        ([part("x", type=tarfile.BLKTYPE)], "'x' is a device"),
        ([part("x", type=tarfile.FIFOTYPE)], "'x' is a FIFO"),
        ([part("x", type=tarfile.CONTTYPE)], "'x' is a contiguous file"),
        ([part("x", type=b"Z")], "has the unknown type b'Z'"),
        ([part("x", b"1", mode=0o4755)], "'x' is setuid or setgid"),
        ([part("x", b"1", mode=0o2755)], "'x' is setuid or setgid"),
        ([DEMO, DEMO], "holds 'share/demo.txt' twice"),
        ([DEMO, part("./share/demo.txt", b"2")], "holds 'share/demo.txt' twice"),
        ([part("é", b"1"), part("e\u0301", b"2")], "are one name where Unicode forms do not count"),
        ([DEMO, link("Share/Demo.TXT", "x")], "are one name where case and Unicode forms"),
        ([part("info/x", b"1")], "'info/x' is in the wrong part of it"),
        ([replace(DEMO, before=pax(size="9"))], "its headers say two sizes: 5, 9"),
        ([replace(DEMO, before=pax(size="5"))], "its headers say two sizes: 5, 5"),
        ([replace(DEMO, before=pax(path="../x"))], "'../x' leaves its folder"),
        ([replace(link("a", "b"), before=pax(linkpath="../x"))], "links out of the prefix"),
        ([replace(DEMO, before=pax(**{"GNU.sparse.major": "1"}))], "a sparse file"),
        (
            [Part(header=part("x", type=tarfile.XHDTYPE, size=1 << 30).header)],
            "extended header has",
        ),
        ([Part(header=part("x", type=tarfile.GNUTYPE_LONGNAME, size=5).header)], "ends behind"),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, parts: Sequence[Part], says: str) -> None:
    listed = {one.header.name: {"_path": "share/demo.txt"} for one in parts}
    for suffix in (".conda",) if "wrong part" in says else (".conda", ".tar.bz2"):
        package = Package(parts=parts, suffix=suffix, listed=listed)
        assert says in refused(tmp_path, package.archive(), suffix)


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ({"lib/x": {"_path": "lib/x"}}, "lists 'lib/x', and does not hold it"),
        ({"share/demo.txt": None}, "holds 'share/demo.txt', and does not list it"),
        ({"share/demo.txt": {"sha256": "0" * 64}}, "with sha256 000"),
        ({"share/demo.txt": {"size_in_bytes": 4}}, "with size 4, and holds 5"),
        ({"share/demo.txt": {"path_type": "softlink"}}, "as a softlink, and holds a file"),
        ({"share/demo.txt": {"path_type": "device"}}, "is a 'device'"),
        ({"share/demo.txt": {"sha256": "abc"}}, "is not a sha256"),
        ({"share/demo.txt": {"size_in_bytes": "5"}}, "size_in_bytes: is no number"),
        ({"share/demo.txt": {"_path": "../x"}}, "'../x' leaves its folder"),
        ({"share/demo.txt": {"prefix_placeholder": "/a", "file_mode": "no"}}, "file_mode is 'no'"),
        ({"share/demo.txt": {"prefix_placeholder": "", "file_mode": "text"}}, "placeholder is ''"),
        ({"other": {"_path": "share/demo.txt"}}, "lists one path twice"),
    ],
)
def test_a_list_that_disagrees_is_refused(
    tmp_path: Path, listed: dict[str, dict[str, Any] | None], says: str
) -> None:
    whole = {k: v if v is None else {"_path": "share/demo.txt", **v} for k, v in listed.items()}
    assert says in refused(tmp_path, Package(listed=whole).archive())


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ({"info/index.json": None}, "has no info/index.json"),
        ({"info/index.json": b"["}, "is no JSON"),
        ({"info/index.json": b"[" * 9000}, "is no JSON"),
        ({"info/index.json": b"[]"}, "is no object"),
        ({"info/index.json": b'{"name": 1}'}, "name: is no text"),
        ({"info/index.json": b'{"name": "a", "name": "b"}'}, "says one thing twice"),
        ({"info/index.json": b'{"noarch": "r"}'}, "noarch is 'r'"),
        ({"info/paths.json": b'{"paths_version": 2}'}, "paths_version is '2'"),
        ({"info/paths.json": b'{"paths_version": 1}'}, "holds no list of paths"),
        ({"info/paths.json": b'{"paths_version": 1, "paths": [1]}'}, "paths[0]: is no object"),
        ({"info/paths.json": b"[" + b"[]," * 3_000_000}, "holds too many values"),
        ({"info/paths.json": None}, "has neither info/paths.json nor info/files"),
        ({"info/paths.json": None, "info/files": b"x\nx\n"}, "lists one path twice"),
        ({"info/paths.json": None, "info/files": b"\xff\n"}, "is not UTF-8"),
        ({"info/index.json": bytes(13 << 20)}, "is no file, or has 13631488 bytes"),
    ],
)
def test_a_package_that_misdescribes_itself_is_refused(
    tmp_path: Path, info: dict[str, bytes | None], says: str
) -> None:
    assert says in refused(tmp_path, Package(info=info).archive())


@pytest.mark.parametrize(
    "point",
    ["../x = a:b", "/bin/x = a:b", "x = a", "x", ".x = a:b", "x = a:b; import os", "x\n = a:b"],
)
def test_an_entry_point_that_is_none_is_refused(tmp_path: Path, point: str) -> None:
    package = Package(points=[point], index={"noarch": "python"})
    message = refused(tmp_path, package.archive())
    assert "is no `name = module:attribute`" in message or "control character" in message


def test_entry_points_are_read(tmp_path: Path) -> None:
    points = ["demo = demo.cli:main", "demo-3.11=demo:Cli.run"]
    package = Package(points=points, index={"noarch": "python"})
    found = look(tmp_path, package.archive())
    assert found.metadata.commands == ("demo", "demo-3.11")


# --------------------------------------------------------------------- the zip


def test_a_zip_that_is_no_package_is_refused(tmp_path: Path) -> None:
    good = Package().members()
    info, pkg = "info-demo-1.0-0.tar.zst", "pkg-demo-1.0-0.tar.zst"
    damaged = tarred([DEMO]).replace(b"0000644", b"0000666", 1)  # and its sum is as it was
    for members, says in (
        ({k: v for k, v in good.items() if k != info}, f"has no '{info}'"),
        ({k: v for k, v in good.items() if k != pkg}, f"has no '{pkg}'"),
        ({k: v for k, v in good.items() if k != "metadata.json"}, "has no metadata.json"),
        ({**good, "metadata.json": b"{}"}, "does not say format 2"),
        ({**good, "pkg-other.tar.zst": b""}, "holds 'pkg-other.tar.zst' too"),
        ({**good, pkg: b"no zstd"}, "is damaged"),
        ({**good, pkg: pressed(b"no tar" * 100)}, "a header"),
        ({**good, pkg: b""}, "ends within its tar"),
        ({**good, pkg: pressed(tarred([DEMO], end=bytes(512)))}, "ends within its tar"),
        ({**good, pkg: pressed(damaged)}, "no header at byte 0"),
        ({**good, pkg: good[pkg] + pressed(tarred([DEMO]))}, "holds more behind the end"),
    ):
        assert says in refused(tmp_path, zipped(members)), says


def test_a_part_that_the_zip_compresses_is_refused(tmp_path: Path) -> None:
    """It may be anything that the zip's own sizes do not tell."""
    members = [Member(name=k.encode(), data=v) for k, v in Package().members().items()]
    press = zlib.compressobj(wbits=-15)
    data = press.compress(members[1].data) + press.flush()
    size, crc = len(members[1].data), zlib.crc32(members[1].data)
    members[1] = Member(name=members[1].name, data=data, method=8, size=size, crc=crc)
    assert "is compressed twice" in refused(tmp_path, raw_zip(members))


def test_directory_and_headers_that_disagree_are_refused(tmp_path: Path) -> None:
    good = [Member(name=k.encode(), data=v) for k, v in Package().members().items()]
    other = replace(good[1], local_name=b"pkg-evil-1.0-0.tar.zst")
    assert "disagree about its name" in refused(tmp_path, raw_zip([good[0], other, good[2]]))
    hidden = replace(good[1], listed=False)
    assert "that its directory leaves out" in refused(tmp_path, raw_zip([*good, hidden]))


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    data = Package(suffix=suffix).archive()
    for number in range(9):
        cut = data[: number * len(data) // 9]
        refused(tmp_path, cut, suffix)


def test_a_tar_cut_anywhere_is_refused(tmp_path: Path) -> None:
    package = Package()
    whole = tarred(package.parts)
    for size in range(0, len(whole) - 512, 256):
        members = {**package.members(), "pkg-demo-1.0-0.tar.zst": pressed(whole[:size])}
        refused(tmp_path, zipped(members))


def test_a_bomb_is_refused_as_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.ecosystems.archives._RATIO_FROM", 1 << 20)
    package = Package(parts=[part("zeros", bytes(8 << 20))])
    for suffix in (".conda", ".tar.bz2"):
        data = replace(package, suffix=suffix).archive()
        assert "unpack to more than" in refused(tmp_path, data, suffix)
    monkeypatch.setattr("repro.ecosystems.conda.tarball.MOST_ENTRIES", 100)
    many = Package(parts=[part(f"f{number}") for number in range(101)])
    assert "holds more than 100 entries" in refused(tmp_path, many.archive())


def test_a_window_larger_than_zstd_ever_asks_for_is_refused(tmp_path: Path) -> None:
    """A frame that says a window of 3.75 TB: RFC 8878 §3.1.1.1.2."""
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 0xFF) + b"\x01\0\0"
    members = {**Package().members(), "pkg-demo-1.0-0.tar.zst": frame}
    assert "is damaged" in refused(tmp_path, zipped(members))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_escapes_the_guards(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes change: the same contents, or a LockError."""
    folder = tmp_path_factory.mktemp("damaged")
    package = Package(parts=[DEMO, link("l", "share"), part("bin/x", b"1" * 700, mode=0o755)])
    plain = tarred([*package.infos(), *package.parts])
    good = look(folder, bz2.compress(plain, 1), ".tar.bz2")
    at = data.draw(st.integers(0, len(plain) - 1))
    new = data.draw(st.binary(min_size=1, max_size=4))
    changed = plain[:at] + new + plain[at + len(new) :]
    try:
        found = look(folder, bz2.compress(changed, 1), ".tar.bz2")
    except LockError:
        return
    assert {item.path for item in found.files} <= {item.path for item in good.files}


def test_json_numbers_of_any_length_are_no_crash(tmp_path: Path) -> None:
    text = json.dumps({"paths_version": 1, "paths": []}).replace("1", "1" * 5000)
    assert "is no JSON" in refused(
        tmp_path, Package(info={"info/paths.json": text.encode()}).archive()
    )
