"""What an interpreter needs of a lock to start at all."""

from __future__ import annotations

from repro.ecosystems.apt.interpreter import needed
from repro.models.lock import Deb


def deb(name: str, **relations: str) -> Deb:
    return Deb(
        name=name,
        version="1",
        architecture="amd64",
        filename=f"pool/main/{name}.deb",
        size=1,
        sha256="0" * 64,
        archive="debian",
        fields=tuple((field.replace("_", "-"), text) for field, text in relations.items()),
    )


def names(debs: tuple[Deb, ...]) -> list[str]:
    return [item.name for item in debs]


LOCK = (
    deb("python3.11", Depends="python3.11-minimal (= 1), libpython3.11-stdlib:amd64 | nothing"),
    deb("python3.11-minimal", Pre_Depends="libc6 (>= 2.35)", Depends="zlib1g"),
    deb("libpython3.11-stdlib", Depends="media-types | mime-support, libc6"),
    deb("media-types"),
    deb("libc6", Depends="libgcc-s1, libcrypt1"),
    deb("libgcc-s1", Depends="libc6"),
    deb("libcrypt1"),
    deb("zlib1g"),
    deb("perl-base", Depends="libc6"),
    deb("dash", Depends="debianutils"),
)


def test_dependencies_are_followed_in_circles_and_alternatives() -> None:
    expected = ["libc6", "libcrypt1", "libgcc-s1", "libpython3.11-stdlib", "media-types"]
    expected += ["python3.11", "python3.11-minimal", "zlib1g"]
    assert names(needed(LOCK, ("python3.11",))) == expected


def test_what_is_not_locked_is_left_out() -> None:
    assert names(needed(LOCK, ("dash", "no-such-package"))) == ["dash"]
