"""The helper that every row uses: it must notice each thing that it claims to look at."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.engines.sandbox.limits import controller
from tests.support import Answer, Cli, assert_refused
from tests.watch import Watch, watching


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A project of two files and a store of one object."""
    project, data = tmp_path / "project", b"an artifact"
    (project / "lockfiles/linux-amd64").mkdir(parents=True)
    (project / "lockfiles/linux-amd64/apt.lock").write_text("locked\n")
    (project / "analysis.py").write_text("print(1)\n")
    (project / ".repro/runs/1").mkdir(parents=True)
    (project / ".repro/runs/1/run.toml").write_text("id = 1\n")
    sha256 = hashlib.sha256(data).hexdigest()
    path = tmp_path / "cache/sha256" / sha256[:2] / sha256
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return Cli(cache=tmp_path / "cache", folder=project, secrets=("hunter2",))


def stored(watch: Watch) -> Path:
    return next(path for path in (watch.cli.cache / "sha256").rglob("*") if path.is_file())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


OFFENCES: dict[str, Callable[[Watch], object]] = {
    "a changed file": lambda w: write(w.cli.folder / "analysis.py", "print(2)\n"),
    "a new file": lambda w: write(w.cli.folder / "new", ""),
    "a new folder": lambda w: (w.cli.folder / "new").mkdir(),
    "a new link": lambda w: (w.cli.folder / "new").symlink_to("/etc"),
    "a changed mode": lambda w: (w.cli.folder / "analysis.py").chmod(0o777),
    "a lost file": lambda w: (w.cli.folder / "analysis.py").unlink(),
    "a changed lock": lambda w: write(w.cli.folder / "lockfiles/linux-amd64/apt.lock", "other"),
    "a changed run": lambda w: write(w.cli.folder / ".repro/runs/1/run.toml", "id = 2\n"),
    "scratch of the run": lambda w: (w.cli.folder / ".repro/tmp/x").mkdir(parents=True),
    "a temporary file": lambda w: write(w.cli.folder / ".repro/.repro-tmp-x", ""),
    "a temporary file in the store": lambda w: write(stored(w).parent / ".repro-tmp-x", ""),
    "a temporary folder in the store": lambda w: (w.cli.cache / "tmp/.repro-tmp-x").mkdir(
        parents=True
    ),
    "a file in TMPDIR": lambda w: write(Path(w.env["TMPDIR"]) / "x", ""),
    "a torn object": lambda w: write(stored(w), "half"),
    "a new wrong object": lambda w: write(w.cli.cache / "sha256/00/00ff", "x"),
    "a lost object": lambda w: stored(w).unlink(),
    "a layer of no object": lambda w: write(
        w.cli.cache / "layers/x.json", '{"digest": "sha256:00"}'
    ),
    "a secret on the terminal": lambda w: w.said(f"token {w.env['CANARY_TOKEN']}"),
    "the row's own secret": lambda w: w.said("password hunter2"),
    "a secret in a run": lambda w: write(
        w.cli.folder / ".repro/runs/2/log.txt", w.env["CANARY_TOKEN"]
    ),
    "a secret in the store": lambda w: write(w.cli.cache / "crashes/x", w.env["CANARY_TOKEN"]),
    "a traceback": lambda w: w.said("Traceback (most recent call last):"),
    "a bug": lambda w: w.said("error: this is a bug in repro: KeyError"),
}


def test_nothing_is_fine(cli: Cli) -> None:
    with watching(cli) as watch:
        watch.said("error: no such package")


@pytest.mark.parametrize("offence", OFFENCES)
def test_it_is_noticed(cli: Cli, offence: str) -> None:
    with pytest.raises(AssertionError), watching(cli) as watch:
        OFFENCES[offence](watch)


def test_the_planted_homes_secrets_are_where_users_have_them(cli: Cli) -> None:
    with watching(cli) as watch:
        home, canary = Path(watch.env["HOME"]), watch.env["CANARY_TOKEN"]
        assert canary in (home / ".netrc").read_text()
        assert canary in (home / ".config/pip/pip.conf").read_text()


def test_a_process_that_stays_is_noticed(cli: Cli) -> None:
    with pytest.raises(AssertionError, match="lives on"), watching(cli) as watch:
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], env={**os.environ, **watch.env},
            stdin=subprocess.PIPE,
        )  # fmt: skip
    child.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a control group")
def test_a_control_group_that_stays_is_noticed(cli: Cli) -> None:
    parents = controller(
        Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    )
    assert parents is not None
    here, left = parents.parents[0], []

    def leave(watch: Watch) -> None:
        watch.cli("--version")
        left.append(here / f"repro-{watch.cli.started[0]}-{0:012}")
        left[0].mkdir()

    with pytest.raises(AssertionError, match="control group"), watching(cli) as watch:
        leave(watch)
    left[0].rmdir()


def test_what_may_change_may_and_a_lock_only_as_a_whole(cli: Cli) -> None:
    with watching(cli, changes=["out/"]) as watch:
        write(watch.cli.folder / "out/metrics.json", "{}")
    with (
        pytest.raises(FileNotFoundError, match=r"repro\.lock"),
        watching(cli, changes=["lockfiles"]) as watch,
    ):
        write(watch.cli.folder / "lockfiles/linux-amd64/apt.lock", "half")


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (4, "", "error: it failed\n  hint: x\n"),
        (3, "", "error: it failed\n"),
        (3, "", "error: it failed\n  hint: x\nTraceback (most recent call last):\n"),
        (3, "", "error: it \x1b[31mfailed\n  hint: x\n"),
        (3, "", "error: another thing\n  hint: x\n"),
        (3, "✓ reproduced: 2 metrics\n", "error: it failed\n  hint: x\n"),
        (3, '{"verdict": "reproduced"}', "error: it failed\n  hint: x\n"),
    ],
)
def test_answers_that_are_refused(code: int, out: str, err: str) -> None:
    assert_refused(Answer(code=3, out="", err="error: it failed\n  hint: x\n"), 3, "it failed")
    with pytest.raises(AssertionError):
        assert_refused(Answer(code=code, out=out, err=err), 3, "it failed")
