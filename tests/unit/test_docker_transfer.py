"""Files on their way to a daemon and back: the same there and back, and nothing outside."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.engines.docker.transfer import folder_chunks, unpack_folder
from repro.errors import EngineError

MOST = 1 << 30


def tar(*members: tuple[str, bytes, str]) -> Iterator[bytes]:
    """A tar of (name, type, text): text is content or where it links to."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:") as made:
        for name, kind, text in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755 if kind == tarfile.DIRTYPE else 0o4755
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                made.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                made.addfile(info)
    yield file.getvalue()


TOP = ("stage/", tarfile.DIRTYPE, "")


def test_there_and_back(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    (source / ("n" * 200)).write_bytes(b"x" * 3_000_000)
    (source / "deep" / "er" / "a\nb").write_text("odd")
    (source / "deep" / "run").write_text("#!/bin/sh\n")
    (source / "deep" / "run").chmod(0o751)
    os.utime(source / "deep" / "run", (1_234_567_890, 1_234_567_890))
    (source / "link").symlink_to("/etc/passwd")
    target.mkdir()
    assert unpack_folder(folder_chunks(source, "stage"), target, most=MOST)
    found = sorted(path.relative_to(target).as_posix() for path in target.rglob("*"))
    assert found == sorted(path.relative_to(source).as_posix() for path in source.rglob("*"))
    assert (target / ("n" * 200)).read_bytes() == b"x" * 3_000_000
    state = (target / "deep" / "run").stat()
    assert (state.st_mode & 0o7777, state.st_mtime) == (0o751, 1_234_567_890)
    assert (target / "link").readlink() == Path("/etc/passwd")


@pytest.mark.parametrize(
    "members",
    [
        [TOP, ("stage/../evil", tarfile.REGTYPE, "x")],
        [TOP, ("/evil", tarfile.REGTYPE, "x")],
        [TOP, ("stage/link", tarfile.SYMTYPE, ".."), ("stage/link/evil", tarfile.REGTYPE, "x")],
        [TOP, ("stage/hard", tarfile.LNKTYPE, "stage/../../evil")],
        [("stage/deep/evil", tarfile.REGTYPE, "x")],
    ],
    ids=["..", "absolute", "through a link", "hard link", "no folder"],
)
def test_nothing_is_written_elsewhere(
    tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    with pytest.raises(EngineError, match="came back"):
        unpack_folder(tar(*members), stage, most=MOST)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stage"]
    assert not (stage / "deep").exists()


def test_no_setuid_file_and_no_device_comes_back(tmp_path: Path) -> None:
    members = [TOP, ("stage/a", tarfile.REGTYPE, "x"), ("stage/null", tarfile.CHRTYPE, "")]
    assert unpack_folder(tar(*members), tmp_path, most=MOST)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o755


def test_it_stops_at_the_limit(tmp_path: Path) -> None:
    """Whole blocks count, so that empty files do too; the folder itself and links do not."""
    members = [TOP, ("stage/a", tarfile.REGTYPE, ""), ("stage/b", tarfile.REGTYPE, "x" * 5000)]
    members.append(("stage/c", tarfile.LNKTYPE, "stage/a"))
    for most, whole in ((3 * 4096, True), (3 * 4096 - 1, False)):
        folder = tmp_path / str(most)
        folder.mkdir()
        assert unpack_folder(tar(*members), folder, most=most) is whole
        assert (folder / "b").exists() is whole


def test_a_tar_that_breaks_off(tmp_path: Path) -> None:
    [data] = tar(TOP, ("stage/a", tarfile.REGTYPE, "x" * 5000))
    with pytest.raises(EngineError, match="came back damaged"):
        unpack_folder(iter([data[:2000]]), tmp_path, most=MOST)
