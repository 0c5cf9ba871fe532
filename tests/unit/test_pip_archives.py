"""Guards over archives: what is refused before anything in them is used."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.ecosystems.archives import opened_zip
from repro.ecosystems.pip import archives
from repro.ecosystems.pip.archives import source_member
from repro.ecosystems.pip.wheels import DAMAGED
from repro.errors import LockError
from tests.wheelhouse import Member, make_sdist, make_wheel, raw_zip, zeros, zipped
from tests.wheelhouse import Recipe as Wheel


def look(tmp_path: Path, data: bytes) -> list[str]:
    path = tmp_path / "archive"
    path.write_bytes(data)
    with opened_zip(path, "demo") as archive:
        return archive.namelist()


ONE = Member(name=b"one.py", data=b"1")


@pytest.mark.parametrize(
    "data",
    [
        make_wheel(Wheel()),
        raw_zip([ONE, Member(name=b"two.py", data=b"2")]),
        raw_zip([]),
        # a data descriptor after the data, as a writer to a stream leaves it
        raw_zip([Member(name=b"a", data=b"1", flags=8, local_crc=0, local_size=0)], end=bytes(16)),
        b"#!/usr/bin/python\n" + raw_zip([ONE]),
    ],
)
def test_what_is_right_passes(tmp_path: Path, data: bytes) -> None:
    look(tmp_path, data)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([Member(name=b"good.py", local_name=b"evil.py")], r"disagree about its name \('evil\.py'"),
        ([Member(name=b"a.py", data=b"1", local_size=2)], r"about its size \(2 and 1\)"),
        ([Member(name=b"a.py", data=b"1", local_crc=5)], "about its checksum"),
        ([Member(name=b"a.py", data=b"1", local_method=8)], "about its compression"),
        ([ONE, Member(name=b"a.py", listed=False, data=b"x")], "directory leaves out"),
        ([Member(name=b"a.py", listed=False), ONE], "directory leaves out"),
        ([ONE, Member(name=b"two.py", data=b"1", offset=0, local_name=b"one.py")], "its name"),
        ([Member(name=b"a.py", offset=1)], "no local header"),
        ([Member(name=b"a.py", offset=1 << 30)], "no local header"),
        ([Member(name=b"a.py"), Member(name=b"a.py")], r"holds 'a\.py' twice"),
        ([Member(name=b"a.py"), Member(name=b"A.py")], r"'a\.py' and 'A\.py' are one name"),
        (
            [
                Member(name="\u00e9".encode(), flags=0x800),
                Member(name="e\u0301".encode(), flags=0x800),
            ],
            "are one name",
        ),
        ([Member(name=b"a"), Member(name=b"a/b.py")], "'a' is a file, and 'a/b.py' lies below"),
        ([Member(name=b"a/b.py"), Member(name=b"A")], "'A' is a file, and 'a/b.py' lies below"),
        ([Member(name=b"a.py\0.txt")], "control character|NUL"),
    ],
)
def test_what_disagrees_is_refused_and_named(
    tmp_path: Path, members: list[Member], says: str
) -> None:
    with pytest.raises(LockError, match=says) as caught:
        look(tmp_path, raw_zip(members))
    assert caught.value.message.startswith("demo: ")


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The shape of the smallest bombs: many members, one piece of data."""
    inner = raw_zip([ONE])[: 30 + 6 + 1]
    outer = Member(name=b"outer.py", data=inner)
    data = raw_zip([outer, Member(name=b"one.py", data=b"1", offset=30 + 8)])
    with pytest.raises(LockError, match=r"'outer\.py' and 'one\.py' overlap"):
        look(tmp_path, data)


@pytest.mark.parametrize("mode", [0o104755, 0o102755, 0o060644, 0o020644, 0o010644, 0o120777])
def test_only_plain_files_and_folders(tmp_path: Path, mode: int) -> None:
    with pytest.raises(LockError, match=r"no regular file|setuid"):
        look(tmp_path, zipped([("x.py", b"", mode)]))


def test_a_second_name_in_an_extra_field_is_no_way_past(tmp_path: Path) -> None:
    """Info-ZIP's Unicode path: newer interpreters would use it in place of the name."""
    name = b"../../evil.py"
    field = struct.pack("<BL", 1, 0x9E3A5DDD) + name
    extra = struct.pack("<HH", 0x7075, len(field)) + field
    found: list[str] = []
    with suppress(LockError):  # an interpreter that reads the field
        found = look(tmp_path, raw_zip([Member(name=b"good.py", extra=extra)]))
    assert found in ([], ["good.py"])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (raw_zip([Member(name=b"x", data=zeros(2048), size=2 << 30, method=8)]), "would unpack to"),
        (
            raw_zip([Member(name=b"demo-1.0.dist-info/METADATA", size=1 << 30, method=8)]),
            "METADATA' has 1073741824 bytes",
        ),
        (raw_zip([Member(name=b"%x" % n) for n in range(70_000)]), "holds 70000 entries"),
        (b"PK\5\6" + bytes(8) + b"\xff" * 8 + bytes(2), "central directory"),
        (b"", "not a zip archive"),
        (raw_zip([ONE])[:-1], "not a zip archive"),
    ],
)
def test_a_bomb_is_refused_by_its_shape(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(LockError, match=says):
        look(tmp_path, data)


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_any_bytes_are_a_zip_or_refused(
    tmp_path_factory: pytest.TempPathFactory, more: bytes, at: int, byte: int
) -> None:
    data = bytearray(raw_zip([ONE, Member(name=b"two/x", data=b"22")]) + more)
    data[at % len(data)] = byte
    with suppress(LockError, *DAMAGED, ValueError):
        look(tmp_path_factory.mktemp("any"), bytes(data))


def tar(*members: tarfile.TarInfo, data: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, **pax: str) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.pax_headers = pax
    return found


def read(tmp_path: Path, data: bytes) -> bytes | None:
    path = tmp_path / "source.tar.gz"
    path.write_bytes(data)
    return source_member(path, "pyproject.toml", 100)


def test_a_file_of_the_top_folder(tmp_path: Path) -> None:
    files = {"pyproject.toml": b"x" * 200, "deeper/pyproject.toml": b"y"}
    assert read(tmp_path, make_sdist("demo", "1.0", files)) == b"x" * 100
    assert read(tmp_path, make_sdist("demo", "1.0", {"setup.py": b""})) is None


def test_two_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(tarfile.TarError, match="two sizes"):
        read(tmp_path, tar(info("demo-1.0/x", size="512")))


def test_a_header_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with pytest.raises(tarfile.TarError, match="a header of"):
        read(tmp_path, gzip.compress(header.tobuf() + bytes(1024)))


def test_too_many_and_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_ENTRIES", 3)
    with pytest.raises(tarfile.TarError, match="more than 3 entries"):
        read(tmp_path, tar(*(info(f"demo-1.0/{n}") for n in range(4))))
    huge = tarfile.TarInfo("demo-1.0/huge")
    huge.size = 5 << 30
    with pytest.raises(tarfile.TarError, match="unpacks to more than"):
        read(tmp_path, gzip.compress(huge.tobuf() + bytes(4096)))


@pytest.mark.parametrize("part", range(1, 10))
def test_a_cut_archive_is_noticed(tmp_path: Path, part: int) -> None:
    data = make_sdist("demo", "1.0", {"pyproject.toml": bytes(range(256)) * 40})
    with pytest.raises((tarfile.TarError, EOFError, OSError)):
        read(tmp_path, data[: len(data) * part // 10])
    wheel = make_wheel(Wheel())
    with pytest.raises(LockError, match="only a part of one"):
        look(tmp_path, wheel[: len(wheel) * part // 10])
