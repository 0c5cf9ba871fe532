"""An environment as it is, pinned: every distribution by the file that it was installed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from repro.ecosystems.pip import layout
from repro.ecosystems.pip.find import Finder
from repro.ecosystems.pip.installed import DEBIANS
from repro.ecosystems.pip.rebuild import rebuild, wheel_name
from repro.ecosystems.pip.recorded import needed_by, scripts_of
from repro.ecosystems.pip.wheel import Wheel
from repro.ecosystems.pip.wheels import plan
from repro.ecosystems.tree import FileTree
from repro.errors import LockError
from repro.files import digest_file
from repro.locks import names
from repro.models.installed import (
    Changed,
    Distribution,
    PipRecord,
    PythonEnvironment,
    Unfound,
)
from repro.models.lock import Interpreter, PipArtifact
from repro.progress import Progress

VENDOR = "vendor"
"""Index alias of what is in no index: only the project's own folder has it."""

_SEEDS = ("pip", "setuptools", "wheel")
"""What the makers of virtual environments put there unasked: some distributors' own builds."""

_WORKERS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class PinOptions:
    """`project`: an installation of it is no package. `without`: patterns of names to leave out.

    `vendor`: make wheels of what no index has.
    """

    project: Path
    without: tuple[str, ...] = ()
    vendor: bool = False
    owned: frozenset[str] = frozenset()
    """Metadata folders of what other package managers installed."""


@dataclass(kw_only=True)
class _Pinning:
    """One environment on its way into a lock."""

    tree: FileTree
    finder: Finder
    options: PinOptions
    interpreter: Interpreter
    artifacts: list[PipArtifact] = field(default_factory=list)
    unfound: list[Unfound] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    vendored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def chosen(environment: PythonEnvironment, options: PinOptions) -> tuple[Distribution, ...]:
    """Return the distributions that pip must have: not dpkg's, not the project, none left out."""
    return tuple(
        one
        for one in environment.distributions
        if one.site != DEBIANS
        and one.folder not in options.owned
        and not is_left_out(one.name, options.without)
        and not _is_project(one, options.project)
    )


def is_left_out(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern names this package."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def pin(
    tree: FileTree,
    environment: PythonEnvironment,
    finder: Finder,
    options: PinOptions,
    *,
    interpreter: Interpreter,
    progress: Progress,
    changed: Callable[[Distribution], tuple[Changed, ...]],
) -> PipRecord:
    """Return what the environment's distributions are in the indexes, and what they are not.

    `changed` gives the files of one that are not what it recorded, see `recorded.changes`.

    Raises NetworkError when an index cannot be read, LocalError.
    """
    work = _Pinning(tree=tree, finder=finder, options=options, interpreter=interpreter)
    for broken in environment.unreadable:
        name = broken.folder.rpartition("/")[2]
        if not is_left_out(canonicalize_name(name.partition("-")[0]), options.without):
            work.unfound.append(
                Unfound(ecosystem="pip", name=name, version="", reason=broken.reason)
            )
    installed = chosen(environment, options)
    with (
        progress.task("looking up what is installed", len(installed)) as task,
        finder.http.workers(_WORKERS) as pool,
    ):

        def look(one: Distribution) -> tuple[tuple[Changed, ...], PipArtifact | str]:
            found = changed(one), finder.find(one, scripts_of(tree, one))
            task.advance()
            return found

        answers = list(pool.map(look, installed))
    for one, (files, found) in zip(installed, answers, strict=True):
        _settle(work, one, files, found, installed)
    work.notes += _notes(environment, options)
    return PipRecord(
        artifacts=tuple(sorted(work.artifacts, key=lambda item: item.name)),
        unfound=tuple(work.unfound),
        changed=tuple(work.changed),
        vendored=tuple(work.vendored),
        notes=tuple(work.notes),
    )


def _settle(
    work: _Pinning,
    one: Distribution,
    changed: tuple[Changed, ...],
    found: PipArtifact | str,
    installed: Sequence[Distribution],
) -> None:
    """Take the file that was found; or vendor what is there, or say why neither is possible."""
    if not changed and isinstance(found, PipArtifact):
        work.artifacts.append(found)
        return
    if one.name in _SEEDS and not needed_by(one, installed):
        why = _reason(one, found) if isinstance(found, str) else "was changed"
        work.notes.append(
            f"{one.name} {one.version} is left out, as nothing that is installed needs it: {why}"
        )
        return
    work.changed += changed
    reason = (
        _reason(one, found)
        if isinstance(found, str)
        else f"was changed after it was installed: {_files(changed)}"
    )
    stuck = _stuck(one)
    if work.options.vendor and stuck is None:
        try:
            work.artifacts.append(_vendored(work, one, whole=not changed))
        except LockError as error:
            stuck = error.message
        else:
            work.notes.append(f"{one.name} {one.version} is vendored: {reason}")
            return
    if work.options.vendor and stuck is not None:
        reason = f"{reason}; and cannot be vendored: {stuck}"
    work.unfound.append(
        Unfound(
            ecosystem="pip",
            name=one.name,
            version=one.version,
            reason=reason,
            vendorable=stuck is None,
        )
    )


def _files(changed: tuple[Changed, ...]) -> str:
    said = [f"{item.path}{' (missing)' if item.missing else ''}" for item in changed]
    return names.paths_shown(said, 3)


def _reason(one: Distribution, found: str) -> str:
    """Say where it came from, where that is known; else what the indexes lack."""
    origin = one.origin
    if origin is None:
        return found
    address = names.path_shown(origin.address)
    said = {
        "editable": f"is an editable installation of {address}",
        "folder": f"was built from the folder {address}",
        "vcs": f"is a checkout of {address} at commit {origin.commit or 'unknown'}",
        "archive": f"was installed from {address}",
    }[origin.kind]
    return f"{said}, and {found}"


def _stuck(one: Distribution) -> str | None:
    """Why its files cannot be made a wheel; None: they can."""
    if one.origin is not None and one.origin.kind == "editable":
        return (
            "its files are not in the environment: install it without -e, or put its code into "
            "the project"
        )
    if one.record is None:
        return "it has no RECORD of its files: install it again with a pip of today"
    return None


def _vendored(work: _Pinning, one: Distribution, *, whole: bool) -> PipArtifact:
    """Put a wheel of it into the store: the one it came from where that is still there."""
    store = work.finder.store
    original = _original(one) if whole else None
    if original is not None:
        filename = original.name
        with original.open("rb") as file:
            pieces = iter(lambda: file.read(1 << 20), b"")
            sha256, size = store.add(lambda target: target.writelines(pieces))
    else:
        filename = wheel_name(one, work.finder.tags)
        sha256, size = store.add(lambda target: rebuild(work.tree, one, target))
    artifact = PipArtifact(
        name=one.name,
        version=one.version,
        filename=filename,
        size=size,
        sha256=sha256,
        index=VENDOR,
    )
    wheel = Wheel(
        name=one.name,
        version=one.version,
        filename=filename,
        sha256=sha256,
        path=store.path(sha256),
    )
    plan(wheel, layout.of(work.interpreter))  # it can be installed
    work.vendored.append(filename)
    return artifact


def _original(one: Distribution) -> Path | None:
    """The wheel that it says it was installed from, where it still has the same bytes."""
    origin = one.origin
    if origin is None or origin.kind != "archive" or not origin.sha256:
        return None
    parts = urlsplit(origin.address)
    path = Path(unquote(parts.path))
    try:
        if parts.scheme != "file" or not path.is_file():
            return None
        parsed = parse_wheel_filename(path.name)
        if (parsed[0], str(parsed[1])) != (one.name, one.version):
            return None
    except (InvalidWheelFilename, ValueError, OSError):
        return None
    return path if digest_file(path)[1] == origin.sha256 else None


def _is_project(one: Distribution, project: Path) -> bool:
    """Whether this is the project itself, which is importable without being installed."""
    if one.origin is None or one.origin.kind not in ("editable", "folder"):
        return False
    parts = urlsplit(one.origin.address)
    path = unquote(parts.path) if parts.scheme == "file" else one.origin.address
    try:
        return Path(path).resolve() == project.resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def _notes(environment: PythonEnvironment, options: PinOptions) -> list[str]:
    notes = [
        f"{one.name} is the project itself: importable without being locked"
        for one in environment.distributions
        if _is_project(one, options.project)
    ]
    left_out = [
        one.name for one in environment.distributions if is_left_out(one.name, options.without)
    ]
    if left_out:
        notes.append(f"left out, as asked: {', '.join(left_out)}")
    if environment.strays:
        notes.append(
            f"in {environment.prefix}, of no package, and not locked: "
            + names.paths_shown(environment.strays)
        )
    return notes
