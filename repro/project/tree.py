"""The project's files: which they are, their digests, and the private copy that a run sees."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
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
from repro.models.execution import PROJECT, FileDigest, Mount
from repro.models.image import EPOCH
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


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def project_files(project: Project) -> tuple[str, ...]:
    """Return what a run may see of the project: relative POSIX paths, sorted.

    The project's files (see `listed`) without data, outputs, `.repro` and the baseline.
    """
    hidden = (*outputs(project), *data_paths(project), "baseline", ".repro")
    return tuple(sorted(path for path in listed(project.root) if not _below(path, hidden)))


def code_digests(project: Project) -> tuple[FileDigest, ...]:
    """Digest what decides a run beside environment and data: the files, and `[analysis]`.

    The configuration, the environment's inputs and the locks are left out: a tolerance is no
    code, and what is installed has the environment key.
    """
    found = [_analysis_digest(project)]
    environment = project.environment
    elsewhere = {project.config, environment.apt_source, *(one.path for one in environment.pip)}
    for path in project_files(project):
        if path in elsewhere or _below(path, ("lockfiles",)):
            continue
        if (item := _digest(project.root / path, path)) is not None:
            found.append(item)
    return tuple(sorted(found, key=lambda item: item.path))


def _recorded(name: str) -> str:
    r"""Return a file's name as records have it: a byte that is not UTF-8 as `\xe9`."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _digest(path: Path, name: str) -> FileDigest | None:
    """A file by content, a link by its target's name; None for anything else."""
    name = _recorded(name)
    if path.is_symlink():
        link = os.fsencode(path.readlink())
        return FileDigest(
            path=name, size=len(link), sha256=hashlib.sha256(b"link:" + link).hexdigest()
        )
    if not path.is_file():
        return None
    size, sha256 = digest_file(path)
    return FileDigest(path=name, size=size, sha256=sha256)


def _analysis_digest(project: Project) -> FileDigest:
    analysis = project.analysis
    assert analysis is not None
    values = asdict(analysis)
    del values["limits"]
    text = json.dumps(values, sort_keys=True).encode()
    return FileDigest(path="[analysis]", size=len(text), sha256=hashlib.sha256(text).hexdigest())


def data_digests(project: Project) -> tuple[FileDigest, ...]:
    """Digest every file of the declared data, as the run sees it: a declared link is followed.

    Raises UsageError when one is missing, LocalError when one cannot be read.
    """
    found: dict[str, FileDigest] = {}
    for declared in data_paths(project):
        top = project.root / declared
        with local_errors(top):
            if not top.exists():
                raise UsageError(
                    f"data {declared!r} does not exist",
                    hint="correct data = [...] under [analysis]",
                )
            top = top.resolve()  # what is mounted
        for path in _members(top):
            name = (PurePosixPath(declared) / path.relative_to(top)).as_posix()
            if (item := _digest(path, name)) is not None:
                found[item.path] = item
    return tuple(sorted(found.values(), key=lambda item: item.path))


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
        for path in _members(top):
            name = path.relative_to(stage.folder).as_posix()
            if name in found:  # declared twice, or below another output
                continue
            if name != _recorded(name):
                raise AnalysisError(
                    f"output {_recorded(name)!r}: its name is not UTF-8",
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


def _members(top: Path) -> Iterator[Path]:
    if top.is_symlink() or not top.is_dir():
        yield top
        return
    for folder, folders, files in walk(top):
        folders.sort()
        links = [name for name in folders if (folder / name).is_symlink()]
        for name in sorted((*files, *links)):
            yield folder / name


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
            _recorded(path)
            for path in changed
            if not _below(path, declared) and "__pycache__" not in path.split("/")
        )
    )


def publish(project: Project, files: Iterable[FileDigest], source: Path) -> tuple[str, ...]:
    """Copy collected outputs into the user's tree; return their paths."""
    written: list[str] = []
    for item in files:
        target = project.root / item.path
        if target.is_symlink():
            raise UsageError(f"{item.path} is a symbolic link: not overwritten")
        with open_regular(source / item.path) as old, replacing(target, durable=False) as new:
            shutil.copyfileobj(old, new)
        written.append(item.path)
    return tuple(written)
