"""What an image sets: the folders of its programs, in the order in which they are searched."""

from __future__ import annotations

import pytest

from repro.image.config import SYSTEM_PATH as SYSTEM
from repro.models.lock import BaseImage, CondaPackage, Lock, Seal
from repro.workflows.assemble import image_environment

DIGEST = "sha256:" + "ab" * 32


def conda(name: str) -> CondaPackage:
    return CondaPackage(
        name=name,
        version="1",
        build="0",
        subdir="linux-64",
        channel="https://conda.example.org/c",
        filename=f"{name}-1-0.conda",
        sha256="ab" * 32,
    )


@pytest.mark.parametrize(
    ("python", "packages", "path"),
    [
        ("3.11", (), f"/opt/venv/bin:{SYSTEM}"),
        ("2.7", (), SYSTEM),
        ("", (), SYSTEM),
        ("3.11", ("python", "libtiny"), f"/opt/conda/bin:{SYSTEM}"),
        ("3.11", ("libtiny",), f"/opt/venv/bin:/opt/conda/bin:{SYSTEM}"),
        ("2.7", ("libtiny",), f"/opt/conda/bin:{SYSTEM}"),
        ("", ("libtiny",), f"/opt/conda/bin:{SYSTEM}"),
    ],
)
def test_the_path_begins_with_the_python_of_the_lock(
    python: str, packages: tuple[str, ...], path: str
) -> None:
    seal = Seal(
        platform="linux-amd64", suite="bookworm", python=python, inputs=(), locks=(), pip=()
    )
    lock = Lock(debs=(), pip=(), seal=seal, key="k", conda=tuple(map(conda, packages)))
    found = dict(image_environment(lock))
    assert found["PATH"] == path
    assert found.get("CONDA_PREFIX") == ("/opt/conda" if packages else None)


def test_what_a_base_image_sets_stays_and_its_path_comes_last() -> None:
    base = BaseImage(
        reference="docker.io/library/python:3.12-slim",
        digest=DIGEST,
        id=DIGEST,
        layers=(DIGEST,),
        env=(("PATH", "/usr/local/bin:/bin"), ("GPG_KEY", "x")),
        interpreter="/usr/local/bin/python3.12",
    )
    seal = Seal(
        platform="linux-amd64", suite="", python="3.12", inputs=(), locks=(), pip=(), base=base
    )
    lock = Lock(debs=(), pip=(), seal=seal, key="k", conda=(conda("libtiny"),))
    found = dict(image_environment(lock))
    assert found["PATH"] == "/opt/venv/bin:/opt/conda/bin:/usr/local/bin:/bin"
    assert found["GPG_KEY"] == "x"
