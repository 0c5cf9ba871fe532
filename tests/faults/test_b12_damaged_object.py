"""B12-B14: a damaged object is set aside and had anew: fetched once, built, or unpacked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from repro.engines.sandbox.unpack import unpacked
from tests.faults.sources import LOCKS, WHEEL, World
from tests.faults.stores import HARMS, WHEEL_SHA, layers, record_of, without_layers
from tests.watch import faulted

pytestmark = pytest.mark.network

SANDBOX = ("--engine", "sandbox")


@pytest.mark.parametrize("harm", HARMS)
def test_b12_a_damaged_artifact_is_fetched_once(stocked: World, harm: str) -> None:
    path = stocked.store.path(WHEEL_SHA)
    whole = path.read_bytes()
    without_layers(stocked)
    HARMS[harm](path)
    harmed = path.read_bytes()
    answer = faulted(stocked.cli, "build", code=0, evicts=[WHEEL_SHA])
    kept = stocked.cli.cache / "quarantine" / WHEEL_SHA
    assert f"warning: pip demo 1.0: the store's copy {path} is damaged" in answer.err
    assert str(kept.parent) in answer.err
    assert kept.read_bytes() == harmed
    assert path.read_bytes() == whole
    assert stocked.server.count(WHEEL) == 1
    assert "warning" not in stocked.cli("build").err


@pytest.mark.parametrize("harm", ["flipped", "empty"])
def test_b13_a_damaged_artifact_and_no_network(stocked: World, harm: str) -> None:
    """Said again by every later run, until the network is there."""
    path = stocked.store.path(WHEEL_SHA)
    whole = path.read_bytes()
    without_layers(stocked)
    HARMS[harm](path)
    harmed = path.read_bytes()
    kept = stocked.cli.cache / "quarantine" / WHEEL_SHA
    for _ in range(2):
        faulted(
            stocked.cli,
            *("build", "--offline"),
            code=3,
            says=["pip demo 1.0", str(kept), "without --offline"],
            evicts=[WHEEL_SHA],
        )
    assert kept.read_bytes() == harmed
    assert not path.exists()
    assert stocked.server.asked == []
    assert stocked.cli("build").code == 0
    assert path.read_bytes() == whole


def test_b13_a_damaged_artifact_that_no_index_has_any_more(stocked: World) -> None:
    """The integrity of the own store is what is wrong, not the network."""
    without_layers(stocked)
    HARMS["flipped"](stocked.store.path(WHEEL_SHA))
    del stocked.server.replies[WHEEL]
    kept = stocked.cli.cache / "quarantine" / WHEEL_SHA
    faulted(stocked.cli, "build", code=3, says=["demo 1.0", str(kept), "404"], evicts=[WHEEL_SHA])


def test_b12_a_damaged_layer_is_built_again(stocked: World) -> None:
    layer = layers(stocked)["pip"]
    path = stocked.store.layer_path(layer)
    whole = path.read_bytes()
    HARMS["flipped"](path)
    answer = faulted(stocked.cli, "build", "--offline", code=0, evicts=[path.name])
    assert f"warning: layer {layer.name}: the store's copy {path} is damaged" in answer.err
    assert path.read_bytes() == whole
    assert layers(stocked)["pip"] == layer


@pytest.mark.parametrize("harm", ["truncated", "another's", "edited"])
def test_b14_a_damaged_record_of_a_layer(stocked: World, harm: str) -> None:
    """Nothing is believed of it: not a whole one of another key, nor one that names another tar."""
    found = layers(stocked)
    record = record_of(stocked, found["pip"])
    whole = record.read_bytes()
    if harm == "another's":
        shutil.copyfile(record_of(stocked, found["base"]), record)
    elif harm == "edited":
        record.write_text(json.dumps(json.loads(whole) | {"digest": found["base"].digest}))
    else:
        HARMS[harm](record)
    (stocked.cli.folder / LOCKS / "image.toml").unlink()
    answer = faulted(stocked.cli, "build", "--offline", code=0, changes=[str(LOCKS / "image.toml")])
    assert "1 built" in answer.out
    assert record.read_bytes() == whole


def changed_library(world: World) -> Path:
    """Edit Python's own statistics in the unpacked base: every mean is now one more.

    The times of content are put back, as a careful editor does. Return the edited file.
    """
    path = unpacked(world.store, layers(world)["base"]) / "usr/lib/python3.11/statistics.py"
    folder = path.parent / "__pycache__"
    times = [(at, at.stat().st_mtime_ns) for at in (path, folder)]
    text, right = path.read_text(), "return _convert(total / n, T)"
    assert right in text
    path.write_text(text.replace(right, f"{right}+1", 1))
    (folder / "statistics.cpython-311.pyc").unlink()  # unchecked: the source is not looked at
    for at, time in times:
        os.utime(at, ns=(time, time))
    return path


def test_b12_an_unpacked_layer_that_was_edited_is_never_run(stocked: World) -> None:
    """The worst: an analysis that gives another result, or the same one from other code."""
    assert stocked.cli("run", *SANDBOX).code == 0
    result = stocked.cli.folder / "out/metrics.json"
    right = result.read_bytes()
    path = changed_library(stocked)
    edited = path.read_bytes()
    result.unlink()
    answer = faulted(stocked.cli, "run", *SANDBOX, code=0, changes=["out"])
    assert f"warning: layer base: {path.parent}/" in answer.err
    assert "was changed in the cache" in answer.err
    assert result.read_bytes() == right
    assert path.read_bytes() != edited
    assert "warning" not in stocked.cli("run", *SANDBOX).err


def test_b13_an_edited_unpacked_layer_and_nothing_to_make_it_from(stocked: World) -> None:
    """Nothing can be believed then: nothing is run. With a whole tar nothing need be fetched."""
    layer = layers(stocked)["base"]
    tar = stocked.store.layer_path(layer)
    changed_library(stocked)
    HARMS["flipped"](tar)
    kept = stocked.cli.cache / "quarantine" / tar.name
    says = ["layer base", str(kept), "this run is offline"]
    faulted(stocked.cli, "run", *SANDBOX, "--offline", code=3, says=says, evicts=[tar.name])
    assert not (stocked.cli.folder / "out").exists()
    shutil.copyfile(stocked.artifacts.layer_path(layer), tar)
    assert stocked.cli("run", *SANDBOX, "--offline").code == 0
