"""F51: an old engine, without buildx and with an old API: works; one that is too old is named."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest

from repro.engines.docker.engine import Docker
from repro.errors import EngineError
from repro.models.execution import Ending
from repro.models.project import Limits
from tests.faults.engine_api import EngineApi, rewritten
from tests.integration.docker_daemon import Bench, bench, host_store
from tests.support import Cli
from tests.watch import faulted

__all__ = ["bench", "host_store"]
pytestmark = pytest.mark.docker
BUILDS = ("/build", "/session", "/grpc", "/distribution", "/images/create")


def older(api: EngineApi, version: str) -> None:
    """Let the daemon claim an older API; it understands the calls of that version."""
    api.on("GET /version", rewritten(lambda facts: {**facts, "ApiVersion": version}), times=None)


@pytest.mark.network
def test_f51_no_call_needs_a_builder(tiny: Cli, tmp_path: Path) -> None:
    """On this machine's daemon, whatever its age: the API's oldest calls make and run the image."""
    with docker.APIClient(version="auto") as client:
        newest = client.api_version
    with EngineApi(tmp_path) as api:
        faulted(
            tiny, "--engine", "docker", "verify", code=0, says=["reproduced"], env=dict(api.env)
        )
    paths = [name.split(" ")[1] for name in api.requests]
    assert not [path for path in paths if path.startswith(BUILDS)]
    assert api.versions == {newest}, "it speaks the daemon's own version, not a newer one"


@pytest.mark.parametrize("version", ["1.30", "1.40"])
def test_f51_old_api(bench: Bench, tmp_path: Path, version: str) -> None:
    """Loading, limits, mounts and the end of a run, with the calls of 2017."""
    with EngineApi(tmp_path) as api:
        older(api, version)
        engine = Docker(bench.store, base_url=api.url)
        assert engine.probe() is None
        engine.load(bench.image)
        done = engine.run(bench.job(("sh", "-c", "echo out > made; echo said")))
        assert (done.ending, done.code, done.unenforced) == (Ending.EXITED, 0, ())
        assert bench.said == "said\n"
        assert (bench.stage / "made").read_text() == "out\n"
        eat = "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null"
        done = engine.run(bench.job(("sh", "-c", eat), limits=Limits(timeout=60, memory=64 << 20)))
        assert done.ending is Ending.MEMORY
    assert api.versions == {version}
    assert bench.containers() == []


def test_f51_old_api_and_a_crowd(bench: Bench, tmp_path: Path) -> None:
    """Before 1.41 processes are counted another way."""
    with EngineApi(tmp_path) as api:
        older(api, "1.40")
        engine = Docker(bench.store, base_url=api.url)
        script = "while :; do sleep 60 & done 2>/dev/null; sleep 60"
        limits = Limits(timeout=4, pids=12)
        done = engine.run(bench.job(("bash", "-c", f"trap '' TERM; {script}"), limits=limits))
    assert (done.ending, done.crowded) == (Ending.TIMEOUT, True)
    assert bench.containers() == []


@pytest.mark.parametrize("version", ["1.29", "1.12"])
def test_f51_too_old(bench: Bench, tmp_path: Path, version: str) -> None:
    with EngineApi(tmp_path) as api:
        older(api, version)
        engine = Docker(bench.store, base_url=api.url)
        reason = engine.probe()
        with pytest.raises(EngineError, match="too old") as caught:
            engine.run(bench.job(("true",)))
    assert reason is not None
    assert version in caught.value.message
    assert str(api.path) in caught.value.message
    assert "17.06" in str(caught.value.hint)
    assert "--engine sandbox" in str(caught.value.hint)


@pytest.mark.parametrize("claim", [None, "", "latest", "1.41\n", ["1.41"]])
def test_f51_version_that_is_none(bench: Bench, tmp_path: Path, claim: object) -> None:
    with EngineApi(tmp_path) as api:
        api.on("GET /version", rewritten(lambda facts: {**facts, "ApiVersion": claim}), times=None)
        reason = Docker(bench.store, base_url=api.url).probe()
    assert reason is not None
    assert str(api.path) in reason
