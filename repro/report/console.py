"""The two streams: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from repro.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

SCHEMA = 1
"""Version of everything that `--json` writes."""

PLAIN_WIDTH = 80
"""Columns of a report that no terminal shows."""

LEAST_WIDTH = 40
"""Columns below which a report is cut by the terminal, not by us."""


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at the stream; TERM=dumb is no terminal."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO | None) -> bool:
    """Whether the stream takes colour: a terminal, and NO_COLOR is unset or empty."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def render(renderable: RenderableType) -> str:
    """Lay a report out for stdout: in the terminal's width and colours, else 80 plain columns."""
    from repro.report.text import to_string

    terminal = is_terminal(sys.stdout)
    width = shutil.get_terminal_size().columns if terminal else PLAIN_WIDTH
    return to_string(renderable, width=max(width, LEAST_WIDTH), color=coloured(sys.stdout))


def envelope(command: str, data: Mapping[str, object]) -> str:
    """One JSON object with schema version and command; floats that JSON lacks must be text.

    It is inert in a CI log too: GitHub and Azure obey `##[…]` and `##vso[…]` anywhere in a line.
    """
    import json

    body = {"schema": SCHEMA, "command": command, **data}
    text = json.dumps(body, indent=2, ensure_ascii=True, allow_nan=False)
    return text.replace("##", "#\\u0023") + "\n"


def failure_envelope(command: str, message: str, hint: str | None, exit_code: int) -> str:
    """Say a failure as JSON, secrets removed."""
    from repro.addresses import redact

    error = {
        "message": redact(message),
        "hint": redact(hint) if hint else None,
        "exit_code": exit_code,
    }
    return envelope(command, {"error": error})


def emit(text: str) -> None:
    """Write a result to stdout and flush it. Raises LocalError when stdout is closed or full."""
    if sys.stdout is None:
        raise LocalError("standard output is closed", hint="the results are saved all the same")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        raise _unwritable(error) from error


def flush() -> None:
    """Flush stdout. Raises LocalError when it cannot take what was written."""
    if sys.stdout is not None:
        emit("")


def _unwritable(error: OSError | ValueError) -> LocalError:
    # What is still in the buffer can go nowhere; left there, the interpreter would try again.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    sys.stdout = None  # as Python has a closed one; the rest is said on stderr
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return LocalError(f"standard output: {reason}", hint="the results are saved all the same")


def complain(message: str, hint: str | None) -> None:
    """Say on stderr what is wrong and what to do next: secrets removed, control bytes inert."""
    from repro.addresses import redact
    from repro.report.text import safe_lines

    if sys.stderr is None:
        return
    on, off = ("\x1b[1;31m", "\x1b[0m") if coloured(sys.stderr) else ("", "")
    text = f"{on}error:{off} {safe_lines(redact(message))}\n"
    if hint:
        text += f"  hint: {safe_lines(redact(hint))}\n"
    sys.stderr.write(text)
    sys.stderr.flush()
