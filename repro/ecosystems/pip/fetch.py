"""Where locked files may be had: each index's project page, asked only when needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from repro.download import Http
from repro.ecosystems.pip.indexes import effective
from repro.ecosystems.pip.pages import Catalogue
from repro.errors import LockError, NetworkError
from repro.models.lock import PipArtifact
from repro.models.project import Sources
from repro.store.fetch import Wanted


def wanted(artifacts: Iterable[PipArtifact], sources: Sources, http: Http) -> tuple[Wanted, ...]:
    """Return what must be fetched for these artifacts, build requirements too, sorted by name."""
    catalogue = Catalogue(effective(sources), http)
    needed = {item.sha256: item for item in _with_requirements(artifacts)}
    return tuple(
        want(item, catalogue)
        for item in sorted(needed.values(), key=lambda item: (item.name, item.filename))
    )


def built(artifacts: Iterable[PipArtifact]) -> tuple[Wanted, ...]:
    """Return the wheels that were built from source distributions, sorted: no index has them."""
    return tuple(
        Wanted(
            label=label(item),
            filename=item.build.wheel,
            sha256=item.build.sha256,
            size=None,
            addresses=partial(_nowhere, item),
        )
        for item in sorted(artifacts, key=lambda item: item.name)
        if item.build is not None
    )


def _nowhere(artifact: PipArtifact) -> Iterator[str]:
    """Yield no address: raise the NetworkError that says who may have a built wheel."""
    assert artifact.build is not None
    raise NetworkError(
        f"{label(artifact)}: {artifact.build.wheel} was built from {artifact.filename}, whose "
        "builds differ: only the store of the machine that locked it has these bytes",
        hint="on that machine: repro vendor, and bring the folder here; or build and lock it "
        f"anew: repro snapshot --upgrade {artifact.name}",
    )
    yield


def want(artifact: PipArtifact, catalogue: Catalogue) -> Wanted:
    """Return the fetch of one artifact."""
    return Wanted(
        label=label(artifact),
        filename=artifact.filename,
        sha256=artifact.sha256,
        size=artifact.size,
        addresses=lambda: _addresses(artifact, catalogue),
    )


def label(artifact: PipArtifact) -> str:
    """Return the artifact's name in messages."""
    return f"pip {artifact.name} {artifact.version}"


def _with_requirements(artifacts: Iterable[PipArtifact]) -> Iterator[PipArtifact]:
    for item in artifacts:
        yield item
        if item.build is not None:
            yield from item.build.requires


def _addresses(artifact: PipArtifact, catalogue: Catalogue) -> Iterator[str]:
    """Yield the addresses of files that may be the locked one; the locked hash wins.

    A file of another name with the locked hash counts (indexes rename), one of the same name
    with another hash does not: when there is nothing else, LockError shows both hashes.
    """
    other: dict[str, str] = {}
    matched = False
    try:
        for file in catalogue.files(artifact.name, artifact.index):
            same_name = file.filename == artifact.filename
            if file.sha256 == artifact.sha256 or (file.sha256 is None and same_name):
                matched = True
                yield file.address
            elif same_name and file.sha256 is not None:
                other[file.index] = file.sha256
    except NetworkError as error:  # an unreadable index matters only when no other had it
        if not matched:
            raise NetworkError(f"{label(artifact)}: {error.message}", hint=error.hint) from error
    if other and not matched:
        index, sha256 = next(iter(other.items()))
        raise LockError(
            f"{label(artifact)}: index {index!r} lists {artifact.filename} with sha256 {sha256}, "
            f"the lock says {artifact.sha256}",
            hint="restore the lock from version control, or run: repro snapshot --upgrade "
            + artifact.name,
        )
