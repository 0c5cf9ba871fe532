"""E40: the commands, killed at every rename and sync of theirs and at a sample of their writes.

After each kill nothing is torn, and the same command succeeds and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.faults.remains import held_locks, in_sight, require_readable, torn_objects
from tests.faults.syscalls import (
    KILL,
    RENAMES,
    SYNCS,
    Call,
    Command,
    require_strace,
    strikes,
)
from tests.faults.three import BASELINE, LOCKS, Three
from tests.support import Cli, tree_digest
from tests.watch import processes_over, temporary

pytestmark = pytest.mark.network

ACCEPT = ("accept", "--reason", "new")
WRITES_EVERY = 9


def struck_command(cli: Cli, *words: str) -> Command:
    return Command(argv=[sys.executable, "-m", "repro", *words], cwd=cli.folder, env=cli.env)


def standing(three: Three) -> tuple[dict[str, str], ...]:
    """The three locks, the record of the image, and the baseline: each is old or new."""
    locks = tree_digest(three.folder / LOCKS)
    record = {"image.toml": locks.pop("image.toml", "absent")}
    return locks, record, tree_digest(three.folder / BASELINE)


def loop(
    three: Three, words: tuple[str, ...], fresh: Callable[[], None], names: dict[str, int]
) -> set[str]:
    """Kill the command everywhere, check, and repeat it; return the sites of the kills."""
    fresh()
    answer = three.cli(*words)
    assert answer.code == 0, answer
    after, before = standing(three), standing(three)
    sites: set[str] = set()
    for name, every in names.items():

        def command() -> Command:
            nonlocal before
            three.reset()
            fresh()
            before = standing(three)
            return struck_command(three.cli, *words)

        for struck in strikes(command, name, KILL, every=every):
            if struck.call is None:
                assert struck.code == 0, struck
                continue
            sites.add(struck.call.site)
            for was, now, then in zip(before, standing(three), after, strict=True):
                assert now in (was, then), struck
            require_readable(three.folder)
            assert torn_objects(three.store) == []
            assert in_sight(three.folder) == []
            again = three.cli(*words)
            assert again.code == 0, (struck, again)
            assert standing(three) == after
            require_clean(three)
    return sites


def require_clean(three: Three) -> None:
    assert temporary(three.folder) == temporary(three.store) == []
    assert held_locks(three.folder / ".repro", three.store) == []
    assert processes_over(three.folder) == []
    assert torn_objects(three.store) == []


def missed(calls: tuple[Call, ...], struck: set[str]) -> set[str]:
    return {call.site for call in calls} - struck


EVERYWHERE = dict.fromkeys((*RENAMES, *SYNCS), 1) | {"write": WRITES_EVERY}


def test_accept(three: Three) -> None:
    require_strace()
    calls = struck_command(three.cli, *ACCEPT).record((*RENAMES, *SYNCS))
    assert len(calls) > 5
    assert missed(calls, loop(three, ACCEPT, lambda: None, EVERYWHERE)) == set()
    assert 'reason = "new"' in (three.folder / BASELINE / "seal.toml").read_text()
    answer = three.cli("status")
    assert answer.code == 0, answer


def test_run(three: Three) -> None:
    require_strace()

    def fresh() -> None:
        for path in (three.folder / "out").iterdir():
            path.write_text("old")

    words = ("run", "--json")
    assert three.cli(*words).code == 0  # the store has noted now what it checked
    calls = struck_command(three.cli, *words).record((*RENAMES, *SYNCS))
    assert len(calls) > 5
    assert missed(calls, loop(three, words, fresh, EVERYWHERE)) == set()
    assert (three.folder / "out/more.txt").read_text() == "more"


def test_vendor(tiny: Cli) -> None:
    """Killed at a sample of its renames, of which each puts an artifact into the folder."""
    require_strace()
    folder = tiny.folder / "vendor"

    def command() -> Command:
        shutil.rmtree(folder, ignore_errors=True)
        return struck_command(tiny, "vendor")

    kills = 0
    for struck in strikes(command, "rename", KILL, every=90):
        if struck.call is None:
            assert struck.code == 0, struck
            continue
        kills += 1
        assert all(
            path.name == hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.glob("sha256/*/*")
        )
        again = tiny("vendor", "--json")
        assert again.code == 0, (struck, again)
        assert again.json()["obsolete"] == []
        checked = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
        subprocess.run(checked, cwd=folder, check=True)
        assert temporary(tiny.folder) == []
    assert kills >= 1


def test_build(three: Three) -> None:
    """At every rename; whatever syncs is struck in test_e40_writers_killed.

    Once from three wheels that are to be fetched, once from layers that are there: strace counts
    for each thread, so the last calls of the first thread are reached only where the others have
    nothing to do. A few stay behind those of other threads, of the same kind.
    """
    require_strace()
    words, renames = ("build",), {"rename": 1}
    three.forget_wheels()
    calls = struck_command(three.cli, *words).record(RENAMES)
    struck = loop(three, words, three.forget_wheels, renames)
    struck |= loop(three, words, three.forget_image, renames)
    assert len(missed(calls, struck)) < len(struck), (calls, struck)
