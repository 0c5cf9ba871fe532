"""Numbers written as text: one grammar for metrics files, table cells and reports."""

from __future__ import annotations

import math
import re

MAX_DIGITS = 640
"""Longest numeral that is read, in characters. No interpreter setting of Python's own limit on
integer conversion lies below it (`sys.int_info.str_digits_check_threshold`)."""

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
)
# As C, Python, NumPy, R and Java write them. "Nan" is a given name, and stays one.
_NAN = frozenset({"nan", "NaN", "NAN", "-nan", "-NaN", "+nan"})
_INFINITY = frozenset({"inf", "Inf", "INF", "infinity", "Infinity", "INFINITY"})


def is_numeral(text: str) -> bool:
    """Whether `text` writes a finite number, also one too long or too large to be held."""
    return _DECIMAL.fullmatch(text) is not None


def parse_decimal(text: str) -> int | float | None:
    """The finite number that `text` writes; None when it writes none that can be held.

    An integer stays an integer. None also for a numeral of more than MAX_DIGITS characters, for
    one that overflows a double (`1e999`), and for leading zeros (`007`): losing those is a
    change that must be seen, so they are text.
    """
    if len(text) > MAX_DIGITS:
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else None
    return None


def parse_number(text: str) -> int | float | None:
    """As `parse_decimal`, and NaN and the infinities in the spellings that programs write."""
    if text in _NAN:
        return math.nan
    if text.lstrip("+-") in _INFINITY and len(text) - len(text.lstrip("+-")) <= 1:
        return -math.inf if text.startswith("-") else math.inf
    return parse_decimal(text)
