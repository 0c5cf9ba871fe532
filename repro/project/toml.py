"""Reading the user's TOML within bounds that no hostile file can push (FAULTS.md J77)."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from repro.errors import UsageError
from repro.locks.names import said
from repro.locks.nesting import too_deep

LIMIT = 256 << 10
"""Bytes; the largest pyproject.toml in the wild have about 100 KiB."""

DEPTH = 16
"""Open brackets, and parts of one dotted key."""


def parse(data: str, *, where: str) -> dict[str, Any]:
    """Return the tables of a TOML document of at most LIMIT characters.

    Raises UsageError naming `where` and the line: not TOML, a duplicate key, too large, too deep.
    """
    if len(data) > LIMIT:
        raise UsageError(f"{where}: larger than {LIMIT >> 10} KiB")
    _check_depth(data, where)
    try:
        return tomllib.loads(data)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; an integer of 5,000 digits
        raise UsageError(f"{where}: not valid TOML: {said(error)}", hint=_hint(data)) from None


def _check_depth(data: str, where: str) -> None:
    if (found := too_deep(data, DEPTH)) is not None:
        line, what = found
        raise UsageError(
            f"{where}: line {line}: more than {DEPTH} nested {what}",
            hint="nothing in this file needs to be that deep",
        )


def _hint(data: str) -> str | None:
    if re.search(r"^(<{7}|={7}$|>{7})", data, re.MULTILINE):
        return "it holds merge-conflict markers: resolve the conflict"
    return None
