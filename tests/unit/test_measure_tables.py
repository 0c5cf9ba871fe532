from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import AnalysisError, UsageError
from repro.measure import tables
from repro.measure.tables import read_table


def test_cells_stay_the_text_that_is_written() -> None:
    data = b'region,total,note\r\n"North, far",1.00,\r\nWest,NaN,"two\nlines"\r\n\r\n'
    table = read_table(data, file="out/t.csv")
    assert table.columns == ("region", "total", "note")
    assert table.rows == (("North, far", "1.00", ""), ("West", "NaN", "two\nlines"))


def test_tabs_separate_in_tsv() -> None:
    assert read_table(b"a\tb\n1,5\t2\n", file="t.tsv").rows == (("1,5", "2"),)


def test_a_table_without_rows_is_a_table() -> None:
    assert read_table(b"a,b\n", file="t.csv").rows == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n3\n", "t.csv, line 3: 1 cells, but the header has 2 columns"),
        (b'a,b\n"x\ny",2\n3,4,5\n', "t.csv, line 4: 3 cells"),
        (b"a,b,a\n1,2,3\n", "t.csv, line 1: column names that occur twice: 'a'"),
        (b"a,b\n1,\x00\n", "t.csv, line 2, column 3: a NUL character"),
        (b'a,b\n1,"2\n', "t.csv, line 2: unexpected end of data"),
        (b"\xef\xbb\xbfa,b\n", "t.csv, byte 0: begins with a UTF-8 byte-order mark"),
        ("a,b\n".encode("utf-16"), "t.csv, byte 0: begins with a UTF-16"),
        (b"a,b\n\xff,1\n", "t.csv, byte 4: not UTF-8"),
        (b" \n", "t.csv is empty"),
    ],
)
def test_malformed_tables_name_file_and_line(data: bytes, message: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        read_table(data, file="t.csv")
    assert message in caught.value.message


def test_too_many_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_CELLS", 4)
    with pytest.raises(AnalysisError, match="line 4: more than 4 cells"):
        read_table(b"a,b\n1,2\n3,4\n5,6\n", file="t.csv")


def test_other_extensions_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"t\.xlsx.*\.csv"):
        read_table(b"", file="t.xlsx")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6))
def test_whatever_pythons_csv_writes_is_read(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("a", "b"), *rows])
    assert read_table(file.getvalue().encode(), file="t.csv").rows == tuple(rows)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_lead_to_another_error(data: bytes) -> None:
    try:
        said = read_table(data, file="t.csv").file
    except AnalysisError as error:
        said = error.message
    assert said.startswith("t.csv")
