"""How long building takes: from nothing, after one change, and when nothing changed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.dockerfile import Dockerfile, import_base
from benchmarks.figures import Figure, Target
from benchmarks.timing import take_turns, timed
from benchmarks.workshop import SUITE, VERSIONS, Workshop
from repro.ecosystems.apt.bootstrap import Bootstrap, environment, workspace
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.workflows.assemble import below_pip
from repro.workflows.tools import make_tools

LONG, SHORT = 2, 10
SAME_BASE = "`docker build` on that base"


def figures(workshop: Workshop) -> list[Figure]:
    """Measure the base, a whole build, one change, and no change."""
    found = [_base(workshop)]
    if workshop.docker:
        with Dockerfile.serving(workshop) as dockerfile:
            found += [
                _whole(workshop, dockerfile),
                *_changed(workshop, dockerfile),
                _unchanged(workshop, dockerfile),
            ]
    return found


def _base(workshop: Workshop) -> Figure:
    stack = workshop.stack

    def layer() -> float:
        cache = workshop.fresh_cache()
        tools = make_tools(progress=Silent(), cache_root=cache)
        recipe = below_pip(stack.lock, tools)[0]
        seconds = timed(lambda: tools.store.keep_layer(recipe.name, recipe.key, recipe.write))
        shutil.rmtree(cache)
        return seconds

    def bare() -> float:
        store = workshop.artifacts
        with workspace(store) as folder, tempfile.TemporaryFile(dir=workshop.scratch) as tar:
            debs = tuple(sorted(stack.lock.debs, key=lambda deb: deb.name))
            command = Bootstrap(debs=debs, suite=SUITE, store=store).prepare(folder)
            start = time.perf_counter()
            subprocess.run(
                command,
                env=environment(folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=tar,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            return time.perf_counter() - start

    times = take_turns({"base": layer, "mmdebstrap": bare}, rounds=workshop.rounds(3), warm_up=0)
    return Figure(
        what=f"base layer of {len(stack.lock.debs)} packages, checked and canonical",
        ours=times["base"],
        peers=(("the same `mmdebstrap` call", times["mmdebstrap"]),),
        target=Target(ratio=1.15),
    )


def _whole(workshop: Workshop, dockerfile: Dockerfile) -> Figure:
    stack = workshop.stack
    caches: list[Path] = []

    def ours() -> float:
        stack.forget_image()
        for old in caches:
            shutil.rmtree(old)
        caches[:] = [workshop.fresh_cache()]
        return stack.build(caches[0])()

    ours()  # the warm-up; its base becomes the peer's
    tools = make_tools(progress=Silent(), cache_root=caches[0])
    layer = tools.store.layer(below_pip(stack.lock, tools)[0].key)
    assert layer is not None
    import_base(tools.store, layer, workshop.scratch)
    times = take_turns(
        {"repro build": ours, "docker build": dockerfile.of(stack, workshop, cached=False)},
        rounds=workshop.rounds(LONG),
        warm_up=0,
    )
    workshop.built = caches[0]
    return Figure(
        what="whole `repro build`, base included, into both engines, from a warm store",
        ours=times["repro build"],
        peers=((SAME_BASE + ", which it does not have to make", times["docker build"]),),
        target=Target(seconds=30.0, ratio=1.0),
        note="on two processors the work itself is the limit: mmdebstrap takes one of them for "
        "all of its time, compiling the wheels' sources takes as long beside it, then the layers "
        "are unpacked for the sandbox while docker reads them",
    )


def _changed(workshop: Workshop, dockerfile: Dockerfile) -> list[Figure]:
    rounds = workshop.rounds(LONG)
    left = [
        workshop.locked(f"changed-{version}", version) for version in VERSIONS[1 : 1 + 2 * rounds]
    ]
    last = workshop.stack

    def ours(*, docker: bool) -> float:
        nonlocal last
        last = left.pop()
        workshop.provide(Store(workshop.built), last)
        return last.build(workshop.built, docker=docker)()

    def peer_build() -> float:
        return dockerfile.of(last, workshop, cached=True)()

    times = take_turns(
        {
            "docker": partial(ours, docker=True),
            "sandbox": partial(ours, docker=False),
            "docker build": peer_build,
        },
        rounds=rounds,
        warm_up=0,
    )
    peer = ((SAME_BASE, times["docker build"]),)
    return [
        Figure(
            what="one small requirement changed: `repro build` into docker and sandbox",
            ours=times["docker"],
            peers=peer,
            target=Target(seconds=1.5, ratio=1.0),
        ),
        Figure(
            what="one small requirement changed: `repro build`, sandbox alone",
            ours=times["sandbox"],
            peers=peer,
            target=Target(seconds=0.5, ratio=1.0),
            note="in processor time, about a third is starting and reading the lock, a third "
            "checking every wheel's list of files against each other's, a third writing and "
            "unpacking the one layer that holds all small packages; then apt, dpkg and mmdebstrap "
            "are asked for their versions, for the new image.toml",
        ),
    ]


def _unchanged(workshop: Workshop, dockerfile: Dockerfile) -> Figure:
    times = take_turns(
        {
            "repro build": workshop.stack.build(workshop.built),
            "docker build": dockerfile.of(workshop.stack, workshop, cached=True),
        },
        rounds=workshop.rounds(SHORT),
    )
    return Figure(
        what="nothing changed: `repro build`, both engines asked",
        ours=times["repro build"],
        peers=(("`docker build`, all from its cache", times["docker build"]),),
        target=Target(seconds=0.3),
        note="nine tenths are starting: importing modules, of which a quarter is making "
        "dataclasses and a tenth Rich; and one try-out of the sandbox",
    )
