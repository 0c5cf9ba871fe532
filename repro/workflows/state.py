"""The project's own folder for repro, `.repro`: ignored by git, and where its commands queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from repro.files import write_atomic
from repro.models.lock import Lock
from repro.models.project import Project
from repro.mutex import exclusive
from repro.workflows.lockfiles import fresh_lock
from repro.workflows.tools import Tools

_IGNORE_ALL = b"*\n"


def staging(project: Project) -> Path:
    """Where temporaries of the project lie: git never sees them. Raises LocalError."""
    marker = project.state_folder / ".gitignore"
    if not marker.is_file() or marker.read_bytes() != _IGNORE_ALL:
        write_atomic(marker, _IGNORE_ALL)
    return project.state_folder / "tmp"


def turn(project: Project, tools: Tools) -> AbstractContextManager[None]:
    """Hold the project: what writes into it is done by one command at a time.

    Raises LocalError naming the other when that does not end in time.
    """
    staging(project)
    return exclusive(
        project.state_folder / "lock",
        what=f"working in {project.root}",
        claim=tools.store.claim,
    )


@contextmanager
def fresh_turn(project: Project, tools: Tools) -> Iterator[Lock]:
    """Hold the project and yield its lock, read anew: while it waited, another may have changed it.

    Holding writes into `.repro`: who calls this has asked `fresh_lock` before, so that a project
    without a lock that fits is left as it is. Raises LockError as that does, LocalError as `turn`.
    """
    with turn(project, tools):
        yield fresh_lock(project)
