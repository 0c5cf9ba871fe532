"""Where artifacts are vendored to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.models.project import Environment, Project, Sources
from repro.workflows.vendor import destination


@pytest.fixture
def project(tmp_path: Path) -> Project:
    environment = Environment(suite="bookworm", python="3.11")
    return Project(root=tmp_path / "p", name="x", config=None, environment=environment)


def test_where_it_is_configured_else_vendor(project: Project, tmp_path: Path) -> None:
    assert destination(project, None) == project.root / "vendor"
    assert destination(project, tmp_path / "away") == tmp_path / "away"
    named = replace(project, sources=Sources(vendor="kept"))
    assert destination(named, None) == project.root / "kept"


@pytest.mark.parametrize(
    "name", [".", "lockfiles", "baseline/x", "..", ".git", ".git/objects", ".repro/vendor", "link"]
)
def test_folders_that_hold_something_else_are_refused(name: str, project: Project) -> None:
    project.root.mkdir()
    (project.root / "link").symlink_to("lockfiles")
    with pytest.raises(UsageError, match="is no folder for artifacts"):
        destination(project, project.root / name)
