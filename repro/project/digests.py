"""What decides a run beside its environment, by content: the code, and the data."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from repro.errors import UsageError
from repro.files import digest_file, local_errors
from repro.models.execution import FileDigest
from repro.models.project import Project
from repro.project.pyproject import NAME as PYPROJECT
from repro.project.tree import below, data_paths, members, project_files, recorded_name


def code_digests(project: Project, top: Path) -> tuple[FileDigest, ...]:
    """Digest what decides a run beside environment and data: the files, and `[analysis]`.

    The files are read in `top`: the project's folder, or a copy of it, of which what has come to
    the project since is no part.
    The configuration, the environment's inputs and the locks are left out: a tolerance is no
    code, and what is installed has the environment key. Of a pyproject.toml that is one of them
    the rest is digested: an analysis may keep its parameters there.
    """
    found = [_analysis_digest(project)]
    environment = project.environment
    elsewhere = {project.config, environment.apt_source, *(one.path for one in environment.pip)}
    for path in project_files(project):
        if path == PYPROJECT and path in elsewhere:
            found.append(_rest_digest(top / path))
        if path in elsewhere or below(path, ("lockfiles",)):
            continue
        if (item := _digest(top / path, path)) is not None:
            found.append(item)
    return tuple(sorted(found, key=lambda item: item.path))


def _digest(path: Path, name: str) -> FileDigest | None:
    """A file by content, a link by its target's name; None for anything else."""
    name = recorded_name(name)
    if path.is_symlink():
        link = os.fsencode(path.readlink())
        return FileDigest(
            path=name, size=len(link), sha256=hashlib.sha256(b"link:" + link).hexdigest()
        )
    if not path.is_file():
        return None
    size, sha256 = digest_file(path)
    return FileDigest(path=name, size=size, sha256=sha256)


def _rest_digest(path: Path) -> FileDigest:
    """pyproject.toml without what repro reads of it, by its values."""
    with local_errors(path):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    document.pop("dependency-groups", None)
    for name, keys in (
        ("tool", ("repro",)),
        ("project", ("dependencies", "optional-dependencies")),
    ):
        table = document.get(name, {})
        rest = {key: value for key, value in table.items() if key not in keys}
        document[name] = rest
    text = json.dumps(document, sort_keys=True, default=str).encode()
    sha256 = hashlib.sha256(text).hexdigest()
    return FileDigest(path=PYPROJECT, size=len(text), sha256=sha256)


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
    for name, path in _data_files(project):
        if (item := _digest(path, name)) is not None:
            found[item.path] = item
    return tuple(sorted(found.values(), key=lambda item: item.path))


def data_stamps(project: Project) -> dict[str, tuple[int, ...]]:
    """Return for each file of the declared data what changes whenever it is written.

    That is its device, inode, size and time of change (ctime, which no program can set). Equal
    before and after a run, the run saw the data that was digested. Raises as `data_digests`.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, path in _data_files(project):
        with local_errors(path):
            status = path.lstat()
        found[recorded_name(name)] = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_ctime_ns,
        )
    return found


def _data_files(project: Project) -> Iterator[tuple[str, Path]]:
    """Each file of the data: its name in the project, and where it lies."""
    for declared in data_paths(project):
        top = project.root / declared
        with local_errors(top):
            if not top.exists():
                raise UsageError(
                    f"data {declared!r} does not exist",
                    hint="correct data = [...] under [analysis]",
                )
            top = top.resolve()  # what is mounted
        for path in members(top):
            yield (PurePosixPath(declared) / path.relative_to(top)).as_posix(), path
