"""H65: the analysis fills the disk, wherever it may write: exit 4, the limit is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import Cli
from tests.watch import faulted

pytestmark = [pytest.mark.network, pytest.mark.docker]
LIMITS = 'memory = "64m"\nmax-output = "4m"\n'
MANY = """\
import os
folder = os.path.expandvars({folder!r})
for n in range(3000):
    with open(f"{{folder}}/part{{n}}", "wb") as file:
        file.write(bytes({size}))
"""
OUTPUT = '[analysis] max-output = "4m"'
MEMORY = '[analysis] memory = "64m"'
SCRATCH = f"$HOME and /tmp hold 32m (half of {MEMORY}"
ATTACKS = {
    "/tmp": (MANY.format(folder="/tmp", size=1 << 20), "No space left", SCRATCH),
    "HOME": (MANY.format(folder="$HOME", size=1 << 20), "No space left", SCRATCH),
    "shared memory": (MANY.format(folder="/dev/shm", size=1 << 20), "more memory", MEMORY),
    "project": (MANY.format(folder="/project", size=1 << 19), "wrote more", OUTPUT),
    "project, empty files": (MANY.format(folder="/project", size=0), "wrote more", OUTPUT),
    "project, one file": (
        "open('out/big', 'wb').write(bytes(9 << 20))\n", "wrote more", OUTPUT,
    ),
    "project, a hole": ("os = __import__('os')\nos.truncate(os.open('out/big', 66), 1 << 40)\n",
                        "File too large", OUTPUT),
    "/tmp, one file": ("open('/tmp/big', 'wb').write(bytes(9 << 20))\n", "File too large", OUTPUT),
}  # fmt: skip


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_quota_is_named(tiny: Cli, engine: str, attack: str) -> None:
    config = tiny.folder / "repro.toml"
    config.write_text(config.read_text().replace("timeout", f"{LIMITS}timeout"))
    script, *says = ATTACKS[attack]
    (tiny.folder / "analysis.py").write_text(script)
    faulted(tiny, "--engine", engine, "verify", code=4, says=[*says, "log.txt"])
    assert taken(tiny.folder / ".repro") < 24 << 20


def taken(folder: Path) -> int:
    """Bytes on disk below a folder: what a failed run leaves is limited too."""
    found = (Path(top) / name for top, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_blocks * 512 for path in found)
