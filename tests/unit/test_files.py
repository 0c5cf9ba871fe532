from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import pytest

from repro import files
from repro.errors import LocalError


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "lock"
    files.write_atomic(target, b"old")

    def interrupted() -> None:
        with files.replacing(target) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_several_files_together_or_none(tmp_path: Path) -> None:
    files.write_together(tmp_path, {"a": b"1", "b": b"2"})
    (tmp_path / "dir").mkdir()
    with pytest.raises(LocalError, match="dir"):
        files.write_together(tmp_path, {"a": b"3", "dir": b"x"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "dir"]
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "baseline"

    def fill(folder: Path) -> None:
        (folder / "one").write_text("1")

    files.replace_folder(target, fill)
    (target / "stale").write_text("x")
    files.replace_folder(target, fill)
    assert [p.name for p in target.iterdir()] == ["one"]

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        files.replace_folder(target, fail)
    assert [p.name for p in target.iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["baseline"]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(LocalError, match="x"):
        files.digest_file(path)


def test_a_tree_that_is_locked_against_removal_goes(tmp_path: Path) -> None:
    folder = tmp_path / "t/inner"
    folder.mkdir(parents=True)
    (folder / "file").write_text("")
    folder.chmod(0o500)
    files.remove_tree(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_a_folder_that_is_replaced_is_never_absent(tmp_path: Path) -> None:
    target = tmp_path / "baseline"
    target.mkdir()
    absent: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if not target.exists():
                absent.append(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(20):
            files.replace_folder(
                target,
                lambda folder, n=number: (folder / str(n)).touch(),  # type: ignore[misc]
            )
    finally:
        done.set()
        watcher.join()
    assert absent == []
    assert [path.name for path in target.iterdir()] == ["19"]
    assert [path.name for path in tmp_path.iterdir()] == ["baseline"]


def test_a_folder_that_cannot_be_walked_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    assert [folder for folder, _, _ in files.walk(tmp_path)] == [tmp_path, tmp_path / "inner"]
    with pytest.raises(LocalError, match="absent"):
        list(files.walk(tmp_path / "absent"))


DEAD = (".repro-tmp-deadfile", ".repro-tmp-deaddir_")


def leave_behind(folder: Path) -> None:
    """What a killed process leaves: nobody holds a lock on it any more."""
    (folder / DEAD[0]).write_text("half")
    (folder / DEAD[1] / "inner").mkdir(parents=True)
    (folder / DEAD[1] / "inner" / "file").write_text("half")
    (folder / DEAD[1] / "inner").chmod(0o500)


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    leave_behind(tmp_path)
    with files.scratch(tmp_path) as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    leave_behind(tmp_path)
    files.write_atomic(tmp_path / "lock", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_what_is_alive_or_not_ours_is_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / ".repro-tmp-linklink").symlink_to(outside)
    (tmp_path / ".repro-tmp-notes.txt").touch()
    os.mkfifo(tmp_path / ".repro-tmp-fifofifo")
    others = {path.name for path in tmp_path.iterdir()}
    with files.scratch(tmp_path) as folder, files.replacing(tmp_path / "lock") as file:
        (folder / "kept").touch()
        file.write(b"whole")
        for _ in range(3):
            files.sweep(tmp_path)
        assert (folder / "kept").exists()
    assert (tmp_path / "lock").read_bytes() == b"whole"
    assert {path.name for path in tmp_path.iterdir()} == others | {"lock"}
    assert (outside / "kept").exists()


def test_a_sweep_never_takes_what_is_being_made(tmp_path: Path) -> None:
    """Sweeps without a pause beside writers without a pause: no writer loses its temporary."""
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            files.sweep(tmp_path)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(80):
            with files.scratch(tmp_path) as folder:
                (folder / "file").touch()
            files.write_atomic(tmp_path / "lock", str(number).encode())
    finally:
        done.set()
        for sweeper in sweepers:
            sweeper.join()
    assert (tmp_path / "lock").read_bytes() == b"79"
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_temporaries_lie_in_the_staging_folder(tmp_path: Path) -> None:
    staging, target = tmp_path / "staging", tmp_path / "tree" / "lock"
    with files.replacing(target, staging=staging) as file:
        file.write(b"x")
        assert list((tmp_path / "tree").iterdir()) == []
        assert len(list(staging.iterdir())) == 1
    assert target.read_bytes() == b"x"
    assert list(staging.iterdir()) == []


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == Path("/").stat().st_dev,
    reason="needs a second file system at /dev/shm",
)
def test_a_staging_folder_on_another_file_system_is_not_used(tmp_path: Path) -> None:
    with files.scratch(Path("/dev/shm")) as staging:
        files.write_atomic(tmp_path / "lock", b"x", staging=staging)
        files.write_together(tmp_path / "locks", {"a": b"1"}, staging=staging)
        files.replace_folder(tmp_path / "base", lambda new: (new / "b").touch(), staging=staging)
        assert list(staging.iterdir()) == []
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert found == ["base", "base/b", "lock", "locks", "locks/a"]


def test_several_files_together_keep_what_else_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("kept")
    (folder / "image.toml").write_text("kept")
    (folder / "link").symlink_to("image.toml")
    (folder / "a").write_text("old")
    folder.chmod(0o750)
    files.write_together(folder, {"a": b"new", "b": b"new"})
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes() == b"new"
    assert (folder / "image.toml").read_text() == (folder / "inner/file").read_text() == "kept"
    assert (folder / "link").readlink() == Path("image.toml")
    assert folder.stat().st_mode & 0o777 == 0o750
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_several_files_of_a_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "locks").symlink_to("real")
    files.write_together(tmp_path / "locks", {"a": b"1"})
    assert (tmp_path / "locks").is_symlink()
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


def test_files_of_several_folders_together(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    old = {"conda.yml": b"old", "amd64/seal": b"old", "amd64/apt": b"old"}
    files.write_together(folder, old)
    (folder / "amd64" / "image.toml").write_text("kept")
    (folder / "amd64").chmod(0o750)
    inode = (folder / "amd64" / "image.toml").stat().st_ino
    new = {"conda.yml": b"new", "amd64/seal": b"new", "arm64/inner/seal": b"new"}
    files.write_together(folder, new)
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == new | {"amd64/apt": b"old", "amd64/image.toml": b"kept"}
    assert (folder / "amd64" / "image.toml").stat().st_ino == inode
    assert (folder / "amd64").stat().st_mode & 0o777 == 0o750
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_several_folders_are_all_old_or_all_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locks"
    files.write_together(folder, {"amd64/seal": b"old", "arm64/seal": b"old"})
    seen = []
    monkeypatch.setattr(
        files, "_put", lambda fresh, path: seen.append((fresh / "arm64/seal").read_bytes())
    )
    files.write_together(folder, {"amd64/seal": b"new", "arm64/seal": b"new"})
    assert seen == [b"new"]  # all of the new ones are there before the exchange
    assert (folder / "amd64/seal").read_bytes() == (folder / "arm64/seal").read_bytes() == b"old"


def test_files_together_around_their_own_staging(tmp_path: Path) -> None:
    """Such a folder is not exchanged: what is being written would be copied into itself."""
    (tmp_path / "there").write_bytes(b"kept")
    staging = tmp_path / ".repro/tmp"
    files.write_together(tmp_path, {"a": b"1", "b/c": b"2"}, staging=staging)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"there", "a", "b/c"}


def test_a_linked_folder_below_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "locks"
    folder.mkdir()
    (folder / "amd64").symlink_to("../elsewhere")
    files.write_together(folder, {"amd64/seal": b"1", "seal": b"2"})
    assert (folder / "amd64").is_symlink()
    assert (tmp_path / "elsewhere" / "seal").read_bytes() == b"1"
    assert (folder / "seal").read_bytes() == b"2"


def test_what_is_mounted_below_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    (folder / "amd64").mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", bytes(folder / "amd64"), b"tmpfs", 0, None):
        pytest.skip(f"nothing can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        (folder / "amd64" / "other").write_text("kept")
        files.write_together(folder, {"amd64/seal": b"1", "seal": b"2"})
        assert (folder / "amd64" / "other").read_text() == "kept"
        assert (folder / "amd64" / "seal").read_bytes() == b"1"
        assert (folder / "seal").read_bytes() == b"2"
    finally:
        assert libc.umount(bytes(folder / "amd64")) == 0
    assert not list((folder / "amd64").iterdir())
