"""How long the program takes to start and to say where a project stands."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import REPRO, Command, take_turns
from benchmarks.workshop import Workshop

ROUNDS = 20
BARE = "`python -c pass`"


def figures(workshop: Workshop) -> list[Figure]:
    """Measure `--help` and `status` beside a bare interpreter and two well-known programs."""
    folder = workshop.stack.folder
    extra = {"REPRO_CACHE": str(workshop.built)}
    bin_folder = Path(sys.executable).parent

    def command(*argv: str | Path) -> Command:
        return Command(argv=argv, folder=folder, extra=extra)

    times = take_turns(
        {
            BARE: command(sys.executable, "-c", "pass"),
            "`pip --help`": command(sys.executable, "-m", "pip", "--help"),
            "`uv --help`": command(bin_folder / "uv", "--help"),
            "help": command(REPRO, "--help"),
            "status": command(REPRO, "status"),
        },
        rounds=workshop.rounds(ROUNDS),
    )
    peers = tuple((name, times[name]) for name in (BARE, "`pip --help`", "`uv --help`"))
    lock = workshop.stack.lock
    size = f"{len(lock.debs)} apt and {len(lock.pip)} pip packages"
    return [
        Figure(
            what="`repro --help`", ours=times["help"], peers=peers, target=Target(seconds=0.150)
        ),
        Figure(
            what=f"`repro status`, {size} locked",
            ours=times["status"],
            peers=peers[:1],
            target=Target(seconds=0.5),
        ),
    ]
