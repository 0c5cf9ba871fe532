"""Real apt, real mirrors, real mmdebstrap: lock, fetch, bootstrap, as root and as a user."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.apt import layer
from repro.ecosystems.apt.bootstrap import tool_versions
from repro.ecosystems.apt.fetch import wanted
from repro.ecosystems.apt.resolve import AptResolution, AptResolver
from repro.ecosystems.apt.sources import host_sources
from repro.errors import LockError, NetworkError, UsageError
from repro.files import make_folder
from repro.locks import apt
from repro.models.image import EPOCH, Layer
from repro.models.lock import Deb, Upgrade
from repro.models.project import AptRequest, Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.support import test_cache

pytestmark = pytest.mark.network

HOST = Sources()


@dataclass(frozen=True, kw_only=True)
class Apt:
    """Resolves below one cache of the tests."""

    cache: Path

    def resolve(
        self,
        *requests: str,
        suite: str = "bookworm",
        python: str = "3.11",
        sources: Sources = HOST,
        previous: tuple[Deb, ...] = (),
        upgrade: Upgrade | None = None,
    ) -> AptResolution:
        words = [word.partition("=") for word in requests]
        asked = tuple(AptRequest(name=n, version=v or None) for n, _, v in words)
        resolver = AptResolver(self.cache, sources, Silent())
        with resolver.open(suite, previous=previous, upgrade=upgrade) as index:
            return index.resolve(asked, python=python, apt_source="apt.txt")


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Apt:
    return Apt(cache=tmp_path_factory.mktemp("apt cache"))  # with a blank: paths are escaped


@pytest.fixture(scope="module")
def bookworm(resolver: Apt) -> AptResolution:
    return resolver.resolve()


def versions(resolution: AptResolution) -> dict[str, str]:
    return {deb.name: deb.version for deb in resolution.debs}


def older(debs: tuple[Deb, ...], *names: str) -> tuple[Deb, ...]:
    """A lock whose packages of these names have versions that no index holds any more."""

    def aged(deb: Deb) -> Deb:
        version = deb.version.rpartition("-")[0] + "-1"
        fields = tuple((key, text.replace(deb.version, version)) for key, text in deb.fields)
        return replace(deb, version=version, sha256=deb.sha256[::-1], fields=fields)

    return tuple(aged(deb) if deb.name in names else deb for deb in debs)


# --- resolving ------------------------------------------------------------------------------


def test_a_whole_base_is_locked(bookworm: AptResolution) -> None:
    names = set(versions(bookworm))
    assert {"libc6", "dpkg", "bash", "libstdc++6", "ca-certificates", "usr-is-merged"} <= names
    assert {"python3.11", "python3", "libpython3.11-stdlib", "python3-distutils"} <= names
    assert "libgomp1" not in names
    assert "usrmerge" not in names
    text = apt.render(bookworm.debs)
    assert apt.parse(text, where="apt.lock") == bookworm.debs
    hosts = [m.base.split("/")[2] for m in host_sources(HOST).mirrors if "://" in m.base]
    assert not [host for host in hosts if host and host in text]


def test_the_same_question_gives_the_same_bytes(resolver: Apt, bookworm: AptResolution) -> None:
    again = resolver.resolve("libc6", "bash", previous=bookworm.debs)
    assert apt.render(again.debs) == apt.render(bookworm.debs)
    assert again.provenance == bookworm.provenance


def test_provenance_names_release_hash_date_and_signer(bookworm: AptResolution) -> None:
    by_source = {one.source: one.facts for one in bookworm.provenance}
    assert set(by_source) == {
        "debian bookworm",
        "debian bookworm-updates",
        "debian-security bookworm-security",
        "apt",
    }
    facts = by_source["debian bookworm"]
    assert len(dict(facts)["inrelease"]) == 64
    assert dict(facts)["date"].endswith("Z")
    if shutil.which("gpgv"):
        assert all(len(value) == 40 for name, value in facts if name == "signer")
        assert "signer" in dict(facts)


def test_versions_of_the_index(resolver: Apt, bookworm: AptResolution) -> None:
    with AptResolver(resolver.cache, HOST, Silent()).open("bookworm") as index:
        assert index.glibc() == "2.36"
        assert index.version("libc6") == versions(bookworm)["libc6"]
        assert index.version("no-such-package") is None


def test_requests_are_added(resolver: Apt, bookworm: AptResolution) -> None:
    more = resolver.resolve("libgomp1", previous=bookworm.debs)
    assert set(versions(more)) - set(versions(bookworm)) == {"libgomp1"}
    exact = resolver.resolve(f"libgomp1={versions(more)['libgomp1']}")
    assert exact.debs == more.debs


def test_a_pin_that_the_index_dropped_stays(resolver: Apt, bookworm: AptResolution) -> None:
    """apt itself reads the old apt.lock and prefers it."""
    old = older(bookworm.debs, "libc6", "tzdata")
    kept = resolver.resolve(previous=old)
    assert kept.debs == old
    assert kept.moved == ()


def test_an_upgrade_moves_what_it_names(resolver: Apt, bookworm: AptResolution) -> None:
    old = older(bookworm.debs, "libc6", "tzdata")
    one = resolver.resolve(previous=old, upgrade=Upgrade(names=("tzdata",)))
    assert versions(one)["tzdata"] == versions(bookworm)["tzdata"]
    assert {d.name: d for d in one.debs}["libc6"] == {d.name: d for d in old}["libc6"]
    assert resolver.resolve(previous=old, upgrade=Upgrade(everything=True)).debs == bookworm.debs


def test_a_kept_pin_in_the_way_is_named(resolver: Apt, bookworm: AptResolution) -> None:
    old = older(bookworm.debs, "libc6")
    with pytest.raises(LockError, match="libc6-dev : Depends: libc6") as caught:
        resolver.resolve("libc6-dev", previous=old)
    assert "repro snapshot --upgrade libc6" in (caught.value.hint or "")


def test_an_upgrade_takes_along_what_is_in_its_way(resolver: Apt, bookworm: AptResolution) -> None:
    old = older(bookworm.debs, "libc6", "tzdata")
    found = resolver.resolve("libc6-dev", previous=old, upgrade=Upgrade(names=("libc6-dev",)))
    assert found.moved == ("libc6",)
    assert versions(found)["libc6"] == versions(bookworm)["libc6"]
    assert {d.name: d for d in found.debs}["tzdata"] in old


@pytest.mark.parametrize(
    ("request_", "says", "hint"),
    [
        ("libgomp2", "apt.txt: bookworm has no package 'libgomp2'", "libgomp1"),
        ("libgomp1=9.9", "apt.txt: bookworm has no version 9.9 of libgomp1", "12.2.0"),
        ("mail-transport-agent", "'mail-transport-agent' is a virtual package", "postfix"),
    ],
)
def test_requests_that_cannot_be(resolver: Apt, request_: str, says: str, hint: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        resolver.resolve(request_)
    assert hint in (caught.value.hint or "")


def test_requests_that_exclude_each_other(resolver: Apt) -> None:
    with pytest.raises(LockError, match="postfix : Conflicts: mail-transport-agent") as caught:
        resolver.resolve("postfix", "exim4-daemon-light")
    assert "apt.txt" in (caught.value.hint or "")


def test_a_mirror_that_does_not_answer(resolver: Apt) -> None:
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:9") as caught:
        resolver.resolve(sources=Sources(apt_mirror="http://user:secret@127.0.0.1:9"))
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_an_index_that_was_changed_on_its_way(
    resolver: Apt, bookworm: AptResolution, tmp_path: Path
) -> None:
    """A mirror with one character of a signed Release changed: apt's BADSIG, and no answer."""
    assert bookworm.debs
    for release in (p for p in resolver.cache.glob("bookworm-*/lists/*_InRelease")):
        archive, _, suite = (
            release.name.partition("_")[2].removesuffix("_InRelease").partition("_dists_")
        )
        target = make_folder(tmp_path / archive / "dists" / suite) / "InRelease"
        target.write_bytes(release.read_bytes().replace(b"Origin: Debian", b"Origin: Dabian"))
    with pytest.raises(LockError, match=r"BADSIG|[Ss]ignature") as caught:
        resolver.resolve(sources=Sources(apt_mirror=tmp_path.as_uri()))
    assert caught.value.exit_code == 3


# --- bootstrapping --------------------------------------------------------------------------


def filled(root: Path, debs: tuple[Deb, ...]) -> Store:
    """A new store with these packages and no layer."""
    store = Store(root)
    vendor = test_cache() / "store"
    fetcher = Fetcher(store=store, http=Http(), progress=Silent(), vendor=vendor)
    fetcher.fetch(wanted(debs, HOST), what="packages")
    return store


def build(debs: tuple[Deb, ...], store: Store, *, suite: str, python: str) -> Layer:
    recipe = layer.recipe(debs, suite=suite, python=python, store=store, progress=Silent())
    return store.keep_layer(recipe.name, recipe.key, recipe.write)


@dataclass(frozen=True, kw_only=True)
class Person:
    """An ordinary user of this machine with subordinate numbers, and its home."""

    name: str
    home: Path
    code: Path
    """Where a copy of the package lies that it may read."""

    def run(self, script: str, *arguments: str) -> str:
        user = pwd.getpwnam(self.name)
        done = subprocess.run(
            ["/usr/bin/python3", "-c", script, *arguments],
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd=self.home,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), "PYTHONPATH": str(self.code)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    if os.geteuid() != 0:
        pytest.skip("only root can make the ordinary user that this compares with")
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print(sys.version_info >= (3, 11))"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if version != "True" or shutil.which("newuidmap") is None:
        pytest.skip("needs /usr/bin/python3 >= 3.11 and newuidmap (apt-get install uidmap)")
    name = f"repro-{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--create-home", name], check=True)
    code = Path("/var/tmp") / name
    try:
        for module in ("repro", "debian", "packaging"):
            spec = importlib.util.find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            shutil.copytree(Path(spec.origin).parent, code / module)
        subprocess.run(["chmod", "-R", "a+rX", str(code)], check=True)
        yield Person(name=name, home=Path(pwd.getpwnam(name).pw_dir), code=code)
    finally:
        shutil.rmtree(code, ignore_errors=True)
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


AS_PERSON = """
import sys
from pathlib import Path
from repro.ecosystems.apt import layer
from repro.locks import apt
from repro.progress import Silent
from repro.store.artifacts import Store
lock, suite, python, root = sys.argv[1:]
store = Store(Path(root))
debs = apt.parse(Path(lock).read_text(), where=lock)
recipe = layer.recipe(debs, suite=suite, python=python, store=store, progress=Silent())
print(store.keep_layer(recipe.name, recipe.key, recipe.write).digest)
"""


@pytest.fixture(scope="module")
def built(bookworm: AptResolution, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Layer]:
    store = filled(tmp_path_factory.mktemp("store"), bookworm.debs)
    return store, build(bookworm.debs, store, suite="bookworm", python="3.11")


def test_root_and_an_ordinary_user_build_the_same_bytes(
    bookworm: AptResolution, built: tuple[Store, Layer], person: Person
) -> None:
    store, layer = built
    theirs = person.home / ".cache" / "repro"  # in a home that is closed to others
    shutil.copytree(store.root / "sha256", theirs / "sha256")
    lock = person.home / "apt.lock"
    lock.write_text(apt.render(bookworm.debs))
    person.home.chmod(0o700)
    subprocess.run(["chown", "-R", f"{person.name}:", str(person.home)], check=True)
    layer_path = Store(theirs).layer_path(layer)
    layer_path.unlink()
    digest = person.run(AS_PERSON, str(lock), "bookworm", "3.11", str(theirs))
    assert digest == layer.digest
    assert layer_path.is_file()


def names(layer: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer) as tar:
        return {member.name.rstrip("/"): member for member in tar}


def content(layer: Path, name: str) -> bytes:
    with tarfile.open(layer) as tar:
        stream = tar.extractfile(name)
        assert stream is not None
        return stream.read()


def test_the_base_tells_nothing_of_this_host(built: tuple[Store, Layer]) -> None:
    store, layer = built
    path = store.layer_path(layer)
    members = names(path)
    assert {member.mtime for member in members.values()} == {EPOCH}
    assert {"bin", "sbin", "lib", "lib64", "usr/bin/python3", "etc/passwd"} <= set(members)
    assert all(members[name].issym() for name in ("bin", "sbin", "lib", "lib64"))
    for absent in ("etc/apt/sources.list", "etc/hostname", "etc/resolv.conf", "etc/machine-id"):
        assert absent not in members
    assert not [name for name in members if name.startswith(("tmp/", "dev/", "run/", "proc/"))]
    assert not [name for name in members if "99mmdebstrap" in name or name.endswith("-old")]
    data = path.read_bytes()
    for trace in (b".repro-tmp-", str(store.root).encode(), b"trusted=yes] copy:/"):
        assert trace not in data


def test_the_user_of_every_run_has_a_name(built: tuple[Store, Layer]) -> None:
    store, layer = built
    passwd = content(store.layer_path(layer), "etc/passwd").decode()
    assert passwd.splitlines()[-1] == "repro:x:1000:1000:repro:/tmp/home:/bin/sh"
    assert "repro:x:1000:" in content(store.layer_path(layer), "etc/group").decode()


def assert_compiled(layer: Path, library: str) -> int:
    """Every module of the standard library has byte code that is valid where it lies."""
    members = names(layer)
    found = 0
    with tarfile.open(layer) as tar:
        for name, member in members.items():
            if not (name.startswith(library) and name.endswith(".pyc")):
                continue
            stream = tar.extractfile(member)
            assert stream is not None
            head = stream.read(16)
            if library.endswith("2.7/"):
                assert int.from_bytes(head[4:8], "little") == EPOCH, name  # = the source's mtime
                assert members[name[:-1]].mtime == EPOCH
            else:  # PEP 552: checked-hash bit clear, hash-based bit set
                assert int.from_bytes(head[4:8], "little") == 1, name
            found += 1
    return found


def test_byte_code_of_python_3(built: tuple[Store, Layer]) -> None:
    store, layer = built
    assert assert_compiled(store.layer_path(layer), "usr/lib/python3.11/") > 500


@pytest.mark.parametrize(
    ("suite", "python", "seen"),
    [
        ("bullseye", "2.7", "/usr/lib/python2.7/json/decoder.pyc matches"),
        ("trixie", "3.13", "json/__pycache__/decoder.cpython-313.pyc matches"),
    ],
)
def test_other_suites(resolver: Apt, tmp_path: Path, suite: str, python: str, seen: str) -> None:
    resolution = resolver.resolve(suite=suite, python=python)
    store = filled(tmp_path / "store", resolution.debs)
    layer = build(resolution.debs, store, suite=suite, python=python)
    path = store.layer_path(layer)
    assert assert_compiled(path, f"usr/lib/python{python}/") > 450
    if os.geteuid() == 0:  # ask the interpreter itself
        root = tmp_path / "root"
        with tarfile.open(path) as tar:
            tar.extractall(root, filter="fully_trusted")
        done = subprocess.run(
            [
                "/usr/sbin/chroot",
                str(root),
                f"/usr/bin/python{python}",
                "-v",
                "-c",
                "import json, sqlite3",
            ],
            env={"PATH": "/usr/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert seen in done.stderr
        assert "bad mtime" not in done.stderr
        assert "code object from /" not in done.stderr


def test_a_damaged_package_in_the_store(
    bookworm: AptResolution, built: tuple[Store, Layer], tmp_path: Path
) -> None:
    """apt refuses it before dpkg runs; the message names the package, and nothing is kept."""
    store, _ = built
    damaged = Store(tmp_path / "store")
    for deb in bookworm.debs:
        target = damaged.path(deb.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.path(deb.sha256), target)
    victim = next(deb for deb in bookworm.debs if deb.name == "tzdata")
    path = damaged.path(victim.sha256)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(LockError) as caught:
        build(bookworm.debs, damaged, suite="bookworm", python="3.11")
    assert f"apt tzdata {victim.version}" in caught.value.message
    assert str(damaged.kept_aside(victim.sha256)) in caught.value.message
    assert not (damaged.root / "layers").exists()
    assert not list((damaged.root / "tmp").iterdir())


def test_tools_are_named() -> None:
    found = dict(tool_versions())
    assert set(found) == {"apt", "dpkg", "mmdebstrap"}
    assert all(version[0].isdigit() for version in found.values()), found
