"""pip's requirement file format, as text: logical lines, and options in all of their spellings.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from repro.errors import UsageError
from repro.locks.names import shown

LINE_LIMIT = 1 << 16
"""Characters of a logical line."""

# pip's `COMMENT_RE`, a "#" at the start or after white space; linear on any line.
_COMMENT = re.compile(r"(?:^|(?<!\s)\s++)#.*$")

_OPTION = re.compile(r"(?P<name>--[A-Za-z0-9-]+|-[A-Za-z])(?P<value>.*)", re.DOTALL)
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-e": "--editable", "-i": "--index-url",
          "-f": "--find-links"}  # fmt: skip


def logical_lines(text: str, where: str, *, limit: int = LINE_LIMIT) -> Iterator[tuple[int, str]]:
    """Yield (first line's number, line) with continuations joined and comments removed.

    As pip does: a comment ends a continued line, and comments go after joining. Raises
    UsageError for a line of more than `limit` characters.
    """
    parts: list[str] = []
    first = size = 0
    for number, raw in enumerate(text.split("\n"), start=1):
        if not parts:
            first, size = number, 0
        size += len(raw)
        if size > limit:
            raise UsageError(f"{where}:{first}: longer than {limit} characters")
        if raw.endswith("\\") and not _COMMENT.match(raw):
            parts.append(raw[:-1])
            continue
        parts.append(" " + raw if _COMMENT.match(raw) else raw)
        line = _COMMENT.sub("", "".join(parts)).strip()
        parts = []
        if line:
            yield first, line
    if line := _COMMENT.sub("", "".join(parts)).strip():
        yield first, line


def option(line: str, where: str) -> tuple[str, str] | None:
    """Split a line into an option's long name and its value as written; None: it is no option.

    Raises UsageError for a line that begins like an option and is none.
    """
    if not line.startswith("-"):
        return None
    found = _OPTION.match(line)
    if found is None:
        raise UsageError(f"{where}: {shown(line)} is no requirement and no option")
    return _SHORT.get(found["name"], found["name"]), found["value"].removeprefix("=").strip()
