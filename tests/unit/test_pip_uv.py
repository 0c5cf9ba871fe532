"""What is given to uv, and what is made of its answers; nothing is started here."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from repro.ecosystems.pip import piptools, uv
from repro.ecosystems.pip.indexes import Index, Indexes
from repro.ecosystems.pip.request import PipRequest, allowed_hashes, write_inputs
from repro.ecosystems.pip.tags import Target
from repro.errors import NetworkError, ReproError, UsageError
from repro.models.lock import Interpreter, PipArtifact, Upgrade
from repro.models.project import Environment, RequirementSet

A = "a" * 64
SETS = (
    RequirementSet(path="requirements.in", lines=(f"numpy==1.26.4 --hash=sha256:{A}", "pandas")),
    RequirementSet(path="limits.txt", lines=("pandas<3",), constraint=True),
)
INDEXES = Indexes(indexes=(Index(alias="default", given=None),))


def request(upgrade: Upgrade | None = None) -> PipRequest:
    previous = tuple(
        PipArtifact(name=name, version="1.0", filename="x.whl", size=1, sha256=A)
        for name in ("numpy", "six")
    )
    return PipRequest(
        environment=Environment(suite="bookworm", python="3.11", pip=SETS),
        interpreter=Interpreter.of_debian("3.11"),
        glibc="2.36",
        previous=previous,
        upgrade=upgrade or Upgrade(),
    )


@pytest.mark.parametrize(
    ("glibc", "name"),
    [("2.31", "x86_64-manylinux_2_31"), ("2.36", "x86_64-manylinux_2_36"),
     ("2.30", "x86_64-manylinux_2_28"), ("2.41", "x86_64-manylinux_2_40")],
)  # fmt: skip
def test_the_nearest_platform_that_uv_knows(glibc: str, name: str) -> None:
    assert uv.platform(Target(python="3.11", glibc=glibc)) == name


def test_requirements_reach_uv_in_files_only(tmp_path: Path) -> None:
    inputs = write_inputs(SETS, tmp_path)
    words = uv.arguments(inputs, request())
    assert "pandas" not in " ".join(words)
    assert (tmp_path / inputs.requirements[0]).read_text() == "numpy==1.26.4\npandas\n"
    assert (tmp_path / inputs.constraints[0]).read_text() == "pandas<3\n"
    assert words[words.index("--constraints") + 1] == inputs.constraints[0]
    assert allowed_hashes(SETS) == {"numpy": {A}}


def test_only_the_pins_that_may_not_move_are_preferences() -> None:
    def names(upgrade: Upgrade | None) -> list[str]:
        return [p["name"] for p in tomllib.loads(uv.previous_pins(request(upgrade)))["packages"]]

    assert names(None) == ["numpy", "six"]
    assert names(Upgrade(names=("numpy",))) == ["six"]
    assert uv.previous_pins(request(Upgrade(everything=True))) == ""


def test_the_users_environment_connects_and_does_not_choose() -> None:
    environ = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.org",
        "PIP_CERT": "/bundle.pem",
        "UV_CACHE_DIR": "/cache",
        "UV_HTTP_TIMEOUT": "9",
        "UV_INDEX_CORP_PASSWORD": "secret",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_RESOLUTION": "lowest",
        "UV_PRERELEASE": "allow",
        "UV_INDEX_URL": "https://old.example.org",
        "PYTHONPATH": "/evil",
        "VIRTUAL_ENV": "/venv",
    }
    assert uv.environment(INDEXES, environ) == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy.example.org",
        "SSL_CERT_FILE": "/bundle.pem",
        "UV_CACHE_DIR": "/cache",
        "UV_HTTP_TIMEOUT": "9",
        "UV_INDEX_CORP_PASSWORD": "secret",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_reading_a_pylock() -> None:
    text = f"""
lock-version = "1.0"
[[packages]]
name = "Six"
version = "1.17.0"
wheels = [
  {{ url = "https://x.example.org/six-1.17.0-py2.py3-none-any.whl", size = 7, hashes = {{ sha256 = "{A}" }} }},
]
sdist = {{ url = "https://x.example.org/six%2D1.17.0.tar.gz", hashes = {{ sha256 = "{A}" }} }}
"""  # noqa: E501
    [package] = uv.parse(text, INDEXES)
    assert (package.name, package.version) == ("six", "1.17.0")
    wheel, sdist = package.files
    assert (wheel.filename, wheel.size, wheel.sha256) == ("six-1.17.0-py2.py3-none-any.whl", 7, A)
    assert (sdist.filename, sdist.size) == ("six-1.17.0.tar.gz", None)


@pytest.mark.parametrize(
    "text",
    [
        '[[packages]]\nname = "x"\nversion = "1"\nvcs = { type = "git" }\n',
        '[[packages]]\nname = "x"\nversion = "1"\narchive = { url = "https://x.example.org" }\n',
        "[[packages]]\n",
        "packages = 1\n",
        "=",
    ],
)
def test_a_pylock_that_cannot_be_used(text: str) -> None:
    with pytest.raises(UsageError):
        uv.parse(text, INDEXES)


UNKNOWN = """error: No solution found when resolving dependencies
  cause: Because nosuch was not found in the package registry and you require nosuch, we can
         conclude that your requirements are unsatisfiable.
"""
NO_WHEEL = """error: No solution found when resolving dependencies
  cause: Because all versions of docopt have no usable wheels and you require docopt, we can
         conclude that your requirements are unsatisfiable.

hint: Wheels are required for `docopt` because building from source is disabled for all packages
"""
DOWN = """error: Request failed after 3 retries in 7.9s
  cause: Failed to fetch: `https://me:secret@index.example.org/simple/six/?token=secret`
  cause: error sending request for url (https://me:secret@index.example.org/simple/six/)
  cause: tcp connect error
"""


@pytest.mark.parametrize(
    ("said", "kind", "names"),
    [
        (UNKNOWN, UsageError, "nosuch"),
        (NO_WHEEL, uv.NeedsBuildError, "docopt"),
        (DOWN, NetworkError, "index.example.org"),
    ],
)
def test_uvs_explanation_becomes_an_error(said: str, kind: type[ReproError], names: str) -> None:
    error = uv.failure(said, request())
    assert type(error) is kind
    assert "requirements.in" in error.message
    assert names in error.message
    assert error.hint
    assert "secret" not in str(error)


def test_a_long_explanation_is_condensed() -> None:
    error = uv.failure("\n".join(f"cause: because number {n}" for n in range(99)), request())
    assert "number 11" in error.message
    assert "number 13" not in error.message
    assert "more lines" in error.message


def test_reading_pip_tools_output() -> None:
    text = """#
--find-links /wheels

numpy==1.13.3
Pandas[extra]==0.20.3 ; python_version < "3"
six==1.17.0  # via x
"""
    assert piptools.parse(text) == (("numpy", "1.13.3"), ("pandas", "0.20.3"), ("six", "1.17.0"))


@pytest.mark.parametrize("line", ["-e .", "x @ file:///x", "x>=1", "x==1,<2", "../x"])
def test_pip_tools_output_that_is_no_pin(line: str) -> None:
    with pytest.raises(UsageError):
        piptools.parse(line + "\n")


def test_pip_tools_last_words_become_an_error() -> None:
    gone = "WARNING: Retrying after NewConnectionError: https://me:secret@x.example.org/simple"
    error = piptools.failure(gone, request())
    assert isinstance(error, NetworkError)
    assert "secret" not in str(error)
    missing = "Could not find a version that matches numpy==99 (from -r 0-requirements.in)"
    error = piptools.failure(missing, request())
    assert isinstance(error, UsageError)
    assert "numpy==99" in error.message
