from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repro.errors import LocalError
from repro.mutex import Claim, exclusive
from repro.progress import Silent, Task


class Heard(Silent):
    """A Progress that remembers the labels of its tasks."""

    def __init__(self) -> None:
        self.labels: list[str] = []

    @contextmanager
    def task(self, label: str, total: int | None = None) -> Iterator[Task]:
        """See Progress.task."""
        self.labels.append(label)
        with super().task(label, total) as task:
            yield task


HOLDER = Claim(who="repro build in /home/x/project")


def test_a_lock_that_is_free_is_taken_without_a_word(tmp_path: Path) -> None:
    heard = Heard()
    for _ in range(2):
        with exclusive(tmp_path / "lock", what="x", claim=Claim(seconds=0, progress=heard)):
            assert (tmp_path / "lock").read_text().split()[0] == str(os.getpid())
    assert heard.labels == []


def test_a_group_that_shares_a_cache_may_take_its_locks(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with exclusive(tmp_path / "lock", what="x", claim=Claim()):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_who_does_not_wait_is_told_whom_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        exclusive(path, what="building", claim=HOLDER),
        pytest.raises(LocalError) as refused,
        exclusive(path, what="building", claim=Claim(seconds=0)),
    ):
        pass
    said = f"building: process {os.getpid()} (repro build in /home/x/project, for 0 s)"
    assert refused.value.message.startswith(said)
    assert "--lock-timeout" in str(refused.value.hint)
    assert str(path) in str(refused.value.hint)


def test_who_waits_says_for_whom_and_has_it_when_it_is_free(tmp_path: Path) -> None:
    path, heard, mine = tmp_path / "lock", Heard(), threading.Event()

    def wait() -> None:
        with exclusive(path, what="building", claim=Claim(progress=heard)):
            mine.set()

    thread = threading.Thread(target=wait)
    with exclusive(path, what="building", claim=HOLDER):
        thread.start()
        deadline = time.monotonic() + 30
        while not heard.labels:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not mine.is_set()
    thread.join(30)
    assert mine.is_set()
    [said] = heard.labels
    assert said.startswith(f"waiting for process {os.getpid()} (repro build in /home/x/project")


def test_waiting_ends(tmp_path: Path) -> None:
    path, heard = tmp_path / "lock", Heard()
    with (
        exclusive(path, what="building", claim=HOLDER),
        pytest.raises(LocalError, match=r"within 0\.7 s"),
        exclusive(path, what="building", claim=Claim(seconds=0.7, progress=heard)),
    ):
        pass
    assert len(heard.labels) == 1


@pytest.mark.parametrize("note", [b"", b"\n", b"\xff\x00", b"12 x", b"1 2 " + b"w" * 9000])
def test_any_note_of_a_holder_can_be_read(tmp_path: Path, note: bytes) -> None:
    path = tmp_path / "lock"
    with exclusive(path, what="building", claim=HOLDER):
        path.write_bytes(note)
        with (
            pytest.raises(LocalError, match="process"),
            exclusive(path, what="building", claim=Claim(seconds=0)),
        ):
            pass


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "lock").symlink_to("victim")
    with (
        pytest.raises(LocalError, match="lock"),
        exclusive(tmp_path / "lock", what="building", claim=HOLDER),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "kept"
