"""The contract's bench: one small real image, each engine in turn, and jobs over fresh stages."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from repro import process
from repro.engines.base import Engine
from repro.engines.docker.engine import Docker
from repro.engines.sandbox.engine import Sandbox
from repro.image.config import compose
from repro.image.layer import Entry, canonical, write_layer
from repro.models.execution import HOME, Execution, Job, Mount
from repro.models.image import Image
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.faults.private_daemon import PrivateDaemon, daemon_elsewhere
from tests.support import test_cache

__all__ = ["daemon_elsewhere"]

PATH = "/usr/local/bin:/usr/bin:/bin"
ENV = (("HOME", HOME), ("LANG", "C.UTF-8"), ("PATH", PATH))
BOOTSTRAP = (
    "mmdebstrap",
    "--quiet",
    "--variant=essential",
    "--include=python3,libstdc++6,libgomp1",
    "bookworm",
    "-",
)
MARK = Entry(path="opt/second-layer", mode=0o644, kind="file", data=b"from the upper layer\n")
PRIVATE = Entry(path="opt/only-root", mode=0o600, kind="file", data=b"for root's eyes\n")
OPEN = (
    Entry(path="opt/open", mode=0o777, kind="dir"),
    Entry(path="opt/open/file", mode=0o666, kind="file", data=b"anybody may write\n"),
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What became of a job, and what it said."""

    execution: Execution
    log: str

    @property
    def code(self) -> int:
        """Its exit status."""
        return self.execution.code


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Runs jobs on one engine; all over the same stage."""

    engine: Engine
    image: Image
    folder: Path

    @property
    def stage(self) -> Path:
        """The stage; made at the first use."""
        stage = self.folder / "stage"
        stage.mkdir(exist_ok=True)
        return stage

    def job(
        self,
        *steps: Sequence[str],
        limits: Limits | None = None,
        env: tuple[tuple[str, str], ...] = ENV,
        mounts: tuple[Mount, ...] = (),
        network: bool = False,
        interactive: bool = False,
        echo: bool = False,
    ) -> Job:
        """Return a job of these steps."""
        return Job(
            image=self.image,
            steps=tuple(tuple(step) for step in steps),
            stage=self.stage,
            env=env,
            limits=limits or Limits(timeout=120.0),
            log=self.folder / "log",
            mounts=mounts,
            network=network,
            interactive=interactive,
            echo=echo,
        )

    def run(self, job: Job) -> Ran:
        """Run a job and read its log."""
        execution = self.engine.run(job)
        return Ran(execution=execution, log=job.log.read_text(errors="replace"))

    def python(self, text: str, *, limits: Limits | None = None) -> Ran:
        """Run one Python program inside."""
        return self.run(self.job(("python3", "-c", text), limits=limits))

    def shell(self, text: str, *, limits: Limits | None = None) -> Ran:
        """Run one shell script inside."""
        return self.run(self.job(("sh", "-c", text), limits=limits))


@pytest.fixture(scope="session")
def contract_store() -> Store:
    """The tests' own store; it outlives them, so that the image is made once a machine."""
    return Store(test_cache() / "contract")


@pytest.fixture(scope="session")
def contract_image(contract_store: Store) -> Image:
    """Debian's essential packages and Python, as a real image of three layers."""
    key = hashlib.sha256("\n".join(BOOTSTRAP).encode()).hexdigest()
    with contract_store.lock("contract-image", what="the contract's image"):
        base = contract_store.layer(key)
        if base is None:
            if process.which("mmdebstrap") is None:
                pytest.skip("the contract's image needs mmdebstrap: apt-get install mmdebstrap")
            base = contract_store.keep_layer("base", key, _bootstrap)
        upper = contract_store.keep_layer(
            "upper", f"{key}-upper-2", lambda file: write_layer(file, [MARK, *OPEN])
        )
        private = contract_store.keep_layer(
            "private", f"{key}-private", lambda file: write_layer(file, [PRIVATE])
        )
    return compose((base, upper, private), env=(("PATH", PATH),))


def _bootstrap(file: BinaryIO) -> None:
    descriptor = os.memfd_create("base.tar")
    with os.fdopen(descriptor, "w+b") as tar:
        done = process.run(BOOTSTRAP, timeout=600, stdout=tar.fileno())
        assert done.code == 0, done.tail()
        tar.seek(0)
        canonical(tar, file)


ELSEWHERE = "docker elsewhere"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run on a daemon elsewhere what depends on where the files are; the rest is docker's."""

    def is_wanted(item: pytest.Item) -> bool:
        form = getattr(item, "callspec", None)
        return (
            not form
            or form.params.get("engine") != ELSEWHERE
            or bool(item.get_closest_marker("files"))
        )

    config.hook.pytest_deselected(items=[item for item in items if not is_wanted(item)])
    items[:] = [item for item in items if is_wanted(item)]


@pytest.fixture(
    scope="session",
    params=[
        "sandbox",
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param(ELSEWHERE, marks=pytest.mark.docker),
    ],
)
def engine(request: pytest.FixtureRequest, contract_store: Store, contract_image: Image) -> Engine:
    """Each engine in turn, with the image loaded; skipped where it cannot be used.

    One of them is a daemon that does not see this machine's files.
    """
    made: Engine = Sandbox(contract_store)
    if request.param == "docker":
        made = Docker(contract_store)
    elif request.param == ELSEWHERE:
        daemon: PrivateDaemon = request.getfixturevalue("daemon_elsewhere")
        made = Docker(contract_store, base_url=daemon.tcp)
    if (problem := made.probe()) is not None:
        pytest.skip(f"{made.name}: {problem}")
    made.load(contract_image)
    return made


@pytest.fixture
def bench(engine: Engine, contract_image: Image, tmp_path: Path) -> Bench:
    """A fresh stage on the engine."""
    return Bench(engine=engine, image=contract_image, folder=tmp_path)
