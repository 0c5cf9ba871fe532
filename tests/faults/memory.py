"""The largest resident memory of a `repro build`, its children's included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import Answer, Cli
from tests.watch import watching

MEGABYTE = 1 << 20

# the command, that writes its own high-water mark of memory, and its children's, where it ends
_MEASURED = """
import os, resource, sys
from pathlib import Path
from repro.cli import main
end = os._exit
def measured(code):
    lines = Path("/proc/self/status").read_text().splitlines()
    [own] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Path(sys.argv[1]).write_text(f"{own} {children}")
    end(code)
os._exit = measured
main.main(["build"])
"""


def measured_build(cli: Cli, peak: Path) -> tuple[Answer, int]:
    """What `repro build` says, and the bytes of the largest of its processes; `peak` is a file."""
    with watching(cli) as watch:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, str(peak)],
            cwd=cli.folder,
            env=watch.env,
            capture_output=True,
            check=False,
        )
        answer = Answer(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
        watch.said(answer.out + answer.err)
    return answer, max(map(int, peak.read_text().split())) << 10
