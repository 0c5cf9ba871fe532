"""G55: malformed metrics: exit 4, the file and the position; never a traceback, never a guess."""

from __future__ import annotations

import tracemalloc

import pytest

from repro.errors import AnalysisError
from repro.measure.metrics import read_metrics

DIGITS = b"9" * 5000
DEEP = 200_000
BOM = b"\xef\xbb\xbf"

FAULTS: dict[str, dict[str, tuple[bytes, str]]] = {
    "duplicate keys": {
        "json": (b'{"a": 1,\n "a": 2}', "line 2, column 2: the key 'a' occurs twice"),
        "yaml": ("é: 1\nb: 2\nb: 3\n".encode(), "line 3, column 1: the key 'b' occurs twice"),
        "toml": (b"a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value"),
        "csv": (b"a,1\nb,2\na,3\n", "line 3, column 1: the key 'a' occurs twice"),
    },
    "1e999": {
        "json": (b'{"a":\n  1e999}', "line 2, column 3: the number '1e999' overflows"),
        "yaml": (b"a: 1\nb: -1e999\n", "line 2, column 4: the number '-1e999' overflows"),
        "toml": (b"# 1e999\nb = '1e999'\na = 1e999\n", "line 3, column 5: the number '1e999'"),
        "csv": (b"a,1\nb,1e999\n", "line 2, column 1: the number '1e999' overflows"),
    },
    "5,000 digits": {
        "json": (b'{"a": ' + DIGITS + b"}", "line 1, column 7: a number of 5000 digits"),
        "yaml": (b"a: " + DIGITS, "line 1, column 4: a number of 5000 digits"),
        "toml": (b"x = 1\na = " + DIGITS, "line 2, column 5: a number of 5000 digits"),
        "csv": (b"a," + DIGITS, "line 1, column 1: a number of 5000 digits"),
    },
    "200,000 deep": {
        "json": (b'{"a":' * DEEP, "line 1, column 501: nested more than 100 deep"),
        "yaml": (b"a: " + b"[" * DEEP, "line 1, column 103: nested more than 100 deep"),
        "toml": (b"a = " + b"[" * DEEP, "line 1, column 105: nested more than 100 deep"),
    },
    "byte-order mark": {
        "json": (BOM + b'{"a": 1}', "byte 0: begins with a UTF-8 byte-order mark"),
        "yaml": (BOM + b"a: 1\n", "byte 0: begins with a UTF-8 byte-order mark"),
        "toml": (BOM + b"a = 1\n", "byte 0: begins with a UTF-8 byte-order mark"),
        "csv": ("a,1\n".encode("utf-16"), "byte 0: begins with a UTF-16 byte-order mark"),
    },
    "lone surrogate": {
        "json": (b'{"a": "\\ud800"}', "line 1, column 7: the text '\\ud800' holds a lone"),
        "yaml": (b'a: "\\ud800"', "line 1, column 7: "),
        "toml": (b'a = "\\ud800"', "line 1, column "),
        "csv": (b"a,\xed\xa0\x80\n", "byte 2: not UTF-8 (0xed)"),
    },
    "not UTF-8": {
        "json": (b'{"a": "\xe9"}', "byte 7: not UTF-8 (0xe9)"),
        "yaml": (b"a: \xe9\n", "byte 3: not UTF-8 (0xe9)"),
        "toml": (b"a = '\xe9'\n", "byte 5: not UTF-8 (0xe9)"),
        "csv": (b"a,\xe9\n", "byte 2: not UTF-8 (0xe9)"),
    },
}
CASES = [
    pytest.param(suffix, data, message, id=f"{fault} in {suffix}")
    for fault, by_format in FAULTS.items()
    for suffix, (data, message) in by_format.items()
]


@pytest.mark.parametrize(("suffix", "data", "message"), CASES)
def test_the_file_and_the_position_are_named(suffix: str, data: bytes, message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(AnalysisError) as caught:
            read_metrics(data, file=f"out/metrics.{suffix}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith(f"out/metrics.{suffix}, {message}")
    assert len(str(caught.value)) < 400
    assert peak < 50 << 20


def test_names_in_messages_are_inert() -> None:
    with pytest.raises(AnalysisError) as caught:
        read_metrics(b'{"\\u001b]0;x\\u0007": 1, "\\u001b]0;x\\u0007": 2}', file="m.json")
    assert caught.value.message.isprintable()
