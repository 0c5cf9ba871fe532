"""JSON metrics, read in one pass without recursion, so that every error has its position.

`json.loads` will not do: it keeps the last of two equal keys, reads 1e999 as infinity, and ends
in ValueError at 5,000 digits and in RecursionError when deep.
"""

from __future__ import annotations

import json
import math
import re
from json.decoder import scanstring  # type: ignore[attr-defined]

from repro.measure.collect import Collector
from repro.measure.source import Source, quoted
from repro.models.measurement import Metric, Scalar
from repro.models.numerals import MAX_DIGITS, parse_decimal

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
# NaN and the infinities are no JSON, but they are what Python's json module writes.
_WORD = re.compile(r"true|false|null|NaN|-?Infinity")
_WORDS: dict[str, Scalar] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


def read_json(source: Source) -> tuple[Metric, ...]:
    """Metrics of a JSON object or list, nested names joined by dots. Raises AnalysisError."""
    return _Reader(source).read()


class _Reader:
    """`_open` holds the closing brackets that are awaited; `_fresh`: nothing since the last `{`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._collector = Collector(source)
        self._open: list[str] = []
        self._fresh = False

    def read(self) -> tuple[Metric, ...]:
        at = self._value(self._skip(0))
        while self._open:
            at = self._skip(at)
            if self._text.startswith(self._open[-1], at):
                self._open.pop()
                self._collector.leave(at)
                self._fresh = False
                at += 1
                continue
            if not self._fresh:
                at = self._skip(self._expect(",", at, f"',' or {self._open[-1]!r}"))
            if self._open[-1] == "}":
                at = self._key(at)
            at = self._value(at)
        at = self._skip(at)
        if at < len(self._text):
            raise self._source.error("more text after the end of the value", at)
        return self._collector.finish()

    def _skip(self, at: int) -> int:
        space = _SPACE.match(self._text, at)
        assert space is not None
        return space.end()

    def _expect(self, char: str, at: int, what: str) -> int:
        if not self._text.startswith(char, at):
            found = quoted(self._text[at]) if at < len(self._text) else "the end of the file"
            raise self._source.error(f"expected {what}, found {found}", at)
        return at + 1

    def _key(self, at: int) -> int:
        self._expect('"', at, "a key in double quotes")
        name, end = self._string(at)
        self._collector.key(name, at)
        end = self._expect(":", self._skip(end), "':'")
        return self._skip(end)

    def _value(self, at: int) -> int:
        first = self._text[at : at + 1]
        if first in ("{", "["):
            self._collector.enter(at, mapping=first == "{")
            self._open.append("}" if first == "{" else "]")
            self._fresh = True
            return at + 1
        self._fresh = False
        value, end = self._string(at) if first == '"' else self._literal(at)
        self._collector.value(value, at)
        return end

    def _string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self._text, at + 1, True)
        except json.JSONDecodeError as error:
            message = error.msg.removesuffix(" at").removesuffix(" starting")
            raise self._source.error(message, error.pos) from None
        return str(text), int(end)

    def _literal(self, at: int) -> tuple[Scalar, int]:
        word = _WORD.match(self._text, at)
        if word:
            return _WORDS[word[0]], word.end()
        number = _NUMBER.match(self._text, at)
        if not number:
            self._expect("a value", at, "a value")
            raise AssertionError
        return finite(number[0], self._source, at), number.end()


def finite(numeral: str, source: Source, at: int) -> int | float:
    """The number that a valid numeral writes. Raises AnalysisError when none can hold it."""
    value = parse_decimal(numeral)
    if value is not None:
        return value
    if len(numeral) > MAX_DIGITS:
        raise source.error(f"a number of {len(numeral)} digits (at most {MAX_DIGITS})", at)
    raise source.error(
        f"the number {quoted(numeral)} overflows",
        at,
        hint="if infinity is meant, write Infinity (JSON), .inf (YAML) or inf (TOML, CSV)",
    )
