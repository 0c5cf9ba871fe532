"""The project's files by their role: outputs, data, and what a run may see of the rest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from repro.files import walk
from repro.models.project import Project
from repro.project.listing import listed


def outputs(project: Project) -> tuple[str, ...]:
    """Return every declared output: those of the analysis, the metrics files and the tables."""
    declared = [*(project.analysis.outputs if project.analysis else ())]
    declared += [*project.metrics.files, *(table.file for table in project.tables)]
    return tuple(sorted({str(PurePosixPath(path)) for path in declared}))


def data_paths(project: Project) -> tuple[str, ...]:
    """Return the declared data files and folders."""
    declared = project.analysis.data if project.analysis else ()
    return tuple(sorted({str(PurePosixPath(path)) for path in declared}))


def below(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of these, or lies in one, compared by component."""
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def project_files(project: Project) -> tuple[str, ...]:
    """Return what a run may see of the project: relative POSIX paths, sorted.

    The project's files (see `listed`) without data, outputs, `.repro`, the baseline and the
    vendored artifacts.
    """
    hidden = [*outputs(project), *data_paths(project), "baseline", ".repro"]
    if project.sources.vendor:
        hidden.append(str(PurePosixPath(project.sources.vendor)))
    return tuple(sorted(path for path in listed(project.root) if not below(path, hidden)))


def members(top: Path) -> Iterator[Path]:
    """Yield what lies at and below `top`, sorted: all but folders; links are not followed."""
    if top.is_symlink() or not top.is_dir():
        yield top
        return
    for folder, folders, files in walk(top):
        folders.sort()
        links = [name for name in folders if (folder / name).is_symlink()]
        for name in sorted((*files, *links)):
            yield folder / name


def recorded_name(name: str) -> str:
    r"""Return a file's name as records have it: a byte that is not UTF-8 as `\xe9`."""
    return os.fsencode(name).decode(errors="backslashreplace")
