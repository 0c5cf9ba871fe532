"""D36: an apt index that is expired, rolled back, unsigned, ill-signed, or not its Release's.

Exit 3; the lock stays as it was, and so do apt's own lists: once the archive is right again the
next snapshot is the one of before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from repro.locks import apt
from tests.faults.archive import NOW, Archive, Key, State, signing_key
from tests.faults.server import serving
from tests.faults.sources import LOCKS
from tests.support import TINY_CONFIG, Cli, tree_digest
from tests.watch import faulted

pytestmark = pytest.mark.network
HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A project that was locked from a signed archive, and that archive."""

    cli: Cli
    archive: Archive
    right: State
    other: Key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Key, Key]]:
    # short: the agent's socket lies in there
    folder = tmp_path_factory.mktemp("k")
    with signing_key(folder / "a") as one, signing_key(folder / "b") as other:
        yield one, other


@pytest.fixture
def suite(keys: tuple[Key, Key], locked_project: Path, tmp_path: Path) -> Iterator[Suite]:
    debs = apt.parse((locked_project / LOCKS / "apt.lock").read_text(), where="apt.lock")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "repro.toml").write_text(TINY_CONFIG)
    with serving() as server:
        archive = Archive(server=server)
        right = State(packages=debs, key=keys[0], date=NOW - 2 * HOUR)
        archive.stands(right)
        config = archive.sources(tmp_path / "apt", keys[0].ring)
        cli = Cli(cache=tmp_path / "store", folder=folder, extra={"APT_CONFIG": str(config)})
        answer = cli("snapshot")
        assert answer.code == 0, answer
        yield Suite(cli=cli, archive=archive, right=right, other=keys[1])


def wrong(debs: bytes) -> bytes:
    return debs.replace(b"Package: zlib1g\n", b"Package: evil1g\n")


CASES: dict[str, tuple[Callable[[Suite], State], str]] = {
    "expired": (lambda s: replace(s.right, date=NOW - HOUR, valid=HOUR / 2), "is expired"),
    "rolled back": (lambda s: replace(s.right, date=NOW - 3 * HOUR), "is older than"),
    "unsigned": (lambda s: replace(s.right, date=NOW - HOUR, key=None), "is no longer signed"),
    "another key": (lambda s: replace(s.right, date=NOW - HOUR, key=s.other), "NO_PUBKEY"),
    "another index": (
        lambda s: replace(
            s.right,
            date=NOW - HOUR,
            packages=s.right.packages[1:],
            listed=wrong(apt.render(s.right.packages[1:]).encode()),
        ),
        "Hash Sum mismatch",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_d36_is_refused_and_the_old_state_kept(suite: Suite, case: str) -> None:
    state, says = CASES[case]
    locked = tree_digest(suite.cli.folder)
    suite.archive.stands(state(suite))
    faulted(suite.cli, "snapshot", code=3, says=["bookworm", says, "old one was kept"])
    suite.archive.stands(replace(suite.right, date=NOW))  # the other suites have moved on
    answer = suite.cli("snapshot")
    assert answer.code == 0, answer
    assert tree_digest(suite.cli.folder) == locked


def test_d36_a_server_that_sends_the_same_again_is_right(suite: Suite) -> None:
    """It knows no If-Modified-Since: to apt, and so to repro, that looks like a rollback."""
    assert suite.cli("snapshot").code == 0
    assert suite.archive.server.count("/debian/dists/bookworm/InRelease") > 2
