"""Whether scripts are written in Python 2, from their text alone."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

from repro.errors import ReproError
from repro.project import source

_LIMIT = 256 << 10
# What Python 3 cannot parse: print and exec statements, `except A, b:`, `raise A, "b"`, `<>`.
_PYTHON_2 = re.compile(
    r"""^[ \t]*(?:print[ \t]+[^\s=(,.)]|exec[ \t]+["'\w]
    |except[ \t]+[\w.]+[ \t]*,[ \t]*\w+[ \t]*:|raise[ \t]+[\w.]+[ \t]*,)|^[^#"'\n]*<>""",
    re.MULTILINE | re.VERBOSE,
)


def python2_script(root: Path, scripts: tuple[str, ...]) -> str | None:
    """Return the first script that is Python 2 and no Python 3; None when there is none."""
    for path in scripts:
        try:
            text = source.read_bytes(root, path, where=path, limit=_LIMIT).decode(errors="replace")
        except ReproError:  # a script that cannot be read gives no hints, and the run will tell
            continue
        if _PYTHON_2.search(text) and not _parses(text):
            return path
    return None


def _parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True
