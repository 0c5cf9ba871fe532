"""A conda channel made in the tests and served on loopback (DESIGN.md §11).

Python is the interpreter that runs the tests, numpy and pandas come from their wheels, `libtiny`
is compiled here. The channel is made once a machine, below the tests' cache, under a name that
says what it was made of; each session serves it on a port of its own:

    def test_it(conda_channel: CondaChannel) -> None:
        conda_channel.address                       # http://127.0.0.1:PORT/channel
        conda_channel.server.asked                  # what was asked for: shared, don't change it

    with serving_channel() as channel:              # one's own, to break something in it
        channel.server.replies[channel.path("libtiny-1.3.0-h0_0.conda")] = Reply(status=404)

It holds, for linux-64: python, numpy 2.1.3, pandas 2.2.3, libtiny 1.2.3 (2023-11) and 1.3.0
(2024-11); noarch: six, python-dateutil, pytz, python-tzdata, pip, toolz 0.12.1 (2023-11, a
`.tar.bz2`) and 1.0.0 (2024-11). For linux-aarch64, to be locked and not to be run: python and
libtiny with a text file each.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

from repro.models.lock import CondaPackage
from tests import conda_packages
from tests.conda_packages import PYTHON, PYTHON_TAG, Described, from_wheel, pack
from tests.faults.server import Reply, Server, serving
from tests.support import test_cache

EARLIER, LATER = 1_700_000_000_000, 1_731_000_000_000
"""Milliseconds: 2023-11-14 and 2024-11-07. Of what is there twice, the newer is from the latter."""

_MINOR = int(PYTHON.partition(".")[2])
_FOR_THIS = f"python >=3.{_MINOR},<3.{_MINOR + 1}.0a0"
_WHEELS: dict[str, tuple[str, ...]] = {
    "numpy==2.1.3": (_FOR_THIS, "__glibc >=2.17"),
    "pandas==2.2.3": (
        _FOR_THIS,
        "numpy >=1.23.2",
        "python-dateutil >=2.8.2",
        "pytz >=2020.1",
        "python-tzdata >=2022.7",
    ),
    "python-dateutil==2.9.0.post0": ("python >=3.7", "six >=1.5"),
    "pytz==2024.1": ("python >=3.6",),
    "tzdata==2024.1": ("python >=3.6",),
    "six==1.16.0": ("python",),
    "pip==24.0": ("python >=3.7",),
    "toolz==0.12.1": ("python >=3.7",),
    "toolz==1.0.0": ("python >=3.8",),
}
_NAMES = {"tzdata": "python-tzdata"}
"""Distributions that conda knows by another name."""


@dataclass(frozen=True, kw_only=True)
class CondaChannel:
    """A served channel: `folder` has its files (read-only), `address` where a client finds it."""

    folder: Path
    server: Server
    name: str = "channel"

    @property
    def address(self) -> str:
        """Its address, without a slash at the end."""
        return f"{self.server.address}/{self.name}"

    def file(self, name: str) -> Path:
        """An archive on disk, by its file name; of this machine where others have one too."""
        places = [self.folder / part / name for part in ("linux-64", "noarch", "linux-aarch64")]
        return next(place for place in places if place.is_file())

    def path(self, name: str) -> str:
        """The path on the server of an archive."""
        return f"/{self.name}/" + self.file(name).relative_to(self.folder).as_posix()

    def record(self, name: str) -> dict[str, Any]:
        """What the index says of an archive, by its file name."""
        index = json.loads((self.file(name).parent / "repodata.json").read_text())
        found: dict[str, Any] = {**index["packages"], **index["packages.conda"]}[name]
        return found

    def locked(self, *names: str) -> tuple[CondaPackage, ...]:
        """What a lock says of these archives, by their file names."""
        return tuple(locked_package(self.address, name, self.record(name)) for name in names)


def locked_package(channel: str, filename: str, record: Mapping[str, Any]) -> CondaPackage:
    """What a lock says of an archive that an index has this record of."""
    return CondaPackage(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        subdir=record["subdir"],
        channel=channel,
        filename=filename,
        sha256=record["sha256"],
        md5=record.get("md5", ""),
        size=record.get("size", 0),
        depends=tuple(record.get("depends", ())),
    )


@contextmanager
def serving_channel(channel_name: str = "channel") -> Iterator[CondaChannel]:
    """Serve the channel on a port of its own, to be broken at will, below a path of its name."""
    folder = channel_folder()
    with serving() as server:
        for file in sorted(folder.glob("*/*")):
            name = file.relative_to(folder).as_posix()
            server.replies[f"/{channel_name}/{name}"] = Reply(body=file.read_bytes())
        yield CondaChannel(folder=folder, server=server, name=channel_name)


@pytest.fixture(scope="session")
def conda_channel() -> Iterator[CondaChannel]:
    """The channel, served for the whole session: nothing in it may be changed."""
    with serving_channel() as channel:
        yield channel


def channel_folder() -> Path:
    """The folder of the channel, made if this machine has none."""
    if Path(sys.base_prefix) == Path("/usr"):
        pytest.skip("Debian's own Python cannot be made a conda package: it needs another one")
    made_of = [Path(__file__), Path(conda_packages.__file__)]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in made_of) + sys.version.encode())
    folder = test_cache() / f"conda-channel-{key.hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # several workers ask at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = Path(tempfile.mkdtemp(prefix="conda-channel-making-", dir=folder.parent))
            try:
                _make(work / "channel", work)
                (work / "channel").rename(folder)
            finally:
                shutil.rmtree(work)
    return folder


def _make(channel: Path, work: Path) -> None:
    conda_packages.this_python(channel, work)
    for version, moment in (("1.2.3", EARLIER), ("1.3.0", LATER)):
        conda_packages.tiny_library(channel, work, version, moment)
    wheels = work / "wheels"
    _download([one for one in _WHEELS if one != "toolz==0.12.1"], wheels)
    _download(["toolz==0.12.1"], wheels)  # pip takes no two versions at once
    for requirement, depends in _WHEELS.items():
        name, _, version = requirement.partition("==")
        [wheel] = wheels.glob(f"{name.replace('-', '_')}-{version}-*.whl")
        from_wheel(
            channel,
            wheel,
            work,
            depends,
            name=_NAMES.get(name),
            timestamp=LATER if requirement == "toolz==1.0.0" else EARLIER,
            suffix=".tar.bz2" if requirement == "toolz==0.12.1" else ".conda",
        )
    _foreign(channel, work)
    _index(channel)


def _download(requirements: Sequence[str], folder: Path) -> None:
    """Have pip fetch wheels for this interpreter from the index that the host is set to."""
    asked = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    asked += ["--platform", "manylinux2014_x86_64", "--python-version", PYTHON]
    asked += ["--implementation", "cp", "--abi", PYTHON_TAG, "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *asked, *requirements], check=True)


def _foreign(channel: Path, work: Path) -> None:
    """Packages of another machine: an index to be solved, nothing to be run."""
    version = "{}.{}.{}".format(*sys.version_info[:3])
    for name, of in (("python", version), ("libtiny", "1.3.0")):
        tree = work / f"{name}-foreign"
        (tree / "share").mkdir(parents=True)
        (tree / "share" / f"{name}.txt").write_text(f"{name} {of}, for another machine\n")
        described = Described(
            name=name,
            version=of,
            build="h0_0_cpython" if name == "python" else "h0_0",
            depends=["__glibc >=2.17"],
            subdir="linux-aarch64",
            timestamp=LATER,
        )
        pack(channel, tree, described)


def _index(channel: Path) -> None:
    """Have rattler write the channel's index, in a process that may crash when it is done.

    When it was indexed is taken out: most channels don't say it, and it would stand before the
    day of a package.
    """
    program = (
        "import asyncio, os, sys\nfrom rattler.index import index_fs\n"
        "asyncio.run(index_fs(sys.argv[1], write_zst=False, write_shards=False))\n"
        "sys.stdout.flush()\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(channel)], check=True)
    for folder in ("linux-64", "linux-aarch64", "noarch"):
        path = channel / folder / "repodata.json"
        index = json.loads(path.read_text())
        for record in (*index["packages"].values(), *index["packages.conda"].values()):
            del record["indexed_timestamp"]
        text = json.dumps(index, sort_keys=True).encode()
        path.write_bytes(text)
        path.with_suffix(".json.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
