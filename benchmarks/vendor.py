"""How long a build takes where there is no network: from a vendored folder, into an empty store."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import REPRO, Command, take_turns
from benchmarks.workshop import NO_DAEMON, Workshop

ROUNDS = 3


def figures(workshop: Workshop) -> list[Figure]:
    """Measure a build from the folder beside one from a store that has every artifact."""
    folder = workshop.scratch / "vendored"
    shutil.copytree(workshop.stack.folder, folder)
    extra = {"DOCKER_HOST": NO_DAEMON}
    kept = {**extra, "REPRO_CACHE": str(workshop.artifacts.root)}
    Command(argv=(REPRO, "vendor"), folder=folder, extra=kept)()

    def build(cache: Path, *words: str) -> float:
        seconds = Command(
            argv=(REPRO, "build", *words), folder=folder, extra={**extra, "REPRO_CACHE": str(cache)}
        )()
        shutil.rmtree(cache)
        return seconds

    def offline() -> float:
        empty = Path(tempfile.mkdtemp(dir=workshop.scratch, prefix="cache-"))
        return build(empty, "--offline")

    times = take_turns(
        {"offline": offline, "online": lambda: build(workshop.fresh_cache())},
        rounds=workshop.rounds(ROUNDS),
        warm_up=0,
    )
    return [
        Figure(
            what="whole `repro build --offline` from a vendored folder, into an empty store",
            ours=times["offline"],
            peers=(("`repro build` from a warm store", times["online"]),),
            target=Target(ratio=1.0),
            note="the folder's files are hashed and copied into the store, which the other has",
        )
    ]
