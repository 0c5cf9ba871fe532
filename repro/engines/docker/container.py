"""One container: its options, and that it is gone when its block ends."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

from repro.engines.docker.address import OTHER_ENGINE
from repro.engines.docker.api import Daemon
from repro.engines.docker.orphans import LABEL, owner
from repro.errors import EngineError, ReproError
from repro.models.execution import HOME, PROJECT, Job
from repro.models.project import SHARED_MEMORY

TMP = "/tmp"  # noqa: S108 - a path inside, on a private tmpfs
OPEN_FILES = (1024, 4096)
"""Soft and hard: the daemon's own million makes old interpreters close a million descriptors."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a container is made from, beside the job; `tty` asks for a terminal."""

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
    from docker.types import LogConfig, Mount, Ulimit

    limits = job.limits
    mounts = [Mount(PROJECT, str(job.stage), type="bind", read_only=False)]
    if not job.network:  # else the engine shows the host's name servers, which differ
        mounts.append(Mount("/etc/resolv.conf", "/dev/null", type="bind", read_only=True))
    mounts += [
        Mount(item.target, str(item.source), type="bind", read_only=True) for item in job.mounts
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
