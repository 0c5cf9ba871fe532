"""Locks in the formats of others: what each must hold, whatever the lock."""

from __future__ import annotations

import json
import shlex
import subprocess
import tomllib
from dataclasses import replace
from pathlib import PurePosixPath

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st
from packageurl import PackageURL
from packaging.pylock import Pylock

from repro.ecosystems.conda import explicit
from repro.errors import LockError
from repro.export import binder, devcontainer, dockerfile, pylock, sbom
from repro.export.facts import states
from repro.locks import yaml
from repro.locks.seal import make_lock
from repro.models.lock import (
    BaseImage,
    CondaPackage,
    Deb,
    Lock,
    PipArtifact,
    Provenance,
    Seal,
    SourceBuild,
)
from repro.models.project import PLATFORM

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
LIBC = Deb(
    name="libc6",
    version="1:2.36-9+deb12u4~x",
    architecture="amd64",
    filename="pool/main/g/glibc/libc6_2.36-9+deb12u4_amd64.deb",
    size=1,
    sha256=A,
    archive="debian",
    fields=(("Source", "glibc"),),
)
NUMPY = PipArtifact(
    name="numpy", version="2.0", filename="numpy-2.0-py3-none-any.whl", size=2, sha256=B
)
SOURCE = PipArtifact(
    name="source",
    version="1.0",
    filename="source-1.0.tar.gz",
    size=3,
    sha256=C,
    build=SourceBuild(requires=(NUMPY,), wheel="source-1.0-py3-none-any.whl", sha256=A),
)
PYTHON = CondaPackage(
    name="python",
    version="3.12.1",
    build="h1_0",
    subdir="linux-64",
    channel="https://conda.example.org/forge",
    filename="python-3.12.1-h1_0.conda",
    sha256=C,
)
BASE = BaseImage(
    reference="registry.example.org/python:3.12-slim",
    digest=f"sha256:{A}",
    id=f"sha256:{B}",
    layers=(f"sha256:{C}",),
    env=(("GPG_KEY", "x y"), ("PATH", "/usr/local/bin:/usr/bin")),
    interpreter="/usr/local/bin/python3.12",
)
RELEASE = Provenance(
    source="debian bookworm", facts=(("date", "2026-01-02T03:04:05Z"), ("signer", "X"))
)
ENV = (("LANG", "C.UTF-8"), ("PATH", "/opt/venv/bin:/usr/bin"))


def lock(
    *pip: PipArtifact,
    conda: tuple[CondaPackage, ...] = (),
    base: BaseImage | None = None,
    python: str = "3.11",
    suite: str = "bookworm",
) -> Lock:
    seal = Seal(
        platform=PLATFORM,
        suite="" if base else suite,
        python=python,
        inputs=(),
        locks=(),
        pip=pip,
        base=base,
        provenance=(RELEASE, Provenance(source="pip", facts=(("resolver", "uv"),))),
    )
    return make_lock((LIBC,), seal, conda)


def text_of(found: Lock) -> str:
    packages = explicit.render(found.conda, "linux-64", sha256=True)
    return dockerfile.render(found, name="My project!", env=ENV, explicit=packages)


ENVIRONMENTS = [
    lock(NUMPY, SOURCE),
    lock(NUMPY, python="2.7", suite="bullseye"),
    lock(NUMPY, conda=(PYTHON,), python="3.12"),
    lock(NUMPY, base=BASE, python="3.12"),
    lock(python=""),
]


# ------------------------------------------------------------------- Dockerfile


@pytest.mark.parametrize("found", ENVIRONMENTS)
def test_every_step_of_a_dockerfile_is_a_command_of_sh(found: Lock) -> None:
    text = text_of(found)
    steps = text.replace("\\\n", "").splitlines()
    runs = [line.removeprefix("RUN ") for line in steps if line.startswith("RUN ")]
    assert runs
    for run in runs:
        subprocess.run(["sh", "-n", "-c", run], check=True)
        assert len(run) < 1 << 17, "what a shell takes as an argument"
    words = {line.split(" ")[0] for line in steps if line and not line.startswith("#")}
    assert words <= {"ARG", "FROM", "USER", "RUN", "COPY", "ENV", "WORKDIR", "CMD"}
    assert f"{LIBC.name}={LIBC.version}" in text
    for item in found.pip:
        assert f"'{item.name}=={item.version} --hash=sha256:{item.sha256}'" in text


def test_arguments_of_every_stage_come_before_the_first() -> None:
    text = text_of(ENVIRONMENTS[2])
    first = text.index("\nFROM ")
    assert text.index("\nARG BASE=debian:bookworm-slim") < first
    assert text.index("\nARG MICROMAMBA=") < first
    assert f"{PYTHON.address}#sha256:{C}" in text
    assert "COPY --from=conda /opt/conda /opt/conda" in text
    assert "/opt/conda/bin/python3.12 -m pip install" in text


def test_a_base_image_is_named_by_digest_and_keeps_its_environment() -> None:
    text = text_of(ENVIRONMENTS[3])
    assert f"ARG BASE={BASE.reference}@{BASE.digest}\n" in text
    assert "GPG_KEY" not in text
    assert 'ENV PATH="/opt/venv/bin:/usr/bin"' in text
    held = replace(BASE, digest=BASE.id)
    assert f"ARG BASE={BASE.reference}\n" in text_of(lock(base=held, python="3.12"))
    wrong = (("PATH", 'a"\nRUN evil'),)
    with pytest.raises(LockError, match="PATH"):
        dockerfile.render(lock(), name="x", env=wrong)


def test_many_packages_are_written_in_several_steps() -> None:
    many = [replace(NUMPY, name=f"p{n}") for n in range(1000)]
    text = text_of(lock(*many))
    assert text.count("> /root/requirements.txt\n") == 5
    assert text.count(">> /root/requirements.txt\n") == 4


def test_the_states_of_the_archive_are_half_a_day_later() -> None:
    assert states(lock()) == (("debian", "bookworm", "20260102T150405Z"),)
    assert "${APT_SNAPSHOT}/archive/debian/20260102T150405Z/ bookworm main" in text_of(lock())


def test_a_suite_of_ubuntu_has_its_own_base_and_components() -> None:
    text = text_of(lock(NUMPY, suite="noble", python="3.12"))
    assert "\nARG BASE=ubuntu:noble\n" in text
    assert " main universe" in text
    bill = json.loads(sbom.render(lock(suite="noble"), name="x"))
    assert bill["components"][0]["purl"].startswith("pkg:deb/ubuntu/libc6@")


def test_what_an_image_has_where_packages_go_is_removed() -> None:
    text = text_of(lock(NUMPY, conda=(PYTHON,), base=BASE, python="3.12"))
    assert text.index("rm -rf /opt/conda\n") < text.index("COPY --from=conda /opt/conda")
    text = text_of(lock(NUMPY, base=BASE, python="3.12"))
    assert text.index("rm -rf /opt/venv\n") < text.index("-m venv --without-pip")
    assert "rm -rf /opt" not in text_of(lock(NUMPY))


def test_python_2_has_no_virtual_environment() -> None:
    text = text_of(ENVIRONMENTS[1])
    assert "venv --without-pip" not in text
    assert "/usr/bin/python2.7 -m pip install" in text
    assert "apt-get download python-pip-whl" in text


@given(st.text(max_size=40))
def test_no_name_of_a_project_ends_a_comment(name: str) -> None:
    found = lock(NUMPY)
    text = dockerfile.render(found, name=name, env=ENV)
    plain = dockerfile.render(found, name="x", env=ENV)
    assert len(text.splitlines()) == len(plain.splitlines())
    [line] = [line for line in text.splitlines() if "docker build" in line]
    assert len(shlex.split(line.removeprefix("#"))) == 7


# -------------------------------------------------------------------- pylock.toml


def in_vendor(filename: str, sha256: str) -> PurePosixPath:
    return PurePosixPath("../vendor", "sha256", sha256[:2], sha256)


def test_pylock_has_a_path_for_every_file() -> None:
    text = pylock.render(lock(NUMPY, SOURCE), place=in_vendor)
    found = Pylock.from_dict(tomllib.loads(text))
    numpy, source = found.packages
    assert numpy.wheels is not None
    assert numpy.wheels[0].path == f"../vendor/sha256/bb/{B}"
    assert numpy.wheels[0].filename == NUMPY.filename
    assert source.sdist is not None
    assert source.sdist.filename == SOURCE.filename
    assert source.wheels is not None
    assert source.wheels[0].hashes == {"sha256": A}
    assert str(found.requires_python) == "==3.11.*"
    assert found.environments is not None
    assert "x86_64" in str(found.environments[0])


def test_pylock_of_an_environment_without_python_is_empty() -> None:
    text = pylock.render(lock(python=""), place=in_vendor)
    assert Pylock.from_dict(tomllib.loads(text)).packages == []


# --------------------------------------------------------------------------- SBOM


@pytest.mark.parametrize("found", ENVIRONMENTS)
def test_sbom_is_valid_and_knows_how_complete_it_is(found: Lock) -> None:
    text = sbom.render(found, name="größe <b>")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    [composition] = bill["compositions"]
    assert composition["aggregate"] == ("incomplete" if found.seal.base else "complete")
    references = [one["bom-ref"] for one in bill["components"]]
    assert bill["dependencies"][0]["dependsOn"] == references == sorted(set(references))
    assert len(references) == len(found.debs) + len(found.conda) + len(found.pip) + bool(
        found.seal.base
    )


def test_purls_are_those_of_the_specification() -> None:
    everything = lock(SOURCE, conda=(PYTHON,), base=BASE, python="3.12")
    bill = json.loads(sbom.render(everything, name="x"))
    purls = {
        found.type: found
        for one in bill["components"]
        for found in [PackageURL.from_string(one["purl"])]
    }
    assert (purls["deb"].namespace, purls["deb"].version) == ("debian", LIBC.version)
    assert purls["conda"].qualifiers["channel"] == PYTHON.channel
    assert purls["oci"].version == BASE.digest
    assert purls["oci"].qualifiers == {
        "repository_url": "registry.example.org/python",
        "tag": "3.12-slim",
    }
    [source] = [one for one in bill["components"] if one["name"] == "source"]
    said = {one["name"]: one["value"] for one in source["properties"]}
    assert said["repro:built-wheel-sha256"] == A
    assert said["repro:reproducible-build"] == "true"


# ------------------------------------------------------------- editors and Binder


def test_devcontainer_computes_as_a_run_does() -> None:
    env = (("PATH", "/x"), ("HOME", "/y"), ("TZ", "UTC"), ("QUOTED", 'a "b"'))
    found = devcontainer.render(lock(), name='"x"', dockerfile=text_of(lock()), env=env)
    first, _, rest = found["devcontainer.json"].partition("\n")
    assert first.startswith("// Written by repro export")
    settings = json.loads(rest)
    assert settings["containerEnv"] == {"TZ": "UTC", "QUOTED": 'a "b"'}
    assert settings["build"] == {"dockerfile": "Dockerfile"}
    assert found["Dockerfile"].startswith(text_of(lock()))


def test_binder_has_either_pips_files_or_condas() -> None:
    found = binder.render(lock(NUMPY), name="x", apt=["graphviz", "curl", "curl"])
    assert sorted(found) == ["apt.txt", "requirements.txt", "runtime.txt"]
    assert found["apt.txt"].splitlines()[1:] == ["curl", "graphviz"]
    assert found["runtime.txt"] == "python-3.11\n"
    assert f"--hash=sha256:{B}" in found["requirements.txt"]

    with_conda = lock(NUMPY, conda=(PYTHON,), python="3.12")
    found = binder.render(with_conda, name="it's: a #name\n", apt=())
    assert list(found) == ["environment.yml"]
    read = yaml.parse(found["environment.yml"], where="environment.yml")
    assert read == {
        "name": "it's: a #name",
        "channels": [PYTHON.channel, "nodefaults"],
        "dependencies": ["python=3.12.1=h1_0", {"pip": ["numpy==2.0"]}],
    }
