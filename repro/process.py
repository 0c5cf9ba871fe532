"""The only user of subprocess: starts children, waits for them, ends them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repro.errors import EngineError

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A child that ended: exit status (negative: killed by that signal) and what it wrote."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as UTF-8, undecodable bytes replaced."""
        return self.stdout.decode(errors="replace")

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of standard error, else of standard output."""
        text = self.stderr.decode(errors="replace").strip() or self.text.strip()
        return "\n".join(text.splitlines()[-lines:])


def which(name: str) -> str | None:
    """Path of an executable, also in the sbin folders that an ordinary user's PATH lacks."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child that leads its own session, and everything in its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            child.wait()
            return
        try:
            child.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:  # a second Ctrl-C is immediate
            os.killpg(child.pid, signal.SIGKILL)
            raise


@contextmanager
def started(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = subprocess.PIPE,
    stderr: int | None = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
    new_session: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child and yield it; it does not outlive the block, however that ends.

    Raises EngineError when the program is not installed or may not be executed.
    """
    try:
        child = subprocess.Popen(
            [str(word) for word in argv],
            env=dict(env) if env is not None else None,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise EngineError(
            f"cannot start {argv[0]}: {error.strerror}", hint=f"install {Path(argv[0]).name}"
        ) from error
    try:
        yield child
    finally:
        end(child)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text: bytes | None = None,
    timeout: float | None = None,
    stdout: int | None = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
) -> Done:
    """Run a child to its end and return it; the caller checks `code`.

    `text` is its standard input (None: empty). `stdout` may be a descriptor to write to. Raises
    EngineError when it cannot be started or takes longer than `timeout` seconds.
    """
    stdin = subprocess.DEVNULL if text is None else subprocess.PIPE
    with started(argv, env=env, cwd=cwd, stdin=stdin, stdout=stdout, pass_fds=pass_fds) as child:
        try:
            out, err = child.communicate(text, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{argv[0]} did not end within {timeout:g} s") from error
    return Done(
        argv=tuple(str(word) for word in argv),
        code=child.returncode,
        stdout=out or b"",
        stderr=err or b"",
    )
