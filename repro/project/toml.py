"""Reading the user's TOML within bounds that no hostile file can push (FAULTS.md J77)."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from repro.errors import UsageError

LIMIT = 256 << 10
"""Bytes; the largest pyproject.toml in the wild have about 100 KiB."""

DEPTH = 16
"""Open brackets, and parts of one dotted key. tomllib recurses on brackets (RecursionError in
the thousands) and is quadratic in the parts of a key."""

# Possessive, and an unterminated string is a token too: no text makes this more than linear.
_TOKEN = re.compile(
    r"""(?P<text>\"{3}(?:[^"\\]|\\.|\"{1,2}(?!\"))*+(?:\"{3,5}|\\?\Z)
        |'{3}(?:[^']|'{1,2}(?!'))*+(?:'{3,5}|\Z)
        |"(?:[^"\\\n]|\\[^\n])*+"?
        |'[^'\n]*+'?
        |[A-Za-z0-9_-]++)
    |(?P<comment>\#[^\n]*+)
    |(?P<dot>\.)
    |(?P<space>[\ \t]++)
    |(?P<open>[\[{])
    |(?P<close>[\]}])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


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
        raise UsageError(f"{where}: not valid TOML: {_said(error)}", hint=_hint(data)) from None


def _check_depth(data: str, where: str) -> None:
    """Refuse deep nesting and long dotted keys before the recursive parser sees them.

    Strings and comments are skipped as tokens; where the text is not TOML the count may be
    wrong, but it is never smaller than the depth that the parser would reach before it stops.
    """
    depth = dots = 0
    for token in _TOKEN.finditer(data):
        kind = token.lastgroup
        if kind in ("text", "space"):
            continue
        if kind == "dot":
            dots += 1
        elif kind == "open":
            depth += 1
            dots = 0
        else:
            dots = 0
            if kind == "close":
                depth = max(0, depth - 1)
        if depth > DEPTH or dots > DEPTH:
            line = data.count("\n", 0, token.start()) + 1
            what = "brackets" if depth > DEPTH else "parts of a dotted key"
            raise UsageError(
                f"{where}: line {line}: more than {DEPTH} nested {what}",
                hint="nothing in this file needs to be that deep",
            )


def _said(error: Exception) -> str:
    text = str(error).split("\n", maxsplit=1)[0]
    return text if len(text) <= 200 else text[:200] + "…"


def _hint(data: str) -> str | None:
    if re.search(r"^(<{7}|={7}$|>{7})", data, re.MULTILINE):
        return "it holds merge-conflict markers: resolve the conflict"
    return None
