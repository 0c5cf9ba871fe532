"""What one call of the program was asked for, and the collaborators made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from repro.models.project import Project
    from repro.progress import Progress
    from repro.workflows.tools import Tools

ENGINES = ("auto", "docker", "sandbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The options that commands share, as given."""

    command: str = ""
    folder: Path = Path()
    engine: str = "auto"
    json: bool = False
    quiet: bool = False
    offline: bool = False
    lock_timeout: int = 600

    def progress(self) -> Progress:
        """Return where the workflows report to: the terminal, plain lines, or nowhere."""
        from repro.report.progress import make_progress

        return make_progress(quiet=self.quiet)

    def root(self) -> Path:
        """Return the project's folder, links followed. Raises LocalError."""
        try:
            return self.folder.resolve()
        except FileNotFoundError as error:  # click has seen -C; the shell's own folder is gone
            raise LocalError(
                "the current folder does not exist any more",
                hint="cd into one that does, or name the project: -C DIR",
            ) from error

    def project(self) -> Project:
        """Read the project and say what its user should know about it. Raises UsageError."""
        from repro.project.load import load_project

        loaded = load_project(self.root())
        progress = self.progress()
        for note in loaded.notes:
            progress.note(f"note: {note}")
        return loaded.project

    def tools(self) -> Tools:
        """Compose the workflows' collaborators. Raises UsageError."""
        from repro.mutex import Claim
        from repro.workflows.tools import make_tools

        progress = self.progress()
        claim = Claim(
            seconds=self.lock_timeout,
            progress=progress,
            who=f"repro {self.command} in {self.root()}",
        )
        return make_tools(
            progress=progress, engine_name=self.engine, offline=self.offline, claim=claim
        )

    def show(self, renderable: RenderableType, data: Mapping[str, object]) -> None:
        """Write a result to stdout: as JSON where that was asked for, else for a person.

        Raises LocalError when stdout cannot be written.
        """
        from repro.report import console

        if self.json:
            console.emit(console.envelope(self.command, data))
        else:
            console.emit(console.render(renderable))
