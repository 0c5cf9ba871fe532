"""E42: the second of two commands in one project waits and says for whom, as long as it may."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.background import running
from tests.faults.remains import held_locks
from tests.support import Cli, assert_refused, tree_digest
from tests.watch import temporary

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    "words", [["run"], ["verify"], ["accept", "--reason", "x"]], ids=lambda words: words[0]
)
def test_who_will_not_wait_is_told_for_whom(tiny: Cli, words: list[str]) -> None:
    with running(tiny) as first:
        before = tree_digest(tiny.folder)
        answer = tiny("--engine", "sandbox", *words, "--lock-timeout", "0")
        holder = f"process {first.pid} (repro run in {tiny.folder}, for "
        assert_refused(answer, 7, holder, "--lock-timeout", str(tiny.folder / ".repro/lock"))
        assert answer.out == ""
        assert tree_digest(tiny.folder) == before
    answer = tiny("--engine", "sandbox", *words, "--lock-timeout", "0")
    assert answer.code == 0, answer
    assert temporary(tiny.folder) == []


def test_who_waits_says_so_once_and_goes_on(tiny: Cli) -> None:
    with running(tiny) as first:
        second = subprocess.Popen(
            [sys.executable, "-m", "repro", "--engine", "sandbox", "verify"],
            cwd=tiny.folder,
            env=tiny.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert second.stderr is not None
        line = second.stderr.readline().decode()
        assert line.startswith(f"waiting for process {first.pid} (repro run in {tiny.folder}, for")
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 143
        out, rest = second.communicate(timeout=120)
    assert second.returncode == 0, rest
    assert b"reproduced" in out
    assert rest.decode().count("waiting for") == 1, rest  # how long it took
    assert held_locks(tiny.folder / ".repro") == []


@pytest.mark.parametrize("words", [["--quiet"], ["--json", "--quiet"]], ids=len)
def test_quiet_waits_in_silence(tiny: Cli, words: list[str]) -> None:
    with running(tiny):
        answer = tiny(*words, "--engine", "sandbox", "verify", env={"REPRO_LOCK_TIMEOUT": "1"})
    assert answer.code == 7, answer
    assert "waiting" not in answer.err
    if "--json" in words:
        assert answer.err == ""
        assert json.loads(answer.out)["error"]["exit_code"] == 7


def test_what_is_said_on_the_command_line_counts_more(tiny: Cli) -> None:
    with running(tiny):
        words = ("--lock-timeout", "0", "--engine", "sandbox", "verify")
        answer = tiny(*words, env={"REPRO_LOCK_TIMEOUT": "300"})
        assert_refused(answer, 7, "is at it\n")  # and not: "did not end within 300 s"
    assert_refused(tiny("run", env={"REPRO_LOCK_TIMEOUT": "soon"}), 2, "soon")
    assert_refused(tiny("run", "--lock-timeout", "-1"), 2, "--lock-timeout")


def test_a_lock_on_the_store_is_waited_for_too(tiny: Cli) -> None:
    """Another snapshot of the same project."""
    folder = tiny.folder.stat()
    path = tiny.cache / "locks" / f"snapshot-{folder.st_dev:x}-{folder.st_ino:x}"
    before = tree_digest(tiny.folder)
    with path.open("w") as file:
        file.write(f"4242 {time.time():.0f} repro snapshot in /elsewhere\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        answer = tiny("snapshot", "--lock-timeout", "1")
    assert_refused(answer, 7, "process 4242 (repro snapshot in /elsewhere", "within 1 s")
    assert tree_digest(tiny.folder) == before
    path.unlink()


def test_nothing_secret_is_written_into_a_lock(tiny: Cli) -> None:
    words = ("--", "sh", "-c", "echo ran; sleep 6000; : hunter2")
    child = subprocess.Popen(
        [sys.executable, "-m", "repro", "--engine", "sandbox", "run", *words],
        cwd=tiny.folder,
        env={**tiny.env, "TOKEN": "hunter2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ran\n"
        text = (tiny.folder / ".repro" / "lock").read_text()
    finally:
        child.terminate()
        child.wait(60)
        child.stdout.close()
    assert text.split(" ", 2)[2] == f"repro run in {tiny.folder}\n"
