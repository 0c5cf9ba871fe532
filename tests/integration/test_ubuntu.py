"""An Ubuntu suite: locked from an archive of our own making, bootstrapped, built, run.

No mirror of Ubuntu is reached from here. The archive is real and signed: it has Debian's packages
under the suite `noble`, of the origin Ubuntu, and a `python3.12` that leads to Debian's Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.locks import apt
from repro.models.lock import Deb
from tests.faults.archive import Archive, Key, State, signing_key
from tests.faults.server import Reply, Server, serving
from tests.faults.sources import LOCKS
from tests.support import TINY_CONFIG, Cli, assert_refused, write_tiny

pytestmark = pytest.mark.network

CONFIG = TINY_CONFIG.replace('"bookworm"', '"noble"').replace('"3.11"', '"3.12"')
CONTROL = """\
Package: python3.12
Version: 3.12.3-1ubuntu0.1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Depends: python3.11
Description: a name for Debian's interpreter
"""


@dataclass(frozen=True, kw_only=True)
class Ubuntu:
    """A project on noble, and the archive that it is locked from."""

    cli: Cli
    server: Server
    archive: Archive
    state: State


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Key]:
    with signing_key(tmp_path_factory.mktemp("k") / "a") as made:
        yield made


def named_python(folder: Path) -> bytes:
    """A package `python3.12` that has the name alone: the same bytes whenever it is made."""
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN" / "control").write_text(CONTROL)
    (folder / "usr" / "bin").mkdir(parents=True)
    (folder / "usr" / "bin" / "python3.12").symlink_to("python3.11")
    target = folder.with_suffix(".deb")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", folder, target],
        env={**os.environ, "SOURCE_DATE_EPOCH": "946684800"},
        check=True,
        capture_output=True,
    )
    return target.read_bytes()


def republished(debs: Sequence[Deb], python: bytes) -> tuple[Deb, ...]:
    """Debian's packages as Ubuntu's, and that one."""
    named = Deb(
        name="python3.12",
        version="3.12.3-1ubuntu0.1",
        architecture="amd64",
        filename="pool/main/p/python3.12/python3.12_3.12.3-1ubuntu0.1_amd64.deb",
        size=len(python),
        sha256=hashlib.sha256(python).hexdigest(),
        archive="ubuntu",
        fields=(("Depends", "python3.11"),),
    )
    return (*(replace(deb, archive="ubuntu") for deb in debs), named)


@pytest.fixture
def ubuntu(key: Key, locked_project: Path, cache: Path, tmp_path: Path) -> Iterator[Ubuntu]:
    debs = apt.parse((locked_project / LOCKS / "apt.lock").read_text(), where="apt.lock")
    python = named_python(tmp_path / "python")
    write_tiny(tmp_path / "project")
    (tmp_path / "project" / "repro.toml").write_text(CONFIG)
    with serving() as server:
        archive = Archive(server=server, suite="noble")
        *main, named = republished(debs, python)
        state = State(packages=main, others=[named], key=key)
        archive.stands(state)
        server.replies[f"/ubuntu/{named.filename}"] = Reply(body=python)
        config = archive.sources(tmp_path / "apt", key.ring)
        cli = Cli(cache=cache, folder=tmp_path / "project", extra={"APT_CONFIG": str(config)})
        yield Ubuntu(cli=cli, server=server, archive=archive, state=state)


def test_noble_is_locked_bootstrapped_and_run(ubuntu: Ubuntu) -> None:
    answer = ubuntu.cli("snapshot")
    assert answer.code == 0, answer
    seal = tomllib.loads((ubuntu.cli.folder / LOCKS / "repro.lock").read_text())
    assert (seal["suite"], seal["python"]) == ("noble", "3.12")
    [release] = [one for one in seal["provenance"] if one["source"].startswith("ubuntu")]
    assert release["source"] == "ubuntu noble"
    debs = apt.parse((ubuntu.cli.folder / LOCKS / "apt.lock").read_text(), where="apt.lock")
    assert {deb.archive for deb in debs} == {"ubuntu"}
    assert {"python3.12", "python3", "libc6", "dpkg", "tzdata"} <= {deb.name for deb in debs}
    assert ubuntu.server.count("/ubuntu/dists/noble/universe/binary-amd64/Packages")

    answer = ubuntu.cli("run", "--engine", "sandbox")
    assert answer.code == 0, answer
    metrics = json.loads((ubuntu.cli.folder / "out" / "metrics.json").read_text())
    assert metrics["count"] == 40
    assert ubuntu.cli("status").code == 0


def test_an_archive_of_another_origin_is_refused(ubuntu: Ubuntu) -> None:
    ubuntu.archive.stands(replace(ubuntu.state, origin="Debian"))
    assert_refused(ubuntu.cli("snapshot"), 3, "its origin is 'Debian', not Ubuntu")


def test_without_a_mirror_it_says_what_to_configure(ubuntu: Ubuntu, tmp_path: Path) -> None:
    bare = ubuntu.archive.sources(tmp_path / "bare", Path("/nonexistent"), mirror=False)
    answer = ubuntu.cli("snapshot", env={"APT_CONFIG": str(bare)})
    assert_refused(answer, 2, "no mirror of the archive 'ubuntu'", "[apt] mirror", "ubuntu lies")


def test_a_key_ring_that_is_missing_is_named(ubuntu: Ubuntu, tmp_path: Path) -> None:
    other = ubuntu.archive.sources(tmp_path / "other", tmp_path / "none.gpg")
    answer = ubuntu.cli("snapshot", env={"APT_CONFIG": str(other)})
    assert_refused(answer, 2, "none.gpg", "key ring is missing", "apt-get install ubuntu-keyring")
