"""Readers of what others installed (dpkg, pip, uv, conda), on real files and on damaged ones.

The real files lie in `data/corpus/installed/KIND/`: taken from a Debian 12, from environments
that pip and uv made and from a prefix that rattler made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.ecosystems.apt import installed as apt
from repro.ecosystems.conda import installed as conda
from repro.ecosystems.pip import installed as pip
from repro.ecosystems.pip import records
from repro.errors import LockError
from repro.models.installed import Recorded
from tests.mutations import CORPUS, damaged, read_or_refused

FOLDER = CORPUS / "installed"


def text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """A reader of text, behind the decoder that its caller uses."""
    return lambda data: read(data.decode(errors="surrogateescape"))


READERS: dict[str, Callable[[bytes], Any]] = {
    "status": lambda data: apt.parse_status(data, where="status"),
    "extended_states": lambda data: apt.parse_states(data, where="extended_states"),
    "METADATA": lambda data: pip.parse_metadata(data, where="METADATA"),
    "RECORD": text(lambda said: records.parse_record(said, where="RECORD")),
    "WHEEL": text(records.parse_wheel),
    "direct_url.json": lambda data: pip.parse_direct_url(data, where="direct_url.json"),
    "pyvenv.cfg": pip.parse_pyvenv,
    "conda-meta": lambda data: conda.parse_record(data, where="conda-meta"),
    "history": text(conda.parse_history),
}


def real(kind: str) -> list[Path]:
    return sorted((FOLDER / kind).iterdir())


@pytest.mark.parametrize(
    "path", [p for k in READERS for p in real(k)], ids=lambda p: "/".join(p.parts[-2:])
)
def test_a_real_file_is_read(path: Path) -> None:
    assert READERS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(kind: str, data: st.DataObject) -> None:
    samples = [path.read_bytes()[:6000] for path in real(kind)]
    drawn = data.draw(damaged(*samples))
    read_or_refused(lambda: READERS[kind](drawn), LockError, names=kind)


def test_every_kind_of_the_corpus_has_its_reader() -> None:
    assert {path.name for path in FOLDER.iterdir()} == READERS.keys()


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z0-9_]{1,8}){0,3}\.py", fullmatch=True)
rows = st.dictionaries(names, st.sampled_from(["", "sha256=" + "a" * 43]), max_size=8)


@given(rows)
def test_a_record_that_is_written_is_read_as_the_same(found: dict[str, str]) -> None:
    given_rows = tuple(Recorded(path=path, digest=digest) for path, digest in found.items())
    written = records.render_record(given_rows, {})
    assert sorted(
        records.parse_record(written, where="RECORD"), key=lambda row: row.path
    ) == sorted(given_rows, key=lambda row: row.path)


@given(rows, rows)
def test_records_are_the_same_only_where_their_content_is(
    one: dict[str, str], other: dict[str, str]
) -> None:
    left, right = (
        tuple(Recorded(path=path, digest=digest) for path, digest in found.items())
        for found in (one, other)
    )
    assert (records.difference(left, right, ()) is None) == (one == other)
