"""W1: a shell, a REPL and any command in the pinned image, as a person has them on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support import Cli, tree_digest
from tests.terminal import CTRL_C, CTRL_D, Terminal, terminal

REPRO = (sys.executable, "-m", "repro")
UNREACHABLE = 'import socket; socket.create_connection(("192.0.2.1", 80), 5)'
pytestmark = [
    pytest.mark.network,
    pytest.mark.docker,
    pytest.mark.parametrize("engine", ["sandbox", "docker"]),
]


@contextmanager
def screen_of(tiny: Cli, engine: str, *words: str) -> Iterator[Terminal]:
    argv = [*REPRO, "--engine", engine, *words]
    with terminal(argv, cwd=tiny.folder, env=tiny.env) as screen:
        yield screen


def test_a_shell(tiny: Cli, engine: str) -> None:
    before = tree_digest(tiny.folder)
    with screen_of(tiny, engine, "shell") as screen:
        screen.expect(":/project$", 120)
        screen.send(b"echo at-$((6*7)) $(id -un) $TERM $HOME; ls\n")  # the echo is not the answer
        screen.expect("at-42 repro xterm /")
        screen.expect("analysis.py")
        screen.resize(33, 77)
        screen.send(
            b'until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; echo sized-$((1+1))\n'
        )
        screen.expect("sized-2")
        screen.send(b"echo up-$((1+1)); sleep 6000\n")
        screen.expect("up-2")
        screen.send(CTRL_C)
        screen.send(b"echo status-$?\n")
        screen.expect("status-130")
        screen.send(f"python -c '{UNREACHABLE}'; echo net-$?\n".encode())
        screen.expect("net-1")
        assert "Network is unreachable" in screen.text
        screen.send(b"touch /usr/here; touch left-behind analysis.py; exit 5\n")
        assert screen.wait() == 0, screen.text  # a session has no verdict
    assert "Read-only file system" in screen.text
    assert "Traceback" not in screen.text.split("net-1")[1]
    assert tree_digest(tiny.folder) == before
    assert list((tiny.folder / ".repro" / "tmp").iterdir()) == []


def test_the_end_of_the_input_ends_the_shell(tiny: Cli, engine: str) -> None:
    with screen_of(tiny, engine, "shell") as screen:
        screen.expect(":/project$", 120)
        screen.send(CTRL_D)
        assert screen.wait() == 0, screen.text


def test_a_repl(tiny: Cli, engine: str) -> None:
    with screen_of(tiny, engine, "run", "--", "python") as screen:
        screen.expect(">>>", 120)
        screen.send(b"while True: pass\n\n")
        screen.send(CTRL_C)
        screen.expect("KeyboardInterrupt")  # Python's own; the session goes on
        screen.send(b"print(6 * 7, sum(map(float, open('data/numbers.csv').readlines()[1:3])))\n")
        screen.expect("42 0.142857")
        screen.send(CTRL_D)
        assert screen.wait() == 0, screen.text
    assert "error:" not in screen.text


def test_a_command_that_is_over_at_once(tiny: Cli, engine: str) -> None:
    """The terminal's size is of no interest to a program that has ended."""
    for _ in range(5):
        with screen_of(tiny, engine, "run", "--", "stty", "size") as screen:
            screen.resize(31, 91)
            assert screen.wait() == 0, screen.text


def test_a_repl_that_fails(tiny: Cli, engine: str) -> None:
    with screen_of(tiny, engine, "run", "--", "python") as screen:
        screen.expect(">>>", 120)
        screen.send(b"raise SystemExit(3)\n")
        assert screen.wait() == 4, screen.text
    assert "error: python ended with status 3" in screen.text


def test_ctrl_c_ends_a_command(tiny: Cli, engine: str) -> None:
    command = ("sh", "-c", "echo up-$((1+1)); exec sleep 6000")
    with screen_of(tiny, engine, "run", "--", *command) as screen:
        screen.expect("up-2", 120)
        screen.send(CTRL_C)
        assert screen.wait() == 130, screen.text
    assert "error: interrupted" in screen.text
    assert list((tiny.folder / ".repro" / "tmp").iterdir()) == []


def test_without_a_terminal(tiny: Cli, engine: str) -> None:
    script = 'import sys; print(sys.argv[1:]); print("to stderr", file=sys.stderr)'
    given = ("--json", "-q", "--", "*", "a b", "", "ä")
    answer = tiny("--engine", engine, "run", "--", "python", "-c", script, *given)
    assert (answer.code, answer.out) == (0, f"{list(given)}\n")
    assert "to stderr" in answer.err

    answer = tiny("--engine", engine, "run", "--", "sh", "-c", "echo this; exit 7")
    assert (answer.code, answer.out) == (4, "this\n")
    assert "error: sh ended with status 7" in answer.err

    answer = tiny("--engine", engine, "run", "--", "cat")  # its input is empty, not ours
    assert (answer.code, answer.out) == (0, "")
