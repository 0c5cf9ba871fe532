from __future__ import annotations

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
        files.write_together(tmp_path, {"dir": b"x"})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "dir"]


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


def test_a_held_lock_is_waited_for_and_named(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with files.exclusive(path, what="the store"):
        refused: list[LocalError] = []

        def wait() -> None:
            try:
                with files.exclusive(path, what="the store", timeout=0.2):
                    pass
            except LocalError as error:
                refused.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join()
        assert [str(os.getpid()) in error.message for error in refused] == [True]
    with files.exclusive(path, what="the store", timeout=0.0):
        assert path.exists()


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
