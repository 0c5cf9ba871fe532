"""One root exception and its few leaves; the exit code sits on the class (DESIGN.md §10)."""

from __future__ import annotations


class ReproError(Exception):
    """Something a person can act on: what is wrong, where, and the next step.

    `message` names the file, package or limit; `hint` says what to do next, and where a raiser
    knows nothing better it is the class's own `next_step`. Only `repro.cli` turns it into an exit.
    """

    exit_code = 70
    next_step: str | None = None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.next_step

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(ReproError):
    """The command line, the configuration or the project's inputs are not valid."""

    exit_code = 2
    next_step = "correct that, then run it again"


class LockError(ReproError):
    """A lock, a seal, a digest or a baseline is not what it must be."""

    exit_code = 3
    next_step = "restore it from version control, or run: repro snapshot"


class AnalysisError(ReproError):
    """The analysis failed, or what it wrote cannot be read."""

    exit_code = 4
    next_step = "correct what the analysis writes, then run it again"


class EngineError(ReproError):
    """No engine, or it failed: the verdict is unknown."""

    exit_code = 5
    next_step = (
        "run it again; if that does not help, take the other engine: --engine docker or sandbox"
    )


class NetworkError(ReproError):
    """Nothing that was asked could be fetched.

    `status` is what a server answered (RFC 9110, §15), None where none did.
    """

    exit_code = 6
    next_step = "check the connection and the configured mirrors and indexes, then run it again"

    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class LocalError(ReproError):
    """The local disk refused, or another process holds a lock."""

    exit_code = 7
    next_step = "check the owner, the permissions and the free space there"


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; unwinds like Ctrl-C, exits with 143."""
