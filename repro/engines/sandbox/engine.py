"""The sandbox: bubblewrap and user namespaces over the image's layers, without a daemon."""

from __future__ import annotations

import contextlib
import marshal
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from repro.engines.log import Log, opened
from repro.engines.sandbox.command import (
    CERTIFICATES,
    CPU,
    OWN_PROCESSES,
    Host,
    base_folder,
    launch,
)
from repro.engines.sandbox.diagnosis import INSTALL, failure
from repro.engines.sandbox.limits import Group, Polled, group
from repro.engines.sandbox.seccomp import PACKAGE, filters
from repro.engines.sandbox.supervisor import Bounds, Outcome, Supervisor
from repro.engines.sandbox.terminal import lent_terminal
from repro.engines.sandbox.unpack import unpack, verified
from repro.engines.stage import dedicated_user, is_global_root, lent, require_readable, written
from repro.errors import EngineError
from repro.models.execution import Ending, Execution, Job
from repro.models.image import Image, Layer
from repro.models.project import Limits
from repro.process import started, which
from repro.store.artifacts import Store

LAUNCHER = Path(__file__).with_name("launcher.py")
NOWHERE = "/no-such-program"
KILLED = 137
"""128 + SIGKILL: the status of a run that a limit ended."""
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_GNU_ENV = ("/usr/bin/env", "--default-signal=INT", "--default-signal=QUIT", "--")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    """What all steps of a job share."""

    job: Job
    host: Host
    layers: tuple[Path, ...]
    filters: tuple[bytes, ...]
    group: Group | None
    bounds: Bounds
    log: Log


class Sandbox:
    """Runs jobs in bubblewrap over unpacked layers; needs no daemon and no root.

    For root the run gets a user number of its own and a hard memory limit where control groups
    can be made; for anybody else memory is watched, which a fast allocation outruns by some
    tens of milliseconds.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answer: tuple[str | None] | None = None
        self._programs: tuple[bytes, ...] | None = None
        self._verified: dict[Layer, Path] = {}

    @property
    def name(self) -> str:
        """See Engine.name."""
        return "sandbox"

    def probe(self) -> str | None:
        """See Engine.probe: launches a sandbox with nothing in it, once for each object."""
        if self._answer is None:
            self._answer = (self._try_out(),)
        return self._answer[0]

    def load(self, image: Image) -> None:
        """Unpack the layers that are not yet. Raises LockError for one that is damaged.

        That nobody changed an unpacked one is seen when it is run, not here.
        """
        for layer in image.layers:
            unpack(self._store, layer)

    def run(self, job: Job) -> Execution:
        """See Engine.run."""
        if (problem := self.probe()) is not None:
            raise EngineError(f"the sandbox cannot be used: {problem}")
        layers = tuple(self._layer(layer) for layer in _once(job.image.layers))
        programs, unenforced = self._enforceable(job.limits)
        begin = time.monotonic()
        host = _host()
        if not job.network:  # else it is a resolver's, which needs some files of an index only
            require_readable(job.mounts, host.user)
        before = written(job.stage)
        with (
            opened(job.log, job.limits.log) as log,
            group(job.limits.memory) as limited,
            lent(job.stage, host.user),
        ):
            bounds = Bounds(
                deadline=begin + job.limits.timeout,
                memory=limited or Polled(limit=job.limits.memory),
                pids=job.limits.pids + OWN_PROCESSES,
                stage=job.stage,
                output=before + job.limits.output,
            )
            setting = _Setting(
                job=job,
                host=host,
                layers=layers,
                filters=programs,
                group=limited,
                bounds=bounds,
                log=log,
            )
            index, ending, code, crowded = _steps(setting)
        if ending is Ending.EXITED and written(job.stage) > bounds.output:
            ending = Ending.OUTPUT  # in folders that were closed to us until now
        return Execution(
            engine=self.name,
            ending=ending,
            code=code,
            step=index,
            seconds=time.monotonic() - begin,
            log_cut=log.cut,
            unenforced=unenforced,
            crowded=crowded,
        )

    def _layer(self, layer: Layer) -> Path:
        """The layer's folder; that nobody changed it is seen once for each object."""
        if layer not in self._verified:
            self._verified[layer] = verified(self._store, layer)
        return self._verified[layer]

    def _try_out(self) -> str | None:
        """Launch a sandbox in which no program is found: everything before that must work."""
        if which("bwrap") is None:
            return INSTALL
        with self._store.scratch() as folder:
            stage = folder / "stage"
            stage.mkdir()
            job = _nothing(stage, folder / "log")
            try:
                with opened(job.log, job.limits.log) as log, lent(stage, _host().user):
                    setting = _Setting(
                        job=job,
                        host=_host(),
                        layers=(),
                        filters=(),
                        group=None,
                        log=log,
                        bounds=Bounds(
                            deadline=time.monotonic() + job.limits.timeout,
                            memory=Polled(limit=job.limits.memory),
                            pids=job.limits.pids + OWN_PROCESSES,
                            stage=stage,
                            output=job.limits.output,
                        ),
                    )
                    _steps(setting)
            except EngineError as error:
                return str(error)
        return None

    def _enforceable(self, limits: Limits) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
        """Return the system call filters, and the limits that this host cannot enforce.

        Raises EngineError when there are any and the project does not accept that.
        """
        programs = self._programs = self._programs or filters(self._store.root / "seccomp")
        lacking = []
        if programs is None:
            lacking.append(("system calls", f"apt-get install {PACKAGE}"))
        if os.geteuid() == 0 and _host().user is None and is_global_root(_proc("uid_map")):
            lacking.append(("pids", "run as an ordinary user, or as root with all capabilities"))
        if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
            lacking.append(("memory", "use a kernel with CONFIG_PROC_CHILDREN"))
        if lacking and not limits.best_effort:
            what, hint = lacking[0]
            raise EngineError(
                f"this host cannot limit {what}", hint=f'{hint}; or set limits = "best-effort"'
            )
        return programs or (), tuple(what for what, _ in lacking)


def _once(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers without those that come again further up: overlay takes a folder but once.

    What the upper one shows and hides covers all that the lower one does.
    """
    return tuple(reversed({layer.digest: layer for layer in reversed(layers)}.values()))


def _nothing(stage: Path, log: Path) -> Job:
    """A job without image and program."""
    return Job(
        image=Image(layers=(), config=b"", manifest=b"", env=()),
        steps=((NOWHERE,),),
        stage=stage,
        env=(),
        limits=Limits(timeout=30.0, memory=64 << 20),
        log=log,
    )


def _host() -> Host:
    bwrap = which("bwrap")
    assert bwrap is not None
    return Host(
        bwrap=bwrap,
        parent=os.getpid(),
        user=dedicated_user(os.geteuid(), _proc("status"), _proc("uid_map"), _proc("gid_map")),
        base=base_folder(),
        hosts=_text("/etc/hosts"),
        resolver=_text("/etc/resolv.conf"),
        certificates=Path(CERTIFICATES).is_dir(),
        cpu=Path(CPU).is_dir(),
    )


def _proc(name: str) -> str:
    """What the kernel says of this process."""
    return Path("/proc/self", name).read_text(encoding="ascii", errors="replace")


def _text(path: str) -> str:
    """A small file of the host, empty when there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _steps(setting: _Setting) -> tuple[int, Ending, int, bool]:
    """Run the steps until one fails.

    Return its index, how it ended, its exit status, and whether it was crowded.
    """
    if not setting.job.steps:
        raise EngineError("there is no step to run")
    for index, step in enumerate(setting.job.steps):  # noqa: B007 - needed after the loop
        outcome = _launched(setting, step)
        ending, code = _judged(outcome)
        if ending is not Ending.EXITED or code:
            break
    return index, ending, code, outcome.crowded


def _judged(outcome: Outcome) -> tuple[Ending, int]:
    """How the program ended and its exit status. Raises EngineError when it never started."""
    if outcome.ending is not Ending.EXITED:
        return outcome.ending, KILLED
    code = outcome.status.get("exit-code")
    if isinstance(code, int):
        return Ending.EXITED, code
    # bwrap reports no status when the program never started; then all that was written is its.
    if "failed" not in outcome.status and outcome.head.startswith("bwrap: execvp "):
        missing = outcome.head.rstrip().endswith("No such file or directory")
        return Ending.EXITED, _NOT_FOUND if missing else _NOT_EXECUTABLE
    raise failure(outcome.status, outcome.head)


def _launched(setting: _Setting, step: tuple[str, ...]) -> Outcome:
    """Run one step to its end; nothing of it is left then, also after an exception."""
    job = setting.job
    with contextlib.ExitStack() as stack:
        said, status = _pipe(stack)
        wait, go = _pipe(stack)
        programs = [_memory_file(stack, program) for program in setting.filters]
        order = launch(
            job,
            _own_interrupts(step, setting.layers) if job.interactive else step,
            host=setting.host,
            layers=setting.layers,
            filters=programs,
            status=status,
            go=wait,
        )
        number = _memory_file(stack, marshal.dumps(cast(dict[str, Any], order)))
        if job.interactive:
            stack.enter_context(lent_terminal())
        child = stack.enter_context(
            started(
                [sys.executable, "-I", "-S", LAUNCHER, str(number)],
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                stdin=None if job.takes_input else subprocess.DEVNULL,
                stdout=None if job.interactive else subprocess.PIPE,
                stderr=None if job.interactive else _stderr(job),
                pass_fds=(number, status, wait, *programs),
                new_session=not job.interactive,
            )
        )
        supervisor = Supervisor(child=child, outputs=_outputs(child), said=said, log=setting.log)
        stack.callback(supervisor.kill)
        if setting.group is not None:
            setting.group.add(child.pid)  # takes the kernel 10 ms, while the launcher starts
        os.write(go, b"\n")
        return supervisor.watch(setting.bounds)


def _stderr(job: Job) -> int:
    """One pipe for both streams keeps their order; two where each is passed on to its own."""
    return subprocess.PIPE if job.echo else subprocess.STDOUT


def _outputs(child: subprocess.Popen[bytes]) -> tuple[tuple[int, int | None], ...]:
    """What is read of the child, and where it is passed on to."""
    if child.stdout is None:
        return ()
    if child.stderr is None:
        return ((child.stdout.fileno(), None),)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return (
        (child.stdout.fileno(), sys.stdout.fileno()),
        (child.stderr.fileno(), sys.stderr.fileno()),
    )


def _own_interrupts(step: tuple[str, ...], layers: tuple[Path, ...]) -> tuple[str, ...]:
    """Wrap a program so that the terminal's keys reach it, although bwrap ignores them.

    Without GNU env in the image it inherits that it ignores Ctrl-C, like bwrap.
    """
    env = _GNU_ENV[0].lstrip("/")
    has_it = any((layer / env).is_file() for layer in layers)
    return (*_GNU_ENV, *step) if has_it else step


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    """Return a pipe's ends, closed with the stack."""
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends


def _memory_file(stack: contextlib.ExitStack, data: bytes) -> int:
    """Return a descriptor from which a child reads these bytes."""
    descriptor = os.memfd_create("repro")
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
