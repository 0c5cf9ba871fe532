"""Reading a project's locks, and refusing those that no longer fit."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from repro.errors import LocalError, LockError, UsageError
from repro.files import copy_regular, open_regular
from repro.locks import apt, requirements, seal
from repro.locks.inputs import environment_inputs
from repro.locks.reference import is_named
from repro.models.image import ImageRecord
from repro.models.lock import CondaPackage, Lock, LockState, Seal
from repro.models.project import PLATFORM, Project, platform_of

SNAPSHOT = "run: repro snapshot"


def read_file(path: Path, *, where: str) -> bytes | None:
    """The bytes of a regular file, None when there is none.

    Raises LockError for anything else, LocalError where it may not be read.
    """
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EIO):
            raise LocalError(
                f"{path}: {error.strerror}", hint="check its owner and permissions"
            ) from error
        said = "is a link" if error.errno == errno.ELOOP else error.strerror
        raise LockError(
            f"{where}: {said}", hint="restore it from version control: it must be a plain file"
        ) from None


def lock_state(project: Project) -> LockState | None:
    """Whether the project's locks are fresh; None when it has none."""
    where = _where(project.lock_folder, project.root)
    data = read_file(project.lock_folder / seal.SEAL, where=f"{where}/{seal.SEAL}")
    if data is None:
        return None
    sealed = seal.parse(data, where=f"{where}/{seal.SEAL}")
    files = {
        name: read_file(lock_path(project.lock_folder, name), where=f"{where}/{name}")
        for name, _ in sealed.locks
    }
    state = seal.check(sealed, environment_inputs(project.environment), files)
    return replace(state, edited=(*state.edited, *_edited_settings(sealed, project, state)))


def _edited_settings(sealed: Seal, project: Project, state: LockState) -> tuple[str, ...]:
    """What the seal says of its own settings, where its inputs' digests say otherwise.

    An input that changed since is stale, not edited: then the two may differ.
    """
    now = project.environment
    settings: tuple[tuple[str, object, object], ...] = (
        ("suite", sealed.suite, now.suite),
        ("image", *_images(sealed, now.image)),
        # "": it was asked for once, and the seal keeps it
        *((("as-of", sealed.as_of, now.as_of),) if now.as_of else ()),
        # "": the conda packages or the image decide it
        *((("python", sealed.python, now.python),) if now.python else ()),
        ("system-site-packages", sealed.system_site_packages, now.system_site_packages),
        ("allow-overlap", sorted(sealed.allow_overlap), sorted(now.allow_overlap)),
    )
    return tuple(
        f"{seal.SEAL} ({name} is {said!r}, sealed for {meant!r})"
        for name, said, meant in settings
        if said != meant and f"environment.{name}" not in state.stale
    )


def _images(sealed: Seal, image: str) -> tuple[str, str]:
    """The base image of the seal, and the project's, spelt as the seal's where it is the same."""
    whole = sealed.base.reference if sealed.base is not None else ""
    return whole, whole if whole and image and is_named(whole, image) else image


def lock_path(folder: Path, name: str) -> Path:
    """Return where a lock of a platform's folder lies.

    conda's has all platforms and lies above their folders; in a copy of the locks, beside them.
    """
    if name == seal.CONDA_LOCK and not os.path.lexists(folder / name):
        return folder.parent / name
    return folder / name


def copy_locks(lock: Lock, source: Path, target: Path) -> None:
    """Copy the files of a lock into one folder. Raises LocalError."""
    for name in (seal.SEAL, *(name for name, _ in lock.seal.locks)):
        copy_regular(lock_path(source, name), target / name)


def _where(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def read_lock(folder: Path, *, root: Path, platform: str = PLATFORM) -> Lock:
    """Read the locks in `folder`, each checked by its own format.

    `root` shortens the names in messages. Raises LockError naming file and line.
    """
    where = _where(folder, root)
    sealed, parts = read_parts(folder, root=root)
    debs = apt.parse(
        _text(parts, seal.APT_LOCK, where),
        where=f"{where}/{seal.APT_LOCK}",
        on_image=sealed.base is not None,
        architecture=platform_of(platform).architecture,
    )
    pins = requirements.parse(_text(parts, seal.PIP_LOCK, where), where=f"{where}/{seal.PIP_LOCK}")
    pinned = {(pin.name, pin.version, pin.sha256) for pin in pins}
    differing = pinned ^ {(item.name, item.version, item.sha256) for item in sealed.pip}
    if differing:
        name, version, sha256 = min(differing)
        raise LockError(
            f"{where}/{seal.PIP_LOCK} and {seal.SEAL} disagree about {name} {version} "
            f"(sha256 {sha256})",
            hint="restore both from version control, or check and seal what stands there: "
            "repro snapshot --adopt-edits",
        )
    if sealed.platform != platform:
        raise LockError(f"{where}/{seal.SEAL}: is for {sealed.platform}, not {platform}")
    return seal.make_lock(debs, sealed, conda_packages(sealed, parts, where=where))


def read_parts(folder: Path, *, root: Path) -> tuple[Seal, dict[str, bytes]]:
    """Read a seal, and the bytes of the locks that it names. Raises LockError."""
    where = _where(folder, root)
    sealed = seal.parse(_read(folder, seal.SEAL, where), where=f"{where}/{seal.SEAL}")
    return sealed, {name: _read(folder, name, where) for name, _ in sealed.locks}


def conda_packages(
    sealed: Seal, parts: Mapping[str, bytes], *, where: str
) -> tuple[CondaPackage, ...]:
    """Return what conda-lock.yml among these locks holds for the seal's platform."""
    if seal.CONDA_LOCK not in parts:
        return ()
    from repro.locks import conda  # most locks have none, and `status` is quick

    text = _text(parts, seal.CONDA_LOCK, where)
    return conda.parse(text, where=f"{where}/{seal.CONDA_LOCK}").of(sealed.platform)


def _read(folder: Path, name: str, where: str) -> bytes:
    data = read_file(lock_path(folder, name), where=f"{where}/{name}")
    if data is None:
        raise LockError(f"{where}/{name} is missing", hint=SNAPSHOT)
    return data


def require_locks(folder: Path, lock: Lock, *, root: Path) -> None:
    """Raise LockError unless the locks in `folder` are this one, still.

    A build takes minutes, and a snapshot may have written others meanwhile.
    """
    if read_lock(folder, root=root).key != lock.key:
        raise LockError("the locks changed while their image was made", hint="run it again")


def _text(parts: Mapping[str, bytes], name: str, where: str) -> str:
    try:
        return parts[name].decode()
    except UnicodeDecodeError as error:
        raise LockError(f"{where}/{name}: not UTF-8 at byte {error.start}", hint=SNAPSHOT) from None


def require_own_platform(project: Project) -> None:
    """Raise UsageError where the project is locked for other platforms alone."""
    named = project.environment.platforms
    if PLATFORM not in named:
        own = PLATFORM.replace("-", "/")
        raise UsageError(
            f"{project.config}: environment.platforms has {', '.join(named)}, and this host is "
            f"{PLATFORM}: only what is for it is built and run here",
            hint=f'add "{own}" to platforms, then: repro snapshot',
        )


def fresh_lock(project: Project) -> Lock:
    """Read the project's lock; refuse a missing, stale or edited one before any work.

    Raises UsageError where none is asked for the host's own platform.
    """
    require_own_platform(project)
    state = lock_state(project)
    if state is None:
        raise LockError(f"{_where(project.lock_folder, project.root)}: no lock yet", hint=SNAPSHOT)
    if state.edited:
        raise LockError(
            "edited: the lock no longer matches its seal:\n  " + "\n  ".join(state.edited),
            hint="restore it from version control; or re-lock: repro snapshot; "
            "or check and seal what stands there: repro snapshot --adopt-edits",
        )
    if state.stale:
        raise LockError(
            "stale: these inputs changed since the lock was made: " + ", ".join(state.stale),
            hint=SNAPSHOT,
        )
    return read_lock(project.lock_folder, root=project.root, platform=project.platform)


def read_image_record(project: Project) -> ImageRecord | None:
    """`image.toml`, None when nothing was built yet. Raises LockError."""
    from repro.locks.records import parse_image

    where = f"{_where(project.lock_folder, project.root)}/{seal.IMAGE_RECORD}"
    data = read_file(project.lock_folder / seal.IMAGE_RECORD, where=where)
    return None if data is None else parse_image(data, where=where)
