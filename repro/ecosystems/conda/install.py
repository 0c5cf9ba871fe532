"""Have locked conda packages installed into a staging prefix, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from repro import errors
from repro.ecosystems.conda.layout import PREFIX, archive_name
from repro.errors import EngineError, ReproError
from repro.files import local_errors, make_folder, write_atomic
from repro.image.layer import Entry
from repro.models.lock import CondaPackage
from repro.process import run
from repro.store.artifacts import Store

_ROOT = PREFIX.removeprefix("/")


def installed(
    packages: Sequence[CondaPackage],
    *,
    store: Store,
    folder: Path,
    allow_overlap: Sequence[str] = (),
) -> list[Entry]:
    """Install packages that are in the store below `folder`; return the prefix, readable there.

    Raises LockError for a package that the guards refuse or that cannot be installed as it is
    locked, LocalError, and EngineError where the process ends otherwise.
    """
    job = {
        "packages": [_archive(one, store) for one in packages],
        "allow_overlap": sorted(allow_overlap),
    }
    write_atomic(folder / "job.json", json.dumps(job).encode())
    done = run(
        [sys.executable, "-P", "-m", "repro.ecosystems.conda.installer", folder / "job.json"],
        env=_environment(make_folder(folder / "home")),
    )
    path = folder / "answer.json"
    if done.code or not path.is_file():
        raise EngineError(
            f"installing conda packages ended with {done.code}:\n{done.tail()}",
            hint="run it again; if it fails again, this is a bug in repro",
        )
    with local_errors(path):
        answer = json.loads(path.read_bytes())
    if "error" in answer:
        raise _error(answer)
    for note in answer["notes"]:
        store.note(note)
    return [_entry(*item) for item in answer["entries"]]


def _archive(package: CondaPackage, store: Store) -> dict[str, Any]:
    label = f"conda {package.name} {package.version}"
    path = store.checked(package.sha256, label=label)
    return {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "subdir": package.subdir,
        "filename": archive_name(package),
        "sha256": package.sha256,
        "path": str(path),
    }


def _environment(home: Path) -> dict[str, str]:
    """What the process sees of this host: no settings, no caches, no proxies, no logins.

    Nothing is fetched there, but rattler makes a client, and panics where it finds no authority.
    """
    import certifi

    found = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    found["SSL_CERT_FILE"] = certifi.where()
    if "PATH" in os.environ:
        found["PATH"] = os.environ["PATH"]
    return found


def _error(answer: Mapping[str, Any]) -> ReproError:
    kind = getattr(errors, answer["error"])
    found: ReproError = kind(answer["message"], hint=answer["hint"])
    return found


def _entry(path: str, kind: str, mode: int, size: int, of: str) -> Entry:
    at = f"{_ROOT}/{path}"
    if kind == "file":
        return Entry(path=at, mode=mode, kind=kind, size=size, data=partial(_open, Path(of)))
    link = f"{_ROOT}/{of}" if kind == "hardlink" else of
    return Entry(path=at, mode=mode, kind=kind, link=link)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
