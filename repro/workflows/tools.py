"""The collaborators that every workflow is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from repro.download import Http
from repro.engines.base import Engine
from repro.engines.workshop import BOTH_WAYS, Workshop
from repro.errors import EngineError, UsageError
from repro.mutex import Claim
from repro.patience import Patience
from repro.progress import Progress
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from repro.store.guard import TRUST

ENGINES = ("auto", "docker", "sandbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """Collaborators, passed in.

    `engine` chooses the engine of a run and probes it, `build_engine` that of the builds (the
    sandbox where it works), `workshop` what installs packages on a base image (the sandbox for
    root). They raise EngineError when there is none, and remember their answer.
    """

    store: Store
    http: Http
    progress: Progress
    engine: Callable[[], Engine]
    build_engine: Callable[[], Engine]
    workshop: Callable[[], Workshop]
    offline: bool = False

    def fetcher(self, vendor: Path | None) -> Fetcher:
        """Return a fetcher into the store that searches `vendor` first."""
        return Fetcher(
            store=self.store,
            http=self.http,
            progress=self.progress,
            vendor=vendor,
            offline=self.offline,
        )


def cache_folder() -> Path:
    """`$REPRO_CACHE`, else the user's cache folder for repro."""
    if chosen := os.environ.get("REPRO_CACHE"):
        return Path(chosen).absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("repro"))


def make_tools(
    *,
    progress: Progress,
    engine_name: str = "auto",
    cache_root: Path | None = None,
    offline: bool = False,
    claim: Claim | None = None,
) -> Tools:
    """Compose the collaborators. Raises UsageError for an engine that does not exist."""
    if engine_name not in ENGINES:
        raise UsageError(f"--engine {engine_name!r}: choose one of {', '.join(ENGINES)}")
    store = Store(
        cache_root or cache_folder(),
        claim,
        progress=progress,
        trusted=os.environ.get(TRUST) == "1",
    )
    preference = ("docker", "sandbox") if engine_name == "auto" else (engine_name,)
    return Tools(
        store=store,
        http=Http(patience=Patience.of(os.environ), progress=progress),
        progress=progress,
        engine=cache(lambda: first_usable(preference, store, progress)),
        build_engine=cache(lambda: first_usable(("sandbox", "docker"), store, progress)),
        workshop=cache(lambda: first_workshop(store, progress)),
        offline=offline,
    )


def engine(name: str, store: Store, progress: Progress) -> Engine:
    """Make the engine of that name, unprobed."""
    if name == "docker":
        from repro.engines.docker.engine import Docker

        return Docker(store, progress=progress)
    from repro.engines.sandbox.engine import Sandbox

    return Sandbox(store)


def first_usable(names: tuple[str, ...], store: Store, progress: Progress) -> Engine:
    """Return the first engine whose probe finds nothing wrong. Raises EngineError, with why."""
    reasons: list[str] = []
    for name in names:
        candidate = engine(name, store, progress)
        reason = candidate.probe()
        if reason is None:
            return candidate
        reasons.append(f"{name}: {reason}")
    if len(names) == 1:  # it was asked for
        other = "sandbox" if names[0] == "docker" else "docker"
        raise EngineError(
            f"the engine that was asked for cannot run here:\n  {reasons[0]}",
            hint=f"mend it, or use another one: --engine {other}",
        )
    raise EngineError(
        "no engine can run here:\n  " + "\n  ".join(reasons),
        hint="mend one of them; the sandbox needs no daemon: apt-get install bubblewrap",
    )


def first_workshop(store: Store, progress: Progress) -> Workshop:
    """Return what can change a base image's files on this host: root's sandbox, else docker.

    Raises EngineError that names both ways.
    """
    from repro.engines.sandbox.workshop import SandboxWorkshop

    sandbox = SandboxWorkshop(store)
    if (ours := sandbox.unable()) is None:
        return sandbox
    from repro.engines.docker.engine import Docker
    from repro.engines.docker.workshop import DockerWorkshop

    docker = DockerWorkshop(Docker(store, progress=progress), store, progress)
    if (theirs := docker.unable()) is None:
        return docker
    raise EngineError(
        "apt packages cannot be installed on a base image here:\n"
        f"  sandbox: {ours}\n  docker: {theirs}",
        hint=f"do it {BOTH_WAYS}",
    )
