"""The solver keeps all conda packages of a foreign lock, or the first that it does not is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from repro.ecosystems.conda.adopt import require_taken
from repro.errors import LockError
from repro.models.foreign import ForeignLock
from repro.models.lock import CondaPackage


def package(name: str, version: str = "1.0", letter: str = "a") -> CondaPackage:
    return CondaPackage(
        name=name,
        version=version,
        build="h0_0",
        subdir="noarch",
        channel="https://conda.example.org/forge",
        filename=f"{name}-{version}-h0_0.conda",
        sha256=letter * 64,
    )


LOCK = ForeignLock(path="pixi.lock", kind="pixi.lock", conda=(package("a"), package("b")))


def test_the_same_packages_are_taken() -> None:
    mirrored = replace(package("b"), channel="https://mirror.example.org/forge", size=7)
    require_taken(LOCK, [package("a"), mirrored], "environment.yml")


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (("a", "b", "c"), "environment.yml needs the conda package c too, and pixi.lock has none"),
        (("a",), "pixi.lock holds conda packages that nothing in environment.yml asks for: b"),
    ],
)
def test_what_is_missing_or_too_much_is_named(found: tuple[str, ...], says: str) -> None:
    with pytest.raises(LockError) as caught:
        require_taken(LOCK, [package(name) for name in found], "environment.yml")
    assert caught.value.message == says


def test_another_version_or_build_is_named_with_both() -> None:
    other = package("b", version="2.0", letter="c")
    with pytest.raises(LockError, match=r"conda b 1.0 \(h0_0\) cannot stay .*: 2.0 \(h0_0\) can"):
        require_taken(LOCK, [package("a"), other], "environment.yml")
