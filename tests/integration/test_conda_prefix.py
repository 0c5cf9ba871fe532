"""Locked conda packages become a prefix in an image: the same bytes wherever they are made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import repro
from repro.ecosystems.conda import layer as conda_layer
from repro.ecosystems.conda import overlap
from repro.errors import LockError
from repro.locks.seal import make_lock
from repro.models.execution import Job
from repro.models.image import Image
from repro.models.lock import Lock, PipArtifact
from repro.models.project import Limits
from repro.progress import Silent
from repro.project.load import load_project
from repro.store.artifacts import Store
from repro.workflows.assemble import assemble
from repro.workflows.lockfiles import read_lock
from repro.workflows.tools import Tools, engine, make_tools
from tests.conda_archives import PLACEHOLDER, Package, link, part
from tests.conda_channel import CondaChannel
from tests.conda_packages import PYTHON, PYTHON_BUILD
from tests.support import Cli
from tests.wheelhouse import Recipe, make_wheel

pytestmark = pytest.mark.network

VERSION = "{}.{}.{}".format(*sys.version_info[:3])
PACKAGES = (
    f"python-{VERSION}-h0_0_cpython.conda",
    f"numpy-2.1.3-{PYTHON_BUILD}.conda",
    f"pandas-2.2.3-{PYTHON_BUILD}.conda",
    "libtiny-1.3.0-h0_0.conda",
    "six-1.16.0-py_0.conda",
    "python-dateutil-2.9.0.post0-py_0.conda",
    "pytz-2024.1-py_0.conda",
    "python-tzdata-2024.1-py_0.conda",
    "toolz-0.12.1-py_0.tar.bz2",
    "pip-24.0-py_0.conda",
)
SCRIPT = """\
import ctypes, os, sys, numpy, pandas, toolz
tiny = ctypes.CDLL(os.environ["CONDA_PREFIX"] + "/lib/libtiny.so")
tiny.tiny_prefix.restype = ctypes.c_char_p
print(sys.prefix, tiny.tiny_prefix().decode(), pandas.Series(numpy.arange(5)).sum(), toolz.__name__)
"""
SAID = "/opt/conda /opt/conda/share/tiny 10 toolz\n"


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A project with a lock that has conda packages, and what builds it."""

    cli: Cli
    lock: Lock
    tools: Tools

    def image(self) -> tuple[Image, int]:
        """The image, and how many layers were made for it."""
        return assemble(load_project(self.cli.folder).project, self.lock, self.tools)

    def run(self, name: str, *words: str) -> str:
        """What a command says in the image, in that engine."""
        chosen = engine(name, self.tools.store, Silent())
        if (problem := chosen.probe()) is not None:
            pytest.skip(problem)
        image, _ = self.image()
        chosen.load(image)
        stage = self.cli.folder.parent / f"stage-{name}-{len(words)}"
        stage.mkdir(exist_ok=True)
        log = stage.with_suffix(".log")
        done = chosen.run(
            Job(image=image, steps=(words,), stage=stage, env=image.env, limits=Limits(), log=log)
        )
        assert done.succeeded, log.read_text()
        return log.read_text()


@pytest.fixture
def locked(tiny: Cli, conda_channel: CondaChannel) -> Locked:
    """The small project on conda's Python, with numpy and pandas."""
    was = read_lock(tiny.folder / "lockfiles/linux-amd64", root=tiny.folder)
    lock = make_lock(was.debs, replace(was.seal, python=PYTHON), conda_channel.locked(*PACKAGES))
    return Locked(cli=tiny, lock=lock, tools=make_tools(progress=Silent(), cache_root=tiny.cache))


@pytest.mark.docker
def test_numpy_and_pandas_run_in_both_engines(locked: Locked) -> None:
    image, _ = locked.image()
    for name in ("sandbox", "docker"):
        assert locked.run(name, "python", "-c", SCRIPT) == SAID
        assert "2.1.3" in locked.run(name, "f2py", "-v")
    assert locked.image() == (image, 0)


WRITE = """\
import json, os, sys
from pathlib import Path
from repro.ecosystems.conda.layer import recipe
from repro.models.lock import CondaPackage
from repro.progress import Silent
from repro.store.artifacts import Store
store, said = Store(Path(sys.argv[1])), json.load(sys.stdin)
packages = [CondaPackage(**{**one, "depends": ()}) for one in said]
for one in packages:
    store.put([(Path(sys.argv[2]) / one.subdir / one.filename).read_bytes()], one.sha256, label="x")
layer = store.keep_layer("conda", "0" * 64, recipe(packages, store=store, progress=Silent()).write)
print(layer.digest)
"""
"""Makes the layer of the packages on its standard input, in a store of its own."""


def made(folder: Path, channel: CondaChannel, interpreter: str, code: Path, **how: Any) -> str:
    """The digest of the layer that a process makes there; `how` are its user, group, umask."""
    packages = [asdict(one) for one in reversed(channel.locked(*PACKAGES[:1], *PACKAGES[3:]))]
    folder.mkdir()
    os.chown(folder, how.get("user", 0), how.get("group", 0))
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [interpreter, "-c", WRITE, str(folder / "store"), str(channel.folder)],
        input=json.dumps(packages).encode(),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(code)},
        capture_output=True,
        check=False,
        **how,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert [path for path in folder.rglob("*") if ".repro-tmp-" in path.name] == []
    return done.stdout.decode().strip()


def test_the_same_bytes_wherever_and_by_whom_they_are_made(conda_channel: CondaChannel) -> None:
    """In two folders, as root and as an ordinary user whose files nobody else may read."""
    debian = "/usr/bin/python3"
    asked = [debian, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    theirs = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    if os.geteuid() != 0 or theirs != sysconfig.get_python_version():
        pytest.skip(f"needs root, who can be another user, and a {debian} of this version")
    top = Path(tempfile.mkdtemp(prefix="repro-conda-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        code = top / "code"
        shutil.copytree(Path(repro.__file__).parent, code / "repro")
        for name in ("certifi", "rattler", "zstandard"):
            shutil.copytree(Path(sysconfig.get_paths()["platlib"], name), code / name)
        first = made(top / "one", conda_channel, sys.executable, code)
        nobody = {"user": 65534, "group": 65534, "umask": 0o077}
        assert made(top / "of another length", conda_channel, debian, code, **nobody) == first
    finally:
        shutil.rmtree(top)


def test_the_layer_tells_nothing_of_the_host(locked: Locked, conda_channel: CondaChannel) -> None:
    image, _ = locked.image()
    [layer] = [one for one in image.layers if one.name == conda_layer.NAME]
    path = locked.tools.store.layer_path(layer)
    data, channel = path.read_bytes(), conda_channel.server.address.encode()
    for host in (os.fsencode(locked.cli.cache), b".repro-tmp-", channel):
        assert host not in data
    with tarfile.open(path) as tar:
        names = tar.getnames()
        owned = overlap.owners(layer, locked.tools.store)
        files = {member.name for member in tar if not member.isdir()}
    records = {name for name in names if name.startswith("opt/conda/conda-meta/")}
    assert files - records == owned.keys(), "every file is in a record of conda's"
    assert owned["opt/conda/bin/f2py"].startswith("numpy ")


def test_pip_never_writes_over_conda(locked: Locked, tmp_path: Path) -> None:
    """A wheel with a conda package's file is refused, and both are named."""
    store = locked.tools.store
    data = make_wheel(Recipe(name="evil", files={"toolz/__init__.py": b"EVIL = 1\n"}))
    sha256 = hashlib.sha256(data).hexdigest()
    store.put([data], sha256, label="evil")
    wheel = PipArtifact(
        name="evil",
        version="1.0",
        filename="evil-1.0-py3-none-any.whl",
        size=len(data),
        sha256=sha256,
    )
    locked.image()
    lock = make_lock(locked.lock.debs, replace(locked.lock.seal, pip=(wheel,)), locked.lock.conda)
    with pytest.raises(LockError) as caught:
        replace(locked, lock=lock).image()
    assert caught.value.message == (
        f"pip evil 1.0: writes /opt/conda/lib/python{PYTHON}/site-packages/toolz/__init__.py, "
        "which conda toolz 0.12.1 has already"
    )
    twice = replace(wheel, name="toolz", version="9.0")
    lock = make_lock(locked.lock.debs, replace(locked.lock.seal, pip=(twice,)), locked.lock.conda)
    with pytest.raises(LockError, match=r"toolz: conda toolz 0\.12\.1 and pip 9\.0"):
        replace(locked, lock=lock).image()


def test_a_script_of_a_package_is_not_run_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hard link and an empty folder come through, also where the host knows no authority."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.setenv(name, "/nonexistent")
    probe = tmp_path / "probe"
    package = Package(
        parts=[
            part("bin/.demo-post-link.sh", f"#!/bin/sh\ntouch {probe}\n".encode(), mode=0o755),
            part("lib/data", b"data" * 300),
            link("lib/same", "lib/data", kind=tarfile.LNKTYPE),
            part("empty", type=tarfile.DIRTYPE, mode=0o700),
            part("etc/conda/activate.d/demo.sh", b"export DEMO=1\n"),
            part("etc/demo.conf", f"prefix={PLACEHOLDER}/share\n".encode(), mode=0o600),
        ],
    )
    notes: list[str] = []
    store = Store(tmp_path / "store", progress=Noting(notes))
    locked = package.locked()
    store.put([package.archive()], locked.sha256, label="demo")
    recipe = conda_layer.recipe([locked], store=store, progress=Silent())
    layer = store.keep_layer(recipe.name, recipe.key, recipe.write)
    assert not probe.exists()
    assert [note for note in notes if "conda demo 1.0: its script bin/.demo-post-link.sh" in note]
    assert [note for note in notes if "etc/conda/activate.d/demo.sh sets variables" in note]
    with tarfile.open(store.layer_path(layer)) as tar:
        conf = tar.extractfile("opt/conda/etc/demo.conf")
        assert conf is not None
        assert conf.read() == b"prefix=/opt/conda/share\n"
        assert tar.getmember("opt/conda/etc/demo.conf").mode == 0o644
        assert tar.getmember("opt/conda/empty").isdir()
        assert tar.getmember("opt/conda/lib/same").linkname == "opt/conda/lib/data"


class Noting(Silent):
    """Keeps what is said."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def note(self, text: str) -> None:
        """Keep it."""
        self._notes.append(text)
