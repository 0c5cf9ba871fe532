"""H70: the analysis looks for the host: no variable of its user's or the CI's, no engine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import TINY_ANALYSIS, Cli
from tests.watch import faulted

pytestmark = [pytest.mark.network, pytest.mark.docker]
CI = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_TOKEN": "ghs_secretsecretsecret",
    "GITHUB_ENV": "/tmp/github-env",
    "ACTIONS_RUNTIME_TOKEN": "runtime-secretsecret",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://example.org/token",
    "CI_JOB_TOKEN": "gitlab-secretsecret",
    "AWS_SECRET_ACCESS_KEY": "aws-secretsecret",
    "SSH_AUTH_SOCK": "/tmp/agent.sock",
    "http_proxy": "http://me:proxy-secret@127.0.0.1:9",
}
LOOK = """\
import glob, os, sys
NAMES = NAMES_HERE
VALUES = VALUES_HERE
found = [name for name in NAMES if name in os.environ]
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        text = open(path, errors="replace").read()
    except OSError:
        continue
    found += [(path, value) for value in (*NAMES, *VALUES) if value in text]
sockets = ("docker.sock", "containerd/containerd.sock", "podman/podman.sock", "docker/metrics.sock")
for top in ("/run", "/var/run", "/tmp"):
    found += [f"{top}/{name}" for name in sockets if os.path.lexists(f"{top}/{name}")]
for line in open("/proc/net/unix").read().splitlines()[1:]:
    if "docker" in line or "containerd" in line or "agent" in line:
        found.append(line)
for folder in ("/root/.docker", "/home", "/root/.ssh"):
    if os.path.isdir(folder) and os.access(folder, os.R_OK) and os.listdir(folder):
        found.append(folder)
if found:
    sys.exit(f"found: {found}")
"""


def look() -> str:
    values = [value for value in CI.values() if "secret" in value]
    return LOOK.replace("NAMES_HERE", repr(list(CI))).replace("VALUES_HERE", repr(values))


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_nothing_is_found(tiny: Cli, engine: str) -> None:
    (tiny.folder / "analysis.py").write_text(look() + TINY_ANALYSIS)
    faulted(tiny, "--engine", engine, "verify", code=0, says=["reproduced"], env=CI)


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
@pytest.mark.parametrize(
    ("need", "says"),
    [
        ("import os\nos.environ['GITHUB_TOKEN']\n", "KeyError: 'GITHUB_TOKEN'"),
        (
            "import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')\n",
            "No such file or directory",
        ),
    ],
    ids=["variable", "engine"],
)
def test_who_needs_it_fails(tiny: Cli, engine: str, need: str, says: str) -> None:
    (tiny.folder / "analysis.py").write_text(need)
    answer = faulted(tiny, "--engine", engine, "verify", code=4, says=["status 1", says], env=CI)
    assert "secretsecret" not in answer.out + answer.err


@pytest.mark.parametrize("engine", ["sandbox", "docker"])
def test_h70_signals_that_the_host_ignores(tiny: Cli, engine: str) -> None:
    """As under nohup, and as a shell starts what is in the background."""
    look = "grep -E '^Sig(Ign|Blk):' /proc/self/status"
    ignoring = ["sh", "-c", 'trap "" HUP INT QUIT USR1; exec "$@"', "sh"]
    words = ["--engine", engine, "run", "--", "sh", "-c", look]
    done = subprocess.run(
        [*ignoring, sys.executable, "-m", "repro", *words],
        cwd=tiny.folder,
        env=tiny.env,
        capture_output=True,
        text=True,
        check=True,
    )
    none = "0" * 16
    assert done.stdout.split() == ["SigBlk:", none, "SigIgn:", none]
