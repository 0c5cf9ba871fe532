"""The docker engine (DESIGN.md §7)."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from repro.engines.docker import images, peek
from repro.engines.docker.address import OTHER_ENGINE, Address, current_address
from repro.engines.docker.api import Daemon, connect
from repro.engines.docker.container import Settings, created, in_background
from repro.engines.docker.orphans import remove_orphans
from repro.engines.docker.streams import (
    Echo,
    attached,
    has_terminal,
    keyboard,
    pump,
    terminal_size,
)
from repro.engines.log import Log, opened
from repro.engines.stage import lent, require_readable, written
from repro.errors import EngineError
from repro.files import local_errors
from repro.models.execution import UID, Ending, Execution, Job
from repro.models.image import Image
from repro.models.project import Limits
from repro.progress import Progress, Silent
from repro.store.artifacts import Store

INTERVAL = 0.2
"""Seconds between two looks at a running container."""

GRACE = 2
"""Seconds between SIGTERM and SIGKILL."""

DRAIN = 60.0
"""Seconds for the last output of a container that has ended."""


class Docker:
    """Runs jobs in containers of a Docker daemon, or of Podman behind the same API.

    `base_url` names the daemon; None takes the one that docker's command line would.
    """

    name = "docker"

    def __init__(
        self, store: Store, *, base_url: str | None = None, progress: Progress | None = None
    ) -> None:
        self._store = store
        self._base_url = base_url
        self._progress = progress or Silent()
        self._connected: Daemon | None = None

    def probe(self) -> str | None:
        """See Engine.probe."""
        try:
            if self._connected is None and peek.answers(self._address()):
                return None
            self._daemon()
        except EngineError as error:
            return f"{error.message} ({error.hint})" if error.hint else error.message
        return None

    def load(self, image: Image) -> None:
        """See Engine.load: by ID, never by name; only layers that the daemon lacks are sent."""
        if self._connected is None and peek.holds(self._address(), image):
            return
        images.ensure(self._daemon(), image, self._store, self._progress)

    def run(self, job: Job) -> Execution:
        """See Engine.run: each step is a container of its own over the same stage."""
        daemon = self._daemon()
        for name in remove_orphans(daemon):
            self._progress.note(f"docker: removed {name}, which a killed repro left behind")
        identity = images.find(daemon, job.image)
        if identity is None:
            raise EngineError(
                f"docker: the daemon at {daemon.address} no longer has the image {job.image.id} "
                f"({job.image.tag})",
                hint="load it again: repro build",
            )
        uid, gid, unenforced = _user(daemon)
        unenforced += _unenforced(daemon, job.limits)
        to_give = uid if os.geteuid() == 0 != uid else None
        if not job.network:  # else it is a resolver's, which needs some files of an index only
            require_readable(job.mounts, to_give)
        with (
            local_errors(job.log),
            opened(job.log, job.limits.log) as log,
            lent(job.stage, to_give),
        ):
            watch = _Watch.start(job)
            for index, step in enumerate(job.steps):  # noqa: B007 - the last one that ran
                settings = Settings(
                    image_id=identity,
                    uid=uid,
                    gid=gid,
                    command=step,
                    tty=job.interactive and has_terminal(),
                )
                ending, code = _run_step(daemon, job, settings, log, watch)
                if ending is not Ending.EXITED or code != 0:
                    break
        return Execution(
            engine=self.name,
            ending=ending,
            code=code,
            step=index,
            seconds=watch.seconds,
            log_cut=log.cut,
            unenforced=unenforced,
        )

    def _daemon(self) -> Daemon:
        if self._connected is None:
            self._connected = connect(self._address())
        return self._connected

    def _address(self) -> Address:
        if self._base_url is not None:
            return Address(url=self._base_url, origin="the configuration")
        return current_address(os.environ)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watch:
    """What one job has used: time since `began`, disk beyond the `base` that was there before."""

    stage: Path
    limits: Limits
    began: float
    base: int

    @classmethod
    def start(cls, job: Job) -> _Watch:
        return cls(
            stage=job.stage, limits=job.limits, began=time.monotonic(), base=written(job.stage)
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def written(self) -> int:
        return written(self.stage) - self.base

    def exceeded(self) -> Ending | None:
        """Return the limit that is passed, None when none is."""
        if self.seconds > self.limits.timeout:
            return Ending.TIMEOUT
        return Ending.OUTPUT if self.written > self.limits.output else None


def _user(daemon: Daemon) -> tuple[int, int, tuple[str, ...]]:
    """User and group of the run, and what to say when they are not the fixed ones."""
    if daemon.rootless:  # its root is this user, and owns the stage
        return 0, 0, (f"uid {UID}",)
    uid, gid = os.geteuid(), os.getegid()
    if uid in (0, UID):
        return UID, UID if uid == 0 else gid, ()
    return uid, gid, (f"uid {UID}",)


def _unenforced(daemon: Daemon, limits: Limits) -> tuple[str, ...]:
    """Return the limits that this daemon's kernel does not enforce. Raises EngineError."""
    missing = tuple(
        name for name, there in (("memory", daemon.memory), ("pids", daemon.pids)) if not there
    )
    if missing and not limits.best_effort:
        raise EngineError(
            f"docker: the daemon at {daemon.address} cannot limit {' and '.join(missing)}",
            hint='set limits = "best-effort" under [analysis] to run without; ' + OTHER_ENGINE,
        )
    return missing


def _run_step(
    daemon: Daemon, job: Job, settings: Settings, log: Log, watch: _Watch
) -> tuple[Ending, int]:
    """Run one step to its end; return how it ended and its exit status."""
    echo = Echo(enabled=job.echo or job.interactive)
    with ExitStack() as stack:
        name = stack.enter_context(created(daemon, job, settings))
        line = stack.enter_context(attached(daemon, name, stdin=job.interactive))
        printing = in_background(lambda: pump(line, log, echo, terminal=settings.tty))
        with daemon.doing(f"starting {settings.command[0]}"):
            daemon.client.start(name)
        if job.interactive:
            stack.enter_context(keyboard(line, terminal=settings.tty))
        ended = in_background(lambda: daemon.client.wait(name)["StatusCode"])
        passed = _supervise(daemon, name, settings, watch, (ended, printing))
        with daemon.doing("waiting for the run's end, so its verdict is unknown"):
            code = ended.result()
            state = daemon.client.inspect_container(name)["State"]
            _drain(printing)
    return _ending(passed, code, watch, out_of_memory=bool(state.get("OOMKilled"))), code


def _ending(passed: Ending | None, code: int, watch: _Watch, *, out_of_memory: bool) -> Ending:
    if passed is not None:
        return passed
    if out_of_memory:  # also where only a child was killed and the status is 0
        return Ending.MEMORY
    written = watch.written
    # a single file stops exactly at the limit, and its writer with an error
    if written > watch.limits.output or (code != 0 and written == watch.limits.output):
        return Ending.OUTPUT
    return Ending.EXITED


def _supervise(
    daemon: Daemon,
    name: str,
    settings: Settings,
    watch: _Watch,
    work: tuple[Future[int], Future[None]],
) -> Ending | None:
    """Look after a running container until it ends; return the limit for which it was killed."""
    ended, printing = work
    size = _resize(daemon, name, ended, (0, 0)) if settings.tty else (0, 0)
    pause = INTERVAL
    while not wait([ended], timeout=pause).done:
        if printing.done():
            printing.result()  # the log cannot be written: no use in going on
        if settings.tty:
            size = _resize(daemon, name, ended, size)
        looked = time.monotonic()
        if (passed := watch.exceeded()) is not None:
            _end(daemon, name, passed)
            wait([ended])
            return passed
        # a tree of a million files is not walked without a pause
        pause = max(INTERVAL, 5 * (time.monotonic() - looked))
    return None


def _resize(
    daemon: Daemon, name: str, ended: Future[int], before: tuple[int, int]
) -> tuple[int, int]:
    """Give the container's terminal the size of ours, if that changed; return it."""
    size = terminal_size()
    if size == before:
        return size
    try:
        with daemon.doing("resizing the terminal"):
            daemon.client.resize(name, height=size[1], width=size[0])
    except EngineError:
        if not wait([ended], timeout=GRACE).done:  # else it ended meanwhile, and needs none
            raise
    return size


def _end(daemon: Daemon, name: str, passed: Ending) -> None:
    """SIGTERM, two seconds, SIGKILL; whoever fills the disk gets no such time."""
    from docker.errors import APIError

    with daemon.doing("killing the container"):
        if passed is Ending.TIMEOUT:
            daemon.client.stop(name, timeout=GRACE)
            return
        try:
            daemon.client.kill(name, "SIGKILL")
        except APIError as error:
            if error.status_code != 409:  # it ended by itself in this moment
                raise


def _drain(printing: Future[None]) -> None:
    """Wait for the last of the output."""
    try:
        printing.result(DRAIN)
    except TimeoutError as error:
        raise EngineError(
            f"docker: the output did not end within {DRAIN:g} s of the container's end",
            hint="is something holding this command's own output? " + OTHER_ENGINE,
        ) from error
