"""The tutorial, word for word: its commands in order, in a fresh folder, by the real program."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests import consoles
from tests.support import Cli

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


@pytest.mark.network
def test_the_tutorial_shows_what_happens(tmp_path: Path, cache: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "repro").write_text(f'#!/bin/sh\nexec {sys.executable} -m repro "$@"\n')
    (programs / "repro").chmod(0o755)
    shutil.copytree(TUTORIAL / "calls", tmp_path / "calls")
    env = Cli(cache=cache, folder=tmp_path).env
    env["PATH"] = f"{programs}:{env['PATH']}"
    env["DOCKER_HOST"] = f"unix://{tmp_path}/no.sock"  # the sandbox: everybody has it
    consoles.check(TUTORIAL / "index.md", tmp_path, env)
