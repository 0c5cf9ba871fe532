"""F52: the disk on which the daemon keeps its images is full: exit 5, the step is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError
from repro.image.layer import Entry
from tests.faults.engine_api import EngineApi, Fault, answer, cut
from tests.faults.private_daemon import private_daemon
from tests.host_image import host_image
from tests.integration.docker_daemon import Bench, bench, host_store
from tests.support import Cli
from tests.watch import faulted

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker


@pytest.mark.network
def test_f52_a_full_disk(tiny: Cli) -> None:
    """A real daemon on a real file system of 40 MB; with more space the same command succeeds."""
    with private_daemon(size=40 << 20) as daemon:
        faulted(
            tiny, "--engine", "docker", "verify", code=5,
            says=["loading repro", "no space left on device", "docker system df"],
            env=dict(daemon.env),
        )  # fmt: skip
        assert daemon.client().images() == []
        root = daemon.folder / "root"
        subprocess.run(["mount", "-o", "remount,size=1g", root], check=True)
        faulted(
            tiny, "--engine", "docker", "verify", code=0, says=["reproduced"], env=dict(daemon.env)
        )
        assert daemon.containers() == []


FULL = "write /usr/lib/x: no space left on device"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (answer(500, FULL), FULL),
        (answer(200, {"errorDetail": {"message": FULL}, "error": FULL}), FULL),
        (cut(), "loading"),
        (answer(200, {}), "holds no image"),
    ],
    ids=["refused", "refused in the stream", "cut", "nothing happened"],
)  # fmt: skip
def test_f52_the_load_fails(bench: Bench, tmp_path: Path, fault: Fault, says: str) -> None:
    data = tmp_path.name.encode()
    image = host_image(bench.store, Entry(path="opt/new", mode=0o644, kind="file", data=data))
    with EngineApi(tmp_path) as api:
        api.on("POST /images/load", fault, times=None)
        with pytest.raises(EngineError, match=says) as caught:
            Docker(bench.store, base_url=api.url).load(image)
    tries = sum(name.startswith("POST /images/load") for name in api.requests)
    assert tries == (1 if says == FULL else 2), "to send more layers needs more space"
    assert image.tag in caught.value.message
    assert caught.value.hint
