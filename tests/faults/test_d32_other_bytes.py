"""D32 through the whole command: 200 with wrong bytes is an integrity error, asked for once."""

from __future__ import annotations

import hashlib

import pytest

from tests.faults.server import Reply
from tests.faults.sources import LOCKS, WHEEL, World, on_mirror
from tests.watch import faulted
from tests.wheelhouse import Recipe, artifact, make_wheel

pytestmark = pytest.mark.network


@pytest.mark.parametrize("same_size", [True, False])
def test_d32_a_mirror_with_other_bytes(world: World, same_size: bool) -> None:
    package = world.deb("zlib1g")
    right = world.content(package)
    wrong = bytes([right[0] ^ 1]) + right[1:] if same_size else b"<html>welcome to the hotel</html>"
    world.server.replies[on_mirror(package)] = Reply(body=wrong)
    refused(
        world,
        on_mirror(package),
        f"apt zlib1g {package.version} from {world.server.address}{on_mirror(package)}",
        hashlib.sha256(wrong).hexdigest(),
        package.sha256,
    )
    assert not world.store.has(package.sha256)
    assert not world.store.has(hashlib.sha256(wrong).hexdigest())


def test_d32_an_index_with_other_bytes(world: World) -> None:
    evil = make_wheel(Recipe(files={"demo.py": b"EVIL = 1\n"}))
    world.server.replies[WHEEL] = Reply(body=evil)
    right, wrong = artifact(Recipe()).sha256, artifact(Recipe(), evil).sha256
    refused(world, WHEEL, f"pip demo 1.0 from {world.server.address}{WHEEL}", wrong, right)
    assert not world.store.has(right)
    assert not world.store.has(wrong)


def refused(world: World, path: str, *says: str) -> None:
    faulted(world.cli, "build", code=3, says=[*says, "nothing was kept"])
    assert world.server.count(path) == 1
    assert not (world.cli.folder / LOCKS / "image.toml").exists()
    assert world.half_written() == []


def test_d32_another_source_may_still_be_right(world: World) -> None:
    """Wrong bytes on the mirror do not matter where the snapshot archive has the right ones."""
    package = world.deb("zlib1g")
    world.server.replies[on_mirror(package)] = Reply(body=b"other")
    world.server.replies[world.in_archive(package)] = Reply(body=world.content(package))
    world.server.replies[WHEEL] = Reply(status=404)  # ends the command after the fetch
    faulted(world.cli, "build", code=6, says=["pip demo 1.0"])
    assert world.store.has(package.sha256, package.size)
