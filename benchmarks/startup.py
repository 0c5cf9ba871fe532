"""How long `repro --help` and `repro status` take beside a bare interpreter, in one run.

python benchmarks/startup.py [ROUNDS]: medians in milliseconds, and their ratio to `python -c pass`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "repro --help": ["-m", "repro", "--help"],
    "repro status": ["-m", "repro", "status"],
}


def once(arguments: list[str], folder: str) -> float:
    """Run the interpreter once; return the wall time in milliseconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False)
    return (time.perf_counter() - start) * 1000


def main(rounds: int) -> None:
    """Take turns, so that whatever else the machine does hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                times[name].append(once(arguments, folder))
    bare = statistics.median(times["python -c pass"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:16} {median:7.1f} ms  {median / bare:5.1f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
