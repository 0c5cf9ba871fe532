"""A2, A3, A4, A8 for requirements.txt: refused as a whole, with file, line and next step."""

from __future__ import annotations

import pytest

from repro.errors import LockError
from repro.locks.requirements import parse, render
from repro.models.lock import PipArtifact

WHERE = "lockfiles/linux-amd64/requirements.txt"
TEXT = render(
    PipArtifact(name=name, version="1.0", filename="x.whl", size=1, sha256=digit * 64)
    for name, digit in (("numpy", "a"), ("pandas", "b"), ("six", "c"))
)


def refused(text: str, *said: str) -> None:
    assert text != TEXT
    with pytest.raises(LockError) as caught:
        parse(text, where=WHERE)
    assert caught.value.exit_code == 3
    for part in (WHERE, *said):
        assert part in caught.value.message
    assert caught.value.hint == "run: repro snapshot"


def test_a02_one_hash_removed_is_all_or_nothing() -> None:
    line = f"    --hash=sha256:{'b' * 64}\n"
    refused(TEXT.replace(line, ""), ":4:", "pandas", "no hash")
    refused(TEXT.replace(" \\\n" + line, "\n"), ":3:", "pandas", "no hash")


@pytest.mark.parametrize(("weak", "length"), [("md5", 32), ("sha1", 40), ("sha224", 56)])
def test_a03_a_weak_hash_is_refused(weak: str, length: int) -> None:
    changed = TEXT.replace(f"sha256:{'b' * 64}", f"{weak}:{'b' * length}")
    refused(changed, ":4:", "pandas", weak, "sha256")


@pytest.mark.parametrize(
    "other",
    [
        "pandas @ file:///etc/passwd",
        "file:///etc/passwd",
        "../pandas",
        "./pandas-1.0-py3-none-any.whl",
        "/tmp/pandas",
        "pandas @ git+ssh://git@example.org/pandas",
        "https://me:hunter2@example.org/pandas-1.0-py3-none-any.whl",
        "C:\\pandas",
        "-r other.txt",
        "--index-url https://example.org/simple",
    ],
)
def test_a04_another_scheme_or_a_path_is_refused_unread(other: str) -> None:
    changed = TEXT.replace("pandas==1.0", other)
    with pytest.raises(LockError) as caught:
        parse(changed, where=WHERE)
    assert f"{WHERE}:3:" in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint == "run: repro snapshot"


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs", "||||||| base"])
def test_a08_conflict_markers_name_file_and_line(marker: str) -> None:
    lines = TEXT.splitlines()
    refused("\n".join([*lines[:2], marker, *lines[2:]]) + "\n", ":3:", "merge-conflict marker")


def test_a08_half_a_file_names_file_and_line() -> None:
    for cut in range(1, len(TEXT)):
        half = TEXT[:cut]
        if half.count("\n") % 2 == 0 and half.endswith("\n"):
            continue  # whole packages are gone: the seal notices that (A5)
        with pytest.raises(LockError, match=rf"{WHERE}:\d+: ") as caught:
            parse(half, where=WHERE)
        assert caught.value.hint == "run: repro snapshot"
