"""How long locking takes beside the resolvers alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import REPRO, Command, take_turns, timed
from benchmarks.workshop import SUITE, Workshop
from repro.ecosystems.apt.pins import Pins
from repro.ecosystems.apt.private import PrivateApt
from repro.ecosystems.apt.resolve import BASE, interpreter_packages
from repro.ecosystems.apt.sources import host_sources
from repro.ecosystems.pip import uv
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.indexes import effective
from repro.ecosystems.pip.request import PipRequest
from repro.ecosystems.pip.resolve import resolve
from repro.ecosystems.pip.tags import Target as Interpreter
from repro.models.image import Image
from repro.models.lock import Interpreter as Python
from repro.models.lock import PipArtifact

ROUNDS = 5
GLIBC, FULL = "2.36", "3.11.2"
"""Of bookworm."""


def figures(workshop: Workshop) -> list[Figure]:
    """Measure the pip part, at first and with kept pins, and a whole first snapshot."""
    pinned = workshop.scratch / "pinned"
    first = _uv(workshop, workshop.scratch / "first", pins=None)
    kept = _uv(workshop, pinned, pins=_pins(workshop, pinned))
    whole = workshop.scratch / "whole"
    shutil.copytree(workshop.stack.folder, whole)

    def snapshot() -> float:
        shutil.rmtree(whole / "lockfiles")
        extra = {"REPRO_CACHE": str(workshop.artifacts.root)}
        return Command(argv=(REPRO, "snapshot"), folder=whole, extra=extra)()

    times = take_turns(
        {
            "pip part, first": _pip_part(workshop, previous=()),
            "uv, first": first,
            "pip part, kept pins": _pip_part(workshop, previous=workshop.stack.lock.pip),
            "uv, kept pins": kept,
            "whole": snapshot,
            "resolvers": _resolvers(workshop, first),
        },
        rounds=workshop.rounds(ROUNDS),
    )
    compiler = "`uv pip compile --generate-hashes`"
    return [
        Figure(
            what="pip part of a snapshot, first lock",
            ours=times["pip part, first"],
            peers=((compiler, times["uv, first"]),),
            target=Target(ratio=1.2),
            note="beside uv's answer a lock holds the size of each file, and an index whose pages "
            "do not say it is asked once for each file that is not in the store; kept pins "
            "need no such request",
        ),
        Figure(
            what="pip part of a snapshot, pins kept",
            ours=times["pip part, kept pins"],
            peers=((f"{compiler} over its own output", times["uv, kept pins"]),),
            target=Target(ratio=1.2),
        ),
        Figure(
            what="whole `repro snapshot`, first lock",
            ours=times["whole"],
            peers=(("`apt-get update`, then the longer of apt-get and uv", times["resolvers"]),),
            target=Target(ratio=1.3),
        ),
    ]


def _pip_part(workshop: Workshop, previous: tuple[PipArtifact, ...]) -> Callable[[], float]:
    project, tools = workshop.stack.project, workshop.tools

    def no_image() -> Image:
        raise AssertionError("this stack has wheels: nothing is resolved in an image")

    def work() -> object:
        return resolve(
            PipRequest(
                interpreter=Python.of_debian(project.environment.python),
                environment=project.environment,
                glibc=GLIBC,
                python_full=FULL,
                previous=previous,
                sources=project.sources,
            ),
            store=tools.store,
            fetcher=tools.fetcher(None),
            http=type(tools.http)(),  # a snapshot begins without open connections
            builder=Builder(engine=tools.build_engine, image=no_image),
        )

    return lambda: timed(work)


def _uv(workshop: Workshop, folder: Path, pins: str | None) -> Callable[[], float]:
    """Return `uv pip compile` of the same inputs for the same interpreter and indexes."""
    folder.mkdir(exist_ok=True)
    shutil.copy(workshop.stack.folder / "requirements.in", folder)
    output = folder / "out.txt"
    words = ["pip", "compile", "requirements.in", "--generate-hashes", "--no-build", "--quiet"]
    words += ["--python", sys.executable, "--python-version", FULL, "--no-config"]
    words += ["--python-platform", uv.platform(Interpreter(python="3.11", glibc=GLIBC, full=FULL))]
    words += ["--output-file", str(output)]
    extra = uv.environment(effective(workshop.stack.project.sources), os.environ)
    command = Command(argv=(uv.executable(), *words), folder=folder, extra=extra)

    def measure() -> float:
        output.unlink(missing_ok=True)
        if pins is not None:
            output.write_text(pins)
        return command()

    return measure


def _pins(workshop: Workshop, folder: Path) -> str:
    """Uv's own answer, to be kept."""
    _uv(workshop, folder, None)()
    return (folder / "out.txt").read_text()


def _resolvers(workshop: Workshop, compiler: Callable[[], float]) -> Callable[[], float]:
    """Return the longest chain: the index, then apt-get and uv, which need nothing of each other.

    The same programs on the same private apt as in a snapshot, and nothing of repro around them.
    """
    root = workshop.scratch / "apt"
    secret = workshop.scratch / "apt-scratch"
    for folder in (root, secret):
        folder.mkdir(mode=0o700)
    sources = host_sources(workshop.stack.project.sources)
    apt = PrivateApt(root=root, scratch=secret, suite=SUITE, sources=sources)
    apt.prepare()
    Pins(debs=()).write(root / "local", SUITE)
    asked = ("?essential", *BASE, "usr-is-merged", *interpreter_packages(SUITE, "3.11"), "tree")
    words = ("apt-get", "install", "-y", "-qq", "-o", "Acquire::ForceHash=SHA256")

    def install() -> None:
        done = apt.call(*words, "--print-uris", "--", *asked)
        assert not done.code, done.tail()

    return lambda: timed(apt.update) + max(timed(install), compiler())
