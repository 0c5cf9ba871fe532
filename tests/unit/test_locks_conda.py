"""conda-lock.yml: what is written is read as the same; what conda-lock wrote is read too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from repro.errors import LockError
from repro.locks import conda, conda_names
from repro.models.lock import CondaPackage
from repro.models.project import CondaRequest

THEIRS = Path(__file__).parent / "data/conda-lock/written-by-4.0.3.yml"
"""Written by conda-lock 4.0.3 with conda's own solver, on the tests' channel."""

REQUEST = CondaRequest(
    path="environment.yml",
    channels=("conda-forge", "https://conda.example.org/team"),
    specs=("libtiny", "python 3.11.*"),
)
PYTHON = CondaPackage(
    name="python",
    version="3.11.7",
    build="h0_0_cpython",
    subdir="linux-64",
    channel="https://conda.example.org/team",
    filename="python-3.11.7-h0_0_cpython.conda",
    sha256="0a" * 32,
    md5="0b" * 16,
    depends=("__glibc >=2.17",),
)
TZDATA = CondaPackage(
    name="python-tzdata",
    version="2024.1",  # a number, to a reader of YAML
    build="py_0",
    subdir="noarch",
    channel="https://conda.example.org/team",
    filename="python-tzdata-2024.1-py_0.tar.bz2",
    sha256="0c" * 32,
    depends=("python >=3.6,<4.0a0",),
)
ARM = replace(PYTHON, subdir="linux-aarch64", sha256="0d" * 32)
OURS = conda.make(REQUEST, {"linux-arm64": [TZDATA, ARM], "linux-amd64": [TZDATA, PYTHON]})


def test_what_is_written_is_read_as_the_same() -> None:
    text = conda.render(OURS)
    found = conda.parse(text, where="conda-lock.yml")
    assert found == OURS
    assert conda.render(found) == text
    assert found.of("linux-amd64") == found.of("linux-64") == (PYTHON, TZDATA)
    assert found.of("linux-arm64") == (ARM, TZDATA)
    assert found.of("osx-64") == ()


def test_the_order_of_what_was_resolved_does_not_matter() -> None:
    other = conda.make(REQUEST, {"linux-64": [PYTHON, TZDATA], "linux-aarch64": [ARM, TZDATA]})
    assert conda.render(other) == conda.render(OURS)


def test_the_content_hash_is_that_of_channels_specifications_and_platform() -> None:
    hashes = dict(OURS.content_hash)
    assert hashes["linux-64"] != hashes["linux-aarch64"]
    for request in (
        replace(REQUEST, channels=REQUEST.channels[::-1]),
        replace(REQUEST, specs=("libtiny",)),
    ):
        assert dict(conda.make(request, {"linux-64": [PYTHON]}).content_hash) != hashes
    again = conda.make(replace(REQUEST, specs=REQUEST.specs[::-1]), {"linux-64": [PYTHON]})
    assert dict(again.content_hash)["linux-64"] == hashes["linux-64"]


def test_any_reader_of_yaml_sees_texts() -> None:
    value: dict[str, Any] = yaml.safe_load(conda.render(OURS))
    assert value["version"] == 1
    assert value["metadata"]["channels"][0] == {"url": "conda-forge", "used_env_vars": []}
    assert value["metadata"]["sources"] == ["../environment.yml"]
    assert [one["version"] for one in value["package"]] == ["3.11.7", "3.11.7", "2024.1", "2024.1"]
    assert all(one["optional"] is False for one in value["package"])


def test_an_empty_lock_is_a_lock() -> None:
    empty = conda.make(REQUEST, {"linux-amd64": []})
    assert conda.parse(conda.render(empty), where="x") == empty


def test_what_conda_lock_wrote_is_read() -> None:
    found = conda.parse(THEIRS.read_text(), where="conda-lock.yml")
    packages = found.of("linux-64")
    assert [(one.name, one.version, one.build) for one in packages][:2] == [
        ("libtiny", "1.3.0", "h0_0"),
        ("numpy", "2.1.3", "py311_0"),
    ]
    toolz = packages[-1]
    assert toolz.address == "https://conda.example.org/team/noarch/toolz-0.12.1-py_0.tar.bz2"
    assert toolz.depends == ("python >=3.7",)
    assert found.channels == ("https://conda.example.org/team",)
    assert found.sources == ("environment.yml",)
    assert conda.parse(conda.render(found), where="conda-lock.yml") == found


PIP = """\
- name: Rich
  version: 13.9.4
  manager: pip
  platform: linux-64
  dependencies: {}
  url: https://user:hunter2@files.example.org/rich-13.9.4-py3-none-any.whl
  hash: {sha256: 0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e}
  category: dev
  optional: true
"""
DEV = """\
- name: libtiny
  version: 1.3.0
  manager: conda
  platform: linux-64
  dependencies: {}
  url: https://conda.example.org/team/linux-64/libtiny-1.3.0-h0_0.conda
  hash: {md5: 0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e}
  category: dev
  optional: true
"""


def test_pip_and_categories_are_named_where_a_lock_of_others_has_them() -> None:
    text = THEIRS.read_text() + PIP + DEV
    found = conda.parse(text, where="conda-lock.yml", foreign=True)
    assert found.categories == ("dev",)
    [(platform, (rich,))] = found.pip
    assert (platform, rich.name, rich.version, rich.category) == (
        "linux-64",
        "rich",
        "13.9.4",
        "dev",
    )
    assert rich.address == "https://files.example.org/rich-13.9.4-py3-none-any.whl"
    for extra in (PIP, DEV):
        with pytest.raises(LockError, match="which no lock of repro's does") as caught:
            conda.parse(THEIRS.read_text() + extra, where="lockfiles/conda-lock.yml")
        assert "--adopt" in str(caught.value.hint)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hunter2@conda.example.org/team",
        "https://conda.example.org/t/hunter2/team",
        "https://${USER}:${PASSWORD}@conda.example.org/team",
        "https://conda.example.org/t/${TOKEN}/team",
    ],
)
def test_a_credential_is_cut_out_of_every_address(address: str) -> None:
    text = THEIRS.read_text().replace("https://conda.example.org/team", address)
    found = conda.parse(text, where="conda-lock.yml")
    assert found == conda.parse(THEIRS.read_text(), where="conda-lock.yml")


TEXT = conda.render(OURS)
REFUSED = [
    (TEXT.replace("version: 1\n", "version: 2\n", 1), "version is '2', and must be 1"),
    (TEXT.replace("version: 1\n", "", 1), "version is missing"),
    (TEXT.replace("package:", "packages:"), "'packages': unknown key"),
    (TEXT.replace("  optional: false", "  weight: 1", 1), "'weight': unknown key"),
    (TEXT.replace("0a" * 32, ""), "only an md5, which others can make too"),
    (TEXT.replace("0c" * 32, ""), "has no hash"),
    (TEXT.replace("0a" * 32, "0a" * 31), "is not a sha256"),
    (TEXT.replace("0b" * 16, "0b" * 15), "is not an md5"),
    (TEXT.replace("linux-64/python-3.11.7", "linux-64/python-3.11.8"), "and its address that of"),
    (TEXT.replace("/linux-64/python", "/osx-64/python"), "its address for 'osx-64'"),
    (TEXT.replace("https://conda.example.org/team/linux-64", "team/linux-64"), "not an http"),
    (TEXT.replace("https://conda.example.org/team/linux-64", "//linux-64"), "not an http"),
    (TEXT.replace("'python-tzdata'", "'python'"), "and its address that of"),
    (TEXT + TEXT.partition("package:\n")[2], "is there twice for linux-64"),
    (TEXT.replace("  - linux-64\n", ""), "'linux-64' is not one of the file's"),
    (TEXT.replace("  - linux-64\n", "  - linux-64\n  - linux-64\n"), "lists one twice"),
    (TEXT.replace("manager: conda", "manager: npm", 1), "neither conda nor pip"),
    (TEXT.replace("  version: '3.11.7'\n", "", 1), "version is missing"),
    (TEXT.replace("'3.11.7'", "'3.11.7\u00e9'", 1), "not a line of plain text"),
    ("- 1\n", "it is no mapping"),
    ("version: 1\nmetadata: {}\npackage: {}\n", "metadata"),
    ("version: 1\nversion: 1\n", "given twice"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED)
def test_what_could_be_another_package_is_refused(text: str, says: str) -> None:
    assert text != TEXT
    with pytest.raises(LockError) as caught:
        conda.parse(text, where="lockfiles/conda-lock.yml")
    assert caught.value.message.startswith("lockfiles/conda-lock.yml")
    assert says in caught.value.message, caught.value.message
    assert caught.value.hint


def test_constraints_on_one_name_are_joined() -> None:
    given = ("python >=3.11,<3.12.0a0", "python_abi 3.11.* *_cp311", "six", "ssl >=3", "ssl <4")
    assert conda.canonical_depends((*given, "pytz *")) == (
        "python >=3.11,<3.12.0a0",
        "python_abi 3.11.* *_cp311",
        "pytz",
        "six",
        "ssl >=3,<4",
    )
    again = conda.canonical_depends(conda.canonical_depends(given))
    assert again == conda.canonical_depends(given)


def test_names_of_archives_are_split_from_the_end() -> None:
    assert conda_names.archive_name("_libgcc_mutex-0.1-conda_forge.tar.bz2", "x") == (
        "_libgcc_mutex",
        "0.1",
        "conda_forge",
    )
    for name in ("numpy.conda", "numpy-1.0.conda", "a-1-0.zip", "A B-1-0.conda", "a-1-.conda"):
        with pytest.raises(LockError):
            conda_names.archive_name(name, "x")
