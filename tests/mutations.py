"""Damage for the readers' property tests: mutations of valid files, and what a reader may do then.

Random bytes hardly pass a reader's first line. What finds defects is a valid file with a few
things wrong: cut, spliced, a line doubled, a number of a thousand digits, a merge conflict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from repro.errors import ReproError

Read = TypeVar("Read")

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "tests/unit/data/corpus"
"""Every input that once broke a reader, by reader: tried again in each run."""

LONGEST_MESSAGE = 2000
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER = re.compile(rb"[0-9]+(?:\.[0-9]+)?")

CONFLICT = b"<<<<<<< ours\n%b=======\n%b>>>>>>> theirs\n"

_WORDS = """
NaN nan -inf .inf Infinity null true ~ -1 -0.0 0.1 1e999 1e-999 1_0 007 0o7 99999999999999999999
2026-02-30 25:61:61 ../ file:/// == -- [[ ]] ${ &a *a !a \\ud800 \\u0000 \\x00 ? - << : ... ---
\ufeff \u202e \u0661 \u00e9 \u212a \U0001f600
""".split()  # noqa: SIM905 - fit to be read
_SIGNS = [*"\"'\\#:;,.=-@|~<>!?*&%$()[]{} \t", "\u2028", "\x85", '"""', "'''", "\\\n", "\n\n"]
_BYTES = [bytes([code]) for code in (0, 7, 10, 11, 12, 13, 27, 31, 127, 0x80, 0x9B, 0xA0, 0xFF)]
_BROKEN = [b"\xed\xa0\x80", b"\xc0\x80"]  # a surrogate and a NUL, as UTF-8 never has them
_HUGE = [b"0x" + b"f" * 4000, b"9" * 5000, b"a" * 300, b"a." * 2000, b"[[" * 40]
_HUGE += [sign * 2000 for sign in (b"[", b"{", b"(", b"- ", b'{"a":')]
_YAML = [b"%YAML 1.1\n---\n", b"!!python/none ", b"<<: ", b"|\n"]

TOKENS = (*(one.encode() for one in (*_WORDS, *_SIGNS)), *_BYTES, *_BROKEN, *_HUGE, *_YAML)
"""What is inserted: all that some format gives a meaning of its own."""

NUMBERS: tuple[bytes, ...] = (
    b"0",
    b"-1",
    b"9" * 30,
    b"9" * 700,
    b"9" * 5000,
    b"1e400",
    b"0.5",
    b"nan",
    b"inf",
    b"",
)
NUMBERS += (b"0x" + b"f" * 4000, b"1e9999999999")
LINE_ENDS = (b"\r\n", b"\r", b"\n\r", b"\x0b", b"", b"\n\n")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7")


def _places(draw: st.DrawFn, data: bytes) -> tuple[int, int]:
    """A range of bytes, half of the time of whole lines."""
    if draw(st.booleans()):
        ends = [0, *(found.end() for found in re.finditer(rb"\n", data)), len(data)]
        one, other = (ends[draw(st.integers(0, len(ends) - 1))] for _ in "ab")
    else:
        one, other = (draw(st.integers(0, len(data))) for _ in "ab")
    return min(one, other), max(one, other)


def _flip(draw: st.DrawFn, data: bytes) -> bytes:
    if not data:
        return data
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]


def _delete(draw: st.DrawFn, data: bytes) -> bytes:
    start, end = _places(draw, data)
    return data[:start] + data[end:]


def _truncate(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: draw(st.integers(0, len(data)))]


def _duplicate(draw: st.DrawFn, data: bytes) -> bytes:
    start, end = _places(draw, data)
    return data[:end] + data[start:end] + data[end:]


def _insert(draw: st.DrawFn, data: bytes) -> bytes:
    at = _places(draw, data)[0]
    return data[:at] + bytes(draw(st.sampled_from(TOKENS))) + data[at:]


def _replace(draw: st.DrawFn, data: bytes) -> bytes:
    """A token in the place of a word, quoted text or number."""
    words: list[re.Match[bytes]] = [*re.finditer(rb'"[^"\n]*"|[^\s"=:,\[\]{}]+', data)]
    if not words:
        return data
    word: re.Match[bytes] = words[draw(st.integers(0, len(words) - 1))]
    new: bytes = draw(st.sampled_from(TOKENS))
    return data[: word.start()] + new + data[word.end() :]


def _renumber(draw: st.DrawFn, data: bytes) -> bytes:
    numbers = [*_NUMBER.finditer(data)]
    if not numbers:
        return data
    number: re.Match[bytes] = numbers[draw(st.integers(0, len(numbers) - 1))]
    new: bytes = draw(st.sampled_from(NUMBERS))
    return data[: number.start()] + new + data[number.end() :]


def _conflict(draw: st.DrawFn, data: bytes) -> bytes:
    start, end = _places(draw, data)
    return data[:start] + CONFLICT % (data[start:end], data[start:end]) + data[end:]


def _line_ends(draw: st.DrawFn, data: bytes) -> bytes:
    return data.replace(
        b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\r", b"\x0b", b"", b"\n\n"]))
    )


def _encoding(draw: st.DrawFn, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(draw(st.sampled_from(ENCODINGS)))


def _swap(draw: st.DrawFn, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, other = (draw(st.integers(0, len(lines) - 1)) for _ in "ab")
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


_WAYS: tuple[Callable[[st.DrawFn, bytes], bytes], ...] = (
    *(_flip, _delete, _truncate, _duplicate, _insert, _replace, _renumber),
    *(_conflict, _line_ends, _encoding, _swap),
)


@st.composite
def mutated(draw: st.DrawFn, *samples: bytes) -> bytes:
    """One of the valid files with one to four things wrong, or the halves of two of them."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        way = draw(st.integers(0, len(_WAYS)))
        if way < len(_WAYS):
            data = _WAYS[way](draw, data)
        else:
            other = draw(st.sampled_from(samples))
            data = data[: _places(draw, data)[0]] + other[_places(draw, other)[0] :]
    return data


def damaged(*samples: bytes) -> st.SearchStrategy[bytes]:
    """Mostly mutations of valid files, sometimes any bytes at all."""
    wrong = mutated(*samples)
    return st.one_of(wrong, wrong, wrong, st.binary(max_size=60))


def read_or_refused(read: Callable[[], Read], *leaves: type[ReproError], names: str) -> Read | None:
    """What a reader returns, None when it refuses as it should.

    That is: with one of its own errors, naming the file (`names`), in one line that holds no
    control character and is fit to be read. Every other exception passes through.
    """
    try:
        return read()
    except leaves as error:
        refusal = error
    assert names in refusal.message, refusal.message
    for said in (refusal.message, refusal.hint or ""):
        assert not _CONTROL.search(said), repr(said)
        assert len(said) <= LONGEST_MESSAGE, said
    return None


def fixture_files(*patterns: str) -> Sequence[bytes]:
    """The committed fixtures' own files: real ones, made by repro."""
    found = [path.read_bytes() for one in patterns for path in sorted(ROOT.glob(one))]
    assert found, patterns
    return found
