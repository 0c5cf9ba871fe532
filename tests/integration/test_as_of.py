"""The world as of a day: apt from a snapshot archive of two states, pip by upload times."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from repro.locks import apt
from repro.models.lock import Deb
from tests.conda_channel import CondaChannel
from tests.faults.archive import Archive, Key, State, signing_key
from tests.faults.server import Server, redirect, serving
from tests.faults.sources import LOCKS, pip_settings
from tests.support import TINY_CONFIG, Answer, Cli, assert_refused, tree_digest
from tests.wheelhouse import Recipe, make_wheel

pytestmark = pytest.mark.network

MAY = "20250520T060000Z"
JUNE = "20250610T060000Z"
ASKED = ("20250601T000000Z", "20250602T000000Z", "20250615T120000Z")
OLD, NEW = Recipe(version="1.0"), Recipe(version="2.0")
UPLOADED = {OLD.filename: "2025-05-01T00:00:00Z", NEW.filename: "2025-06-05T12:00:00.5Z"}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with signing_key(tmp_path_factory.mktemp("k") / "a") as made:
        yield made


def aged(debs: Sequence[Deb], version: str) -> tuple[Deb, ...]:
    """The packages as they are, but tzdata of another version."""
    return tuple(
        replace(deb, version=version, sha256=f"{version[:4]:0<64}") if deb.name == "tzdata" else deb
        for deb in debs
    )


@dataclass(frozen=True, kw_only=True)
class Past:
    """A project, an archive with the states of two days and an index with two versions."""

    cli: Cli
    server: Server
    archive: Archive
    june: State

    def ask(self, line: str = "", more: str = "") -> None:
        """Have this line under [environment]."""
        config = TINY_CONFIG.replace('python = "3.11"\n', f'python = "3.11"\n{line}\n') + more
        (self.cli.folder / "repro.toml").write_text(config)

    def locked(self) -> dict[str, str]:
        """The versions that are locked."""
        folder = self.cli.folder / LOCKS
        debs = apt.parse((folder / "apt.lock").read_text(), where="apt.lock")
        pins = re.findall(r"^(\S+)==(\S+) ", (folder / "requirements.txt").read_text(), re.M)
        return {**{deb.name: deb.version for deb in debs if deb.name == "tzdata"}, **dict(pins)}

    def seal(self) -> dict[str, Any]:
        """The seal, parsed."""
        return tomllib.loads((self.cli.folder / LOCKS / "repro.lock").read_text())

    def states(self) -> dict[str, str]:
        """Of which state of the snapshot archive each suite is."""
        return {one["source"]: one.get("snapshot", "") for one in self.seal()["provenance"]}

    def snapshot(self, *options: str) -> Answer:
        """Lock; it must work."""
        answer = self.cli("snapshot", *options)
        assert answer.code == 0, answer
        return answer


@pytest.fixture
def past(key: Key, locked_project: Path, tmp_path: Path) -> Iterator[Past]:
    debs = apt.parse((locked_project / LOCKS / "apt.lock").read_text(), where="apt.lock")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "requirements.in").write_text("demo\n")
    with serving() as server:
        archive = Archive(server=server)
        may = State(packages=aged(debs, "2025a-1"), key=key, date=datetime(2025, 5, 20, tzinfo=UTC))
        june = replace(may, packages=aged(debs, "2025b-1"), date=datetime(2025, 6, 10, tzinfo=UTC))
        archive.keeps(may, MAY, asked=ASKED[:2])
        archive.keeps(june, JUNE, asked=ASKED[2:])
        archive.stands(replace(june, packages=debs, date=State(packages=(), key=None).date))
        files = {recipe.filename: make_wheel(recipe) for recipe in (OLD, NEW)}
        server.add_index(files, project="demo", uploaded=UPLOADED)
        config = archive.sources(tmp_path / "apt", key.ring)
        archive.knows_snapshots(config)
        extra = {"APT_CONFIG": str(config), **pip_settings(f"{server.address}/simple/")}
        found = Past(
            cli=Cli(cache=tmp_path / "store", folder=folder, extra=extra),
            server=server,
            archive=archive,
            june=june,
        )
        found.ask()
        yield found


def test_every_ecosystem_is_as_of_that_day(past: Past) -> None:
    """Also: a change of the day resolves anew, and the states in between are the earlier ones."""
    past.ask("as-of = 2025-06-01")
    past.snapshot()
    assert past.locked() == {"tzdata": "2025a-1", "demo": "1.0"}
    assert past.seal()["as-of"] == "2025-06-01T00:00:00Z"
    assert past.states() == {"debian bookworm": MAY, "apt": "", "pip": ""}
    before = tree_digest(past.cli.folder)
    past.snapshot()
    assert tree_digest(past.cli.folder) == before, "the same day is the same lock"
    assert "://" not in (past.cli.folder / LOCKS / "repro.lock").read_text()

    past.ask('as-of = "2025-06-15T14:00:00+02:00"')
    assert_refused(past.cli("build"), 3, "stale", "environment.as-of")
    past.snapshot()
    assert past.locked() == {"tzdata": "2025b-1", "demo": "2.0"}
    assert past.states()["debian bookworm"] == JUNE

    past.ask()
    past.snapshot()
    assert past.locked()["demo"] == "2.0"
    assert "as-of" not in past.seal()
    assert set(past.states().values()) == {""}


def test_the_option_is_for_once_and_later_snapshots_stay_in_that_day(past: Past) -> None:
    past.snapshot("--as-of", "2025-06-01")
    assert past.locked() == {"tzdata": "2025a-1", "demo": "1.0"}
    assert past.cli("status").code == 0, "the configuration asks for no day: nothing is stale"
    (past.cli.folder / "requirements.in").write_text("demo>=1\n")
    past.snapshot("--upgrade")
    assert past.locked() == {"tzdata": "2025a-1", "demo": "1.0"}
    past.snapshot("--as-of", "now")
    assert past.locked()["demo"] == "2.0"
    past.ask("as-of = 2025-06-01")
    assert_refused(past.cli("snapshot", "--as-of", "2025-06-02"), 2, "as-of", "repro.toml")
    assert_refused(past.cli("snapshot", "--as-of", "2999-01-01"), 2, "--as-of", "future")


def test_a_past_that_changed_is_refused(past: Past) -> None:
    past.ask("as-of = 2025-06-01")
    past.snapshot()
    before = tree_digest(past.cli.folder)
    [pinned] = [one for one in past.seal()["provenance"] if one["source"] == "debian bookworm"]
    right = dict(past.server.replies)
    past.archive.keeps(past.june, MAY)
    answer = past.cli("snapshot")
    assert_refused(answer, 3, "debian bookworm as of 2025-06-01", pinned["inrelease"], "InRelease")
    assert len(re.findall(r"\b[0-9a-f]{64}\b", answer.err)) == 2, "both are named"
    assert tree_digest(past.cli.folder) == before
    past.server.replies.update(right)
    past.snapshot()  # what was refused left nothing behind
    assert tree_digest(past.cli.folder) == before


def test_an_address_in_the_configuration_goes_first(past: Past) -> None:
    past.ask("as-of = 2025-06-01", '\n[apt]\nsnapshot = "http://127.0.0.1:9"\n')
    assert_refused(past.cli("snapshot"), 6, "127.0.0.1:9", "as-of 2025-06-01", "does not give")
    past.ask("as-of = 2025-06-01", f'\n[apt]\nsnapshot = "{past.server.address}"\n')
    past.snapshot()
    assert past.locked()["tzdata"] == "2025a-1"


def test_a_state_that_is_not_kept_or_is_later(past: Past) -> None:
    past.ask("as-of = 2000-01-01")
    assert_refused(past.cli("snapshot"), 6, "as-of 2000-01-01", "has no bookworm", "HTTP 404")
    release = "dists/bookworm/InRelease"
    past.server.replies[f"/archive/debian/20000101T000000Z/{release}"] = redirect(
        f"/archive/debian/{MAY}/{release}"
    )
    assert_refused(past.cli("snapshot"), 6, "leads to no state of then")


def test_an_index_without_upload_times_is_named(past: Past) -> None:
    wheel = make_wheel(NEW)
    past.server.add_index({NEW.filename: wheel}, project="demo", root="/other/simple")
    past.ask("as-of = 2025-06-01")
    other = f"{past.server.address}/other/simple/"
    extra = {"PIP_EXTRA_INDEX_URL": other}
    refused = past.cli("snapshot", env=extra)
    assert_refused(refused, 2, "as-of 2025-06-01", NEW.filename, other.rstrip("/"), "PEP 700")
    folder = past.cli.folder.parent / "wheels"
    folder.mkdir()
    (folder / NEW.filename).write_bytes(wheel)
    refused = past.cli("snapshot", env={"PIP_FIND_LINKS": str(folder)})
    assert_refused(refused, 2, "as-of 2025-06-01", NEW.filename, str(folder))


def test_a_wheel_of_the_projects_own_is_of_no_day(past: Past) -> None:
    """In no index: it was built here and lies in the vendored folder."""
    own = Recipe(name="own", version="3.0")
    (past.cli.folder / "vendored").mkdir()
    (past.cli.folder / "vendored" / own.filename).write_bytes(make_wheel(own))
    (past.cli.folder / "requirements.in").write_text("demo\nown\n")
    past.ask("as-of = 2025-06-01")
    path = past.cli.folder / "repro.toml"
    path.write_text('vendor = "vendored"\n' + path.read_text())
    past.snapshot()
    assert past.locked() == {"tzdata": "2025a-1", "demo": "1.0", "own": "3.0"}


def test_conda_packages_are_of_that_day_too(past: Past, conda_channel: CondaChannel) -> None:
    (past.cli.folder / "environment.yml").write_text(
        f"channels: [{conda_channel.address}]\ndependencies: [toolz]\n"
    )
    (past.cli.folder / "requirements.in").unlink()
    past.archive.keeps(past.june, "20240520T060000Z", asked=["20240601T000000Z"])
    for line, version in (("as-of = 2024-06-01", "0.12.1"), ("as-of = 2025-06-01", "1.0.0")):
        (past.cli.folder / "repro.toml").write_text(f'[environment]\nsuite="bookworm"\n{line}\n')
        past.snapshot()
        text = (past.cli.folder / "lockfiles" / "conda-lock.yml").read_text()
        assert f"toolz-{version}-" in text


def test_pip_tools_cannot_look_back(past: Past) -> None:
    past.ask('as-of = 2025-06-01\nresolver = "pip-tools"')
    assert_refused(past.cli("snapshot"), 2, "as-of 2025-06-01", "pip-tools", 'resolver = "uv"')
