"""Readers of other tools' locks on damaged ones: what can be taken over, or one error of ours.

The samples are what the tools wrote; what once broke a reader lies in `data/corpus`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from repro.ecosystems.pip.adopt import constraints
from repro.ecosystems.pip.tags import Target, markers
from repro.errors import LockError, UsageError
from repro.locks import names
from repro.locks.foreign import conda_lock, pixi, pylock, requirements, uv
from repro.locks.foreign.read import reader
from repro.locks.foreign.select import fitting
from repro.models.foreign import ForeignLock
from repro.project import source
from repro.project.requirements import parse_requirements
from repro.workflows.adoption import input_lines
from tests.mutations import CORPUS, damaged, read_or_refused

DATA = Path(__file__).parent / "data"
ENVIRONMENT = markers(Target(python="3.11", glibc="2.36", full="3.11.2"))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A format: its reader, the corpus folder, real files."""

    parse: Callable[..., ForeignLock]
    samples: tuple[Path, ...]

    @property
    def texts(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in self.samples)


def files(pattern: str) -> tuple[Path, ...]:
    found = tuple(sorted((DATA / "foreign").glob(pattern)))
    assert found, pattern
    return found


KINDS = {
    "uv.lock": Kind(parse=uv.parse, samples=files("uv/*.lock")),
    "foreign-pylock.toml": Kind(parse=pylock.parse, samples=files("pylock/*.toml")),
    "hashed-requirements.txt": Kind(parse=requirements.parse, samples=files("requirements/*.txt")),
    "pixi.lock": Kind(parse=pixi.parse, samples=files("pixi/*.lock")),
    "foreign-conda-lock.yml": Kind(
        parse=conda_lock.parse, samples=tuple((DATA / "conda-lock").glob("*.yml"))
    ),
}


def take(kind: Kind, data: bytes) -> None:
    """From the file to what the resolver is given: nothing in it is an option or an address."""
    lock = kind.parse(source.decode(data, where="the.lock"), where="the.lock")
    chosen = fitting(lock, ENVIRONMENT)
    assert [pin.name for pin in chosen] == sorted({pin.name for pin in chosen})
    taken = [pin for pin in chosen if pin.refusal is None]
    for pin in taken:
        assert pin.hashes, "what has no hash is refused"
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in pin.hashes)
    lines = constraints(lock, taken).lines
    read = parse_requirements("".join(f"{line}\n" for line in lines), where="pins")
    assert sorted(read.lines) == sorted(lines), "a requirement file of exact versions"
    if lock.pins:
        written = input_lines(lock)
        again = parse_requirements("".join(f"{line}\n" for line in written), where="inputs")
        assert again.lines == written
    for package in lock.conda:
        names.sha256(package.sha256, package.name)
        names.file_name(package.filename, package.name)
        assert package.subdir in ("linux-64", "noarch")


@pytest.mark.parametrize("name", KINDS)
def test_what_a_tool_wrote_is_read(name: str) -> None:
    for path, data in zip(KINDS[name].samples, KINDS[name].texts, strict=True):
        assert KINDS[name].parse(data.decode(), where=path.name).kind in name, path
        take(KINDS[name], data)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_damaged_lock_is_read_or_refused(name: str, data: st.DataObject) -> None:
    damage = data.draw(damaged(*KINDS[name].texts))
    read_or_refused(lambda: take(KINDS[name], damage), LockError, UsageError, names="the.lock")


SECRET = "hunter2"
LOGIN = re.compile(rb"[a-z]://me:hunter2@[a-z.]+/t/hunter2/")


def with_logins(data: bytes) -> bytes:
    """The same lock, made where every address holds a login and conda's token."""
    return re.sub(rb"(https?://)([a-z.]+/)", rb"\1me:hunter2@\2t/hunter2/", data)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_no_login_of_an_address_is_shown_or_kept(name: str, data: st.DataObject) -> None:
    """But where the damage hit that very address: of half a login nobody can know what it is."""
    damage = data.draw(damaged(*(with_logins(text) for text in KINDS[name].texts)))
    assume(b"hunter2" not in LOGIN.sub(b"", damage))
    try:
        text = source.decode(damage, where="the.lock")
        said = repr(KINDS[name].parse(text, where="the.lock"))
    except (LockError, UsageError) as error:
        said = str(error)
    assert SECRET not in said


@given(data=st.data())
def test_the_format_is_told_of_anything(data: st.DataObject) -> None:
    every = [text for kind in KINDS.values() for text in kind.texts]
    text = data.draw(damaged(*every)).decode(errors="replace")
    read_or_refused(lambda: reader("the.lock", text), UsageError, names="the.lock")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CORPUS.glob("*/*")) if path.parent.name in KINDS],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_what_once_broke_a_reader(path: Path) -> None:
    kind = KINDS[path.parent.name]
    read_or_refused(lambda: take(kind, path.read_bytes()), LockError, UsageError, names="the.lock")
