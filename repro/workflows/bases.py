"""What an environment stands on, opened for a resolution: a suite, or an image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from repro.ecosystems.apt.past import Past
from repro.ecosystems.apt.resolve import AptIndex, AptResolution, AptResolver
from repro.ecosystems.apt.status import require_apt, require_interpreter_kept
from repro.errors import UsageError
from repro.models.lock import BaseImage, Lock, Upgrade
from repro.models.project import PLATFORM, AptRequest, Project, platform_of
from repro.workflows.base import dpkg_status, pin_base, python_of
from repro.workflows.tools import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What all else stands on: known before its packages are.

    `debs` is being resolved; `python_full` is the interpreter's version (`3.11.2`), None where
    it is not known. `image` is None for a suite.
    """

    glibc: str
    python: str
    python_full: str | None
    debs: Callable[[], AptResolution]
    image: BaseImage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseRequest:
    """What is asked of a base; `old` is the lock whose pins stay, but for what `upgrade` covers.

    `requests` is asked for the apt packages once the index is there.
    """

    project: Project
    tools: Tools
    old: Lock | None
    upgrade: Upgrade
    requests: Callable[[AptIndex], tuple[AptRequest, ...]]


def opened(asked: BaseRequest) -> AbstractContextManager[Base]:
    """Open the project's base; its apt packages are being resolved as long as it is open.

    Raises UsageError, LockError, NetworkError.
    """
    return _image_base(asked) if asked.project.environment.image else _suite_base(asked)


@contextmanager
def _suite_base(asked: BaseRequest) -> Iterator[Base]:
    environment, old = asked.project.environment, asked.old
    kept = old if old is not None and old.seal.suite == environment.suite else None
    with _index(asked, environment.suite, kept) as index, ThreadPoolExecutor(1) as pool:
        glibc, full = index.glibc(), _full_version(index, environment.python)
        debs: Future[AptResolution] = pool.submit(
            index.resolve,
            asked.requests(index),
            python=environment.python,
            apt_source=environment.apt_source,
        )
        yield Base(glibc=glibc, python=environment.python, python_full=full, debs=debs.result)


@contextmanager
def _image_base(asked: BaseRequest) -> Iterator[Base]:
    """Pin the image, unless it is pinned; what apt lays on top of it is resolved meanwhile."""
    environment, tools = asked.project.environment, asked.tools
    if asked.project.platform != PLATFORM:  # its own Python is asked for its version
        raise UsageError(
            f"{asked.project.platform}: a base image of it cannot be looked into on {PLATFORM}: "
            f"image = {environment.image}",
            hint=f"lock it on a host of {asked.project.platform}, or choose a suite",
        )
    before = asked.old.seal.base if asked.old is not None else None
    names = (environment.image, before.reference if before else environment.image)
    moves = any(asked.upgrade.covers(name) for name in names)
    pinned = pin_base(environment.image, PLATFORM, tools, keep=before, upgrade=moves)
    whole = bool(environment.pip) and environment.conda is None
    full = python_of(pinned, tools, whole=whole)
    with _on_top(asked, pinned) as debs:
        yield Base(
            glibc=pinned.glibc,
            python=".".join(full.split(".")[:2]),
            python_full=full or None,
            debs=debs,
            image=pinned,
        )


@contextmanager
def _on_top(asked: BaseRequest, base: BaseImage) -> Iterator[Callable[[], AptResolution]]:
    """Yield what waits for the apt packages on top of an image; without any, apt is not asked."""
    environment, old = asked.project.environment, asked.old
    if not environment.apt:
        yield partial(AptResolution, debs=(), provenance=())
        return
    status = require_apt(base, dpkg_status(base, asked.tools), apt_source=environment.apt_source)

    def resolved() -> AptResolution:
        found = index.resolve(asked.requests(index), apt_source=environment.apt_source)
        require_interpreter_kept(found.debs, base)
        return found

    before = old.seal.base if old is not None else None
    kept = old if before is not None and before.suite == base.suite else None
    with (
        _index(asked, base.suite, kept, status=status) as index,
        ThreadPoolExecutor(1) as pool,
    ):
        yield pool.submit(resolved).result


def _index(
    asked: BaseRequest, suite: str, kept: Lock | None, *, status: bytes | None = None
) -> AbstractContextManager[AptIndex]:
    """Open a suite's index, of the day that is asked for; `kept` is the lock whose pins stay."""
    tools, project = asked.tools, asked.project
    resolver = AptResolver(
        tools.store.root / "apt",
        project.sources,
        tools.progress,
        tools.store.claim,
        http=tools.http,
        architecture=platform_of(project.platform).architecture,
    )
    moment = project.environment.as_of
    pinned = kept.seal.provenance if kept is not None and kept.debs else ()
    return resolver.open(
        suite,
        status=status,
        previous=kept.debs if kept is not None else (),
        upgrade=asked.upgrade,
        past=Past(moment=moment, pinned=pinned) if moment else None,
    )


def _full_version(index: AptIndex, python: str) -> str | None:
    """The interpreter's version in that suite (`3.11.2`), as its package has it."""
    match = re.match(r"\d+\.\d+\.\d+", index.version(f"python{python}") or "")
    return match[0] if match else None
