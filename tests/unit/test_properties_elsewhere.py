"""Readers of what others write (package managers, indexes, wheels, daemons), on damaged input.

The host's configuration and an index are as hostile as any file: a value, or an error of ours.
What once broke one lies in `data/corpus`, as for the readers of our own formats.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.download import Http
from repro.ecosystems.apt import index as apt_index
from repro.ecosystems.apt import private as apt_private
from repro.ecosystems.apt import sources as apt_sources
from repro.ecosystems.pip import layout, piptools, uv
from repro.ecosystems.pip.indexes import (
    Index,
    Indexes,
    effective,
    pip_environment,
    uv_environment,
)
from repro.ecosystems.pip.pages import Catalogue
from repro.ecosystems.pip.sdist import build_requirements
from repro.ecosystems.pip.select import best
from repro.ecosystems.pip.tags import Target, supported
from repro.ecosystems.pip.wheels import DAMAGED, opened, plan
from repro.engines.docker.streams import frames
from repro.errors import LockError, NetworkError, ReproError, UsageError
from repro.image.layer import write_layer
from repro.locks import apt as apt_lock
from repro.locks.names import said
from repro.models.lock import Interpreter, PipArtifact
from repro.models.project import Sources
from repro.project.interpreter import Asked, choose
from repro.store.artifacts import Store
from tests.mutations import CORPUS, damaged, mutated, read_or_refused
from tests.wheelhouse import Recipe, make_sdist, make_wheel, stored, zipped

A = "a" * 64
INDEXES = Indexes(
    indexes=(
        Index(alias="default", given="https://me:secret@index.example.org/simple"),
        Index(alias="team", given="https://team.example.org:8443/simple"),
    )
)
TAGS = supported(Target(python="3.11", glibc="2.36"))


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A reader of somebody else's format; `names` is what its errors must name."""

    samples: tuple[bytes, ...]
    read: Callable[[bytes], Any]
    leaves: tuple[type[ReproError], ...] = ()
    names: str = ""


# ---- what apt says ---------------------------------------------------------------------------

TARGETS = b"""MetaKey: main/binary-amd64/Packages
Filename: /c/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages
Codename: bookworm
Origin: Debian
Trusted: yes
Release: bookworm
Repo-URI: http://user:secret@deb.example.org/debian/

MetaKey: Packages
Filename: /c/lists/_c_local_._Packages
Origin: repro-lock
Trusted: yes
Release: ./
Repo-URI: copy:/c/local/
"""
STANZA = b"""Package: libgomp1
Source: gcc-12
Version: 12.2.0-14+deb12u1
Installed-Size: 328
Maintainer: Somebody <a@example.org>
Architecture: amd64
Depends: gcc-12-base (= 12.2.0-14+deb12u1),
 libc6 (>= 2.34)
Description: runtime
 more
Multi-Arch: same
Filename: pool/main/g/gcc-12/libgomp1_12.2.0-14+deb12u1_amd64.deb
Size: 116228
SHA256: %b
""" % A.encode()
RELEASE = b"Origin: Debian\nDate: Sat, 11 Jul 2026 12:16:37 +0200\nSuite: stable\n"
ONE_LINE = b"""# comment
deb http://deb.example.org/debian bookworm main contrib
deb [arch=amd64,i386 signed-by=/usr/share/keyrings/k.gpg] https://me:x@deb.example.org:8443/debian-security bookworm-security main
deb mirror+file:/nowhere/list bookworm main
"""  # noqa: E501
DEB822 = b"""Types: deb deb-src
URIs: https://deb.example.org/debian http://[::1]:80/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: file:/srv/debian-security
Suites: bookworm-security
Components: main
"""
AUTH = b"""machine deb.example.org/debian login me password secret
# x
machine http://[::1]:80 login a
"""
DUMP = b'Dir "/";\nDir::Etc "etc/apt";\nAcquire::http::Proxy "http://p.example.org:3128";\n'


def _stanza(data: bytes) -> None:
    """From a full index into a lock: what is taken must be readable there."""
    fields = apt_index.fields_of(data.decode(errors="replace").strip("\n"))
    deb = apt_lock.from_fields(fields, archive="debian", where="the index of bookworm")
    text = apt_lock.render((deb,))
    assert apt_lock.parse(text, where="apt.lock") == (deb,)


def _apt_host(data: bytes) -> None:
    """As `host_sources` does with what it reads."""
    text = data.decode(errors="replace")
    found = apt_sources.AptSources(
        mirrors=(*apt_sources.parse_one_line(text), *apt_sources.parse_deb822(text)),
        settings=apt_sources.parse_settings(text),
        logins=apt_sources.parse_auth(text),
    )
    found.proxies()
    found.authorities()
    for archive in apt_lock.ARCHIVES:
        assert all("secret" not in repr(mirror) for mirror in found.mirrors)
        list(found.addresses(archive, "pool/x.deb"))


# ---- what indexes and their configuration say ------------------------------------------------

PAGE_JSON = json.dumps(
    {
        "meta": {"api-version": "1.0"},
        "files": [
            {
                "filename": "demo-1.0-py3-none-any.whl",
                "url": "../../files/demo-1.0-py3-none-any.whl",
                "hashes": {"sha256": A},
                "size": 7,
                "yanked": False,
            },
            {"filename": "demo-1.0.tar.gz", "url": "http://[::1]/x.tar.gz", "hashes": {}},
        ],
    }
).encode()
PAGE_HTML = b"""<!DOCTYPE html><html><head>
<base href="https://f.example.org/x/"><meta charset="utf-8">
</head><body><a href="demo-1.0-py3-none-any.whl#sha256=%b" data-requires-python="&gt;=3">x</a>
<a href="https://files.example.org/demo-1.0%%2Bcpu.tar.gz?token=1">y</a></body></html>
""" % A.encode()  # fmt: skip
PIP_CONF = b"""[global]
index-url = https://me:secret@index.example.org/simple
extra-index-url = https://team.example.org/simple
    https://other.example.org:8443/simple
find-links = /srv/wheels
no-index = false
"""
UV_TOML = b"""index-strategy = "unsafe-best-match"
no-index = false
find-links = ["/srv/wheels"]
extra-index-url = ["https://team.example.org/simple"]
[[index]]
name = "Team"
url = "https://me:secret@team.example.org/simple"
default = true
[[index]]
name = "other"
url = "https://other.example.org:8443/simple"
explicit = true
[pip]
index-url = "https://index.example.org/simple"
"""
PYLOCK = b"""lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "Demo"
version = "1.0"
index = "https://index.example.org/simple"
sdist = { url = "https://index.example.org/demo-1.0.tar.gz", size = 7, hashes = { sha256 = "%b" } }
wheels = [{ url = "https://index.example.org/demo-1.0-py3-none-any.whl", hashes = {} }]
""" % A.encode()
PIP_COMPILE = (
    b"# by pip-compile\ndemo==1.0 \\\n    --hash=sha256:%b\n    # via x\nb==2.0\n" % A.encode()
)
REQUIRES = b">=3.9,<4,!=3.10.*"


@dataclass(frozen=True)
class Answering:
    """An index that answers every question with the same page."""

    data: bytes
    kind: str

    def get(self, address: str, *, accept: str) -> tuple[bytes, str]:
        """As `Http.get`."""
        assert accept
        assert address
        return self.data, self.kind


def _page(kind: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        catalogue = Catalogue(INDEXES, cast("Http", Answering(data, kind)))
        found = tuple(catalogue.files("demo", "default"))
        best(found, TAGS)
        for file in found:
            assert "/" not in file.filename
            assert file.sha256 is None or isinstance(file.sha256, str)

    return read


def _configured(path: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / path
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
            environ = {"XDG_CONFIG_HOME": folder, "XDG_CONFIG_DIRS": "/nowhere"}
            found = effective(Sources(), environ=environ, home=Path(folder))
            for environment in (uv_environment(found), pip_environment(found)):
                assert all("\0" not in value for value in environment.values())
            assert "secret" not in repr(found)
            found.with_credentials("https://team.example.org/x.whl")
            found.alias_of("https://team.example.org/x.whl")

    return read


# ---- archives --------------------------------------------------------------------------------

ENTRY_POINTS = "[console_scripts]\ndemo = demo:main\nother = demo.sub:Class.method [extra]\n"
DEMO = Recipe(entry_points=ENTRY_POINTS)
WHEEL = make_wheel(DEMO)
SDIST = make_sdist(
    "demo",
    "1.0",
    {"pyproject.toml": b'[build-system]\nrequires = ["setuptools>=40", "wheel"]\n', "x.py": b"1"},
)


def _wheel(data: bytes) -> None:
    """From a wheel to a layer; what `zipfile` says of a member, `PipLayers` says as LockError."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = stored(Path(folder), Recipe(), data)
        planned = plan(wheel, layout.of(Interpreter.of_debian("3.11")))
        assert all(item.path.startswith("opt/venv/") for item in planned)
        try:
            with opened(wheel, planned) as entries:
                write_layer(BytesIO(), entries)
        except DAMAGED as error:
            raise LockError(f"demo: {said(error)}") from error


def _sdist(data: bytes) -> None:
    digest = sha256(data).hexdigest()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put([data], digest, label="demo")
        item = PipArtifact(
            name="demo", version="1.0", filename="demo-1.0.tar.gz", size=len(data), sha256=digest
        )
        build_requirements(item, store)


FRAMES = b"".join(
    struct.pack(">BxxxL", stream, len(text)) + text
    for stream, text in ((1, b"out\n"), (2, b"error\n"), (1, b""))
)


def _frames(data: bytes) -> None:
    whole = b"".join(part for _, part in frames(BufferedReader(BytesIO(data)), terminal=False))
    assert len(whole) <= len(data)
    assert [*frames(BufferedReader(BytesIO(data)), terminal=True)] == (
        [(False, data)] if data else []
    )


READERS: dict[str, Foreign] = {
    "indextargets": Foreign(
        samples=(TARGETS,),
        read=lambda data: apt_index.parse_targets(data.decode(errors="replace")),
        leaves=(LockError,),
    ),
    "Packages": Foreign(
        samples=(STANZA,), read=_stanza, leaves=(LockError,), names="the index of bookworm"
    ),
    "Release": Foreign(
        samples=(RELEASE,),
        read=lambda data: apt_private.release_date(data.decode(errors="replace")),
        leaves=(LockError,),
        names="Release",
    ),
    "sources.list": Foreign(samples=(ONE_LINE, DEB822, AUTH, DUMP), read=_apt_host),
    "simple.json": Foreign(
        samples=(PAGE_JSON,),
        read=_page("application/vnd.pypi.simple.v1+json"),
        leaves=(NetworkError,),
        names="index.example.org",
    ),
    "simple.html": Foreign(
        samples=(PAGE_HTML,), read=_page("text/html"), leaves=(NetworkError,),
        names="index.example.org",
    ),
    "pip.conf": Foreign(
        samples=(PIP_CONF,), read=_configured("pip/pip.conf"), leaves=(UsageError,),
        names="pip.conf",
    ),
    "uv.toml": Foreign(
        samples=(UV_TOML,), read=_configured("uv/uv.toml"), leaves=(UsageError,), names="uv.toml"
    ),
    "pylock.toml": Foreign(
        samples=(PYLOCK,),
        read=lambda data: uv.parse(data.decode(errors="replace"), INDEXES),
        leaves=(UsageError,),
    ),
    "pip-compile": Foreign(
        samples=(PIP_COMPILE,),
        read=lambda data: piptools.parse(data.decode(errors="replace")),
        leaves=(UsageError,),
    ),
    "requires-python": Foreign(
        samples=(REQUIRES,),
        read=lambda data: choose(None, None, Asked(value=data.decode(errors="replace"), where="p")),
        leaves=(UsageError,),
        names="p: ",
    ),
    "wheel": Foreign(samples=(WHEEL,), read=_wheel, leaves=(LockError,), names="demo"),
    "sdist": Foreign(
        samples=(SDIST,), read=_sdist, leaves=(LockError, UsageError), names="demo"
    ),
    "frames": Foreign(samples=(FRAMES,), read=_frames),
}  # fmt: skip


def check(reader: Foreign, data: bytes) -> None:
    """One input through one reader."""
    read_or_refused(lambda: reader.read(data), *reader.leaves, names=reader.names)


@pytest.mark.parametrize("name", READERS)
def test_the_sample_is_read(name: str) -> None:
    for sample in READERS[name].samples:
        READERS[name].read(sample)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    check(READERS[name], data.draw(damaged(*READERS[name].samples)))


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CORPUS.glob("*/*")) if path.parent.name in READERS],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_what_once_broke_a_reader(path: Path) -> None:
    check(READERS[path.parent.name], path.read_bytes())


INSIDE = ("METADATA", "WHEEL", "RECORD", "entry_points.txt")


@pytest.mark.parametrize("name", INSIDE)
@given(data=st.data())
def test_a_wheel_whose_own_words_are_damaged(name: str, data: st.DataObject) -> None:
    """The zip is whole, the text inside is not: what a hostile maker would do."""
    import zipfile

    with zipfile.ZipFile(BytesIO(WHEEL)) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    inner = f"demo-1.0.dist-info/{name}"
    members[inner] = data.draw(damaged(members[inner]))
    made = zipped([(one, content, 0o644) for one, content in members.items()])
    read_or_refused(lambda: _wheel(made), LockError, names="demo")


@given(mutated(b'[build-system]\nrequires = ["setuptools>=40", "wheel ; extra == \'b\'"]\n'))
def test_a_source_distribution_whose_declaration_is_damaged(text: bytes) -> None:
    made = make_sdist("demo", "1.0", {"pyproject.toml": text})
    read_or_refused(lambda: _sdist(made), LockError, UsageError, names="demo")
