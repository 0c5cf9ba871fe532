"""Taking times: subjects and peers take turns, so that what else the machine does hits all."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Of a developer's machine, not of a user's: they would have every start compile its modules.
_DROPPED = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
REPRO = Path(sys.executable).with_name("repro")


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """Wall times of one thing, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)


def timed(work: Callable[[], object]) -> float:
    """Do it once; return the wall time in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def take_turns(
    subjects: Mapping[str, Callable[[], float]], *, rounds: int, warm_up: int = 1
) -> dict[str, Times]:
    """Measure every subject once a round, in turn; the first `warm_up` rounds do not count.

    A subject returns its own time in seconds, so that it can prepare before and clean up after.
    """
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(warm_up + rounds):
        for name, measure in subjects.items():
            seconds = measure()
            say(f"  {name}: {seconds:.3f} s" + (" (warm-up)" if number < warm_up else ""))
            if number >= warm_up:
                found[name].append(seconds)
    return {name: Times(seconds=tuple(values)) for name, values in found.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line to be timed, in a folder; `extra` goes into its environment."""

    argv: Sequence[str | Path]
    folder: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    fails: bool = False
    """It may exit with another status than 0 (`repro status` of an unbuilt project)."""

    def __call__(self) -> float:
        """Run it to its end; return seconds. Raises SystemExit with its last words."""
        plain = {
            name: value
            for name, value in os.environ.items()
            if name not in _DROPPED and not name.startswith("REPRO_")
        }
        start = time.perf_counter()
        done = subprocess.run(
            [str(word) for word in self.argv],
            cwd=self.folder,
            env={**plain, "NO_COLOR": "1", **self.extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode and not self.fails:
            words = (done.stdout + done.stderr).decode(errors="replace").splitlines()[-15:]
            shown = "\n".join(words)
            raise SystemExit(f"{Path(self.argv[0]).name} {self.argv[1]} failed:\n{shown}")
        return seconds


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
