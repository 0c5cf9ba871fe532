"""`apt.lock`: what is read is exactly what may be written."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from debian.deb822 import Packages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.errors import LockError
from repro.locks.apt import ARCHIVES, FIELDS, from_fields, parse, render, render_one
from repro.models.lock import Deb

WHERE = "lockfiles/linux-amd64/apt.lock"
LIBGOMP = Deb(
    name="libgomp1",
    version="12.2.0-14+deb12u1",
    architecture="amd64",
    filename="pool/main/g/gcc-12/libgomp1_12.2.0-14+deb12u1_amd64.deb",
    size=116228,
    sha256="0b" * 32,
    archive="debian",
    fields=(
        ("Source", "gcc-12"),
        ("Multi-Arch", "same"),
        ("Installed-Size", "328"),
        ("Depends", "gcc-12-base (= 12.2.0-14+deb12u1), libc6 (>= 2.34)"),
    ),
)
ZLIB = Deb(
    name="zlib1g",
    version="1:1.2.13.dfsg-1",
    architecture="amd64",
    filename="pool/updates/main/z/zlib/zlib1g_1.2.13.dfsg-1_amd64.deb",
    size=86676,
    sha256="1c" * 32,
    archive="debian-security",
)
TEXT = render((LIBGOMP, ZLIB))

_VALUES = {
    "Multi-Arch": st.sampled_from(["same", "foreign", "allowed", "no"]),
    "Essential": st.sampled_from(["yes", "no"]),
    "Protected": st.sampled_from(["yes", "no"]),
    "Installed-Size": st.integers(0, 10**9).map(str),
}
_LOWER = "abcz0189"


def _text(first: str, others: str, last: str | None = None) -> st.SearchStrategy[str]:
    """Cheap to draw: one character, some others, one more."""
    end = last if last is not None else others
    return st.builds(
        "{}{}{}".format, st.sampled_from(first), st.text(others, max_size=8), st.sampled_from(end)
    )


_WORDS = _text(_LOWER, _LOWER + "+.()<>=|: ,~-", _LOWER + ")")
_PARTS = st.lists(_text(_LOWER, _LOWER + "+._~-"), min_size=1, max_size=3)


@st.composite
def _fields(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    chosen = draw(st.sets(st.sampled_from(FIELDS)))
    return tuple((name, draw(_VALUES.get(name, _WORDS))) for name in FIELDS if name in chosen)


DEBS = st.builds(
    Deb,
    name=_text(_LOWER, _LOWER + "+.-", _LOWER + "+."),
    version=st.builds("{}{}".format, st.sampled_from(["", "1:"]), _text("012", "01aZ.+~-")),
    architecture=st.sampled_from(["amd64", "all"]),
    filename=_PARTS.map(lambda parts: f"pool/{'/'.join(parts)}.deb"),
    size=st.integers(0, 10**12),
    sha256=st.integers(0, 2**256 - 1).map("{:064x}".format),
    archive=st.sampled_from(ARCHIVES),
    fields=_fields(),
)
SLOW_MACHINES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW_MACHINES
@given(st.lists(DEBS, min_size=1, max_size=5, unique_by=lambda deb: deb.name))
def test_round_trip(debs: list[Deb]) -> None:
    text = render(debs)
    assert set(parse(text, where=WHERE)) == set(debs)
    assert render(parse(text, where=WHERE)) == text
    assert render(reversed(debs)) == text


@SLOW_MACHINES
@given(st.lists(DEBS, min_size=1, max_size=3, unique_by=lambda deb: deb.name))
def test_the_field_s_own_parser_reads_the_same(debs: list[Deb]) -> None:
    read = {p["Package"]: p for p in Packages.iter_paragraphs(render(debs), use_apt_pkg=False)}
    assert {name: p["SHA256"] for name, p in read.items()} == {d.name: d.sha256 for d in debs}
    assert all(read[deb.name]["Filename"] == deb.filename for deb in debs)


@SLOW_MACHINES
@given(st.text() | st.text(alphabet="Package:SHA256 \n<=>abc019/.-\0\t\r\u2028"))
def test_arbitrary_text_raises_only_lock_errors(text: str) -> None:
    try:
        debs = parse(text, where=WHERE)
    except LockError as caught:
        error = caught
    else:
        assert debs
        return
    assert re.match(rf"{WHERE}:\d+: ", error.message)
    assert error.hint is not None
    assert error.message.isprintable()


@SLOW_MACHINES
@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_one_changed_character_is_an_error_or_another_lock(position: int, new: str) -> None:
    """Never silently the same lock, and never another exception."""
    changed = TEXT[:position] + new + TEXT[position + 1 :]
    try:
        debs = parse(changed, where=WHERE)
    except LockError:
        return
    assert (debs == (LIBGOMP, ZLIB)) == (changed == TEXT)


@SLOW_MACHINES
@given(st.integers(0, len(TEXT) - 1))
def test_every_cut_is_noticed_but_at_a_stanza_s_end(end: int) -> None:
    """The seal has the digest of the whole file: it notices that one too."""
    cut = TEXT[:end]
    if cut.rstrip("\n") + "\n" == render((LIBGOMP,)) and cut.endswith("\n"):
        assert parse(cut, where=WHERE) == (LIBGOMP,)
    else:
        with pytest.raises(LockError):
            parse(cut, where=WHERE)


def test_canonical_text() -> None:
    assert render((ZLIB, LIBGOMP)) == TEXT
    assert TEXT.startswith(
        "Package: libgomp1\nVersion: 12.2.0-14+deb12u1\nArchitecture: amd64\nSource: gcc-12\n"
    )
    assert TEXT.endswith("X-Repro-Archive: debian-security\n")


def test_filename_can_be_replaced_for_a_repository() -> None:
    text = render_one(ZLIB, filename="./pool/x.deb")
    assert "Filename: ./pool/x.deb\n" in text
    assert "pool/updates" not in text


def edited(pattern: str, new: str) -> str:
    text, count = re.subn(pattern, new, TEXT, count=1, flags=re.MULTILINE)
    assert count == 1
    return text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "holds no package"),
        ("\n\n", 1, "holds no package"),
        (edited("^Package: zlib1g$", "Package: libgomp1"), 13, "'libgomp1': is there twice"),
        (edited("^Size: .*$", "Size: 12\nSize: 13"), 10, "Size is there twice"),
        (edited("^Size: .*$", "Size: 12\nsize: 13"), 10, "size is there twice"),
        (edited("^Size: .*$", "Size: -1"), 9, "Size '-1'"),
        (edited("^Size: .*$", "Size: 0x10"), 9, "Size '0x10'"),
        (edited("^Size: .*$", "Size: ٣"), 9, "Size"),
        (edited("^Size: .*\n", ""), 1, "'libgomp1': no Size"),
        (edited("^Version: .*$", "Version: 1.0; rm -rf /"), 2, "not a Debian version"),
        (edited("^Package: .*$", "Package: --download-only"), 1, "not a Debian package"),
        (edited("^Package: .*$", "Package: Libgomp1"), 1, "not a Debian package"),
        (edited("^Architecture: .*$", "Architecture: arm64"), 3, "'arm64' is not amd64 or all"),
        (edited("^X-Repro-Archive: .*$", "X-Repro-Archive: evil"), 11, "'evil' is unknown"),
        (edited("^Multi-Arch: .*$", "Multi-Arch: maybe"), 5, "Multi-Arch cannot be 'maybe'"),
        (edited("^Source: .*$", "Description: x"), 4, "Description does not belong here"),
        (edited("^Source: .*$", "# a comment"), 4, "is not 'Field: value'"),
        (edited("^Source: .*$", " folded"), 4, "is not 'Field: value'"),
        (edited("^Source: .*$", "Source gcc-12"), 4, "is not 'Field: value'"),
        (edited("^Source: .*$", "Source: gcc\0-12"), 4, "control character"),
        (edited("^Source: .*$", "Source: gcc-12\r"), 4, "control character"),
        (edited("^Source: .*$", "Source: gcc\u2028Essential: yes"), 4, "control character"),
        (TEXT.removesuffix("\n"), 19, "half a file"),
    ],
)
def test_refused_with_file_line_and_package(text: str, line: int, says: str) -> None:
    with pytest.raises(LockError) as caught:
        parse(text, where=WHERE)
    assert caught.value.message.startswith(f"{WHERE}:{line}: "), caught.value.message
    assert says in caught.value.message
    assert "repro snapshot" in (caught.value.hint or "")


def test_from_fields_keeps_what_apt_needs() -> None:
    fields = {
        "Package": "zlib1g",
        "Version": ZLIB.version,
        "Architecture": "amd64",
        "Maintainer": "someone",
        "Description": "compression",
        "MD5sum": "0" * 32,
        "Depends": "libc6 (>= 2.14),\n libx",
        "Filename": ZLIB.filename,
        "Size": str(ZLIB.size),
        "SHA256": ZLIB.sha256,
    }
    deb = from_fields(fields, archive="debian-security", where="the index")
    assert deb == replace(ZLIB, fields=(("Depends", "libc6 (>= 2.14), libx"),))
    with pytest.raises(LockError, match="the index: 'zlib1g': no SHA256"):
        from_fields(
            {name: value for name, value in fields.items() if name != "SHA256"},
            archive="debian",
            where="the index",
        )
