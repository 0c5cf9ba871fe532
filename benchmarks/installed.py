"""How long it takes to lock a virtual environment as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Figure, Target
from benchmarks.timing import REPRO, Command, take_turns
from benchmarks.workshop import Workshop
from tests.wheelhouse import Recipe, make_wheel

ROUNDS = 5
DISTRIBUTIONS, FILES = 100, 60
"""What a data scientist's environment has, about; files of 4 KiB in each."""


def figures(workshop: Workshop) -> list[Figure]:
    """Measure `snapshot --from venv` with a warm index, beside what only lists the names."""
    folder = workshop.scratch / "installed"
    wheels, venv, project = folder / "wheels", folder / "venv", folder / "project"
    for place in (wheels, project):
        place.mkdir(parents=True)
    names = [f"dist{number}" for number in range(DISTRIBUTIONS)]
    for name in names:
        files = {f"{name}/m{n}.py": f"X = '{name} {n}'\n".encode() * 200 for n in range(FILES)}
        recipe = Recipe(name=name, files=files)
        (wheels / recipe.filename).write_bytes(make_wheel(recipe))
    extra = {
        "REPRO_CACHE": str(workshop.artifacts.root),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
    }
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    python = venv / "bin/python"
    words = ["--no-index", "--find-links", str(wheels), "--link-mode", "copy", *names]
    subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *words], check=True)
    listing = "`uv pip freeze`"

    def command(*argv: str | Path) -> Command:
        return Command(argv=argv, folder=project, extra=extra)

    times = take_turns(
        {
            "snapshot": command(REPRO, "-q", "snapshot", "--from", f"venv:{venv}"),
            listing: command(*uv, "pip", "freeze", "--python", python),
        },
        rounds=workshop.rounds(ROUNDS),
    )
    return [
        Figure(
            what=f"`repro snapshot --from venv`, {DISTRIBUTIONS} distributions, index warm",
            ours=times["snapshot"],
            peers=((listing, times[listing]),),
            target=Target(seconds=2.0),
        )
    ]
