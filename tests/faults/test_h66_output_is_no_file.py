"""H66: what the analysis leaves at an output's path is no plain file: exit 4, never opened."""

from __future__ import annotations

import pytest

from tests.support import Cli
from tests.watch import faulted

pytestmark = pytest.mark.network
LEFT = {
    "folder": ("os.mkdir('out/metrics.json')", "out/metrics.json"),
    "link inside": ("open('out/x', 'w').write('{}'); os.symlink('x', 'out/metrics.json')", "link"),
    "link to itself": ("os.symlink('metrics.json', 'out/metrics.json')", "link"),
    "link to the host": ("os.symlink('HOST', 'out/metrics.json')", "link"),
    "deep link": ("os.rmdir('out'); os.symlink('/proc/self/root', 'out')", "link"),
    "device": (
        "os.mknod('out/metrics.json', 0o020666, os.makedev(1, 5))", "Operation not permitted",
    ),
    "hard link to data": ("os.link('data/numbers.csv', 'out/metrics.json')", "link"),
    "thousand folders": (
        "os.chdir('out')\nfor n in range(1000):\n    os.mkdir('d'); os.chdir('d')",
        "out/metrics.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("left", LEFT)
def test_it_is_refused(tiny: Cli, left: str) -> None:
    """The other kinds, on both engines: test_h_hostile."""
    host = tiny.folder.parent / "host.json"
    host.write_text('{"count": 40, "mean": 74.28571428571429}')
    make, says = LEFT[left]
    script = f"import os\n{make.replace('HOST', str(host))}\n"
    (tiny.folder / "analysis.py").write_text(script)
    faulted(tiny, "--engine", "sandbox", "verify", code=4, says=[says])
    assert host.read_text().startswith('{"count": 40')
