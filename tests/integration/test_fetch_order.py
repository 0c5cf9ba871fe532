"""Where a build takes each artifact from, in order: vendored, store, mirrors, snapshot archive."""

from __future__ import annotations

import tomllib

import pytest

from repro.models.lock import Deb
from tests.faults.server import Reply
from tests.faults.sources import LOCKS, RECIPE, WHEEL, World, on_mirror
from tests.wheelhouse import artifact, make_wheel

pytestmark = pytest.mark.network


def test_each_source_is_used_in_its_order(world: World) -> None:
    """The mirror lost one package (mirror rot), and is not asked for what is nearer."""
    by_digest, by_name, stored, rotten, *rest = sorted(world.debs, key=lambda deb: deb.size)
    vendor = world.cli.folder / "vendor"
    digest_path = vendor / "sha256" / by_digest.sha256[:2] / by_digest.sha256
    digest_path.parent.mkdir(parents=True)
    digest_path.write_bytes(world.content(by_digest))
    (vendor / by_name.filename.rpartition("/")[2]).write_bytes(world.content(by_name))
    (vendor / RECIPE.filename).write_bytes(make_wheel(RECIPE))
    world.store.put([world.content(stored)], stored.sha256, label="stored")
    del world.server.replies[on_mirror(rotten)]
    world.server.replies[world.in_archive(rotten)] = Reply(body=world.content(rotten))
    world.configure('vendor = "vendor"\n')

    answer = world.cli("build")

    assert answer.code == 0, answer
    asked = [path for path in world.server.asked if world.server.replies.get(path)]
    assert sorted(asked) == sorted([*map(on_mirror, rest), world.in_archive(rotten)])
    first, second = (world.server.asked.index(path) for path in ways(world, rotten))
    assert first < second, "the mirror first, then the archive"
    assert WHEEL not in world.server.asked
    assert all(world.store.has(deb.sha256, deb.size) for deb in world.debs)
    assert world.store.has(artifact(RECIPE).sha256)
    record = tomllib.loads((world.cli.folder / LOCKS / "image.toml").read_text())
    assert len(record["layers"]) == 2


def ways(world: World, deb: Deb) -> tuple[str, str]:
    return on_mirror(deb), world.in_archive(deb)
