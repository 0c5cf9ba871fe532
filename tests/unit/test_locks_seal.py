from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.locks import seal
from repro.models.lock import Deb, PipArtifact, Provenance, Seal, SourceBuild

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
NAME = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
ARTIFACT = st.builds(
    PipArtifact,
    name=NAME,
    version=st.builds("{}.{}".format, st.integers(0, 99), st.integers(0, 99)),
    filename=st.from_regex(r"[a-z][a-z0-9_.]{0,9}\.whl", fullmatch=True),
    size=st.integers(0, 10**12),
    sha256=HEX,
)
SEALS = st.builds(
    Seal,
    platform=st.just("linux-amd64"),
    suite=st.sampled_from(["bullseye", "bookworm"]),
    python=st.sampled_from(["2.7", "3.11"]),
    inputs=st.dictionaries(st.text(min_size=1, max_size=8), HEX).map(
        lambda d: tuple(sorted(d.items()))
    ),
    locks=st.tuples(st.tuples(st.just(seal.APT_LOCK), HEX), st.tuples(st.just(seal.PIP_LOCK), HEX)),
    pip=st.lists(ARTIFACT, max_size=4, unique_by=lambda a: a.name).map(
        lambda items: tuple(sorted(items, key=lambda a: a.name))
    ),
    system_site_packages=st.booleans(),
    provenance=st.lists(
        st.builds(
            Provenance,
            source=NAME,
            facts=st.dictionaries(NAME.filter(lambda n: n != "source"), st.text(max_size=9)).map(
                lambda d: tuple(sorted(d.items()))
            ),
        ),
        max_size=2,
        unique_by=lambda p: p.source,
    ).map(lambda items: tuple(sorted(items, key=lambda p: p.source))),
)
DEB = Deb(
    name="libc6",
    version="2.36-9",
    architecture="amd64",
    filename="pool/main/g/glibc/libc6_2.36-9_amd64.deb",
    size=1,
    sha256="a" * 64,
    archive="debian",
)


def example() -> Seal:
    build = SourceBuild(requires=(), wheel="x-1-py3-none-any.whl", sha256="c" * 64)
    return Seal(
        platform="linux-amd64",
        suite="bookworm",
        python="3.11",
        inputs=(("requirements.in", "1" * 64),),
        locks=(("apt.lock", "2" * 64), ("requirements.txt", "3" * 64)),
        pip=(
            PipArtifact(name="numpy", version="2.1", filename="n.whl", size=3, sha256="b" * 64),
            PipArtifact(
                name="x", version="1", filename="x-1.tar.gz", size=3, sha256="d" * 64, build=build
            ),
        ),
    )


@given(SEALS)
def test_round_trip(sealed: Seal) -> None:
    data = seal.render(sealed)
    assert seal.parse(data, where="repro.lock") == sealed
    assert seal.render(seal.parse(data, where="repro.lock")) == data


def test_round_trip_of_a_source_build() -> None:
    assert seal.parse(seal.render(example()), where="w") == example()


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(LockError):
        seal.parse(data, where="repro.lock")


@given(st.data())
def test_a_damaged_seal_is_read_or_refused(data: st.DataObject) -> None:
    good = bytearray(seal.render(example()))
    position = data.draw(st.integers(0, len(good) - 1))
    good[position] = data.draw(st.integers(0, 255))
    try:
        seal.parse(bytes(good), where="repro.lock")
    except LockError as error:
        refused = error.message
    else:
        return
    assert "repro.lock" in refused


def test_the_key_is_of_content_alone() -> None:
    sealed = example()
    key = seal.environment_key((DEB,), sealed)
    elsewhere = replace(
        sealed,
        inputs=(),
        provenance=(Provenance(source="bookworm", facts=(("date", "now"),)),),
    )
    assert seal.environment_key((DEB,), elsewhere) == key
    assert seal.environment_key((replace(DEB, sha256="e" * 64),), sealed) != key
    assert seal.environment_key((DEB,), replace(sealed, pip=sealed.pip[:1])) != key
    assert seal.environment_key((DEB,), replace(sealed, python="3.13")) != key


def test_stale_names_the_inputs_and_edited_the_files() -> None:
    sealed = replace(example(), locks=(("apt.lock", seal.digest(b"x")), ("r", seal.digest(b"y"))))
    state = seal.check(sealed, (("apt.txt", "9" * 64),), {"apt.lock": b"x", "r": None})
    assert state.stale == ("apt.txt", "requirements.in")
    assert state.edited == ("r (missing)",)
    assert not state.fresh
    same = seal.check(sealed, sealed.inputs, {"apt.lock": b"x", "r": b"y"})
    assert same.fresh


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"locks": ()}, "locks"),
        ({"locks": (("apt.lock", "2" * 64),)}, "requirements.txt"),
        ({"locks": (*example().locks, ("../../x", "2" * 64))}, "locks"),
        ({"suite": "--customize-hook=id"}, "suite"),
        ({"python": "3.11 "}, "python"),
    ],
)
def test_a_seal_that_leaves_a_lock_unchecked_or_injects_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(LockError, match=says):
        seal.parse(seal.render(replace(example(), **changes)), where="repro.lock")
