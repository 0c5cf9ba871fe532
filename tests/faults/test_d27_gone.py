"""D27 through the whole command: package and redacted address, with an empty store."""

from __future__ import annotations

import re
import subprocess

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


@pytest.mark.parametrize("how", [404, 410, None])
def test_d27_a_dead_mirror_is_survived_by_whoever_has_the_bytes(
    world: World, how: int | None
) -> None:
    """Three packages, in a vendored folder, in the store and in the archive; None: no host."""
    by_folder, by_store, by_archive, *rest = sorted(world.debs, key=lambda deb: deb.size)
    for deb in (by_folder, by_store, by_archive):
        world.server.replies[on_mirror(deb)] = Reply(status=how or 404)
    config = world.cli.folder / "repro.toml"
    config.write_text(f'vendor = "vendor"\n{config.read_text()}')
    if how is None:
        dead = 'mirror = "http://127.0.0.1:9"'
        config.write_text(re.sub(r"^mirror = .*$", dead, config.read_text(), flags=re.MULTILINE))
    for deb in rest if how is None else ():
        world.store.put([world.content(deb)], deb.sha256, label=deb.name)
    (world.cli.folder / "vendor").mkdir()
    vendored = world.cli.folder / "vendor" / by_folder.filename.rpartition("/")[2]
    vendored.write_bytes(world.content(by_folder))
    world.store.put([world.content(by_store)], by_store.sha256, label=by_store.name)
    world.server.replies[world.in_archive(by_archive)] = Reply(body=world.content(by_archive))

    faulted(world.cli, "vendor", code=0, changes=["vendor"])

    checked = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(checked, cwd=vendored.parent, check=True)
    listed = (vendored.parent / "SHA256SUMS").read_text()
    assert all(deb.sha256 in listed for deb in world.debs)
    assert f"{by_folder.sha256}  {vendored.name}\n" in listed


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
