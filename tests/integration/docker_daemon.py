"""The real daemon in tests: an engine on it, and its containers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from repro.engines.docker.engine import Docker
from repro.models.execution import Execution, Job, Mount
from repro.models.image import Image
from repro.models.project import Limits
from repro.store.artifacts import Store
from tests.host_image import host_image


class Bench:
    """The engine, an image in it, and a stage; `said` is the log of the last job."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.engine = Docker(store)
        self.image: Image = host_image(store)
        self.stage = folder / "stage"
        self.stage.mkdir()
        self.log = folder / "log"

    @property
    def said(self) -> str:
        """What the last job printed."""
        return self.log.read_text(errors="replace")

    def job(self, *steps: tuple[str, ...], limits: Limits | None = None, **more: Any) -> Job:
        """Make a job of these steps over the stage."""
        return Job(
            image=more.pop("image", self.image),
            steps=steps,
            stage=self.stage,
            env=more.pop("env", ()),
            limits=limits or Limits(timeout=60),
            log=self.log,
            **more,
        )

    def shell(
        self,
        script: str,
        *,
        limits: Limits | None = None,
        mounts: tuple[Mount, ...] = (),
        **more: Any,
    ) -> Execution:
        """Run one step, a shell script."""
        job = self.job(("sh", "-c", script), limits=limits, mounts=mounts, **more)
        return self.engine.run(job)

    def containers(self) -> list[dict[str, Any]]:
        """The containers over this stage, running or not (other tests have theirs)."""
        client = docker.APIClient(version="auto")
        found = []
        for item in client.containers(all=True, filters={"label": "repro=1"}):
            if any(mount["Source"] == str(self.stage) for mount in item["Mounts"]):
                found.append(item)
        client.close()
        return found

    def remove_all(self) -> None:
        """Clean up after a test that cut the line."""
        client = docker.APIClient(version="auto")
        for item in self.containers():
            client.remove_container(item["Id"], force=True)
        client.close()


@pytest.fixture(scope="session")
def host_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the layer of this machine's tools."""
    return Store(tmp_path_factory.mktemp("docker") / "store")


@pytest.fixture
def bench(tmp_path: Path, host_store: Store) -> Iterator[Bench]:
    """An engine on the live daemon, the image loaded, an empty stage."""
    bench = Bench(tmp_path, host_store)
    if (reason := bench.engine.probe()) is not None:
        pytest.skip(f"docker: {reason}")
    bench.engine.load(bench.image)
    yield bench
    bench.remove_all()


def socket_group() -> int:
    """The group that may use the daemon's socket."""
    return Path("/var/run/docker.sock").stat().st_gid
