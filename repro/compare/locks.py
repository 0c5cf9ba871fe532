"""What differs between two environments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from repro.models.lock import Lock, LockDiff, PackageChange, PipArtifact

_Content = tuple[str, str]
"""Version, and what identifies the content of that version."""


def diff_locks(old: Lock, new: Lock) -> LockDiff:
    """Every package, interpreter and base that differs, sorted by ecosystem and name.

    One version with another content is a change too; its new side says "(other content)".
    """
    several = _several(old, new)
    changes = [
        *_compare("apt", _debs(old, several), _debs(new, several)),
        *_compare("base", _base(old), _base(new)),
        *_compare("conda", _conda(old), _conda(new)),
        *_compare("pip", _pip(old), _pip(new)),
        *_compare("python", _python(old), _python(new)),
    ]
    return LockDiff(changes=tuple(changes))


def _compare(
    ecosystem: str, old: Mapping[str, _Content], new: Mapping[str, _Content]
) -> Iterable[PackageChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        version = after[0] if after else None
        if before and after and before[0] == after[0]:
            version = f"{after[0]} (other content)"
        yield PackageChange(
            ecosystem=ecosystem, name=name, old=before[0] if before else None, new=version
        )


def _debs(lock: Lock, several: frozenset[str]) -> dict[str, _Content]:
    """By name; the packages in `several` carry their architecture in the name."""
    return {
        f"{deb.name}:{deb.architecture}" if deb.name in several else deb.name: (
            deb.version,
            deb.sha256,
        )
        for deb in lock.debs
    }


def _several(*locks: Lock) -> frozenset[str]:
    """Names of the packages that one of the locks holds for several architectures."""
    return frozenset(
        name
        for lock in locks
        for name, count in Counter(deb.name for deb in lock.debs).items()
        if count > 1
    )


def _conda(lock: Lock) -> dict[str, _Content]:
    return {
        package.name: (f"{package.version} {package.build}", package.sha256)
        for package in lock.conda
    }


def _pip(lock: Lock) -> dict[str, _Content]:
    return {artifact.name: (artifact.version, _pip_content(artifact)) for artifact in lock.pip}


def _pip_content(artifact: PipArtifact) -> str:
    """A source distribution is also the wheel that was built of it."""
    built = artifact.build.sha256 if artifact.build else ""
    return f"{artifact.sha256} {built}"


def _base(lock: Lock) -> dict[str, _Content]:
    found = {"platform": (lock.seal.platform, "")}
    if lock.seal.base is not None:
        return found | {"image": (lock.seal.base.reference, lock.seal.base.id)}
    return found | {"suite": (lock.seal.suite, "")}


def _python(lock: Lock) -> dict[str, _Content]:
    shared = "yes" if lock.seal.system_site_packages else "no"
    return {"python": (lock.seal.python or "none", ""), "system-site-packages": (shared, "")}
