"""H63: writes to data or to the root file system fail; writes to the project stay private."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from repro.models.execution import Ending, Mount
from tests.contract.conftest import Bench, bench, contract_image, contract_store, engine

__all__ = ["bench", "contract_image", "contract_store", "engine"]
pytestmark = pytest.mark.network  # once a machine: the image is bootstrapped from the mirror

ATTACKS = {
    "append": "open(path, 'ab').write(b'x')",
    "truncate": "os.truncate(path, 0)",
    "remove": "os.unlink(path)",
    "rename": "os.rename(path, os.path.dirname(path) + '/other')",
    "link over": "open('mine', 'w').write('x'); os.rename('mine', path)",
    "hard link": "os.link(path, '/project/mine')",
    "mode": "os.chmod(path, 0o777)",
    "owner": "os.chown(path, 1000, 1000)",
    "time": "os.utime(path, (0, 0))",
    "attribute": "os.setxattr(path, 'user.repro', b'x')",
    "new beside": "open(os.path.dirname(path) + '/new', 'w')",
    "folder": "os.mkdir(os.path.dirname(path) + '/new')",
    "through a link": "os.symlink(path, 'way'); open('way', 'ab').write(b'x')",
    "through proc": "open(f'/proc/self/root{path}', 'ab').write(b'x')",
}


def digest(folder: Path) -> str:
    """Names, modes, times and contents of everything in the folder."""
    seen = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        seen.update(f"{path} {state.st_mode:o} {state.st_mtime_ns} {state.st_nlink}\n".encode())
        seen.update(path.read_bytes() if path.is_file() else b"")
    return seen.hexdigest()


@pytest.fixture
def data(bench: Bench) -> Path:
    """A data folder that anybody may write, as far as its modes go."""
    folder = bench.folder / "data"
    folder.mkdir()
    (folder / "table.csv").write_text("a\n1\n")
    (folder / "table.csv").chmod(0o666)
    folder.chmod(0o777)
    (bench.stage / "data").mkdir()
    return folder


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_data(bench: Bench, data: Path, attack: str) -> None:
    before = digest(data)
    mounts = (Mount(source=data, target="/project/data"),)
    text = f"import os\npath = '/project/data/table.csv'\n{attack}\n"
    ran = bench.run(bench.job(("python3", "-c", text), mounts=mounts))
    assert (ran.execution.ending, ran.code) == (Ending.EXITED, 1), ran
    expected = ("Read-only file system", "Invalid cross-device link", "Device or resource busy")
    assert any(word in ran.log for word in expected), ran.log
    assert digest(data) == before


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_the_root_file_system(bench: Bench, attack: str) -> None:
    text = f"import os\npath = '/opt/open/file'\n{attack}\n"
    ran = bench.python(text)
    assert (ran.execution.ending, ran.code) == (Ending.EXITED, 1), ran
    expected = ("Read-only file system", "Invalid cross-device link")
    assert any(word in ran.log for word in expected), ran.log
    assert bench.shell("cat /opt/open/file; ls /opt/open").log == "anybody may write\nfile\n"


def test_remounting(bench: Bench, data: Path) -> None:
    before = digest(data)
    mounts = (Mount(source=data, target="/project/data"),)
    text = """\
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
MS_REMOUNT, MS_BIND = 32, 4096
for path in (b"/", b"/project/data"):
    assert libc.mount(None, path, None, MS_REMOUNT | MS_BIND, None) == -1, path
    assert libc.umount2(path, 2) == -1, path
open("/project/data/new", "w")
"""
    ran = bench.run(bench.job(("python3", "-c", text), mounts=mounts))
    assert "Read-only file system" in ran.log
    assert digest(data) == before


def test_the_project_is_writable_and_nothing_else_is_touched(bench: Bench, data: Path) -> None:
    """The stage is a private copy: what is written there succeeds."""
    outside = bench.folder / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    before = digest(data), digest(outside)
    (bench.stage / "analysis.py").write_text("print(1)\n")
    (bench.stage / "escape").symlink_to(outside)
    mounts = (Mount(source=data, target="/project/data"),)
    text = """\
import os
open("analysis.py", "w").write("gone")
open("new", "w").write("x")
os.mkdir("out")
try:
    open("escape/file", "w").write("escaped")
except OSError as error:
    print(type(error).__name__)
"""
    ran = bench.run(bench.job(("python3", "-c", text), mounts=mounts))
    assert (ran.code, ran.log) == (0, "FileNotFoundError\n")
    assert (bench.stage / "analysis.py").read_text() == "gone"
    assert (digest(data), digest(outside)) == before
