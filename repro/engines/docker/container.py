"""One container: its options, and that it is gone when its block ends."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, Protocol, TypeVar

from repro.engines.docker.address import OTHER_ENGINE
from repro.engines.docker.api import Daemon
from repro.engines.docker.orphans import LABEL, owner
from repro.errors import EngineError, ReproError
from repro.models.execution import HOME, PROJECT, UID, Job, Mount
from repro.models.project import SHARED_MEMORY, Limits

TMP = "/tmp"  # noqa: S108 - a path inside, on a private tmpfs
OPEN_FILES = (1024, 4096)
"""Soft and hard: the daemon's own million makes old interpreters close a million descriptors."""

_T = TypeVar("_T")


class Place(Protocol):
    """Where the daemon finds a run's files, and how much the run has written there."""

    @property
    def unenforced(self) -> tuple[str, ...]:
        """The limits that cannot be enforced there: see Execution.unenforced."""

    @property
    def project(self) -> str:
        """The folder that the run sees at /project."""

    def source(self, mount: Mount) -> str:
        """What is bound for a mount."""

    def used(self) -> int:
        """Bytes that the run's files take beyond what was there before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a container is made from, beside the job.

    `place` is where the daemon finds its files; `tty` asks for a terminal.
    """

    place: Place

    image_id: str
    uid: int
    gid: int
    command: tuple[str, ...]
    tty: bool


def in_background(function: Callable[[], _T]) -> Future[_T]:
    """Run `function` in a thread that does not keep the process alive; return its future."""
    future: Future[_T] = Future()

    def body() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    Thread(target=body, daemon=True).start()
    return future


@contextmanager
def created(daemon: Daemon, job: Job, settings: Settings) -> Iterator[str]:
    """Yield the name of the container of a run, as `kept` does. Raises EngineError."""
    _require_text(job)
    with kept(daemon, lambda name: _create(daemon, name, job, settings)) as name:
        yield name


@contextmanager
def kept(daemon: Daemon, create: Callable[[str], None]) -> Iterator[str]:
    """Yield the name of a new container, not yet started; it is removed however the block ends.

    `create` makes one of the name that it is given. Raises EngineError.
    """
    name = f"repro-{uuid.uuid4().hex[:16]}"
    creation = in_background(lambda: create(name))
    try:
        with daemon.doing("creating the container"):
            creation.result()
        yield name
    except ReproError as error:
        if (problem := _remove(daemon, name, creation)) is not None:
            hints = "; ".join(hint for hint in (error.hint, problem.hint) if hint)
            raise type(error)(f"{error.message}\n{problem.message}", hint=hints) from error
        raise
    except BaseException:
        _remove(daemon, name, creation)
        raise
    if (problem := _remove(daemon, name, creation)) is not None:
        raise problem


def _remove(daemon: Daemon, name: str, creation: Future[None]) -> EngineError | None:
    """Kill and remove; an interrupted creation is waited for, since the daemon goes on with it."""
    from docker.errors import APIError, NotFound

    try:
        with daemon.doing(f"removing the container {name}"):
            creation.exception()
            for attempt in range(10):
                try:
                    daemon.client.remove_container(name, v=True, force=True)
                    break
                except NotFound:
                    break
                except APIError as error:  # 409: somebody else is removing it just now
                    if error.status_code != 409 or attempt == 9:
                        raise
                    time.sleep(0.2)
    except EngineError as error:
        return EngineError(
            f"container {name} may still be there: {error.message}",
            hint="once the daemon answers, the next run removes that container; or do it at once: "
            f"docker rm --force {name}",
        )
    return None


def _create(daemon: Daemon, name: str, job: Job, settings: Settings) -> None:
    daemon.client.create_container(
        settings.image_id,
        command=_command(job, settings),
        name=name,
        hostname="repro",
        user=f"{settings.uid}:{settings.gid}",
        working_dir=PROJECT,
        environment=environment(job.env),
        labels=labels(),
        tty=settings.tty,
        stdin_open=job.takes_input,
        host_config=_host_config(daemon, job, settings),
        use_config_proxy=False,  # the user's proxies are no part of the pinned environment
    )


def labels() -> dict[str, str]:
    """What marks everything that is made in a daemon as this process's."""
    return {"repro": "1", LABEL: owner()}


def _require_text(job: Job) -> None:
    """The Engine API speaks JSON, which would silently change bytes that are no UTF-8."""
    words = [
        *(word for step in job.steps for word in step),
        *(word for pair in job.env for word in pair),
        *(word for mount in job.mounts for word in (mount.target, str(mount.source))),
        str(job.stage),
    ]
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise EngineError(
                f"docker: {word!r} is not UTF-8, and the Engine API carries nothing else",
                hint="use another name; " + OTHER_ENGINE,
            ) from error


def _command(job: Job, settings: Settings) -> list[str]:
    """The step; where nobody wants its two streams apart they are one, for the log's order."""
    if job.echo or job.interactive:
        return list(settings.command)
    return ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *settings.command]


def environment(env: tuple[tuple[str, str], ...]) -> list[str]:
    """The job's variables as the Engine API has them.

    A name without `=` removes the variable that the engine would add by itself.
    """
    return [f"{name}={value}" for name, value in {"HOME": HOME, **dict(env)}.items()] + [
        name for name in ("HOSTNAME",) if name not in dict(env)
    ]


def scratch_space(size: int, uid: int, gid: int) -> dict[str, str]:
    """Room for everybody and HOME for the run's user, `size` bytes each, gone afterwards."""
    common = f"rw,exec,nosuid,nodev,size={size}"
    return {TMP: f"{common},mode=1777", HOME: f"{common},mode=755,uid={uid},gid={gid}"}


def _host_config(daemon: Daemon, job: Job, settings: Settings) -> Any:
    from docker.types import LogConfig, Ulimit
    from docker.types import Mount as Bind

    limits = job.limits
    place = settings.place
    mounts = [Bind(PROJECT, place.project, type="bind", read_only=False)]
    if not job.network:  # else the engine shows the host's name servers, which differ
        mounts.append(Bind("/etc/resolv.conf", "/dev/null", type="bind", read_only=True))
    mounts += [
        Bind(item.target, place.source(item), type="bind", read_only=True) for item in job.mounts
    ]
    return daemon.client.create_host_config(
        network_mode="host" if job.network else "none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        read_only=True,
        tmpfs=scratch_space(limits.scratch, settings.uid, settings.gid),
        shm_size=SHARED_MEMORY,
        ipc_mode="private",
        init=True,
        mounts=mounts,
        mem_limit=limits.memory if daemon.memory else None,
        memswap_limit=limits.memory if daemon.memory and daemon.swap else None,
        pids_limit=limits.pids if daemon.pids else None,
        userns_mode="host" if daemon.remapped else None,
        ulimits=[
            Ulimit(name="fsize", soft=limits.output, hard=limits.output),
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="nofile", soft=OPEN_FILES[0], hard=OPEN_FILES[1]),
        ],
        log_config=LogConfig(type="none"),  # attached from the start, so nothing is lost
    )


def user_of(daemon: Daemon) -> tuple[int, int, tuple[str, ...]]:
    """User and group of the run, and what to say when they are not the fixed ones."""
    if daemon.rootless:  # its root is this user, and owns the stage
        return 0, 0, (f"uid {UID}",)
    uid, gid = os.geteuid(), os.getegid()
    if uid in (0, UID):
        return UID, UID if uid == 0 else gid, ()
    return uid, gid, (f"uid {UID}",)


def unenforced_by(daemon: Daemon, limits: Limits) -> tuple[str, ...]:
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
