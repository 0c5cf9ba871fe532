"""Every artifact that a lock is made of, in one list: for fetching, linking and vendoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from repro.download import Http
from repro.ecosystems.apt import fetch as apt_fetch
from repro.ecosystems.conda import fetch as conda_fetch
from repro.ecosystems.pip import fetch as pip_fetch
from repro.models.lock import BaseImage, Lock
from repro.models.project import Sources
from repro.store.artifacts import Store
from repro.store.fetch import Wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifacts:
    """A lock's artifacts by what fetches them.

    `base` are the layers of an image that others made, as plain tars; its registry or an engine
    has them, not an address. `pip` holds source distributions and what builds them too. `built`
    are the wheels that such builds gave, which no index has: those of `kept` can be had in no
    other way, because a build gives other bytes every time; the others can be built again.
    """

    base: tuple[Wanted, ...]
    apt: tuple[Wanted, ...]
    conda: tuple[Wanted, ...]
    pip: tuple[Wanted, ...]
    built: tuple[Wanted, ...]
    kept: tuple[Wanted, ...]

    def fetched(self) -> Iterator[tuple[str, tuple[Wanted, ...]]]:
        """Yield (what one of them is, all of that kind): what may be had from a network."""
        yield "apt package", self.apt
        yield "conda package", self.conda
        yield "pip package", self.pip

    def needed(self) -> tuple[Wanted, ...]:
        """Return all without which the image cannot be made: no wheel that can be built again."""
        return (*self.base, *(one for _, part in self.fetched() for one in part), *self.kept)


def wanted_of(lock: Lock, sources: Sources, http: Http) -> Artifacts:
    """Return what a lock is made of and where it may be; nothing is asked yet."""
    built = pip_fetch.built(lock.pip)
    once = {item.build.sha256 for item in lock.pip if item.build and not item.build.reproducible}
    return Artifacts(
        base=_base(lock.seal.base) if lock.seal.base is not None else (),
        apt=apt_fetch.wanted(lock.debs, sources, lock.seal, http),
        conda=conda_fetch.wanted(lock.conda, http),
        pip=pip_fetch.wanted(lock.pip, sources, http),
        built=built,
        kept=tuple(one for one in built if one.sha256 in once),
    )


def _base(image: BaseImage) -> tuple[Wanted, ...]:
    found = dict.fromkeys(layer.removeprefix("sha256:") for layer in image.layers)
    return tuple(
        Wanted(
            label=f"image {image.reference}",
            filename=f"layer-{sha256[:12]}.tar",
            sha256=sha256,
            size=None,
            addresses=tuple,
        )
        for sha256 in found
    )


def unbuilt(lock: Lock, store: Store) -> Lock:
    """Return the lock without the packages whose wheel was built already and is in the store."""
    left = tuple(
        item
        for item in lock.pip
        if item.build is None or not store.has(item.build.sha256, label=pip_fetch.label(item))
    )
    return replace(lock, pip=left)
