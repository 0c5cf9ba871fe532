"""D27 through the whole command: package and redacted address, with an empty store."""

from __future__ import annotations

import pytest

from tests.faults.server import Reply
from tests.faults.sources import LOCKS, PAGE, WHEEL, World, on_mirror
from tests.watch import faulted

pytestmark = pytest.mark.network


@pytest.mark.parametrize("status", [404, 410])
def test_d27_a_package_that_the_mirror_dropped(world: World, status: int) -> None:
    gone = world.deb("zlib1g")
    world.server.replies[on_mirror(gone)] = Reply(status=status)
    says = [
        f"apt zlib1g {gone.version}",
        f"{world.server.address}{on_mirror(gone)}: HTTP {status}",
        f"{world.server.address}{world.in_archive(gone)}: HTTP 404",
        "repro snapshot --upgrade zlib1g",
    ]
    faulted(world.cli, "build", code=6, says=says)
    assert world.server.count(on_mirror(gone)) == 1
    assert {one for one in world.server.authorizations if one} == {world.server.authorizations[0]}
    kept = [deb for deb in world.debs if world.store.has(deb.sha256, deb.size)]
    assert set(kept) == set(world.debs) - {gone}, "what did arrive is not fetched again"
    assert world.half_written() == []


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("path", [WHEEL, PAGE])
def test_d27_a_wheel_that_the_index_dropped(world: World, path: str, status: int) -> None:
    world.server.replies[path] = Reply(status=status)
    says = [
        "pip demo 1.0",
        f"{world.server.address}{path}: HTTP {status}",
        "repro snapshot --upgrade demo",
    ]
    faulted(world.cli, "build", code=6, says=says)
    assert world.server.count(path) == 1
    assert not (world.cli.folder / LOCKS / "image.toml").exists()
    assert world.half_written() == []
