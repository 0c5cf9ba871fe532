"""The stage is taken back tame: ours, readable, without setuid, of bearable depth."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from repro.engines.stage import (
    DEEPEST,
    USER,
    dedicated_user,
    is_global_root,
    lent,
    require_readable,
    take_back,
)
from repro.errors import UsageError
from repro.models.execution import Mount

ALL = "CapEff:\t000001ffffffffff\n"
WHOLE = "         0          0 4294967295\n"


@pytest.mark.parametrize(
    ("uid", "status", "uids", "expected"),
    [
        (0, ALL, WHOLE, USER),
        (0, ALL, "0 100000 65536\n", 65533),  # a container's root with 65,536 numbers
        (0, ALL, "0 1000 1\n", None),  # unshare --map-root-user
        (0, "CapEff:\t00000000a80425fb\n", WHOLE, None),  # a container's root, may not mount
        (0, "", WHOLE, None),
        (1000, "CapEff:\t0000000000000000\n", WHOLE, None),
        (1000, ALL, WHOLE, None),
    ],
)
def test_which_user_a_run_becomes(uid: int, status: str, uids: str, expected: int | None) -> None:
    assert dedicated_user(uid, status, uids, uids) == expected


def test_data_is_readable_for_everybody_or_refused_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "da ta"
    folder.mkdir(mode=0o755)
    (folder / "open").write_text("1")
    (folder / "link").symlink_to("/nowhere")
    mounts = (Mount(source=folder, target="/project/data"),)
    require_readable(mounts, USER)
    (folder / "closed").write_text("1")
    (folder / "closed").chmod(0o640)
    with pytest.raises(UsageError, match="da ta/closed: mode 0640") as caught:
        require_readable(mounts, USER)
    assert f"chmod -R o+rX '{folder}'" in (caught.value.hint or "")
    require_readable(mounts, None)
    folder.chmod(0o750)
    with pytest.raises(UsageError, match="da ta: mode 0750"):
        require_readable(mounts, USER)


def test_whom_no_limit_on_processes_binds() -> None:
    assert is_global_root(WHOLE)
    assert not is_global_root("0 1000 1\n")
    assert not is_global_root("0 100000 65536\n")


def test_the_number_lies_where_nothing_is_allocated() -> None:
    assert USER.to_bytes(4, "big") == b"repr"
    assert 1879048192 <= USER < 2147352576  # systemd: UIDs-GIDs, "unused"


def test_modes(tmp_path: Path) -> None:
    (tmp_path / "closed/inner").mkdir(parents=True)
    (tmp_path / "closed/inner/file").write_text("x")
    (tmp_path / "closed/inner").chmod(0)
    (tmp_path / "closed").chmod(0)
    (tmp_path / "program").write_text("x")
    (tmp_path / "program").chmod(0o6755)
    (tmp_path / "plain").write_text("x")
    (tmp_path / "plain").chmod(0o640)
    take_back(tmp_path)
    assert (tmp_path / "closed/inner/file").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o640


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "program").write_text("x")
    (outside / "program").chmod(0o4755)
    outside.chmod(0o500)
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / "way").symlink_to(outside)
    (stage / "one").symlink_to(outside / "program")
    take_back(stage)
    assert stat.S_IMODE((outside / "program").stat().st_mode) == 0o4755
    assert stat.S_IMODE(outside.stat().st_mode) == 0o500
    outside.chmod(0o700)


def test_it_is_taken_back_after_an_interruption(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(KeyboardInterrupt), lent(tmp_path, None):
        raise KeyboardInterrupt
    assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a stage away")
def test_owners(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with lent(tmp_path, USER):
        for path in (tmp_path, tmp_path / "file", tmp_path / "link"):
            assert (path.lstat().st_uid, path.lstat().st_gid) == (USER, USER)
    for path in (tmp_path, tmp_path / "file", tmp_path / "link"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (0, 0)


def test_depth_that_is_kept(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (DEEPEST - 1))
    deep.mkdir(parents=True)
    take_back(tmp_path)
    assert deep.is_dir()
