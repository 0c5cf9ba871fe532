"""The docker engine (DESIGN.md §7)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repro.engines.docker import images, peek
from repro.engines.docker.address import OTHER_ENGINE, Address, current_address
from repro.engines.docker.api import Daemon, UnseenError, connect
from repro.engines.docker.container import (
    Place,
    Settings,
    created,
    in_background,
    unenforced_by,
    user_of,
)
from repro.engines.docker.orphans import remove_orphans
from repro.engines.docker.place import Here, elsewhere
from repro.engines.docker.streams import (
    Echo,
    attached,
    has_terminal,
    keyboard,
    pump,
    raw_terminal,
    terminal_size,
)
from repro.engines.log import Log, opened
from repro.engines.stage import lent, require_readable
from repro.errors import EngineError
from repro.files import local_errors
from repro.models.execution import Ending, Execution, Job
from repro.models.image import Image
from repro.models.project import Limits
from repro.progress import Progress, Silent
from repro.store.artifacts import Store

INTERVAL = 0.05
"""Seconds between two looks at a running container."""

GRACE = 2
"""Seconds between SIGTERM and SIGKILL."""

ONE_SHOT = "1.41"
"""API version from which figures can be had at once; before, they take two seconds."""

DRAIN = 60.0
"""Seconds for the last output of a container that has ended, and for word that a killed one has."""

WAITING = "waiting for the run's end, so its verdict is unknown"

LOST = "the daemon closed the line to this output before its end; the rest is lost"


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
        self._sends = False

    def probe(self) -> str | None:
        """See Engine.probe."""
        try:
            if self._connected is None and peek.answers(self._address()):
                return None
            self.connected()
        except EngineError as error:
            return f"{error.message} ({error.hint})" if error.hint else error.message
        return None

    def load(self, image: Image) -> None:
        """See Engine.load: by ID, never by name; only layers that the daemon lacks are sent."""
        if self._connected is None and peek.holds(self._address(), image):
            return
        images.ensure(self.connected(), image, self._store, self._progress)

    def run(self, job: Job) -> Execution:
        """See Engine.run: each step is a container of its own over the same stage."""
        daemon = self.connected()
        for name in remove_orphans(daemon):
            self._progress.note(f"docker: removed {name}, which a killed repro left behind")
        identity = images.find(daemon, job.image)
        if identity is None:
            raise EngineError(
                f"docker: the daemon at {daemon.address} no longer has the image {job.image.id} "
                f"({job.image.tag})",
                hint="load it again: repro build",
            )
        if not self._sends:
            try:
                return _run(daemon, job, identity, nullcontext(Here.of(job)))
            except UnseenError:
                if not all(path.exists() for path in (job.stage, *_sources(job))):
                    raise
                self._sends = True
                self._progress.note(
                    f"docker: the daemon at {daemon.address} does not see this machine's files: "
                    "the project and its data are sent to it"
                )
        # there the numbers of users are its own throughout: the volume's, and the run's
        daemon = replace(daemon, remapped=False)
        owner = 0 if daemon.rootless else None
        place = elsewhere(daemon, job, identity, self._progress, owner=owner)
        return _run(daemon, job, identity, place)

    def connected(self) -> Daemon:
        """The daemon, reached once. Raises EngineError."""
        if self._connected is None:
            self._connected = connect(self._address())
        return self._connected

    def _address(self) -> Address:
        if self._base_url is not None:
            return Address(url=self._base_url, origin="the configuration")
        return current_address(os.environ)


def _sources(job: Job) -> list[Path]:
    return [mount.source for mount in job.mounts]


def _run(
    daemon: Daemon, job: Job, identity: str, placing: AbstractContextManager[Place]
) -> Execution:
    """Run a job's steps, its files where `placing` has them. Raises UnseenError before any step."""
    uid, gid, unenforced = user_of(daemon)
    unenforced += unenforced_by(daemon, job.limits)
    to_give = uid if os.geteuid() == 0 != uid else None
    if not job.network:  # else it is a resolver's, which needs some files of an index only
        require_readable(job.mounts, to_give)
    with (
        local_errors(job.log),
        opened(job.log, job.limits.log) as log,
        lent(job.stage, to_give),
        placing as place,
    ):
        watch = _Watch(place=place, limits=job.limits, began=time.monotonic())
        for index, step in enumerate(job.steps):  # noqa: B007 - the last one that ran
            settings = Settings(
                place=place,
                image_id=identity,
                uid=uid,
                gid=gid,
                command=step,
                tty=job.interactive and has_terminal(),
            )
            end = _run_step(daemon, job, settings, log, watch)
            if end.ending is not Ending.EXITED or end.code != 0:
                break
        seconds = watch.seconds
    ending = end.ending
    if ending is Ending.EXITED and _is_full(watch.written, end.code, job.limits):
        ending = Ending.OUTPUT  # in folders that were closed to us until now
    return Execution(
        engine=Docker.name,
        ending=ending,
        code=end.code,
        step=index,
        seconds=seconds,
        log_cut=log.cut,
        unenforced=unenforced + place.unenforced,
        crowded=end.crowded,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Watch:
    """What one job has used: time since `began`, disk beyond what was there before."""

    place: Place
    limits: Limits
    began: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def written(self) -> int:
        return self.place.used()

    def exceeded(self) -> Ending | None:
        """Return the limit that is passed, None when none is."""
        if self.seconds > self.limits.timeout:
            return Ending.TIMEOUT
        return Ending.OUTPUT if self.written > self.limits.output else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _End:
    """How a step ended: see Execution."""

    ending: Ending
    code: int
    crowded: bool


@dataclass(kw_only=True, slots=True)
class _Step:
    """One running container and what waits for it: for its end, and for its output's."""

    daemon: Daemon
    name: str
    settings: Settings
    log: Log
    ended: Future[int]
    printing: Future[None]
    crowded: bool = False
    line_lost: bool = False


def _run_step(daemon: Daemon, job: Job, settings: Settings, log: Log, watch: _Watch) -> _End:
    """Run one step to its end; return how it ended and its exit status."""
    echo = Echo(enabled=job.echo or job.interactive)
    with ExitStack() as stack:
        name = stack.enter_context(created(daemon, job, settings))
        line = stack.enter_context(attached(daemon, name, stdin=job.takes_input))
        printing = in_background(lambda: pump(line, log, echo, terminal=settings.tty))
        if settings.tty:
            stack.enter_context(raw_terminal())
        with daemon.doing(f"starting {settings.command[0]}"):
            daemon.client.start(name)
        if job.takes_input:
            stack.enter_context(keyboard(line))
        ended = in_background(lambda: _status(daemon.client.wait(name)))
        step = _Step(
            daemon=daemon, name=name, settings=settings, log=log, ended=ended, printing=printing
        )
        passed = _supervise(step, watch)
        with daemon.doing(WAITING):
            code = ended.result()
            killed = bool(_state(daemon, name).get("OOMKilled"))
            _drain(printing)
    ending = _ending(passed, code, watch, out_of_memory=killed)
    return _End(ending=ending, code=code, crowded=step.crowded)


def _status(answer: Mapping[str, Any]) -> int:
    """The exit status in what `wait` answers. Raises EngineError, ValueError when it has none."""
    if answer.get("Error"):
        raise EngineError(
            f"docker: {WAITING}: {answer['Error']['Message']}",
            hint=f"see the daemon's log; {OTHER_ENGINE}",
        )
    code = answer["StatusCode"]
    if type(code) is not int:
        raise ValueError(f"StatusCode is {code!r}")
    return code


def _ending(passed: Ending | None, code: int, watch: _Watch, *, out_of_memory: bool) -> Ending:
    if passed is not None:
        return passed
    if out_of_memory:  # also where only a child was killed and the status is 0
        return Ending.MEMORY
    return Ending.OUTPUT if _is_full(watch.written, code, watch.limits) else Ending.EXITED


def _is_full(written: int, code: int, limits: Limits) -> bool:
    """Whether a program that ended has met the limit of what it may write, in bytes.

    A single file stops exactly there, and its writer with an error.
    """
    return written > limits.output or (code != 0 and written == limits.output)


def _supervise(step: _Step, watch: _Watch) -> Ending | None:
    """Look after a running container until it ends; return the limit for which it was killed."""
    size = _resize(step, (0, 0)) if step.settings.tty else (0, 0)
    pause = INTERVAL
    while not wait([step.ended], timeout=pause).done:
        if step.printing.done() and not step.line_lost:
            step.printing.result()  # the log cannot be written: no use in going on
            _note_lost_line(step)
        if step.settings.tty:
            size = _resize(step, size)
        looked = time.monotonic()
        if (passed := watch.exceeded()) is not None:
            step.crowded = passed is Ending.TIMEOUT and _is_crowded(step, watch.limits.pids)
            _end(step, passed)
            return passed
        # a tree of a million files is not walked without a pause
        pause = max(INTERVAL, 5 * (time.monotonic() - looked))
    return None


def _note_lost_line(step: _Step) -> None:
    """Say in the log that it is not whole, when its end came before the container's.

    The run goes on: some proxies close a line that is silent for long, and outputs are files.
    """
    with step.daemon.doing(WAITING):
        running = _state(step.daemon, step.name)["Running"]
    if running:
        step.line_lost = True
        step.log.lost(LOST)


def _state(daemon: Daemon, name: str) -> Mapping[str, Any]:
    """What the daemon says of a container's state. Raises ValueError where it says none."""
    state = daemon.client.inspect_container(name)["State"]
    if not isinstance(state, Mapping):
        raise ValueError(f"State is {state!r}")
    return state


def _is_crowded(step: _Step, pids: int) -> bool:
    """Whether the container has as many processes as it may; False where nobody can say."""
    from docker.utils import version_lt

    client = step.daemon.client
    one_shot = None if version_lt(client.api_version, ONE_SHOT) else True
    try:
        with step.daemon.doing("counting its processes"):
            stats = client.stats(step.name, stream=False, one_shot=one_shot)
            return int(stats["pids_stats"].get("current", 0)) >= pids
    except EngineError:  # it ended in this moment; a daemon that is gone is met again at once
        return False


def _resize(step: _Step, before: tuple[int, int]) -> tuple[int, int]:
    """Give the container's terminal the size of ours, if that changed; return it."""
    size = terminal_size()
    if size == before:
        return size
    try:
        with step.daemon.doing("resizing the terminal"):
            step.daemon.client.resize(step.name, height=size[1], width=size[0])
    except EngineError:
        if not wait([step.ended], timeout=GRACE).done:  # else it ended meanwhile, and needs none
            raise
    return size


def _end(step: _Step, passed: Ending) -> None:
    """SIGTERM, two seconds, SIGKILL; whoever fills the disk gets no such time.

    Return when the daemon has said that it ended.
    """
    from docker.errors import APIError

    client = step.daemon.client
    with step.daemon.doing("killing the container"):
        if passed is Ending.TIMEOUT:
            client.stop(step.name, timeout=GRACE)
        else:
            try:
                client.kill(step.name, "SIGKILL")
            except APIError as error:
                if error.status_code != 409:  # it ended by itself in this moment
                    raise
    if not wait([step.ended], timeout=DRAIN).done:
        raise EngineError(
            f"docker: {WAITING}: the daemon at {step.daemon.address} has killed the container, "
            f"and did not say within {DRAIN:g} s that it ended",
            hint=f"see the daemon's log; {OTHER_ENGINE}",
        )


def _drain(printing: Future[None]) -> None:
    """Wait for the last of the output."""
    try:
        printing.result(DRAIN)
    except TimeoutError as error:
        raise EngineError(
            f"docker: the output did not end within {DRAIN:g} s of the container's end",
            hint="is something holding this command's own output? " + OTHER_ENGINE,
        ) from error
