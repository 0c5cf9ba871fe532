"""Why a run failed: how it ended, in the words and values of the project's own limits."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from repro.errors import AnalysisError
from repro.models.execution import Ending, Execution, Run
from repro.models.project import SCRATCH_MOST, SHARED_MEMORY, Limits
from repro.project.values import duration_text, size_text

TAIL = 20
"""Lines of the log that are shown."""
_LOOKED_AT = 64 << 10
"""Bytes at the log's end in which they, and the system's own words, are looked for."""
_SIGNAL = 128
# What programs print of EAGAIN, ENOSPC and EFBIG: glibc, Python, bash and dash, OpenBLAS.
_CROWDED = re.compile(
    r"Resource temporarily unavailable|can't start new thread|[Cc]annot fork|EAGAIN"
)
_NO_SPACE = re.compile(r"No space left on device|ENOSPC")
_TOO_LARGE = re.compile(r"File too large|File size limit exceeded|EFBIG")


def require_success(
    recorded: Run, limits: Limits, *, what: str = "the analysis", echoed: bool = False
) -> None:
    """Raise AnalysisError for a failed run: how it ended, which limit it met, what to do next.

    The last lines of its log come with it, unless they were `echoed` while it ran.
    """
    execution = recorded.execution
    if execution.succeeded:
        return
    log = recorded.folder / "log.txt"
    lines = _last_lines(log)
    shown = () if echoed else (f"  | {line}" for line in lines)
    advice = advised(execution, limits, "\n".join(lines))
    raise AnalysisError(
        "\n".join([f"{what} {ended(execution, limits)}", *shown]),
        hint="; ".join([*advice, f"the whole log: {log}", "look around inside: repro shell"]),
    )


def ended(execution: Execution, limits: Limits) -> str:
    """How a failed run ended, with the limit that ended it and that limit's value."""
    match execution.ending:
        case Ending.EXITED:
            return f"ended with status {execution.code}{_signal(execution.code)}"
        case Ending.TIMEOUT:
            said = f"ran into its time limit ({_timeout(limits)}) and was ended"
            if execution.crowded:
                said += f", with as many processes as it may have ({_pids(limits)})"
            return said
        case Ending.MEMORY:
            return f"needed more memory than its limit ({_memory(limits)}) and was ended"
        case Ending.OUTPUT:
            return f"wrote more than its limit ({_output(limits)}) and was ended"


def advised(execution: Execution, limits: Limits, said: str) -> Iterator[str]:
    """What to do about the limits that a failed run met, or whose marks are in what it `said`.

    An engine sees only the limits that end a run. One that makes a call fail shows in the words
    that the program has for it, so these are conditional.
    """
    if execution.ending is not Ending.EXITED:
        yield "if it needs that much, raise the limit"
    if execution.crowded or _CROWDED.search(said):
        yield f"processes and threads are limited: {_pids(limits)}"
    if _NO_SPACE.search(said):
        yield (
            f"$HOME and /tmp hold {size_text(limits.scratch)} (half of {_memory(limits)}, "
            f"{size_text(SCRATCH_MOST)} at most), /dev/shm {size_text(SHARED_MEMORY)}: write large "
            "files below /project; or is this machine's disk full?"
        )
    if execution.code == _SIGNAL + signal.SIGXFSZ or _TOO_LARGE.search(said):
        yield f"no file may be larger than {_output(limits)}"
    if execution.ending is Ending.EXITED and execution.code == _SIGNAL + signal.SIGKILL:
        yield (
            "no limit of repro's ended it: it did so itself, or this machine ran out of memory "
            "(dmesg says so)"
        )


def _signal(code: int) -> str:
    """The signal that a status of 128+N stands for, in brackets."""
    try:
        return f" ({signal.Signals(code - _SIGNAL).name})"
    except ValueError:
        return ""


def _timeout(limits: Limits) -> str:
    return f'[analysis] timeout = "{duration_text(limits.timeout)}"'


def _memory(limits: Limits) -> str:
    return f'[analysis] memory = "{size_text(limits.memory)}"'


def _output(limits: Limits) -> str:
    return f'[analysis] max-output = "{size_text(limits.output)}"'


def _pids(limits: Limits) -> str:
    return f"[analysis] pids = {limits.pids}"


def _last_lines(log: Path) -> list[str]:
    if not log.is_file():
        return []
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LOOKED_AT))
        return file.read().decode(errors="replace").splitlines()[-TAIL:]
