"""Where artifacts are vendored to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.models.project import (
    VENDOR_MANIFEST,
    VENDOR_MARK,
    Analysis,
    Environment,
    Project,
    Sources,
)
from repro.workflows.vendor import destination


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(
        root=tmp_path / "p",
        name="x",
        config=None,
        environment=Environment(suite="bookworm", python="3.11"),
        analysis=Analysis(steps=(), data=("data/raw/a.csv",), outputs=("out",)),
    )


def test_where_it_is_configured_else_vendor(project: Project, tmp_path: Path) -> None:
    assert destination(project, None) == project.root / "vendor"
    assert destination(project, tmp_path / "away") == tmp_path / "away"
    named = replace(project, sources=Sources(vendor="kept"))
    assert destination(named, None) == project.root / "kept"


@pytest.mark.parametrize(
    "name",
    [
        *(".", "lockfiles", "baseline/x", "..", ".git", ".git/objects", ".repro/vendor", "link"),
        *("data", "data/raw", "out", "out/vendor"),
    ],
)
def test_folders_that_hold_something_else_are_refused(name: str, project: Project) -> None:
    project.root.mkdir()
    (project.root / "link").symlink_to("lockfiles")
    with pytest.raises(UsageError, match="is no folder for artifacts"):
        destination(project, project.root / name)


def test_a_folder_with_other_files_is_refused_unless_it_is_named_or_written_by_us(
    project: Project,
) -> None:
    """A run would see none of them any more."""
    folder = project.root / "vendor"
    folder.mkdir(parents=True)
    assert destination(project, None) == folder, "an empty one is free"
    (folder / "library.py").touch()
    for asked in (None, folder):
        with pytest.raises(UsageError, match="has other files than artifacts: library"):
            destination(project, asked)
    named = replace(project, sources=Sources(vendor="vendor"))
    assert destination(named, None) == folder
    (folder / VENDOR_MANIFEST).write_bytes(VENDOR_MARK)
    assert destination(project, folder) == folder
