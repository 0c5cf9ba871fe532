"""conda-lock and repro, both ways: it takes our lock, and it chooses for us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.conda.request import CondaQuery
from repro.ecosystems.conda.resolve import resolve
from repro.errors import EngineError, NetworkError, UsageError
from repro.locks import conda
from repro.models.lock import Upgrade
from repro.models.project import CondaRequest
from tests.conda_channel import CondaChannel, serving_channel
from tests.conda_exe import write_conda
from tests.conda_packages import PYTHON

CONDA_LOCK = Path(sys.executable).with_name("conda-lock")


@pytest.fixture(scope="module")
def channel() -> Iterator[CondaChannel]:
    with serving_channel() as served:
        yield served


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with conda, and a home folder without settings."""
    home = tmp_path_factory.mktemp("home")
    return {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "CONDA_EXE": str(write_conda(home)),
        "CONDA_REMOTE_MAX_RETRIES": "0",
    }


def test_conda_lock_renders_and_installs_what_we_wrote(
    channel: CondaChannel, environ: dict[str, str], tmp_path: Path
) -> None:
    request = CondaRequest(
        path="environment.yml",
        channels=(channel.address,),
        specs=("libtiny", f"python {PYTHON}.*", "toolz <1"),
    )
    query = CondaQuery(request=request, platform="linux-amd64", glibc="2.36")
    found = resolve(query, cache=tmp_path / "cache", environ=environ)
    lock = tmp_path / "conda-lock.yml"
    lock.write_text(conda.render(conda.make(request, {"linux-amd64": found.packages})))

    def conda_lock(*arguments: str) -> None:
        subprocess.run(
            [CONDA_LOCK, *arguments],
            cwd=tmp_path,
            env={**environ, "CONDA_PKGS_DIRS": str(tmp_path / "pkgs")},
            check=True,
        )

    conda_lock("render", "--kind", "explicit", "--platform", "linux-64", lock.name)
    explicit = (tmp_path / "conda-linux-64.lock").read_text()
    for package in found.packages:
        assert f"{package.address}#{package.md5}\n" in explicit
    prefix = tmp_path / "prefix"
    program = environ["CONDA_EXE"]
    conda_lock("install", "--conda", program, "--prefix", str(prefix), lock.name)
    said = subprocess.run(
        [prefix / "bin/python", "-c", "import toolz; print(toolz.__version__)"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "0.12.1\n"
    tiny = subprocess.run([prefix / "bin/tiny"], check=True, capture_output=True, text=True)
    assert tiny.stdout == f"tiny 1.3.0 add=5 prefix={prefix}/share/tiny\n"


def test_conda_lock_chooses_and_keeps_the_pins(
    channel: CondaChannel, environ: dict[str, str], tmp_path: Path
) -> None:
    request = CondaRequest(
        path="environment.yml",
        channels=(channel.address,),
        specs=("libtiny", "toolz"),
    )
    ours = CondaQuery(request=request, platform="linux-amd64", glibc="2.36")
    asked = replace(ours, resolver="conda-lock")
    cache = tmp_path / "cache"
    old = resolve(replace(ours, as_of="2024-01-01T00:00:00Z"), cache=cache, environ=environ)
    found = resolve(
        replace(asked, previous=old.packages, upgrade=Upgrade(names=("libtiny",))),
        cache=cache,
        environ=environ,
    )
    expected = resolve(
        replace(ours, previous=old.packages, upgrade=Upgrade(names=("libtiny",))),
        cache=cache,
        environ=environ,
    )
    assert {one.name: one.version for one in found.packages} == {
        "libtiny": "1.3.0",
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "toolz": "0.12.1",
    }
    sizeless = tuple(replace(one, size=0) for one in expected.packages)  # its lock says none
    assert found.packages == sizeless
    facts = dict(found.provenance[0].facts)
    assert (facts["resolver"], facts["solver"]) == ("conda-lock", "conda")


def test_what_conda_lock_cannot_do_is_said_with_the_next_step(
    channel: CondaChannel, environ: dict[str, str], tmp_path: Path
) -> None:
    request = CondaRequest(path="environment.yml", channels=(channel.address,), specs=("nosuch",))
    asked = CondaQuery(request=request, platform="linux-amd64", glibc="2.36", resolver="conda-lock")
    with pytest.raises(UsageError, match="do not fit together") as caught:
        resolve(asked, cache=tmp_path, environ=environ)
    assert "nosuch" in caught.value.message
    with pytest.raises(UsageError, match="knows no day"):
        resolve(replace(asked, as_of="2024-01-01T00:00:00Z"), cache=tmp_path, environ=environ)
    nowhere = replace(asked, request=replace(request, channels=("http://127.0.0.1:9/channel",)))
    with pytest.raises(NetworkError, match="its channels cannot be read"):
        resolve(nowhere, cache=tmp_path, environ=environ)
    without = {name: value for name, value in environ.items() if name != "CONDA_EXE"}
    with pytest.raises(EngineError, match="neither conda nor mamba nor micromamba") as missing:
        resolve(asked, cache=tmp_path, environ=without)
    assert "CONDA_EXE" in str(missing.value.hint)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
