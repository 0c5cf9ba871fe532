"""apt packages on top of a base image: the same layer from both workshops, exactly the lock."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from repro.ecosystems.apt import ontop, status
from repro.engines.base import Engine
from repro.engines.docker.engine import Docker
from repro.engines.docker.workshop import DockerWorkshop
from repro.engines.sandbox.engine import Sandbox
from repro.engines.sandbox.workshop import SandboxWorkshop
from repro.engines.workshop import Work, Worked, Workshop
from repro.errors import EngineError, LockError, ReproError
from repro.image.config import compose
from repro.image.merged import Merged, merged
from repro.models.execution import Job
from repro.models.image import EPOCH
from repro.models.lock import Deb
from repro.models.project import Limits
from repro.progress import Silent
from repro.workflows.tools import first_workshop
from tests.foreign import PATH, Foreign, Package, content, foreign, listing

__all__ = ["foreign"]

MAKERS = ("sandbox", pytest.param("docker", marks=pytest.mark.docker))


def workshop(name: str, foreign: Foreign) -> Workshop:
    made: Workshop = (
        SandboxWorkshop(foreign.store)
        if name == "sandbox"
        else DockerWorkshop(Docker(foreign.store), foreign.store)
    )
    if (problem := made.unable()) is not None:
        pytest.skip(f"{name}: {problem}")
    return made


def layer(foreign: Foreign, debs: list[Deb], maker: Workshop) -> bytes:
    recipe = ontop.recipe(
        debs,
        base=foreign.base,
        image=lambda: foreign.image,
        store=foreign.store,
        workshop=lambda: maker,
        progress=Silent(),
    )
    file = io.BytesIO()
    recipe.write(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def packages(foreign: Foreign, tmp_path_factory: pytest.TempPathFactory) -> list[Deb]:
    """One that brings things, one that deletes and diverts what the image has."""
    folder = tmp_path_factory.mktemp("debs")
    brings = Package(
        name="brings",
        files={
            "usr/share/brings/data": b"data\n",
            "usr/lib/python3/dist-packages/brings.py": b"VALUE = {'b', 'a', 'c'}\n",
            "etc/brings.conf": b"setting\n",
            "usr/share/doc/brings/README": b"left out\n",
            "usr/share/doc/brings/copyright": b"kept\n",
        },
        links={"usr/share/brings/link": "data"},
        scripts={
            "postinst": "py3compile -p brings\n"
            "adduser --system --group --no-create-home brings 2>/dev/null"
            " || useradd --system brings\n"
            "install -d -o brings -g brings -m 2750 /var/lib/brings\n"
            "date > /var/log/brings.log; date > /tmp/brings; echo $$ > /run/brings.pid\n"
            "ldconfig"
        },
    )
    changes = Package(
        name="changes",
        files={"usr/bin/arch": b"#!/bin/sh\necho diverted\n"},
        scripts={
            "preinst": "dpkg-divert --package changes --add --rename"
            " --divert /usr/bin/arch.real /usr/bin/arch",
            "postinst": "rm -r /usr/share/common-licenses; rm /etc/issue; rm -rf /etc/skel;"
            " mkdir /etc/skel; echo new > /etc/skel/new; touch /etc/issue.net",
        },
        fields=(("Depends", "brings (>= 1.0)"),),
    )
    return [one.stored(folder, foreign.store) for one in (changes, brings)]


@pytest.fixture(scope="module")
def made(foreign: Foreign, packages: list[Deb]) -> bytes:
    """The layer, made as root."""
    return layer(foreign, packages, workshop("sandbox", foreign))


@pytest.mark.docker
def test_both_make_the_same_layer(foreign: Foreign, packages: list[Deb], made: bytes) -> None:
    other = layer(foreign, packages, workshop("docker", foreign))
    assert sorted(listing(other)) == sorted(listing(made))
    assert other == made


def test_the_layer_holds_what_the_packages_changed_and_nothing_else(made: bytes) -> None:
    held = listing(made)
    records = "var/lib/dpkg/"
    assert [path for path in held if not path.startswith(records) and not held[path].isdir()] == [
        "etc/.wh.issue",
        "etc/brings.conf",
        "etc/group",
        "etc/gshadow",
        "etc/passwd",
        "etc/shadow",
        "etc/skel/.wh..bash_logout",
        "etc/skel/.wh..bashrc",
        "etc/skel/.wh..profile",
        "etc/skel/new",
        "usr/bin/arch",
        "usr/bin/arch.real",
        "usr/lib/python3/dist-packages/__pycache__/brings.cpython-311.pyc",
        "usr/lib/python3/dist-packages/brings.py",
        "usr/share/.wh.common-licenses",
        "usr/share/brings/data",
        "usr/share/brings/link",
        "usr/share/doc/brings/copyright",
    ]
    assert (held["var/lib/brings"].mode, held["var/lib/brings"].uid) == (0o2750, 100)
    assert {member.mtime for member in held.values()} == {EPOCH}
    code = content(made, "usr/lib/python3/dist-packages/__pycache__/brings.cpython-311.pyc")
    assert code[4:8] == b"\x01\0\0\0", "PEP 552: by hash, and not checked"
    assert b"brings:!:10957:" in content(made, "etc/shadow"), "a day that is no day of the build"


def test_dpkg_knows_the_image_and_the_lock(
    foreign: Foreign, packages: list[Deb], made: bytes
) -> None:
    with merged([foreign.store.layer_path(one) for one in foreign.image.layers]) as image:
        before = image.read(status.PATH) or b""
    after = content(made, status.PATH)
    status.require_added(before, after, packages)
    with pytest.raises(LockError, match=r"changes 1.0 all .*: now not there"):
        status.require_added(before, before, packages)
    with pytest.raises(LockError, match=r"not there: now changes 1.0 all"):
        status.require_added(before, after, packages[1:])
    assert content(made, "var/lib/dpkg/diversions").startswith(
        b"/usr/bin/arch\n/usr/bin/arch.real\nchanges\n"
    )


LOOK = """
ls -d /etc/issue /usr/share/common-licenses /etc/skel/.bashrc /srv/shared/one 2>&1
ls -A /etc/skel; arch; arch.real; python3 -c 'import brings; print(sorted(brings.VALUE))'
/usr/local/bin/python3.12 -c 'print("its own")'
"""
SEEN = """\
ls: cannot access '/etc/issue': No such file or directory
ls: cannot access '/usr/share/common-licenses': No such file or directory
ls: cannot access '/etc/skel/.bashrc': No such file or directory
/srv/shared/one
new
diverted
x86_64
['a', 'b', 'c']
its own
"""


@pytest.mark.parametrize("name", MAKERS)
def test_what_a_run_sees(foreign: Foreign, made: bytes, tmp_path: Path, name: str) -> None:
    """Deleted is deleted, diverted is diverted, in both engines."""
    upper = foreign.store.keep_layer("apt", "ontop-of-the-tests", lambda file: _write(file, made))
    image = compose((*foreign.image.layers, upper), env=foreign.base.env)
    engine: Engine = Docker(foreign.store) if name == "docker" else Sandbox(foreign.store)
    if (problem := engine.probe()) is not None:
        pytest.skip(f"{name}: {problem}")
    engine.load(image)
    (tmp_path / "stage").mkdir()
    engine.run(
        Job(
            image=image,
            steps=(("sh", "-c", f"{LOOK}"),),
            stage=tmp_path / "stage",
            env=(("PATH", PATH), ("LC_ALL", "C.UTF-8")),
            limits=Limits(timeout=60),
            log=tmp_path / "log",
        )
    )
    assert (tmp_path / "log").read_text() == SEEN


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


# --- what must not pass ---------------------------------------------------------------------


def test_an_interpreter_that_a_package_changes(foreign: Foreign, tmp_path: Path) -> None:
    text = "#!/bin/sh\necho Python 3.12.99"
    package = Package(
        name="meddles",
        scripts={"postinst": f"printf '{text}' > /usr/local/bin/python3.12"},
    ).stored(tmp_path, foreign.store)
    with pytest.raises(LockError, match=r"Python 3\.12\.99") as caught:
        layer(foreign, [package], workshop("sandbox", foreign))
    assert "/usr/local/bin/python3.12 would not stay" in caught.value.message
    assert caught.value.hint


@pytest.mark.docker
def test_a_script_that_fails_says_so_in_its_own_words(foreign: Foreign, tmp_path: Path) -> None:
    package = Package(name="fails", scripts={"postinst": "echo the reason is this; exit 3"}).stored(
        tmp_path, foreign.store
    )
    with pytest.raises(EngineError, match="the reason is this"):
        layer(foreign, [package], workshop("docker", foreign))


@pytest.mark.docker
def test_a_script_reaches_neither_network_nor_machine(foreign: Foreign, tmp_path: Path) -> None:
    """It is root inside; it can no more."""
    tries = (
        "! echo 1 2>/dev/null > /proc/sys/kernel/sysrq",
        "! mknod /srv/disk b 8 0 2>/dev/null",
        "! mount -t tmpfs none /mnt 2>/dev/null",
        "[ $(ls /sys/class/net 2>/dev/null | grep -cv '^lo$') = 0 ]",
        "! chroot /usr true 2>/dev/null",
        f"! [ -e {tmp_path} ]",
    )
    package = Package(
        name="reaches",
        scripts={
            "postinst": "\n".join(
                f"{one} || {{ echo it could: {index}; exit 7; }}" for index, one in enumerate(tries)
            )
        },
    ).stored(tmp_path, foreign.store)
    for name in ("sandbox", "docker"):
        layer(foreign, [package], workshop(name, foreign))


def test_a_damaged_package_is_named_and_set_aside(foreign: Foreign, tmp_path: Path) -> None:
    package = Package(name="damaged").stored(tmp_path, foreign.store)
    path = foreign.store.path(package.sha256)
    state, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + b"?")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(ReproError, match=r"apt damaged 1\.0.*not in the store|damaged") as caught:
        layer(foreign, [package], workshop("sandbox", foreign))
    assert not foreign.store.present(package.sha256)
    assert "damaged" in caught.value.message


class Untrue:
    """A workshop that installs something else than what is locked."""

    name = "sandbox"

    def __init__(self, inner: Workshop, other: str) -> None:
        self._inner, self._other = inner, other

    def unable(self) -> str | None:
        return None

    @contextmanager
    def worked(self, work: Work, before: Merged) -> Iterator[Worked]:
        (work.files / "packages").write_text(self._other)
        with self._inner.worked(work, before) as worked:
            yield worked


def test_what_was_installed_must_be_what_is_locked(foreign: Foreign, tmp_path: Path) -> None:
    one, two = (Package(name=name).stored(tmp_path, foreign.store) for name in ("one", "two"))
    maker = Untrue(workshop("sandbox", foreign), "one=1.0\n")
    with pytest.raises(LockError, match=r"two 1\.0 all .*: now not there"):
        layer(foreign, [one, two], maker)


def test_who_cannot_is_told_both_ways(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first_workshop(foreign.store, Silent()).name == "sandbox"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineError, match=r"only root(.|\n)*no Docker daemon") as caught:
        first_workshop(foreign.store, Silent())
    assert "bubblewrap" in (caught.value.hint or "")


@pytest.mark.docker
def test_whoever_is_not_root_has_it_from_the_daemon(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert first_workshop(foreign.store, Silent()).name == "docker"
