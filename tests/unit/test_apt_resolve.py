"""What is asked of apt, which pins are kept, and what its explanations say."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from debian.deb822 import Deb822

from repro.ecosystems.apt.pins import Pins, release, source_of
from repro.ecosystems.apt.resolve import BASE, explanation, interpreter_packages
from repro.errors import UsageError
from repro.locks.apt import parse
from repro.models.lock import Upgrade
from repro.models.project import SUITES
from tests.unit.test_locks_apt import LIBGOMP, ZLIB

GCC_BASE = replace(
    LIBGOMP,
    name="gcc-12-base",
    sha256="2d" * 32,
    fields=(("Source", "gcc-12 (12.2.0-14)"),),
)
DEBS = (GCC_BASE, LIBGOMP, ZLIB)


def test_every_interpreter_of_every_suite_has_packages() -> None:
    for suite in SUITES:
        for python in suite.pythons:
            assert f"python{python}" in interpreter_packages(suite.name, python)
    assert "python3" in interpreter_packages("trixie", "3.13")
    assert "python-is-python2" in interpreter_packages("bullseye", "2.7")
    assert "python3-distutils" not in interpreter_packages("trixie", "3.13")
    assert "python3-distutils" in interpreter_packages("jammy", "3.10")
    assert "python3-distutils" not in interpreter_packages("noble", "3.12")
    assert "libgomp1" not in BASE


@pytest.mark.parametrize(("suite", "python"), [("bookworm", "3.12"), ("buster", "3.7")])
def test_an_interpreter_that_the_suite_lacks(suite: str, python: str) -> None:
    with pytest.raises(UsageError, match=f"no Python {python} in '{suite}'") as caught:
        interpreter_packages(suite, python)
    assert "bullseye: 3.9, 2.7; bookworm: 3.11; trixie: 3.13" in (caught.value.hint or "")


def test_source_package() -> None:
    assert source_of(GCC_BASE) == source_of(LIBGOMP) == "gcc-12"
    assert source_of(ZLIB) == "zlib1g"


@pytest.mark.parametrize(
    ("upgrade", "kept"),
    [
        (Upgrade(), DEBS),
        (Upgrade(everything=True), ()),
        (Upgrade(names=("zlib1g",)), (GCC_BASE, LIBGOMP)),
        (Upgrade(names=("libgomp1",)), (ZLIB,)),  # its source's other packages move along
        (Upgrade(names=("numpy",)), DEBS),
    ],
)
def test_which_pins_are_kept(upgrade: Upgrade, kept: tuple[object, ...]) -> None:
    assert Pins.kept(DEBS, upgrade).debs == kept
    if not upgrade.everything:
        assert Pins.kept(DEBS, Upgrade()).without(upgrade.names).debs == kept


def test_the_local_source_is_the_lock_itself(tmp_path: Path) -> None:
    Pins(debs=DEBS).write(tmp_path, "bookworm")
    packages = (tmp_path / "Packages").read_bytes()
    assert parse(packages.decode(), where="Packages") == DEBS
    fields = Deb822((tmp_path / "Release").read_text())
    assert (fields["Suite"], fields["Codename"]) == ("bookworm", "bookworm")
    digest = hashlib.sha256(packages).hexdigest()
    assert fields["SHA256"].split() == [digest, str(len(packages)), "Packages"]
    assert release(packages, "repro-lock", "bookworm") == (tmp_path / "Release").read_text()


def test_explanation_without_its_preamble() -> None:
    text = (
        "Reading package lists...\nBuilding dependency tree...\nSome packages could not be "
        "installed.\nThe following information may help to resolve the situation:\n\n"
        "The following packages have unmet dependencies:\n libc6-dev : Depends: libc6 (= 2) but "
        "1 is to be installed\n\nE: Unable to correct problems, you have held broken packages.\n"
    )
    assert explanation(text) == (
        "The following packages have unmet dependencies:",
        " libc6-dev : Depends: libc6 (= 2) but 1 is to be installed",
        "E: Unable to correct problems, you have held broken packages.",
    )
    assert explanation("Reading package lists...\nE: What\n") == ("E: What",)
