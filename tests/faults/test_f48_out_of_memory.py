"""F48: the analysis needs more memory than it may have: exit 4, the limit and its value named."""

from __future__ import annotations

import pytest

from tests.support import Cli
from tests.watch import faulted

pytestmark = [pytest.mark.network, pytest.mark.docker]
EAT = "hoard = [bytearray(1 << 20) for _ in range(4000)]\n"
ATTACKS = {
    "itself": EAT,
    # the kernel may end the child alone, and its parent may not care
    "a child, and nobody asks": (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {EAT!r}])\n"
        "open('out/metrics.json', 'w').write('{\"count\": 40, \"mean\": 74.28571428571429}')\n"
    ),
}


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_limit_is_named(tiny: Cli, engine: str, attack: str) -> None:
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace("timeout", 'memory = "64m"\ntimeout'))
    (tiny.folder / "analysis.py").write_text(ATTACKS[attack])
    answer = faulted(
        tiny, "--engine", engine, "verify", code=4,
        says=['[analysis] memory = "64m"', "raise the limit", "log.txt"],
    )  # fmt: skip
    assert "status" not in answer.err, "137 is the engine's, not the analysis' own"


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_another_sigkill_is_not_taken_for_it(tiny: Cli, engine: str) -> None:
    (tiny.folder / "analysis.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    answer = faulted(
        tiny, "--engine", engine, "verify", code=4,
        says=["ended with status 137 (SIGKILL)", "no limit of repro's ended it"],
    )  # fmt: skip
    assert "memory =" not in answer.err
