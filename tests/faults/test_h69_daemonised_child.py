"""H69: a child that became a daemon: exit 0, and it ends with the run."""

from __future__ import annotations

import pytest

from tests.support import TINY_ANALYSIS, Cli
from tests.watch import faulted

pytestmark = [pytest.mark.network, pytest.mark.docker]
DAEMON = """\
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        if CLOSES:
            os.closerange(0, 64)
        open("/tmp/lives", "w").close()
        while True:
            open("/project/out/beat", "a").write(".")
            time.sleep(0.01)
    os._exit(0)
while not os.path.exists("/project/out/beat"):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize("closes", [True, False], ids=["closes its streams", "holds the output"])
def test_it_is_reaped(tiny: Cli, engine: str, closes: bool) -> None:
    """Also one that holds the run's stdout open: nobody waits for it."""
    script = DAEMON.replace("CLOSES", str(closes)) + TINY_ANALYSIS
    (tiny.folder / "analysis.py").write_text(script)
    # else the run would end at the analysis' own time limit, with 4
    faulted(tiny, "--engine", engine, "verify", code=0, says=["reproduced"])
