"""How deep a TOML text nests, told from its tokens: before a parser that recurses sees it."""

from __future__ import annotations

import re

# Possessive, and an unterminated string is a token too: no text makes this more than linear.
_TOKEN = re.compile(
    r"""(?P<text>\"{3}(?:[^"\\]|\\.|\"{1,2}(?!\"))*+(?:\"{3,5}|\\?\Z)
        |'{3}(?:[^']|'{1,2}(?!'))*+(?:'{3,5}|\Z)
        |"(?:[^"\\\n]|\\[^\n])*+"?
        |'[^'\n]*+'?
        |[A-Za-z0-9_-]++)
    |(?P<comment>\#[^\n]*+)
    |(?P<dot>\.)
    |(?P<space>[\ \t]++)
    |(?P<open>[\[{])
    |(?P<close>[\]}])
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


def too_deep(text: str, most: int) -> tuple[int, str] | None:
    """Return (line, what there are too many of) where a text nests deeper than `most`, else None.

    Counted are open brackets, on which tomllib recurses, and the parts of one dotted key, in
    whose number it is quadratic. Strings and comments are skipped as tokens; where the text is
    not TOML the count may be wrong, but it is never smaller than the depth that the parser would
    reach before it stops.
    """
    depth = dots = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind in ("text", "space"):
            continue
        if kind == "dot":
            dots += 1
        elif kind == "open":
            depth += 1
            dots = 0
        else:
            dots = 0
            if kind == "close":
                depth = max(0, depth - 1)
        if depth > most or dots > most:
            line = text.count("\n", 0, token.start()) + 1
            return line, "brackets" if depth > most else "parts of a dotted key"
    return None
