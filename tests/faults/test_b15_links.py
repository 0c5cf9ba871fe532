"""B15: nothing in the store that is a link is followed, whatever it shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repro.engines.sandbox.unpack import unpacked
from tests.faults.sources import World
from tests.faults.stores import WHEEL_SHA, layers, record_of, without_layers
from tests.watch import faulted

pytestmark = pytest.mark.network

SANDBOX = ("--engine", "sandbox")


@contextmanager
def linked(path: Path, target: Path) -> Iterator[None]:
    """Have a link at `path` for the block, to what lay there: the right bytes, in a wrong way."""
    shutil.move(path, target)
    path.symlink_to(target)
    try:
        yield
    finally:
        path.unlink()
        shutil.move(target, path)


@pytest.mark.parametrize("name", ["object", "folder of objects", "objects", "records", "unpacked"])
def test_b15_a_link_in_the_store_is_refused(stocked: World, tmp_path: Path, name: str) -> None:
    root = stocked.cli.cache
    path = {
        "object": stocked.store.path(WHEEL_SHA),
        "folder of objects": stocked.store.path(WHEEL_SHA).parent,
        "objects": root / "sha256",
        "records": root / "layers",
        "unpacked": root / "unpacked",
    }[name]
    without_layers(stocked)
    with linked(path, tmp_path / "elsewhere"):
        faulted(stocked.cli, "build", code=3, says=[str(path), "is a link", f"rm {path}"])


@pytest.mark.parametrize("name", ["record", "tar", "unpacked layer"])
def test_b15_a_layer_that_is_a_link_is_not_run(stocked: World, tmp_path: Path, name: str) -> None:
    layer = layers(stocked)["pip"]
    path = {
        "record": record_of(stocked, layer),
        "tar": stocked.store.layer_path(layer),
        "unpacked layer": unpacked(stocked.store, layer),
    }[name]
    with linked(path, tmp_path / "elsewhere"):
        faulted(stocked.cli, "run", *SANDBOX, code=3, says=[str(path), "is a link"])
    assert not (stocked.cli.folder / "out").exists()


def test_b15_the_store_itself_may_lie_behind_a_link(stocked: World, tmp_path: Path) -> None:
    """Where a cache lies is its user's own choice: on the large disk, say."""
    (tmp_path / "cache").symlink_to(stocked.cli.cache)
    answer = stocked.cli("build", "--offline", env={"REPRO_CACHE": str(tmp_path / "cache")})
    assert answer.code == 0, answer
