"""I74: `.env`, `.git` and keys in a project: in no image, and whoever runs it is told of them."""

from __future__ import annotations

import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

from repro.store.artifacts import Store
from tests.faults.sources import LOCKS
from tests.support import Cli
from tests.watch import faulted

pytestmark = pytest.mark.network

CANARY = "canary-in-the-project-51c2"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{CANARY}\n"
FILES = {".env": f"TOKEN={CANARY}\n", "deploy.pem": KEY, "keys/id_ed25519": KEY}
LOOK = """\
import json, os
seen = sorted(os.path.join(top, name)[2:] for top, _, names in os.walk(".") for name in names)
json.dump({"count": len(seen)}, open("out/metrics.json", "w"))
print("sees", *seen)
"""


@pytest.fixture
def planted(tiny: Cli) -> Cli:
    for name, text in FILES.items():
        path = tiny.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tiny.folder / "analysis.py").write_text(LOOK)
    git(tiny.folder, "init", "--quiet")
    git(tiny.folder, "remote", "add", "origin", f"https://me:{CANARY}@example.org/x.git")
    return Cli(cache=tiny.cache, folder=tiny.folder, secrets=(CANARY,))


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "safe.directory=*", *words], cwd=folder, check=True)


def test_i74_keys_are_in_no_image_and_a_run_that_sees_them_says_so(planted: Cli) -> None:
    """`faulted` finds the canary in no layer, record, log or message."""
    (planted.folder / LOCKS / "image.toml").unlink()
    faulted(planted, "build", code=0, changes=[f"{LOCKS}/image.toml"])
    answer = faulted(planted, "--engine", "sandbox", "run", code=0, changes=["out"])
    warned = [line for line in answer.err.splitlines() if line.startswith("warning: a run sees")]
    assert len(warned) == 1, answer
    for name in FILES:
        assert name in warned[0]
    assert ".git/" not in answer.err
    record = tomllib.loads((planted.folder / LOCKS / "image.toml").read_text())
    store = Store(planted.cache)
    for layer in record["layers"]:
        with tarfile.open(store.path(layer["digest"].removeprefix("sha256:"))) as tar:
            names = {Path(name).name for name in tar.getnames()}
        assert not names & {".env", "deploy.pem", "id_ed25519", "analysis.py"}


def test_i74_what_git_ignores_is_not_seen(planted: Cli) -> None:
    (planted.folder / ".gitignore").write_text(".env\n*.pem\nkeys/\n")
    answer = faulted(planted, "--engine", "sandbox", "run", code=0, changes=["out"])
    assert "a run sees" not in answer.err
    said = (answer.out + answer.err).splitlines()
    [seen] = [line for line in said if "sees " in line]
    assert not [name for name in (*FILES, ".git/config") if name in seen]
