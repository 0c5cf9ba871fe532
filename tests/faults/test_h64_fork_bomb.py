"""H64: a fork bomb: exit 4, the limit on processes named; the host does not notice."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import Cli
from tests.watch import faulted, processes_over

pytestmark = [pytest.mark.network, pytest.mark.docker]
PIDS = 24
OWN = 4
"""What an engine itself needs beside the analysis: launcher, bwrap, its reaper; docker's init."""
BOMBS = {
    "gives up": ("import os\nwhile True:\n    os.fork()\n", "ended with status"),
    "does not give up": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        'timeout = "4s") and was ended, with as many processes as it may have',
    ),
    "threads": (
        "import threading, time\nwhile True:\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\n",
        "can't start new thread",
    ),
}


class Host:
    """What the host was like meanwhile."""

    def __init__(self) -> None:
        self.started = 0
        """Programs that were started there, and ended well."""
        self.refused = 0
        self.most = 0
        """Processes of the run, at the worst."""


@contextmanager
def watched(cli: Cli) -> Iterator[Host]:
    host, over = Host(), threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            if subprocess.run(["true"], check=False).returncode == 0:
                host.started += 1
            else:
                host.refused += 1
            host.most = max(host.most, len(processes_over(cli.folder)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield host
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_the_limit_is_named_and_the_host_lives(tiny: Cli, engine: str, bomb: str) -> None:
    config = tiny.folder / "repro.toml"
    text = config.read_text().replace('timeout = "60s"', f'timeout = "4s"\npids = {PIDS}')
    config.write_text(text)
    script, says = BOMBS[bomb]
    (tiny.folder / "analysis.py").write_text(script)
    with watched(tiny) as host:
        faulted(
            tiny, "--engine", engine, "verify", code=4,
            says=[says, f"[analysis] pids = {PIDS}", "log.txt"],
        )  # fmt: skip
    assert host.most <= PIDS + OWN
    assert host.most > PIDS // 2 or bomb != "does not give up", "nobody saw the bomb"
    assert host.started > 0
    assert host.refused == 0
