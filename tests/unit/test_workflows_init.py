"""Setting up a project: which project it is."""

from __future__ import annotations

from pathlib import Path

from repro.progress import Silent
from repro.workflows.init import init
from repro.workflows.tools import make_tools


class Heard(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def notes(folder: Path, cache: Path) -> list[str]:
    heard = Heard()
    tools = make_tools(progress=heard, cache_root=cache)
    init(folder, tools, lambda question: False, lambda measurement: None)
    return heard.notes


def test_a_folder_of_a_larger_project_is_told_apart(tmp_path: Path) -> None:
    project = tmp_path / "project"
    inner = project / "tutorial"
    inner.mkdir(parents=True)
    (project / "repro.toml").write_text('name = "larger"\n')
    [note] = notes(inner, tmp_path / "cache")
    assert str(project) in note
    assert "repro.toml" in note
    assert notes(project, tmp_path / "cache") == []
