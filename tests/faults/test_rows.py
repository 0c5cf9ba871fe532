"""Every row of the fault matrix has a test that is named after it, or stands open with a reason."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.faults.rows import OPEN, ROWS

FOLDER = Path(__file__).parent
_NAMED = re.compile(r"test_([a-j]\d\d)_")
_COMMAND = frozenset(
    {"faulted", "watching", "assert_refused", "terminal", "cli", "repro", "running"}
)
"""What a test uses that runs the whole command."""


@functools.cache
def covering() -> dict[str, list[Path]]:
    """The files of tests for each row, by the names of files and functions."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        defined = [
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)
        ]
        for row in {named[1] for name in (path.name, *defined) if (named := _NAMED.match(name))}:
            found.setdefault(row, []).append(path)
        for name in defined:
            if span := re.match(r"test_([a-j])(\d\d)_to_[a-j]?(\d\d)_", name):
                for number in range(int(span[2]), int(span[3]) + 1):
                    found.setdefault(f"{span[1]}{number:02}", []).append(path)
    return found


@functools.cache
def through_the_command(path: Path) -> bool:
    """Whether the tests of a file run `repro` itself, in a process of its own."""
    names = {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.Attribute)
    }
    return bool(names & _COMMAND)


def test_no_test_is_named_after_a_row_that_there_is_not() -> None:
    assert not covering().keys() - ROWS.keys()


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_its_test(row: str) -> None:
    files = covering().get(row, [])
    if row in OPEN:
        assert not files, f"{row} has tests: {ROWS[row]} is open no more"
        return
    assert files, f"no test is named test_{row}_…: {ROWS[row]}"
    assert any(through_the_command(path) for path in files), f"{row}: only functions are tested"


def test_what_is_open_has_its_reason() -> None:
    assert OPEN.keys() <= ROWS.keys()
    assert all(reason.strip() for reason in OPEN.values())
