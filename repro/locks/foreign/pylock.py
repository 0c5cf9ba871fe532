"""`pylock.toml` (PEP 751), through `packaging.pylock`.

https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.errors import LockError
from repro.locks import names
from repro.locks.foreign.common import ListedHash, packages, sha256s, specifier, toml_document
from repro.models.foreign import ForeignLock, ForeignPin, Refusal

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

KIND = "pylock.toml"
HINT = "write it anew, for example: uv export --format pylock.toml --output-file pylock.toml"


def parse(text: str, *, where: str) -> ForeignLock:
    """Return what a pylock.toml pins. Raises LockError naming the place."""
    document = toml_document(text, where=where, hint=HINT)
    packages(document, "packages")
    lock = _validated(document.values, where)
    pins = [
        _pin(package, f"{where}: packages[{position}]: {package.name}")
        for position, package in enumerate(lock.packages)
        if not _is_itself(package)
    ]
    return ForeignLock(
        path=where,
        kind=KIND,
        pins=tuple(pins),
        requires_python=specifier(
            str(lock.requires_python or ""), f"{where}: requires-python", HINT
        ),
        environments=tuple(str(one) for one in lock.environments or ()),
        wants=_roots(lock),
        partial=bool(lock.extras or lock.dependency_groups),
    )


def _validated(values: object, where: str) -> Pylock:
    from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

    assert isinstance(values, dict)
    try:
        return Pylock.from_dict(values)
    except PylockUnsupportedVersionError as error:
        raise LockError(
            f"{where}: {names.said(error)}", hint="write it in lock-version 1.0"
        ) from None
    except PylockValidationError as error:
        raise LockError(f"{where}: {names.said(error)}", hint=HINT) from None
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise LockError(f"{where}: not a pylock.toml: {names.said(error)}", hint=HINT) from None


def _is_itself(package: Package) -> bool:
    """Whether this is the project that the lock belongs to: it is never installed."""
    return package.directory is not None and package.directory.path in (".", "./")


def _pin(package: Package, where: str) -> ForeignPin:
    name = names.python_name(package.name, where)
    refusal = _refusal(package)
    if refusal is None and package.version is None:
        remedy = f"require a released version of {name}, then write the lock anew"
        refusal = Refusal(why="has no version", remedy=remedy)
    version, hashes = "", tuple[str, ...]()
    if refusal is None:
        version = names.python_version(str(package.version), where)
        hashes, refusal = sha256s(_files(package), where)
    return ForeignPin(
        name=name,
        version=version,
        where=where,
        hashes=hashes,
        markers=(str(package.marker),) if package.marker else (),
        refusal=refusal,
    )


def _refusal(package: Package) -> Refusal | None:
    kinds = (
        (package.vcs, "comes from version control"),
        (package.directory, "is a local folder"),
        (package.archive, "is required by address, not from an index"),
    )
    why = next((why for given, why in kinds if given is not None), None)
    if why is None:
        return None
    remedy = f"require a released version of {package.name} that an index has, and lock it anew"
    return Refusal(why=why, remedy=remedy)


def _files(package: Package) -> list[ListedHash]:
    files = [*(package.wheels or ()), *((package.sdist,) if package.sdist else ())]
    return [
        ListedHash(
            filename=file.filename,
            hashes=tuple(f"{kind}:{digest}" for kind, digest in file.hashes.items()),
        )
        for file in files
    ]


def _roots(lock: Pylock) -> tuple[str, ...]:
    """The packages that no other one of the lock depends on; empty when it says nothing of that."""
    needed = {item.get("name") for package in lock.packages for item in package.dependencies or ()}
    if not needed:
        return ()
    found = {str(p.name) for p in lock.packages if p.name not in needed and not _is_itself(p)}
    return tuple(sorted(found))
