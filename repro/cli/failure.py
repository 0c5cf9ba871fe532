"""From an exception to one clear message and an exit code (DESIGN.md §10)."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass

import click

from repro.cli.signals import INTERRUPTED, TERMINATED
from repro.errors import LocalError, ReproError, Terminated, UsageError

BUG = 70
_LOCAL = frozenset(
    {
        errno.EBADF,  # a standard stream that was closed before we began
        errno.EPIPE,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """What is said of an exception: `message`, the next step, and the exit code."""

    message: str
    hint: str | None
    exit_code: int


def describe(error: BaseException, arguments: list[str]) -> Failure:
    """Say what an exception means to the user; anything unforeseen is a bug in repro (70)."""
    if isinstance(error, click.exceptions.Abort):
        error = _behind_abort(error)
    if isinstance(error, ReproError):
        return Failure(message=error.message, hint=error.hint, exit_code=error.exit_code)
    if isinstance(error, click.ClickException):
        return Failure(
            message=error.format_message(), hint=_help_hint(error), exit_code=UsageError.exit_code
        )
    if isinstance(error, Terminated):
        return Failure(message="terminated", hint=None, exit_code=TERMINATED)
    if isinstance(error, KeyboardInterrupt):
        return Failure(message="interrupted", hint=None, exit_code=INTERRUPTED)
    if isinstance(error, OSError) and error.errno in _LOCAL:
        where = error.filename or "standard output"
        return Failure(
            message=f"{where}: {error.strerror}",
            hint="free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None,
            exit_code=LocalError.exit_code,
        )
    return _bug(error, arguments)


def _behind_abort(error: click.exceptions.Abort) -> BaseException:
    """Name what click's prompt hides: Ctrl-C, termination, or the end of the input."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, EOFError):
        return UsageError("the input ended before the question was answered", hint="pass --yes")
    return cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()


def _help_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'repro'} --help"


def _bug(error: BaseException, arguments: list[str]) -> Failure:
    summary = f"this is a bug in repro: {type(error).__name__}: {error}"
    try:
        path = _write_report(error, arguments)
    except (ReproError, OSError) as problem:
        hint = f"REPRO_DEBUG=1 shows where (no report could be written: {problem})"
    else:
        hint = f"please send its developers the report in {path}; REPRO_DEBUG=1 shows where"
    return Failure(message=summary, hint=hint, exit_code=BUG)


def _write_report(error: BaseException, arguments: list[str]) -> str:
    """Write traceback, versions and arguments, without secrets, beside the store."""
    import hashlib
    import platform
    import traceback

    import repro
    from repro.addresses import redact
    from repro.files import write_atomic
    from repro.workflows.tools import cache_folder

    text = redact(
        f"repro {repro.__version__}, Python {sys.version}, {platform.platform()}\n"
        f"arguments: {arguments}\n\n{''.join(traceback.format_exception(error))}"
    )
    name = hashlib.sha256(text.encode()).hexdigest()[:12]  # the same bug is the same file
    path = cache_folder() / "crashes" / f"{name}.txt"
    write_atomic(path, text.encode(errors="replace"), 0o600)
    return str(path)
