"""One root exception and its few leaves; the exit code sits on the class (DESIGN.md §10)."""

from __future__ import annotations


class ReproError(Exception):
    """Something a person can act on: what is wrong, where, and the next step.

    `message` names the file, package or limit; `hint` says what to do next. Only
    `repro.cli` turns it into an exit.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(ReproError):
    """The command line, the configuration or the project's inputs are not valid."""

    exit_code = 2


class LockError(ReproError):
    """A lock, a seal, a digest or a baseline is not what it must be."""

    exit_code = 3


class AnalysisError(ReproError):
    """The analysis failed, or what it wrote cannot be read."""

    exit_code = 4


class EngineError(ReproError):
    """No engine, or it failed: the verdict is unknown."""

    exit_code = 5


class NetworkError(ReproError):
    """Nothing that was asked could be fetched."""

    exit_code = 6


class LocalError(ReproError):
    """The local disk refused, or another process holds a lock."""

    exit_code = 7


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; unwinds like Ctrl-C, exits with 143."""
