"""What solvers say, made fit to be shown."""

from __future__ import annotations

from repro.addresses import redact
from repro.locks import conda_names, names

_LINES = 30


def inert(words: str) -> str:
    """Indent the words of another program, without logins and control characters."""
    lines = [line for line in redact(words).splitlines() if line.strip()]
    shown = [f"  {_line(line)}" for line in lines[:_LINES]]
    return "\n".join([*shown, *(["  …"] if len(lines) > _LINES else [])])


def _line(line: str) -> str:
    indent = len(line) - len(line.lstrip())
    return " " * min(indent, 40) + names.said(conda_names.TOKEN.sub("", line))
