"""F50: the image is removed, or another lies under its name: exit 5, its ID is what counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError
from tests.faults.engine_api import EngineApi, first, rewritten
from tests.faults.private_daemon import PrivateDaemon
from tests.integration.docker_daemon import Bench, bench, host_store
from tests.support import Cli
from tests.watch import faulted

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker


def removed(client: docker.APIClient, image: str) -> None:
    client.remove_image(image, force=True)


def replaced(client: docker.APIClient, image: str) -> None:
    """Another image, a real one, under the name of the first."""
    removed(client, image)
    other = client.import_image_from_data(bytes(10240), repository="other")
    identity = str(other).split('"status":"')[1].split('"')[0]
    repository, _, tag = image.partition(":")
    client.tag(identity, repository, tag)


BEFORE_THE_CHECK = r"GET /containers/json"
AFTER_THE_CHECK = r"POST /containers/create"


@pytest.mark.network
@pytest.mark.parametrize(
    ("act", "when"),
    [(replaced, BEFORE_THE_CHECK), (removed, AFTER_THE_CHECK)],
    ids=["another before the check", "none after it"],
)
def test_f50_between_build_and_run(
    tiny: Cli,
    own_daemon: PrivateDaemon,
    tmp_path: Path,
    act: Callable[[docker.APIClient, str], None],
    when: str,
) -> None:
    """What runs is the image of the lock or nothing; `repro build`, as it says, mends it."""
    client = own_daemon.client()
    assert tiny("--engine", "docker", "build", env=dict(own_daemon.env)).code == 0
    with EngineApi(tmp_path, daemon=own_daemon.socket) as api:
        api.on(when, first(lambda: act(client, tag(client))))
        faulted(
            tiny, "--engine", "docker", "verify", code=5,
            says=["image", "sha256:", "repro build"], env=dict(api.env),
        )  # fmt: skip
        assert not any(name.startswith("POST /containers/repro") for name in api.requests)
    assert own_daemon.containers() == []
    assert tiny("--engine", "docker", "verify", env=dict(own_daemon.env)).code == 0
    client.close()


def tag(client: docker.APIClient) -> str:
    """The name of the one image of repro's that this daemon has."""
    names = [name for item in client.images() for name in item["RepoTags"] or ()]
    (name,) = (name for name in names if name.startswith("repro"))
    return str(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda held: {**held, "Id": "sha256:" + "0" * 64},
        lambda held: {**held, "RootFS": {"Type": "layers", "Layers": ["sha256:" + "0" * 64]}},
        lambda held: {**held, "RootFS": None},
    ],
    ids=["id", "layers", "no layers"],
)
def test_f50_daemon_shows_another(
    bench: Bench, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Not even a daemon that answers to the ID with another image is believed."""
    with EngineApi(tmp_path) as api:
        api.on(r"GET /images/.*/json", rewritten(change), times=None)
        engine = Docker(bench.store, base_url=api.url)
        with pytest.raises(EngineError, match=bench.image.id) as caught:
            engine.run(bench.job(("touch", "ran")))
    assert "repro build" in str(caught.value.hint)
    assert not (bench.stage / "ran").exists()
    assert bench.containers() == []
