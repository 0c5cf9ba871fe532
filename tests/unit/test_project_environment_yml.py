"""environment.yml: what is read of it, and what is refused with words that help."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.project.environment_yml import parse_environment, read_environment
from repro.project.match_spec import MatchSpec, parse_match_spec, spec_name

WHOLE = """\
name: study
channels:
  - https://conda.example.org/team/   # ours
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
  - NumPy >=1.26, <2
  - conda-forge::libtiny==1.3.0=h0_0
  - pywin32  # [win]
  - patchelf  # [linux]
  - pip
  - pip:
      - Rich>=13  # pretty
      - -r more.txt
      - -e .[plot]
platforms: [osx-arm64, linux-64]
prefix: /home/somebody/miniconda3/envs/study
"""


def test_everything_that_it_may_say() -> None:
    found = parse_environment(WHOLE, where="environment.yml")
    assert found.conda is not None
    assert found.conda.path == "environment.yml"
    assert found.conda.channels == ("https://conda.example.org/team", "conda-forge")
    assert found.conda.specs == (
        "conda-forge::libtiny ==1.3.0 h0_0",
        "numpy >=1.26,<2",
        "patchelf",
        "pip",
        "python 3.11.*",
    )
    assert found.conda.platforms == ("linux-64", "osx-arm64")
    assert found.name == "study"
    assert found.pip is not None
    assert found.pip.lines == ("rich>=13",)
    assert [name for _, name in found.pip.includes] == ["more.txt"]
    assert found.pip.itself == (("plot",),)
    assert found.notes == ("environment.yml: prefix is not read: packages lie in /opt/conda",)


def test_it_is_read_from_the_project_alone(tmp_path: Path) -> None:
    (tmp_path / "outside.yml").write_text(WHOLE)
    root = tmp_path / "project"
    root.mkdir()
    (root / "environment.yml").symlink_to("../outside.yml")
    with pytest.raises(UsageError, match="leads out of the project"):
        read_environment(root, "environment.yml")
    with pytest.raises(UsageError, match=r"^repro\.toml: environment\.conda: .* does not exist"):
        read_environment(root, "absent.yml", where="repro.toml: environment.conda")


CHANNELS = "channels: [conda-forge]\n"
REFUSED = [
    ("- numpy\n", "not the mapping", "name, channels"),
    ("", "not the mapping", "name, channels"),
    (CHANNELS, "lists no dependencies", "numpy=1.26"),
    ("dependencies: [numpy]\n", "names no channel", "conda-forge"),
    ("channels: [nodefaults]\ndependencies: [numpy]\n", "names no channel", "conda-forge"),
    (CHANNELS + "dependencies: numpy\n", "dependencies must be a list", "- "),
    (CHANNELS + "dependancies: [numpy]\n", "'dependancies': unknown key", "dependencies?"),
    (CHANNELS + "dependencies: [numpy]\nvariables: {A: b}\n", "variables is not read", "env ="),
    (CHANNELS + "dependencies: [numpy]\ncategory: dev\n", "category: only main", "one environ"),
    (CHANNELS + "dependencies: [numpy: 1.26]\n", r"dependencies[0] must be a package", "colon"),
    (CHANNELS + "dependencies: [{pip: [a]}, {pip: [b]}]\n", "pip: is given twice", "join"),
    (CHANNELS + "dependencies: [{pip: [[a]]}]\n", "dependencies[0].pip[0] must be plain", "text"),
    (CHANNELS + "dependencies: [{pip: [-i https://x.example.org]}]\n", "--index-url", "indexes"),
    (CHANNELS + "dependencies: [numpy>]\n", "dependencies[0]: 'numpy>' is not a match", "NAME"),
    (CHANNELS + "dependencies: [other::numpy]\n", "channel 'other' is not listed", "lowest"),
    (CHANNELS + "dependencies: [a]\nplatforms: [win-64]\n", "platforms: none", "linux-64"),
    (CHANNELS + "dependencies: [a]\nplatforms: [Linux]\n", "platforms[0]: 'Linux'", "linux-64"),
    (CHANNELS + "dependencies: [a, *b]\n", "undefined", None),
    (CHANNELS + "dependencies: [a\n", "not valid YAML", None),
    ("channels: [./local]\ndependencies: [a]\n", "channels[0]: './local' is neither", "forge"),
    ("channels: [s3://bucket/x]\ndependencies: [a]\n", "channels[0]: not an http", "address"),
    (CHANNELS + "dependencies:\n  - a  # [py3k]\n", "environment.yml:3: the selector", "linux"),
    (CHANNELS + "dependencies:\n  - a  # [linux64]\n", "the selector 'linux64'", "linux"),
]


@pytest.mark.parametrize(("text", "says", "hint"), REFUSED)
def test_refusals_name_the_place(text: str, says: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse_environment(text, where="environment.yml")
    assert caught.value.message.startswith("environment.yml")
    assert says in caught.value.message, caught.value.message
    assert hint is None or hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hunter2@conda.example.org/team",
        "https://hunter2@conda.example.org/team",
        "https://conda.example.org/t/hunter2/team",
        "https://conda.example.org/team?token=hunter2",
        "https://conda.example.org/team#hunter2",
        "https://user:$hunter2@conda.example.org",
        "https://conda.example.org/$hunter2/team",
    ],
)
def test_a_credential_in_a_channel_is_refused_and_never_shown(address: str) -> None:
    text = f"channels:\n  - '{address}'\ndependencies: [a]\n"
    with pytest.raises(UsageError) as caught:
        parse_environment(text, where="environment.yml")
    assert "channels[0]: the channel's address holds a credential" in caught.value.message
    assert "hunter2" not in caught.value.message + str(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        parse_match_spec(f"{address}::numpy", "here")
    assert "hunter2" not in caught.value.message + str(caught.value.hint)


SPECS = [
    ("numpy", "numpy"),
    ("  numpy  ", "numpy"),
    ("_libgcc_mutex", "_libgcc_mutex"),
    ("numpy=1.26", "numpy 1.26.*"),
    ("numpy =1.26", "numpy 1.26.*"),
    ("numpy = 1.26", "numpy 1.26.*"),
    ("numpy=1.26.*", "numpy 1.26.*"),
    ("numpy=1.26*", "numpy 1.26*"),
    ("numpy==1.26.4", "numpy ==1.26.4"),
    ("numpy == 1.26.4", "numpy ==1.26.4"),
    ("numpy 1.26.4", "numpy ==1.26.4"),
    ("numpy 1.26.*", "numpy 1.26.*"),
    ("numpy>=1.26,<2", "numpy >=1.26,<2"),
    ("numpy >=1.26 , <2", "numpy >=1.26,<2"),
    ("numpy!=1.25.*", "numpy !=1.25.*"),
    ("numpy~=1.26", "numpy ~=1.26"),
    ("numpy 1.25|1.26.*", "numpy ==1.25|1.26.*"),
    ("numpy=1.26.4=py311_0", "numpy ==1.26.4 py311_0"),
    ("numpy==1.26.4=py311_0", "numpy ==1.26.4 py311_0"),
    ("numpy 1.26.4 py311_0", "numpy ==1.26.4 py311_0"),
    ("numpy=1.26.*=py311*", "numpy 1.26.* py311*"),
    ("blas=*=*openblas", "blas * *openblas"),
    ("numpy >=1.26 py311_0", "numpy >=1.26 py311_0"),
    ("numpy=1.26=*", "numpy ==1.26"),
    ("numpy *", "numpy"),
    ("numpy[version='>=1.26', build=py311_0]", "numpy >=1.26 py311_0"),
    ('numpy[channel="conda-forge"]', "conda-forge::numpy"),
    ("conda-forge::numpy=1.26", "conda-forge::numpy 1.26.*"),
    ("https://conda.example.org/team::numpy", "https://conda.example.org/team::numpy"),
    ("x264 1!152.20180717", "x264 ==1!152.20180717"),
]


@pytest.mark.parametrize(("text", "canonical"), SPECS)
def test_a_specification_has_one_form(text: str, canonical: str) -> None:
    assert str(parse_match_spec(text, "here")) == canonical
    assert str(parse_match_spec(canonical, "here")) == canonical
    assert spec_name(canonical) == parse_match_spec(text, "here").name


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "numpy>", "numpy=", "=1.26", "numpy 1 2 3", "numpy,scipy", "numpy scipy,", "*"),
        *("numpy*", "numpy=>1.26", "numpy^1.26", "numpy >=1.26,", "numpy[", "numpy[version]"),
        *("numpy[version=1]=2", "numpy=1[version=2]", "a::b::c", "::numpy", "numpy=1.26=a=b"),
        *("numpy\n", "numpy[sha256=ab]", "numpy (>=1)", "n\u00fcmpy", "a::numpy[channel=b]"),
        *("numpy" * 200, "numpy==" + "1" * 300, "http://x.example.org/numpy-1-0.conda"),
        *("numpy[build=1, build=2]", "numpy=1.26;python_version<'3'", "-numpy"),
    ],
)
def test_what_is_no_specification_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^here: ") as caught:
        parse_match_spec(text, "here")
    assert caught.value.hint


def test_a_specification_without_version_has_its_build() -> None:
    assert str(MatchSpec(name="blas", build="openblas")) == "blas * openblas"
