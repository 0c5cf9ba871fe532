"""The case that the project exists for, on real packages: pandas 0.20.3 against 0.21.0."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from repro.errors import UsageError
from repro.files import copy_regular, make_folder, write_atomic
from repro.models.outcome import DemoResult
from repro.models.project import Project
from repro.project.load import load_project
from repro.workflows.accept import accept
from repro.workflows.build import BuildOptions, build
from repro.workflows.snapshot import SnapshotOptions, snapshot
from repro.workflows.system import require_system
from repro.workflows.tools import Tools
from repro.workflows.verify import verify

FILES = ("repro.toml", "requirements.in", "analysis.py", "orders.csv")
OLD, NEW = "pandas==0.20.3", "pandas==0.21.0"


def demo(folder: Path | None, tools: Tools, say: Callable[[str], None]) -> DemoResult:
    """Lock, build, accept on pandas 0.20.3, move to 0.21.0, verify: the drift, for real.

    `folder` must not exist or be empty; None: a new temporary folder, which stays. `say` gets a
    line before each step. Raises UsageError for a folder that holds something.
    """
    root = _new_folder(folder)
    require_system(say)
    source = demo_project()
    for name in FILES:
        copy_regular(source / name, root / name)
    say(f"A sales report from 2017, on {OLD} and Debian's Python 2.7, in {root}")
    _ask_for(root, NEW, OLD)
    project = _load(root)
    say("$ repro snapshot")
    snapshot(project, tools, SnapshotOptions())
    say("$ repro build")
    build(project, tools, BuildOptions())
    say('$ repro accept --reason "the numbers we published"')
    accepted = accept(project, tools, "the numbers we published")
    say(f"accepted {len(accepted.measurement.metrics)} metrics and a table as the baseline")
    say(f"Now the same code and data on {NEW}: one line of requirements.in changes")
    _ask_for(root, OLD, NEW)
    project = _load(root)
    say("$ repro snapshot")
    snapshot(project, tools, SnapshotOptions())
    say("$ repro verify")
    return DemoResult(folder=str(root), verification=verify(project, tools))


def demo_project() -> Path:
    """The flagship fixture: in the wheel, else in the source tree."""
    packaged = Path(str(resources.files("repro"))) / "demo_project"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[2] / "fixtures" / "pandas-drift"


def _load(root: Path) -> Project:
    return load_project(root).project


def _ask_for(root: Path, old: str, new: str) -> None:
    path = root / "requirements.in"
    text = path.read_text()
    if old in text:
        write_atomic(path, text.replace(old, new).encode())


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="repro-demo-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty", hint="name a new folder, or none")
    return make_folder(folder)
