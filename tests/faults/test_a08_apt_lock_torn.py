"""A8: merge-conflict markers in apt.lock, or half of the file: file and line."""

from __future__ import annotations

import pytest

from repro.errors import LockError
from repro.locks import apt
from tests.unit.test_locks_apt import TEXT, WHERE

LINES = TEXT.splitlines(keepends=True)


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs", "||||||| base"])
@pytest.mark.parametrize("line", [1, 5, 12, 13, len(LINES) + 1])
def test_a08_conflict_marker(marker: str, line: int) -> None:
    text = "".join((*LINES[: line - 1], marker + "\n", *LINES[line - 1 :]))
    with pytest.raises(LockError) as caught:
        apt.parse(text, where=WHERE)
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"{WHERE}:{line}: a merge conflict's marker")
    assert "repro snapshot" in (caught.value.hint or "")


@pytest.mark.parametrize("kept", [n for n in range(len(LINES)) if n not in (11, 12)])
def test_a08_half_a_file_at_a_line_s_end(kept: int) -> None:
    """All but the cut between two stanzas (11, 12), which the seal's digest shows."""
    with pytest.raises(LockError) as caught:
        apt.parse("".join(LINES[:kept]), where=WHERE)
    assert caught.value.exit_code == 3
    begins = 13 if kept > 12 else 1
    assert caught.value.message.startswith(f"{WHERE}:{begins}: ")
    assert caught.value.hint == "run: repro snapshot"


@pytest.mark.parametrize("line", [n for n, line in enumerate(LINES, 1) if line != "\n"])
def test_a08_half_a_file_within_a_line(line: int) -> None:
    cut = "".join(LINES[: line - 1]) + LINES[line - 1][:-4]
    with pytest.raises(LockError) as caught:
        apt.parse(cut, where=WHERE)
    assert caught.value.message == f"{WHERE}:{line}: the file ends within a line: half a file"


def test_a08_torn_into_zeros() -> None:
    """What a file system may leave after a crash."""
    with pytest.raises(LockError, match=rf"{WHERE}:\d+: ") as caught:
        apt.parse(TEXT[:150] + "\0" * 60 + "\n", where=WHERE)
    assert "control character" in caught.value.message
