"""What decides a run beside its environment, by content: the code, and the data."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from repro.errors import UsageError
from repro.files import digest_file, local_errors
from repro.models.execution import FileDigest
from repro.models.project import Project
from repro.project.tree import below, data_paths, members, project_files, recorded_name


def code_digests(project: Project) -> tuple[FileDigest, ...]:
    """Digest what decides a run beside environment and data: the files, and `[analysis]`.

    The configuration, the environment's inputs and the locks are left out: a tolerance is no
    code, and what is installed has the environment key.
    """
    found = [_analysis_digest(project)]
    environment = project.environment
    elsewhere = {project.config, environment.apt_source, *(one.path for one in environment.pip)}
    for path in project_files(project):
        if path in elsewhere or below(path, ("lockfiles",)):
            continue
        if (item := _digest(project.root / path, path)) is not None:
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
        for path in members(top):
            name = (PurePosixPath(declared) / path.relative_to(top)).as_posix()
            if (item := _digest(path, name)) is not None:
                found[item.path] = item
    return tuple(sorted(found.values(), key=lambda item: item.path))
