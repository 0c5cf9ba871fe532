from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.models.measurement import Scalar
from repro.models.numerals import parse_number
from repro.models.project import Tolerance
from repro.report.text import (
    Cell,
    Column,
    Report,
    clip_pair,
    flow,
    grid,
    line,
    middle,
    number,
    pair,
    percent,
    safe,
    safe_lines,
    signed,
    text_pair,
    to_string,
    tolerance,
    width_of,
    words,
)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("plain name", "plain name"),
        ("café 売上 🎉", "café 売上 🎉"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("two\nlines\r\t\x00\x7f", r"two\nlines\r\t\x00\x7f"),
        ("\u202egnp.exe\u2066\u200b", r"\u202egnp.exe\u2066\u200b"),
        ("\u2028\ud800\U000e0041", r"\u2028\ud800\U000e0041"),
        ("::error::x", r"\x3a:error::x"),
        ("  ::set-env name=A::x", r"  \x3a:set-env name=A::x"),
        ("std::vector", "std::vector"),
        ("##[group]", r"#\x23[group]"),
        ("##vso[task.x]", r"#\x23vso[task.x]"),
        ("[link=http://x]y[/link] [/foo]", "[link=http://x]y[/link] [/foo]"),
    ],
)
def test_safe(data: str, shown: str) -> None:
    assert safe(data) == shown


@settings(deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_safe_leaves_nothing_that_a_terminal_acts_on(text: str) -> None:
    shown = safe(text)
    bad = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not {unicodedata.category(char) for char in shown} & bad
    assert safe(shown) == shown


def test_safe_lines_keeps_its_lines() -> None:
    assert safe_lines("a\r\n\x1b[1mb\n::error::c") == "a\n\\x1b[1mb\n\\x3a:error::c"


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("short", 5, "short"),
        ("abcdefghij", 7, "abc…hij"),
        ("abcdefghij", 6, "abc…ij"),
        ("abcdefghij", 1, "…"),
        ("売上売上売上", 7, "売…売上"),
    ],
)
def test_middle(text: str, width: int, cut: str) -> None:
    assert middle(text, width) == cut


@settings(deadline=None)
@given(st.text(max_size=60).map(safe), st.integers(0, 60))
def test_middle_fits(text: str, width: int) -> None:
    assert width_of(middle(text, width)) <= width


@settings(deadline=None)
@given(st.text("ab 売", max_size=80), st.text("ab 売", max_size=80), st.integers(8, 60))
def test_clipped_pairs_fit_and_differ(old: str, new: str, width: int) -> None:
    shown = clip_pair(old, new, width)
    assert max(map(width_of, shown)) <= width
    assert (shown[0] == shown[1]) == (old == new)


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.0, 8, "0.0"),
        (469.5209, 8, "469.5209"),
        (1 / 3, 8, "0.33333333"),
        (1e-09, 8, "1e-9"),
        (1e16, 8, "1e16"),
        (-1.5e300, 8, "-1.5e300"),
        (12345678901234567890, 8, "12345678901234567890"),
        (math.nan, 8, "NaN"),
        (-math.inf, 8, "-inf"),
    ],
)
def test_number(value: float, digits: int, shown: str) -> None:
    assert number(value, digits) == shown


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (99.9999999999986, 100.0, ("99.9999999999986", "100.0")),
        (1 / 3, 2 / 3, ("0.33333333", "0.66666667")),
        (0.1 + 0.2, 0.3, ("0.30000000000000004", "0.3")),
        (5, "5", ("5", '"5"')),
        (True, "true", ("true", '"true"')),
        (None, "null", ("null", '"null"')),
        ("", "x", ('""', "x")),
        ("\x1b", "\\x1b", (r"'\x1b'", r"'\\x1b'")),
    ],
)
def test_pairs_differ(old: Scalar, new: Scalar, shown: tuple[str, str]) -> None:
    assert pair(old, new) == shown


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(FINITE, st.integers(-3, 3))
def test_different_floats_never_print_the_same(value: float, steps: int) -> None:
    other = value
    for _ in range(abs(steps)):
        other = math.nextafter(other, math.copysign(math.inf, steps))
    if other != value and math.isfinite(other):
        shown = pair(value, other)
        assert parse_number(shown[0]) != parse_number(shown[1])


@settings(deadline=None)
@given(st.text(max_size=10), st.text(max_size=10))
def test_different_texts_never_print_the_same(old: str, new: str) -> None:
    if old != new:
        assert len({*pair(old, new)}) == 2
        assert len({*text_pair(old, new)}) == 2


def test_differences_have_signs_and_percent() -> None:
    assert signed(469.5209, 573.8589, 104.338) == "+104.338"
    assert signed(15, 3, 12.0) == "-12"
    assert percent(4, 3, 0.25) == "-25 %"
    assert percent(15, 41, 26 / 15) == "+173 %"
    assert percent(1.0, 1.0 + 1e-13, 1e-13) == "+1e-11 %"
    assert percent(1e-300, 1.0, 1e300) == "+1e302 %"
    assert percent(5e-324, 1.0, math.inf) == "+huge"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Tolerance(rel=1e-9), "rel 1e-9"),
        (Tolerance(abs=0.01), "abs 0.01"),
        (Tolerance(rel=1e-6, abs=2), "rel 1e-6, abs 2"),
        (Tolerance(), "exact"),
    ],
)
def test_tolerance(value: Tolerance, shown: str) -> None:
    assert tolerance(value) == shown


COLUMNS = (Column(title="name", least=6), Column(title="n", right=True), Column(title="empty"))


def test_a_grid_cuts_names_leaves_out_empty_columns_and_aligns() -> None:
    rows = [[Cell("a_long_name"), Cell("1"), Cell("")], [Cell("b"), Cell("200"), Cell("")]]
    table = grid(COLUMNS, rows, 13)
    assert table is not None
    assert [text.plain for text in table] == ["  name      n", "  a_l…me    1", "  b       200"]
    assert grid(COLUMNS, rows, 12) is None


def test_markup_in_data_stays_text() -> None:
    shown = to_string(
        Report(lambda width: [line("[bold]x[/bold] [/foo] :smile: \x1b[1m")]), color=True
    )
    assert shown == "[bold]x[/bold] [/foo] :smile: \\x1b[1m\n"


def test_flow_and_words_wrap() -> None:
    names = flow(Cell("unchanged 3:"), ["alpha", "beta", "a_name_that_is_far_too_long_here"], 26)
    assert [text.plain for text in names] == [
        "  unchanged 3: alpha,",
        "    beta,",
        "    a_name_tha…_long_here",
    ]
    assert all(text.cell_len <= 26 for text in names)
    assert [text.plain for text in words("one two three", 12)] == ["  one two", "  three"]
