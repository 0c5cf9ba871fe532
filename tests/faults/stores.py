"""A store of its own with an image built in it, which tests may damage; how they do that."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.apt import layer as base
from repro.locks import seal
from repro.models.image import Layer
from repro.models.lock import Seal
from tests.faults.sources import LOCKS, RECIPE, World
from tests.support import TINY_ANALYSIS, TINY_DATA
from tests.wheelhouse import artifact

WHEEL_SHA = artifact(RECIPE).sha256


def _flip(path: Path) -> None:
    """Change one bit in the middle, and put the time of the content back."""
    state = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(state.st_size // 2)
        [byte] = file.read(1)
        file.seek(state.st_size // 2)
        file.write(bytes([byte ^ 1]))
    path.chmod(state.st_mode & 0o7777)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def _cut(path: Path, size: int) -> None:
    path.chmod(0o644)
    os.truncate(path, size)


HARMS: dict[str, Callable[[Path], None]] = {
    "flipped": _flip,
    "truncated": lambda path: _cut(path, path.stat().st_size // 2),
    "empty": lambda path: _cut(path, 0),
}


@pytest.fixture(scope="session")
def stock(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on its own, for the tests of one session: each leaves it whole or heals it first."""
    return tmp_path_factory.mktemp("stock") / "store"


@pytest.fixture
def stocked(world: World, stock: Path, cache: Path) -> World:
    """`world` with an analysis, and its image built in a store that only these tests use."""
    (world.cli.folder / "analysis.py").write_text(TINY_ANALYSIS)
    (world.cli.folder / "data").mkdir()
    (world.cli.folder / "data/numbers.csv").write_text(TINY_DATA)
    nowhere = f"unix://{world.cli.folder.parent}/no-docker.sock"  # the sandbox alone is quicker
    cli = replace(world.cli, cache=stock, extra={**world.cli.extra, "DOCKER_HOST": nowhere})
    found = replace(world, cli=cli)
    _give_base(found, cache)
    answer = found.cli("build")
    assert answer.code == 0, answer
    found.server.asked.clear()
    return found


def _give_base(world: World, cache: Path) -> None:
    """Have the base in the store, from the one that all tests share: it takes 20 s to build."""
    key = base_key(world)
    if world.store.layer(key) is not None:
        return
    layer = world.artifacts.layer(key)
    if layer is None:
        shared = replace(world.cli, cache=cache)
        assert shared("build").code == 0
        (world.cli.folder / LOCKS / "image.toml").unlink()
        layer = world.artifacts.layer(key)
    assert layer is not None
    with world.artifacts.layer_path(layer).open("rb") as file:
        assert (
            world.store.keep_layer("base", key, lambda new: shutil.copyfileobj(file, new)) == layer
        )


def base_key(world: World) -> str:
    """The key of the project's base layer."""
    sealed = sealed_lock(world)
    return base.key(world.debs, suite=sealed.suite, python=sealed.python)


def sealed_lock(world: World) -> Seal:
    """The project's seal."""
    return seal.parse((world.cli.folder / LOCKS / seal.SEAL).read_bytes(), where=seal.SEAL)


def layers(world: World) -> dict[str, Layer]:
    """The layers in the store by their name's first word: `base`, `pip`, `bytecode`."""
    keys = [path.stem for path in (world.store.root / "layers").iterdir()]
    found = [layer for key in keys if (layer := world.store.layer(key)) is not None]
    return {re.split("[: ]", layer.name)[0]: layer for layer in found}


def record_of(world: World, layer: Layer) -> Path:
    """Where the store records that layer."""
    return world.store.root / "layers" / f"{layer.key}.json"


def without_layers(world: World) -> None:
    """Have the layers above the base made again, from the artifacts."""
    for name, layer in layers(world).items():
        if name != "base":
            record_of(world, layer).unlink()
