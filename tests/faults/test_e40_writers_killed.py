"""E40: the writers that all of repro uses, killed at every write, rename, fsync, mkdir, link."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.remains import in_sight, torn_objects
from tests.faults.syscalls import KILL, RENAMES, SYNCS, Command, require_strace, strikes
from tests.watch import temporary

CONTENT = tuple(f"artifact {number}\n".encode() * 20_000 for number in range(3))
LOCKS = ("apt.lock", "requirements.txt", "repro.lock")

# Three artifacts, a layer, the three locks, the baseline and an output, as the workflows write
# them: from one generation to the next.
PROGRAM = """
import hashlib, sys
from pathlib import Path
from repro.files import replace_folder, write_atomic, write_together
from repro.store.artifacts import Store

root, generation = Path(sys.argv[1]), sys.argv[2].encode()
store, project = Store(root / "store"), root / "project"
staging = project / ".repro" / "tmp"
for number in range(3):
    data = f"artifact {number}\\n".encode() * 20_000
    store.put([data[:9], data[9:]], hashlib.sha256(data).hexdigest(), label="x", size=len(data))
store.keep_layer("pip", "e" * 64, lambda file: file.write(b"layer" * 20_000))
locks = {name: generation for name in ("apt.lock", "requirements.txt", "repro.lock")}
write_together(project / "lockfiles", locks, staging=staging)

def fill(folder):
    (folder / "outputs").mkdir()
    (folder / "outputs" / "metrics.json").write_bytes(generation)
    write_atomic(folder / "seal.toml", generation)

replace_folder(project / "baseline", fill, staging=staging)
write_atomic(project / "image.toml", generation, staging=staging)
"""


def command(root: Path, generation: str) -> Command:
    return Command(
        argv=[sys.executable, "-c", PROGRAM, str(root), generation], cwd=root, env=os.environ
    )


def plain(root: Path, generation: str) -> None:
    done = subprocess.run(command(root, generation).argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def generations(root: Path) -> list[str]:
    """What stands in the project; each part is of one generation, or the assertion fails."""
    project = root / "project"
    locks = {(project / "lockfiles" / name).read_text() for name in LOCKS}
    assert (project / "lockfiles" / "kept").read_text() == "kept"
    baseline = {path.read_text() for path in (project / "baseline").rglob("*") if path.is_file()}
    assert len(locks) == len(baseline) == 1, (locks, baseline)
    return [*locks, *baseline, (project / "image.toml").read_text()]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old generation, and a store without the artifacts."""
    require_strace()
    root = tmp_path_factory.mktemp("before")
    plain(root, "old")
    shutil.rmtree(root / "store")
    (root / "project" / "lockfiles" / "kept").write_text("kept")
    return root


@pytest.mark.parametrize(
    ("name", "every"),
    [*((name, 1) for name in (*RENAMES, *SYNCS, "write", "linkat", "unlinkat")), ("mkdir", 3)],
)
def test_at_every_call(before: Path, tmp_path: Path, name: str, every: int) -> None:
    root = tmp_path / "root"

    def fresh() -> Command:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(before, root)
        return command(root, "new")

    seen = []
    for struck in strikes(fresh, name, KILL, every=every):
        seen.append(struck)
        assert torn_objects(root / "store") == []
        found = generations(root)
        assert found == sorted(found, key=["new", "old"].index), found  # in the order of writing
        assert in_sight(root / "project") == []
        plain(root, "new")
        assert generations(root) == ["new"] * 3
        assert temporary(root) == []
        assert torn_objects(root / "store") == []
        names = {path.name for path in (root / "store").glob("sha256/??/*")}
        assert {hashlib.sha256(data).hexdigest() for data in CONTENT} < names
    assert len(seen) > 1
    assert seen[-1].code == 0, seen[-1]
