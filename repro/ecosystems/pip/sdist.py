"""Source distributions: built into wheels in the image, without network, from hashed tools."""

from __future__ import annotations

import hashlib
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from repro.ecosystems.archives import opened_zip
from repro.ecosystems.pip import bootstrap
from repro.ecosystems.pip.archives import source_member
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.fetch import label
from repro.ecosystems.pip.jobs import Step, run_step
from repro.ecosystems.pip.pages import project_of
from repro.errors import LockError, UsageError
from repro.files import local_errors, make_folder, open_regular, write_atomic
from repro.locks import names
from repro.models.execution import PROJECT, Mount
from repro.models.lock import Interpreter, PipArtifact
from repro.store.artifacts import Store

LEGACY = ("setuptools>=40.8.0", "wheel")
"""What a project without `[build-system]` builds with (PEP 518)."""

_LIMIT = 1 << 20
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, tarfile.TarError, OSError, ValueError
)  # fmt: skip
"""What the standard library's readers raise for damaged archives and declarations."""

_ANOTHER = "lock another version of it: repro snapshot --upgrade"


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltWheel:
    """What a build gave: the file's name and its sha256 hex; the wheel is in the store."""

    filename: str
    sha256: str


def build_requirements(sdist: PipArtifact, store: Store) -> tuple[str, ...] | None:
    """Return what a source distribution in the store declares to build with (PEP 518), sorted.

    None: it declares nothing. Raises LockError for an archive that cannot be read, UsageError
    for a requirement by address.
    """
    where = f"{label(sdist)}: pyproject.toml of {sdist.filename}"
    try:
        text = _pyproject(store.path(sdist.sha256), sdist.filename, where)
        table = {} if text is None else tomllib.loads(text.decode()).get("build-system", {})
        if "requires" not in table:
            return None
        return tuple(sorted(_requirement(line, where) for line in table["requires"]))
    except _UNREADABLE as error:
        raise LockError(f"{where}: {names.said(error)}", hint=_ANOTHER) from error
    except (AttributeError, TypeError) as error:
        raise LockError(
            f"{where}: [build-system] requires is no list of text", hint=_ANOTHER
        ) from error


def _requirement(line: str, where: str) -> str:
    try:
        requirement = Requirement(names.single_line(line, where))
    except InvalidRequirement as error:
        raise LockError(
            f"{where}: {names.shown(line)}: {names.said(error)}", hint=_ANOTHER
        ) from error
    if requirement.url:
        raise UsageError(
            f"{where}: builds with {requirement.name} from an address, not from an index",
            hint="require another version of it, one that has a wheel",
        )
    return str(requirement)


def _pyproject(path: Path, filename: str, where: str) -> bytes | None:
    """Return the top folder's pyproject.toml, None where there is none; nothing is extracted."""
    if not filename.endswith(".zip"):
        return source_member(path, "pyproject.toml", _LIMIT)
    with opened_zip(path, where) as archive:
        for info in archive.infolist():
            if info.filename.count("/") == 1 and info.filename.endswith("/pyproject.toml"):
                with archive.open(info) as member:
                    return member.read(_LIMIT)
    return None


def build(
    sdist: PipArtifact,
    requires: Sequence[PipArtifact],
    *,
    interpreter: Interpreter,
    builder: Builder,
    store: Store,
) -> BuiltWheel:
    """Build one wheel, without network, and put it into the store.

    The source and the requirements (pip among them) must be in the store. Raises LockError with
    the build's last lines when it fails.
    """
    with store.scratch() as work:
        stage = make_folder(work / "stage")
        for name in ("scratch", "out", "source"):
            make_folder(stage / name)
        tools = bootstrap.lay_out(requires, store, interpreter, stage)
        archive = store.checked(sdist.sha256, label=label(sdist))
        write_atomic(stage / "source" / sdist.filename, b"")  # the mount point
        source = f"{PROJECT}/source/{sdist.filename}"
        done = run_step(
            builder,
            Step(
                argv=(
                    tools.python, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps",
                    "--no-index", "--no-cache-dir", "--disable-pip-version-check",
                    "--wheel-dir", "out", source,
                ),
                stage=stage,
                env=(*tools.env, ("PIP_CONFIG_FILE", "/dev/null")),
                mounts=(Mount(source=archive, target=source),),
            ),
            work / "log",
        )  # fmt: skip
        if not done.execution.succeeded:
            raise LockError(
                f"{label(sdist)}: {sdist.filename} does not build "
                f"({done.execution.ending} {done.execution.code}):\n{done.tail}",
                hint="it may need a compiler or a library: add gcc, python3-dev and what the "
                "lines above miss to apt.txt; or require a version that has a wheel",
            )
        return _keep(sdist, stage / "out", store)


def _keep(sdist: PipArtifact, folder: Path, store: Store) -> BuiltWheel:
    """Put the one wheel of the right name and version into the store."""
    with local_errors(folder):
        found = [item for item in sorted(folder.iterdir()) if item.name.endswith(".whl")]
    if len(found) != 1 or project_of(found[0].name) != (sdist.name, sdist.version):
        raise LockError(
            f"{label(sdist)}: {sdist.filename} built "
            f"{', '.join(item.name for item in found) or 'no wheel'}",
            hint="require a version that has a wheel",
        )
    with local_errors(found[0]), open_regular(found[0]) as file:
        data = file.read()
    sha256 = hashlib.sha256(data).hexdigest()
    store.put([data], sha256, label=label(sdist))
    return BuiltWheel(filename=found[0].name, sha256=sha256)


def have_built(
    artifacts: Sequence[PipArtifact],
    *,
    interpreter: Interpreter,
    builder: Builder,
    store: Store,
) -> None:
    """Have the wheel of every locked source distribution in the store.

    Raises LockError naming the package when a build gives other bytes than the locked ones.
    """
    for item in artifacts:
        locked = item.build
        if locked is None or store.has(locked.sha256, label=label(item)):
            continue
        built = build(item, locked.requires, interpreter=interpreter, builder=builder, store=store)
        if built.sha256 != locked.sha256:
            raise LockError(
                f"{label(item)}: the wheel built from {item.filename} has sha256 "
                f"{built.sha256}, the lock says {locked.sha256}",
                hint="its build is not reproducible; require a version that has a wheel",
            )
