"""What apt adds to an image: asked of a signed archive of the test, against dpkg's record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.apt import status
from repro.ecosystems.apt.resolve import AptResolver
from repro.errors import LockError, UsageError
from repro.image.merged import merged
from repro.models.lock import Deb, Upgrade
from repro.models.project import AptRequest, Sources
from repro.progress import Silent
from tests.faults.archive import Archive, Key, State, signing_key
from tests.faults.server import serving
from tests.foreign import Foreign, Package, foreign

__all__ = ["foreign"]

NEW = (
    Package(name="alpha", fields=(("Depends", "beta (>= 1.0), sed, libc6 (>= 2.30)"),)),
    Package(name="beta"),
    Package(name="gamma", fields=(("Depends", "base-files (>= 999)"),)),
    Package(name="base-files", version="999"),
    Package(name="against", fields=(("Conflicts", "login"),)),
    Package(
        name="meddles", fields=(("Depends", "python3.11 (>= 999), python3.11-minimal (>= 999)"),)
    ),
    Package(name="python3.11", version="999"),
    Package(name="python3.11-minimal", version="999"),
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with signing_key(tmp_path_factory.mktemp("k") / "a") as key:
        yield key


@pytest.fixture(scope="module")
def known(foreign: Foreign) -> bytes:
    """The image's own record."""
    with merged([foreign.store.layer_path(one) for one in foreign.image.layers]) as image:
        return status.require_apt(foreign.base, image.read(status.PATH), apt_source="apt.txt")


@pytest.fixture
def resolve(
    key: Key, known: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Deb, ...]]]:
    """Lock requests on top of the image."""
    debs = [package.made(tmp_path)[0] for package in NEW]
    with serving() as server:
        archive = Archive(server=server)
        archive.stands(State(packages=debs, key=key))
        monkeypatch.setenv("APT_CONFIG", str(archive.sources(tmp_path / "apt", key.ring)))
        resolver = AptResolver(tmp_path / "cache", Sources(), Silent())

        def ask(
            *names: str, previous: tuple[Deb, ...] = (), upgrade: Upgrade | None = None
        ) -> tuple[Deb, ...]:
            requests = tuple(AptRequest(name=name) for name in names)
            with resolver.open(
                "bookworm", status=known, previous=previous, upgrade=upgrade
            ) as index:
                return index.resolve(requests, apt_source="apt.txt").debs

        yield ask


def names(debs: tuple[Deb, ...]) -> list[str]:
    return [f"{deb.name} {deb.version}" for deb in debs]


def test_only_what_the_image_lacks(resolve: Callable[..., tuple[Deb, ...]]) -> None:
    assert names(resolve("alpha")) == ["alpha 1.0", "beta 1.0"]
    assert names(resolve("gamma")) == ["base-files 999", "gamma 1.0"], "an upgrade"
    assert names(resolve("sed", "beta")) == ["beta 1.0"], "sed is there"


def test_nothing_is_removed(resolve: Callable[..., tuple[Deb, ...]]) -> None:
    with pytest.raises(LockError, match=r"no set of packages that fits(.|\n)*(remove|login)"):
        resolve("against")


def test_a_pin_that_the_image_has_outgrown(resolve: Callable[..., tuple[Deb, ...]]) -> None:
    """The image was pinned anew, and has a package as the old lock had it, or newer."""
    pins = resolve("alpha")
    older = tuple(
        replace(pin, name="base-files", version="1", sha256="1f" * 32) for pin in pins[:1]
    )
    assert names(resolve("alpha", previous=(*older, *pins))) == ["alpha 1.0", "beta 1.0"]
    aged = tuple(replace(pin, version="0.9", sha256=pin.sha256[::-1]) for pin in pins[1:])
    assert names(resolve("beta", previous=aged)) == ["beta 0.9"], "a pin that still counts"
    assert names(resolve("beta", previous=aged, upgrade=Upgrade(names=("beta",)))) == ["beta 1.0"]


def test_debians_own_interpreter_is_kept(
    foreign: Foreign, resolve: Callable[..., tuple[Deb, ...]]
) -> None:
    debs = resolve("meddles")
    assert "python3.11-minimal 999" in names(debs)
    status.require_interpreter_kept(debs, foreign.base)  # the image's own lies elsewhere
    debian = replace(foreign.base, interpreter="/usr/bin/python3.11")
    with pytest.raises(LockError, match=r"python3\.11 999 would replace it"):
        status.require_interpreter_kept(debs, debian)


def test_an_image_without_dpkg(foreign: Foreign) -> None:
    alpine = replace(foreign.base, reference="example.org/alpine:3", suite="")
    with pytest.raises(UsageError, match=r"apt\.txt: example\.org/alpine:3 has no dpkg") as caught:
        status.require_apt(alpine, None, apt_source="apt.txt")
    assert caught.value.hint


def test_an_image_of_an_unknown_release(foreign: Foreign, known: bytes) -> None:
    for suite, said in (("stretch", "the release 'stretch'"), ("", "no release that it names")):
        old = replace(foreign.base, suite=suite)
        with pytest.raises(UsageError, match=said) as caught:
            status.require_apt(old, known, apt_source="apt.txt")
        assert "bookworm" in (caught.value.hint or "")
