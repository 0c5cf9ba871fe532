"""The program: parse, run one command, and exit; nothing else in repro exits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

import click

from repro.cli.failure import Failure, describe
from repro.cli.group import COMMANDS, cli
from repro.cli.session import Session
from repro.cli.signals import Interrupts
from repro.errors import LocalError, UsageError
from repro.report import console

COMPLETE = "_REPRO_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program with these arguments (default: the process's own) and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.umask(os.umask(0o022) | 0o002)  # a cache that everybody may write would not be believed
    interrupts = Interrupts()
    interrupts.install()
    _stand_in_for_closed_streams()
    for stream in (sys.stdout, sys.stderr):  # a name that is no UTF-8 must not end a report
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = run(words)
        console.flush()
    except BaseException as error:  # noqa: BLE001 - the one place that turns errors into exits
        interrupts.finish()
        code = report(error, words)
        _leave(code)
    sys.exit(code)


def run(words: list[str]) -> int:
    """Parse, run, and return the exit code; errors pass through."""
    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        if shell_complete(cli, {}, "repro", COMPLETE, instruction):
            known = "bash_source, zsh_source, fish_source"
            raise UsageError(f"{COMPLETE}={instruction} is not known", hint=f"one of: {known}")
        return 0
    try:
        with cli.make_context("repro", list(words), obj=Session()) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0


def report(error: BaseException, words: list[str]) -> int:
    """Tell the user about an exception, on stderr or as JSON on stdout; return the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # `repro` alone
        with suppress(OSError):
            sys.stderr.write(error.format_message() + "\n")
        return error.exit_code
    failure = describe(error, words)
    if os.environ.get("REPRO_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    with suppress(OSError):  # nobody is left to tell; the exit code still says it
        _say(failure, words)
    return failure.exit_code


def _say(failure: Failure, words: list[str]) -> None:
    options = words[: words.index("--")] if "--" in words else words
    if "--json" in options:
        command = next((word for word in options if word in COMMANDS), "")
        text = console.failure_envelope(command, failure.message, failure.hint, failure.exit_code)
        with suppress(LocalError):
            console.emit(text)
            return
    console.complain(failure.message, failure.hint)


def _stand_in_for_closed_streams() -> None:
    """Give closed standard streams a descriptor, lest the next file opened becomes one of them.

    Writing to a closed stdout fails then as it should (EBADF); nobody reads a closed stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # the lowest is taken
    if sys.stdout is None:
        sys.stdout = _unbuffered(1)
    if sys.stderr is None:
        sys.stderr = _unbuffered(2)


def _unbuffered(number: int) -> TextIOWrapper:
    raw = open(number, "wb", buffering=0, closefd=False)  # noqa: SIM115 - for the whole process
    return TextIOWrapper(raw, write_through=True)


def _leave(code: int) -> NoReturn:
    """End now: no waiting for threads that still download, no second failure in flushing."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
