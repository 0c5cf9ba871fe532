"""Streams that are closed or full, and JSON alone on stdout, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Answer, Cli, assert_refused

COMMANDS = (("status",), ("status", "--json"), ("--help",), ("status", "--help"))


def through_shell(folder: Path, redirection: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "repro", *words],
        cwd=folder,
        env={**os.environ, "REPRO_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- <&-"])
def test_a_stdout_that_takes_nothing(
    tmp_path: Path, redirection: str, words: tuple[str, ...]
) -> None:
    done = through_shell(tmp_path, redirection, *words)
    assert done.returncode == 7, done.stderr
    assert "error: standard output: " in done.stderr
    assert list(tmp_path.glob("cache/crashes/*")) == []


def test_a_closed_stderr_changes_nothing(tmp_path: Path) -> None:
    usual = through_shell(tmp_path, "", "status", "--json")
    done = through_shell(tmp_path, "2>&-", "status", "--json")
    assert (done.returncode, done.stdout) == (usual.returncode, usual.stdout) == (3, usual.stdout)
    assert through_shell(tmp_path, "2>&- >&- <&-", "nonsense").returncode == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nonsense", "--json"], 2, "nonsense"),
        (["--json", "status", "-C", "/no/such/folder"], 2, "/no/such/folder"),
        (["accept", "--json"], 2, "--reason"),
        (["diff", "--json"], 2, "no baseline yet"),
        (["diff", "x", "last", "--json"], 2, "'x'"),
        (["shell", "--json"], 2, "terminal"),
        (["init", "--json"], 2, "repro.toml"),
        (["build", "--json"], 3, "lockfiles/linux-amd64"),
        (["run", "--json"], 3, "lockfiles/linux-amd64"),
        (["verify", "--json"], 3, "lockfiles/linux-amd64"),
        (["snapshot", "--adopt-edits", "--json"], 2, "nothing to lock"),
    ],
)
def test_an_error_is_json_alone(tmp_path: Path, words: list[str], code: int, says: str) -> None:
    answer = Cli(cache=tmp_path / "cache", folder=tmp_path)(*words)
    assert_refused(answer, code, says)
    error = json.loads(answer.out)["error"]
    assert error["exit_code"] == code
    assert error["hint"]
    assert answer.err == ""


@pytest.mark.network
@pytest.mark.parametrize("command", ["build", "run", "verify"])
def test_an_engine_that_was_asked_for_and_is_not_there(tiny: Cli, command: str) -> None:
    dead = {"DOCKER_HOST": "unix:///no/such/socket"}
    answer = tiny("--engine", "docker", "--json", command, env=dead)
    assert_refused(answer, 5, "/no/such/socket", "--engine sandbox")
    assert json.loads(answer.out)["error"]["exit_code"] == 5


@pytest.mark.parametrize("words", ["status", "init --yes", "verify", "diff lock last"])
def test_a_current_folder_that_is_gone(tmp_path: Path, words: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'cd "{gone}" && rmdir "{gone}" && exec "$0" -m repro {words}'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        env={**os.environ, "REPRO_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = Answer(code=done.returncode, out=done.stdout, err=done.stderr)
    assert_refused(answer, 7, "the current folder does not exist any more", "-C DIR")
