"""The base layer's key, and the check of what was installed."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.apt import layer
from repro.errors import LockError
from repro.models.lock import Deb
from repro.progress import Silent
from repro.store.artifacts import Store
from tests.unit.test_locks_apt import LIBGOMP, ZLIB


def status(*debs: Deb, state: str = "install ok installed") -> str:
    return "\n".join(
        f"Package: {deb.name}\nStatus: {state}\nArchitecture: {deb.architecture}\n"
        f"Version: {deb.version}\nDescription: x\n folded\n .\n more\n"
        for deb in debs
    )


def tar(text: str, name: str = "./var/lib/dpkg/status") -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    buffer.seek(0)
    return buffer


def test_key_depends_on_content_alone(tmp_path: Path) -> None:
    def key(*debs: Deb, suite: str = "bookworm", python: str = "3.11", store: str = "a") -> str:
        return layer.recipe(
            debs, suite=suite, python=python, store=Store(tmp_path / store), progress=Silent()
        ).key

    one = key(LIBGOMP, ZLIB)
    assert key(ZLIB, LIBGOMP, store="b") == one
    others = {
        key(LIBGOMP),
        key(LIBGOMP, replace(ZLIB, sha256="0" * 64)),
        key(LIBGOMP, ZLIB, suite="trixie"),
        key(LIBGOMP, ZLIB, python="3.13"),
    }
    assert len(others | {one}) == 5


def test_installed_as_locked() -> None:
    layer.check_installed(tar(status(LIBGOMP, ZLIB)), (ZLIB, LIBGOMP))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (status(LIBGOMP), "zlib1g 1:1.2.13.dfsg-1 amd64: locked, not installed"),
        (
            status(LIBGOMP, ZLIB, replace(ZLIB, name="extra")),
            "extra 1:1.2.13.dfsg-1 amd64: installed, not locked",
        ),
        (status(LIBGOMP, replace(ZLIB, version="2")), "zlib1g 2 amd64: installed, not locked"),
        (status(LIBGOMP, ZLIB, state="install ok half-configured"), "half-configured"),
    ],
)
def test_installed_otherwise(text: str, says: str) -> None:
    with pytest.raises(LockError, match=says):
        layer.check_installed(tar(text), (LIBGOMP, ZLIB))


@pytest.mark.parametrize("source", [tar("x", name="./etc/passwd"), io.BytesIO(b"no tar" * 200)])
def test_no_record_of_what_was_installed(source: io.BytesIO) -> None:
    with pytest.raises(LockError, match="bootstrapped base"):
        layer.check_installed(source, (ZLIB,))


def test_packages_that_are_not_in_the_store(tmp_path: Path) -> None:
    recipe = layer.recipe(
        (LIBGOMP,), suite="bookworm", python="3.11", store=Store(tmp_path), progress=Silent()
    )
    with pytest.raises(LockError, match=r"apt libgomp1 12\.2\.0-14\+deb12u1: not in the store"):
        recipe.write(io.BytesIO())
