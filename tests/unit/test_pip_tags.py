"""Wheel tags and markers of a target."""

from __future__ import annotations

import pytest
from packaging.markers import Marker
from packaging.tags import parse_tag

from repro.ecosystems.pip import uv
from repro.ecosystems.pip.tags import Target, markers, supported
from repro.errors import UsageError


def accepts(python: str, glibc: str, tag: str) -> bool:
    return bool(parse_tag(tag) & set(supported(Target(python=python, glibc=glibc))))


@pytest.mark.parametrize(
    ("python", "glibc", "tag", "fits"),
    [
        ("2.7", "2.31", "cp27-cp27mu-manylinux1_x86_64", True),
        ("2.7", "2.31", "cp27-cp27m-manylinux1_x86_64", False),
        ("2.7", "2.31", "py2.py3-none-any", True),
        ("2.7", "2.31", "py3-none-any", False),
        ("3.9", "2.31", "cp39-cp39-manylinux2014_x86_64", True),
        ("3.9", "2.31", "cp39-cp39-manylinux_2_31_x86_64", True),
        ("3.9", "2.31", "cp39-cp39-manylinux_2_34_x86_64", False),
        ("3.9", "2.31", "cp37-abi3-manylinux_2_17_x86_64", True),
        ("3.9", "2.31", "cp310-abi3-manylinux_2_17_x86_64", False),
        ("3.11", "2.36", "cp311-cp311-manylinux_2_36_x86_64", True),
        ("3.11", "2.36", "cp311-cp311-manylinux_2_17_aarch64", False),
        ("3.11", "2.36", "cp311-cp311-musllinux_1_2_x86_64", False),
        ("3.11", "2.36", "cp311-cp311-win_amd64", False),
        ("3.13", "2.41", "cp313-cp313-manylinux_2_41_x86_64", True),
        ("3.13", "2.41", "cp313-cp313t-manylinux_2_41_x86_64", False),
        ("3.13", "2.41", "cp313-cp313-linux_x86_64", True),
    ],
)
def test_what_a_target_accepts(python: str, glibc: str, tag: str, fits: bool) -> None:
    assert accepts(python, glibc, tag) is fits


def test_newer_platforms_and_native_wheels_come_first() -> None:
    tags = [str(tag) for tag in supported(Target(python="3.11", glibc="2.36"))]
    order = [
        "cp311-cp311-manylinux_2_36_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp311-abi3-manylinux_2_36_x86_64",
        "py311-none-manylinux_2_36_x86_64",
        "py3-none-any",
    ]
    assert [tags.index(tag) for tag in order] == sorted(tags.index(tag) for tag in order)


def test_markers_are_the_targets_not_the_hosts() -> None:
    two = markers(Target(python="2.7", glibc="2.31"))
    assert Marker('python_version < "3" and sys_platform == "linux2"').evaluate(two)
    three = markers(Target(python="3.13", glibc="2.41", full="3.13.5"))
    assert Marker('python_full_version >= "3.13.4" and sys_platform == "linux"').evaluate(three)
    assert not Marker('platform_system == "Windows"').evaluate(three)


@pytest.mark.parametrize(("python", "glibc"), [("3", "2.36"), ("3.x", "2.36"), ("3.11", "musl")])
def test_nonsense_is_refused(python: str, glibc: str) -> None:
    with pytest.raises(UsageError):
        supported(Target(python=python, glibc=glibc))


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("cp311-cp311-manylinux_2_36_aarch64", True),
        ("cp311-cp311-manylinux2014_aarch64", True),
        ("cp311-cp311-manylinux_2_16_aarch64", False),  # there is none before 2.17 (PEP 599)
        ("cp311-cp311-manylinux_2_36_x86_64", False),
        ("cp311-cp311-linux_aarch64", True),
        ("py3-none-any", True),
    ],
)
def test_another_machine_has_other_wheels(tag: str, fits: bool) -> None:
    target = Target(python="3.11", glibc="2.36", machine="aarch64")
    assert (str(tag) in map(str, supported(target))) is fits
    assert markers(target)["platform_machine"] == "aarch64"
    assert uv.platform(target) == "aarch64-manylinux_2_36"
