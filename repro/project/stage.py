"""The private copy of the project that a run sees, and what comes out of it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from repro.errors import AnalysisError, UsageError
from repro.files import (
    copy_regular,
    digest_file,
    local_errors,
    make_folder,
    open_regular,
    replacing,
    walk,
)
from repro.locks.names import path_shown
from repro.models.execution import PROJECT, FileDigest, Mount
from repro.models.image import EPOCH
from repro.models.project import Project
from repro.project.tree import (
    below,
    data_paths,
    members,
    outputs,
    project_files,
    recorded_name,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """The private copy of the project for one run. `before` is what it held: path → stamp."""

    folder: Path
    mounts: tuple[Mount, ...]
    before: dict[str, tuple[int, int, int]]


def fill_stage(project: Project, folder: Path) -> Stage:
    """Copy the project's files into the empty `folder`, without any declared output.

    Times and modes are normalised, so that both engines and every checkout show the same.
    Data is not copied: it is mounted, read-only, over the empty files and folders made here.
    """
    for path in project_files(project):
        source, target = project.root / path, folder / path
        make_folder(target.parent)
        if source.is_symlink():
            with local_errors(target):
                target.symlink_to(source.readlink())
        elif source.is_file():
            executable = source.stat().st_mode & stat.S_IXUSR
            copy_regular(source, target, 0o755 if executable else 0o644)
    for path in outputs(project):
        make_folder((folder / path).parent)
    for path in project.analysis.outputs if project.analysis else ():
        if path.endswith("/"):
            make_folder(folder / path)
    mounts = tuple(_mount_point(project, folder, path) for path in data_paths(project))
    _normalise_times(folder)
    return Stage(folder=folder, mounts=mounts, before=_stamps(folder))


def _mount_point(project: Project, folder: Path, path: str) -> Mount:
    source = (project.root / path).resolve()
    target = folder / path
    if source.is_dir():
        make_folder(target)
    else:
        make_folder(target.parent)
        target.touch()
    return Mount(source=source, target=f"{PROJECT}/{path}")


def _normalise_times(folder: Path) -> None:
    with local_errors(folder):
        for parent, folders, files in os.walk(folder, topdown=False):
            for name in (*files, *folders):
                os.utime(Path(parent) / name, (EPOCH, EPOCH), follow_symlinks=False)
        os.utime(folder, (EPOCH, EPOCH))


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for parent, folders, files in walk(folder):
        links = [name for name in folders if (parent / name).is_symlink()]
        for name in (*files, *links):
            path = parent / name
            status = path.lstat()
            found[path.relative_to(folder).as_posix()] = (
                status.st_mode,
                status.st_size,
                status.st_mtime_ns,
            )
    return found


def collect(project: Project, stage: Stage, target: Path) -> tuple[FileDigest, ...]:
    """Copy the declared outputs out of a stage; only regular files are ever opened.

    Raises AnalysisError naming an output that is a link, a FIFO, a device or a hard link.
    """
    found: dict[str, FileDigest] = {}
    for declared in outputs(project):
        top = stage.folder / declared
        _refuse_linked_parents(stage.folder, declared)
        if not os.path.lexists(top):
            continue
        for path in members(top):
            name = path.relative_to(stage.folder).as_posix()
            if name in found:  # declared twice, or below another output
                continue
            if name != recorded_name(name):
                raise AnalysisError(
                    f"output {recorded_name(name)!r}: its name is not UTF-8",
                    hint="let the analysis write a file with a plain name",
                )
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise AnalysisError(
                    f"output {name!r} is {_kind(status)}, not a regular file: not opened",
                    hint="let the analysis write a plain file there",
                )
            copy_regular(path, target / name)
            size, digest = digest_file(target / name)
            found[name] = FileDigest(path=name, size=size, sha256=digest)
    return tuple(found[name] for name in sorted(found))


def _refuse_linked_parents(folder: Path, declared: str) -> None:
    for parent in PurePosixPath(declared).parents:
        if (folder / parent).is_symlink():
            raise AnalysisError(f"output {declared!r}: its folder {str(parent)!r} became a link")


def _kind(status: os.stat_result) -> str:
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISDIR, "a folder"),
    )
    for test, name in kinds:
        if test(status.st_mode):
            return name
    return f"a hard link ({status.st_nlink} names)"


def discarded(project: Project, stage: Stage) -> tuple[str, ...]:
    """List what the run changed below /project and that is no declared output.

    Python's own bytecode is left out: it says nothing about the analysis.
    """
    after = _stamps(stage.folder)
    declared = outputs(project)
    changed = {path for path, stamp in after.items() if stage.before.get(path) != stamp}
    changed |= stage.before.keys() - after.keys()
    return tuple(
        sorted(
            recorded_name(path)
            for path in changed
            if not below(path, declared) and "__pycache__" not in path.split("/")
        )
    )


def publish(
    project: Project, files: Iterable[FileDigest], source: Path, *, staging: Path
) -> tuple[str, ...]:
    """Copy collected outputs into the user's tree; return their paths.

    `staging` is as in `files.replacing`: git never sees half a file.
    """
    written: list[str] = []
    for item in files:
        target = project.root / item.path
        if target.is_symlink():
            raise UsageError(f"{path_shown(item.path)} is a symbolic link: not overwritten")
        with (
            open_regular(source / item.path) as old,
            replacing(target, durable=False, staging=staging) as new,
        ):
            shutil.copyfileobj(old, new)
        written.append(item.path)
    return tuple(written)
