"""TOML metrics; guards against what `tomllib` does with hostile text."""

from __future__ import annotations

import datetime
import re
import tomllib

from repro.errors import AnalysisError
from repro.measure.collect import MAX_DEPTH, Collector
from repro.measure.jsonfile import finite
from repro.measure.source import Source
from repro.models.measurement import Metric, Scalar
from repro.models.numerals import MAX_DIGITS

# Every alternative that begins also ends (an open string at the end of the text), so that no
# text makes the search start over and over.
_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?|'
    r"'''.*?(?:'''|\Z)|"
    r'"(?:[^"\\\n]++|\\.)*+"?|'
    r"'[^'\n]*'?|"
    r"\#[^\n]*|"
    r"(?P<numeral>[0-9+-][0-9A-Za-z_+.-]*)|"
    r"(?P<open>[\[{])|(?P<close>[\]}])|(?P<part>[,=\n])|(?P<dot>\.)",
    re.DOTALL,
)
_WHERE = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)


class _OverflowError(Exception):
    """A float that overflows; carries the numeral, since tomllib does not tell where."""


def read_toml(source: Source) -> tuple[Metric, ...]:
    """Metrics of a TOML document, nested names joined by dots; dates are text.

    Raises AnalysisError.
    """
    _check_depth(source)
    try:
        document = tomllib.loads(source.text, parse_float=_parse_float)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.fullmatch(str(error))
        if where:
            message = f"{source.file}, line {where[2]}, column {where[3]}: {where[1]}"
            raise AnalysisError(message) from None
        raise source.error(str(error), len(source.text)) from None
    except _OverflowError as error:
        numeral = str(error)
        finite(numeral.replace("_", ""), source, _find(source.text, numeral))
        raise AssertionError from None
    except ValueError:  # int() refuses its 4,300 digits
        raise _too_long(source) from None
    return _collect(document, source)


def _parse_float(numeral: str) -> float:
    value = float(numeral)
    literal_infinity = numeral.lstrip("+-") == "inf"
    if len(numeral) > MAX_DIGITS or (abs(value) == float("inf") and not literal_infinity):
        raise _OverflowError(numeral)
    return value


def _check_depth(source: Source) -> None:
    """Refuse deep brackets (tomllib recurses) and long dotted keys (it takes quadratic time)."""
    depth = dots = 0
    for token in _TOKEN.finditer(source.text):
        kind = token.lastgroup
        if kind == "open":
            depth, dots = depth + 1, 0
        elif kind == "close":
            depth, dots = max(0, depth - 1), 0
        elif kind == "part":
            dots = 0
        elif kind in ("dot", "numeral"):
            dots += token[0].count(".")
        if depth > MAX_DEPTH or dots > MAX_DEPTH:
            raise source.error(f"nested more than {MAX_DEPTH} deep", token.start())


def _find(text: str, numeral: str) -> int:
    """Offset of a numeral, looked for outside strings and comments."""
    for token in _TOKEN.finditer(text):
        if token["numeral"] == numeral:
            return token.start()
    return 0


def _too_long(source: Source) -> AnalysisError:
    for token in _TOKEN.finditer(source.text):
        numeral = token["numeral"] or ""
        if len(numeral) > MAX_DIGITS:
            message = f"a number of {len(numeral)} digits (at most {MAX_DIGITS})"
            return source.error(message, token.start())
    return source.error("not valid TOML", 0)


def _collect(document: dict[str, object], source: Source) -> tuple[Metric, ...]:
    collector = Collector(source)
    collector.enter(0, mapping=True)
    stack: list[list[tuple[str | None, object]]] = [_items(document)]
    while stack:
        if not stack[-1]:
            stack.pop()
            collector.leave(0)
            continue
        key, value = stack[-1].pop()
        if key is not None:
            collector.key(key, 0)
        if isinstance(value, dict | list):
            collector.enter(0, mapping=isinstance(value, dict))
            stack.append(_items(value))
        else:
            collector.value(_scalar(value, source), 0)
    return collector.finish()


def _items(value: dict[str, object] | list[object]) -> list[tuple[str | None, object]]:
    """Items in reverse, to be popped in order; key None in a list."""
    pairs: list[tuple[str | None, object]]
    pairs = [*value.items()] if isinstance(value, dict) else [(None, item) for item in value]
    return pairs[::-1]


def _scalar(value: object, source: Source) -> Scalar:
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise _too_long(source)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    assert isinstance(value, str | int | float)
    return value
