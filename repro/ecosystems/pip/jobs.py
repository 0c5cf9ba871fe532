"""Steps of a resolution or a build that run in the image: pip-tools, uv, compileall, pip wheel."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.indexes import Index, Indexes
from repro.ecosystems.pip.pages import local_path
from repro.files import copy_regular, local_errors, make_folder, open_regular
from repro.models.execution import HOME, PROJECT, Execution, Job, Mount
from repro.models.image import EPOCH
from repro.models.project import Limits

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
"""Where the engines show the host's CA bundle when a job has the network."""

_LOG_LINES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A command for the builder: `stage` is the folder that is /project inside.

    `env` comes on top of what every run has; `memory` bytes, `timeout` seconds.
    """

    argv: Sequence[str]
    stage: Path
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: bool = False
    timeout: float = 1800.0
    memory: int = 4 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """How a step ended, and the last lines of what it said."""

    execution: Execution
    log: str = field(repr=False)

    @property
    def tail(self) -> str:
        """The last 20 lines, indented."""
        return "\n".join(f"  {line}" for line in self.log.strip().splitlines()[-_LOG_LINES:])


def run_step(builder: Builder, step: Step, log: Path) -> Finished:
    """Run one command in the image; the caller checks how it ended. Raises EngineError."""
    execution = builder.engine().run(
        Job(
            image=builder.image(),
            steps=(tuple(step.argv),),
            stage=step.stage,
            env=tuple(sorted({**_environment(), **dict(step.env)}.items())),
            limits=Limits(
                timeout=step.timeout,
                memory=step.memory,
                pids=512,
                output=8 << 30,
                log=1 << 20,
                best_effort=True,
            ),
            log=log,
            mounts=step.mounts,
            network=step.network,
        )
    )
    with local_errors(log):
        text = log.read_bytes().decode(errors="replace") if log.exists() else ""
    return Finished(execution=execution, log=text)


def _environment() -> dict[str, str]:
    return {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "TMPDIR": f"{PROJECT}/scratch",
        "TZ": "UTC",
    }


def network_environment(stage: Path) -> tuple[tuple[str, str], ...]:
    """Return what a step with the network needs of the host: its proxies and its CA bundle.

    A bundle of the user's own is copied into the stage.
    """
    bundle = CERTIFICATES
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        own = Path(os.environ.get(name) or CERTIFICATES)
        if str(own) != CERTIFICATES and own.is_file():
            copy_regular(own.resolve(), stage / "ca.pem")
            bundle = f"{PROJECT}/ca.pem"
            break
    found = dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"), bundle)
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            if spelled in os.environ:
                found[spelled] = os.environ[spelled]
    return tuple(sorted(found.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """The host's indexes as a step in the image sees them."""

    indexes: Indexes
    mounts: tuple[Mount, ...]

    def on_host(self, address: str) -> str:
        """Return the host's address of what a step names below a bound folder."""
        for mount in self.mounts:
            prefix = f"file://{mount.target}/"
            if address.startswith(prefix):
                return f"{mount.source.as_uri()}/{address.removeprefix(prefix)}"
        return address


def show_local(indexes: Indexes, stage: Path) -> Shown:
    """Bind the indexes and find-links folders of this host below /project.

    An index's files lie beside its root by custom, so the root's parent is bound.
    """
    mounts: list[Mount] = []

    def bound(folder: Path) -> str:
        target = f"{PROJECT}/indexes/{len(mounts)}"
        make_folder(stage / "indexes" / str(len(mounts)))
        mounts.append(Mount(source=folder, target=target))
        return target

    roots: list[Index] = []
    for index in indexes.indexes:
        root = local_path(index.given) if index.given is not None else None
        if root is None:
            roots.append(index)
            continue
        folder = root.parent if len(root.parts) > 2 else root
        address = f"file://{bound(folder)}/{root.relative_to(folder)}"
        roots.append(Index(alias=index.alias, given=address))
    links: list[str] = []
    for link in indexes.find_links:
        path = local_path(link)
        if path is None:
            links.append(link)
        elif path.is_dir():
            links.append(bound(path.absolute()))
    return Shown(
        indexes=Indexes(indexes=tuple(roots), find_links=tuple(links), strategy=indexes.strategy),
        mounts=tuple(mounts),
    )


def read_result(path: Path) -> str:
    """Return a text file that a step left behind; a link, FIFO or device is refused."""
    with local_errors(path), open_regular(path) as file:
        return file.read().decode()
