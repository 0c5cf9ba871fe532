"""The runner: `python -m benchmarks [NAMES] [--write FILE] [--quick]`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    build,
    conda,
    conda_install,
    installed,
    machine,
    run,
    snapshot,
    startup,
    vendor,
)
from benchmarks.figures import Figure, table
from benchmarks.timing import say
from benchmarks.workshop import Workshop

SUBJECTS: dict[str, Callable[[Workshop], list[Figure]]] = {
    "startup": startup.figures,
    "snapshot": snapshot.figures,
    "installed": installed.figures,
    "conda": conda.figures,
    "conda-install": conda_install.figures,
    "run": run.figures,
    "build": build.figures,
    "vendor": vendor.figures,
}

HEAD = """\
# How fast it is

Each figure is a median beside its peer's, measured in the same run: subjects and peers take
turns after a warm-up, on the same warm caches. `Ratio` is repro's time divided by that of the
first peer. The stack is pandas, scikit-learn and matplotlib with all that they need, on Debian 12
and Python 3.11.
"""


def main() -> int:
    """Measure, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUBJECTS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--quick", action="store_true", help="one round of everything")
    given = parser.parse_args()
    if unknown := set(given.names) - SUBJECTS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    facts = machine.facts()
    found: list[Figure] = []
    with Workshop.open(quick=given.quick) as workshop:
        for name in given.names or SUBJECTS:
            say(f"{name}:")
            found += SUBJECTS[name](workshop)
    words = [*given.names, *(["--quick"] if given.quick else [])]
    text = _page(facts, found, words, time.monotonic() - began)
    print(text, end="")
    if given.write:
        given.write.write_text(text)
    return 0


def _page(
    facts: tuple[tuple[str, str], ...], found: list[Figure], words: list[str], seconds: float
) -> str:
    command = shlex.join(["nox", "-s", "bench", *(["--", *words] if words else [])])
    lines = [HEAD, *(f"- {name}: {value}" for name, value in facts)]
    lines += [f"- Date: {time.strftime('%Y-%m-%d', time.gmtime())}"]
    lines += [f"- Command: `{command}` ({seconds / 60:.0f} minutes)", "", table(found)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
