"""The strace loop: a real command is killed, or told that the disk is full, at its Nth call.

`strace -f -b execve -e trace=CALL -e inject=CALL:FAULT:when=N PROGRAM` lets N-1 system calls of a
name pass and strikes at the Nth: the kernel's own SIGKILL, or its own error number, inside a real
process that works on real files. A test loops over N until the command survives, which shows that
every such call was struck once:

    for struck in strikes(run, "rename", KILL):
        ...                       # struck.call says where; look at what is left on the disk

How strace (6.1, Debian 12's) counts, and what follows from it:

- It counts for each thread and for each call's name. So one name is struck at a time, and N goes
  up to what the busiest thread does. A thread that makes fewer calls than another made before it
  is struck only where it is the first to make its Nth: `record` lists all calls of an undisturbed
  run, and a test may compare them with those that it struck.
- `-f` is needed for threads, and would follow children too. `-b execve` lets go of whatever
  becomes another program: faults hit the command itself, not apt-get or bwrap.
- `--seccomp-bpf`, which would make tracing cheap, counts wrongly in 6.1 together with `inject`.
  Without it a command takes about 1.3 times as long.
- `-P PATH` looks at the first argument of rename only, which is a temporary's name: useless here.
- SIGKILL strikes when the call begins: it is not carried out. What the page cache holds survives,
  as for any killed process; a power failure is another fault, and fsync is only checked for being
  called and for its error being heeded.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

KILL = "signal=SIGKILL"
FULL = "error=ENOSPC"
BROKEN = "error=EIO"

RENAMES = ("rename", "renameat2")
SYNCS = ("fsync", "syncfs")
"""By which names CPython and repro do it; `record` asserts that there are no others."""

_OTHERS = ("renameat", "fdatasync", "sync", "sync_file_range", "msync")
_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (.+)$")
_TEMPORARY = re.compile(r"\.repro-tmp-[a-z0-9_]{8}")
_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Call:
    """A system call: its name, and the arguments as strace prints them."""

    name: str
    arguments: str

    @property
    def site(self) -> str:
        """The call without what differs from run to run: names of temporaries, ids, numbers."""
        text = _TEMPORARY.sub("TEMPORARY", self.arguments)
        text = re.sub(r"\b\d+<", "<", text)
        text = re.sub(r"sha256/[0-9a-f]{2}\b", "sha256/..", text)
        text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
        text = re.sub(r"\b\d{8}T\d{12}-[0-9a-f]{6}\b", "RUN", text)
        return f"{self.name}({text})"


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What became of a command: exit status (negative: killed), output, and where it was struck.

    `call` is None when it made fewer calls than that: it survived.
    """

    code: int
    out: str
    err: str
    nth: int
    call: Call | None


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command to strike, and where it runs."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    timeout: float = 120.0
    threads: bool = False

    def strike(self, name: str, nth: int, fault: str) -> Struck:
        """Run it with this fault at its Nth call of that name."""
        options = ("-e", f"trace={name}", "-e", f"inject={name}:{fault}:when={nth}")
        code, out, err, log = self._traced(options)
        mark = "?" if fault == KILL else "(INJECTED)"
        calls = [call for call, result in _calls(log) if mark in result]
        # each thread has an Nth call, and other threads die inside one of theirs
        assert len(calls) <= 1 or fault == KILL or self.threads, log
        return Struck(code=code, out=out, err=err, nth=nth, call=calls[0] if calls else None)

    def record(self, names: Sequence[str]) -> tuple[Call, ...]:
        """Run it undisturbed and return all its calls of these names."""
        code, out, err, log = self._traced(("-e", f"trace={','.join((*names, *_OTHERS))}"))
        assert code == 0, (out, err)
        calls = tuple(call for call, _ in _calls(log))
        assert not [call for call in calls if call.name not in names], calls
        return calls

    def _traced(self, options: Sequence[str]) -> tuple[int, str, str, str]:
        with tempfile.NamedTemporaryFile(prefix="strace-") as log:
            argv = ["strace", "-f", "-b", "execve", "-qq", "-y", "-s", "300", "-e", "signal=none"]
            done = subprocess.run(
                [*argv, "-o", log.name, *options, *self.argv],
                cwd=self.cwd,
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout,
                check=False,
            )
            text = Path(log.name).read_text(errors="replace")
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        return done.returncode, out, err, text


def strikes(
    command: Callable[[], Command], name: str, fault: str, *, every: int = 1
) -> Iterator[Struck]:
    """Strike at the 1st, 2nd, ... call of a name, until the command survives; yield each.

    `command` is asked anew before each run: there the test sets the stage. `every` takes a
    sample: the 1st, then every so manieth. The last one yielded has no call: it survived.
    """
    for nth in range(1, _MOST, every):
        struck = command().strike(name, nth, fault)
        if struck.call is not None and fault == KILL:
            assert struck.code == -signal.SIGKILL, struck
        yield struck
        if struck.call is None:
            return
    raise AssertionError(f"more than {_MOST} calls of {name}")


def require_strace() -> None:
    """Skip the test where there is no strace, or the kernel forbids tracing."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace: apt-get install strace")
    argv = ["strace", "-qq", "-o", "/dev/null", "true"]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"strace cannot trace here: {done.stderr.decode(errors='replace').strip()}")


def _calls(log: str) -> Iterator[tuple[Call, str]]:
    """Read a log: (call, result), also of calls that another thread's interrupted in the log."""
    unfinished: dict[str, str] = {}
    for line in log.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            unfinished[thread] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", rest):
            rest = unfinished.pop(thread) + resumed[1]
        if match := _LINE.match(f"{thread} {rest}"):
            yield Call(name=match[1], arguments=match[2]), match[3]
    for rest in unfinished.values():  # killed inside
        name, _, arguments = rest.partition("(")
        yield Call(name=name, arguments=arguments), "?"
