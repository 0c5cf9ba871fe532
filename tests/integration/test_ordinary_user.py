"""Without root: every fixture's image is built to the same ID, and verified to the same verdict."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sysconfig
import tomllib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.locks import apt, seal
from repro.store.artifacts import Store
from tests.integration.test_fixtures import FIXTURES, NAMES, built, expectation
from tests.support import Answer, Cli

INTERPRETER = "/usr/bin/python3"


@dataclass(frozen=True, kw_only=True)
class Person:
    """An ordinary user with subordinate numbers, a home that is closed, and repro in it."""

    uid: int
    gid: int
    home: Path

    def repro(self, folder: Path, *arguments: str) -> Answer:
        done = subprocess.run(
            [INTERPRETER, "-m", "repro", *arguments],
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd=folder,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.home),
                "PYTHONPATH": str(self.home / "code"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
            check=False,
        )
        return Answer(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def own(self, path: Path) -> None:
        subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", str(path)], check=True)


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    if os.geteuid() != 0:
        pytest.skip("only root can make the ordinary user that this compares with")
    asked = [INTERPRETER, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    theirs = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if theirs != sysconfig.get_python_version():
        pytest.skip(f"{INTERPRETER} is {theirs}: it cannot use these site-packages")
    name = f"repro-{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    try:
        user = pwd.getpwnam(name)
        home = Path(user.pw_dir)
        shutil.copytree(sysconfig.get_paths()["purelib"], home / "code", symlinks=True)
        import repro

        shutil.copytree(Path(repro.__file__).parent, home / "code/repro", dirs_exist_ok=True)
        home.chmod(0o700)
        person = Person(uid=user.pw_uid, gid=user.pw_gid, home=home)
        person.own(home)
        yield person
    finally:
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


def give_artifacts(locks: Path, store: Store, theirs: Store) -> None:
    """Copy what a lock names, so that it need not be fetched again; no layer."""
    debs = apt.parse((locks / seal.APT_LOCK).read_text(), where="apt.lock")
    sealed = seal.parse((locks / seal.SEAL).read_bytes(), where="repro.lock")
    for sha256 in (*(deb.sha256 for deb in debs), *(item.sha256 for item in sealed.pip)):
        target = theirs.path(sha256)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path(sha256), target)


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
def test_same_image_and_same_verdict(
    name: str, person: Person, tmp_path: Path, cache: Path
) -> None:
    ours = Cli(cache=cache, folder=tmp_path / name)
    shutil.copytree(FIXTURES / name, ours.folder, ignore=shutil.ignore_patterns(".repro"))
    image_id = built(ours).json()["image_id"]
    folder = person.home / name
    shutil.copytree(ours.folder, folder, ignore=shutil.ignore_patterns(".repro"))
    store = person.home / ".cache/repro"
    give_artifacts(folder / "lockfiles/linux-amd64", Store(cache), Store(store))
    person.own(person.home)
    (folder / "lockfiles/linux-amd64/image.toml").unlink()
    answer = person.repro(folder, "--engine", "sandbox", "verify", "--json")
    expected = expectation(name)
    assert answer.code == expected["exit"], answer
    record = tomllib.loads((folder / "lockfiles/linux-amd64/image.toml").read_text())
    assert record["image-id"] == image_id
    changes = json.loads(answer.out)["comparison"]["metrics"]
    assert sorted(m["name"] for m in changes if m["change"] == "drifted") == expected["drifted"]
    shutil.rmtree(store)
