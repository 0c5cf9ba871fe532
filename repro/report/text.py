"""Data → text that a terminal cannot misread: inert, cut to size, and never falsely equal."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from repro.models.measurement import Scalar
from repro.models.numerals import parse_number
from repro.models.project import Tolerance

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

DIGITS = 8
"""Significant digits of a number, unless two numbers need more to differ."""

_EXACT_DIGITS = 17
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# GitHub's and Azure's log readers act on these wherever a line begins with or holds them.
_COMMAND = re.compile(r":(?=:[A-Za-z][\w-]*(?:[^\S\n][^\n]*?)?::)|(?<=#)#(?=\[|vso\[)")


# ---------------------------------------------------------------- inert text


def safe(text: str) -> str:
    r"""One line that is inert in every terminal and CI log: what is not printable is escaped.

    Control characters (ESC, newline), bidirectional overrides, zero-width characters and lone
    surrogates show as `\x1b` or `\u202e`; a workflow command loses its first colon or hash.
    """
    if text.isascii() and text.isprintable():
        inert = text
    else:
        inert = "".join(_escape(char) if _is_unsafe(char) else char for char in text)
    return _COMMAND.sub(lambda found: _escape(found[0]), inert)


def safe_lines(text: str) -> str:
    """As `safe`, for text of several lines: its line ends stay."""
    return "\n".join(safe(line.rstrip("\r")) for line in text.split("\n"))


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in _UNSAFE


def _escape(char: str) -> str:
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if named:
        return named
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width_of(text: str) -> int:
    """Terminal cells that `text` takes."""
    from rich.cells import cell_len

    return cell_len(text)


def middle(text: str, width: int) -> str:
    """`text` within `width` cells, cut in its middle: both ends of a name tell it apart."""
    if width_of(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    head, tail = text[: width // 2], text[len(text) - (width - 1) // 2 :]
    while width_of(head) + 1 + width_of(tail) > width:
        if width_of(head) >= width_of(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return f"{head}…{tail}"


def clip_pair(old: str, new: str, width: int) -> tuple[str, str]:
    """Two different texts within `width` (>= 8) cells each, cut around where they first differ."""
    if width_of(old) <= width and width_of(new) <= width:
        return old, new
    shared = 0
    while shared < min(len(old), len(new)) and old[shared] == new[shared]:
        shared += 1
    for room in range(width, 3, -1):
        end = max(len(old), len(new))
        start = min(shared - room // 3, end - room) if shared >= room - 2 else 0
        pair = _window(old, start, room), _window(new, start, room)
        if max(map(width_of, pair)) <= width:
            return pair
    return middle(old, width), middle(new, width)


def _window(text: str, start: int, width: int) -> str:
    piece = text[start : start + width]
    if start:
        piece = "…" + piece[1:]
    if start + width < len(text):
        piece = piece[:-1] + "…"
    return piece


# ------------------------------------------------------------------- numbers


def number(value: float, digits: int = _EXACT_DIGITS) -> str:
    """A number in at most `digits` significant digits; an integer always whole."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    exact = repr(value)
    if _significant(exact) <= digits:
        return _exponent(exact)
    return _exponent(f"{value:.{digits}g}")


def _significant(numeral: str) -> int:
    mantissa = numeral.lower().partition("e")[0]
    return len(mantissa.replace(".", "").lstrip("-0"))


def _exponent(numeral: str) -> str:
    """1e-09 as 1e-9, 1e+16 as 1e16."""
    return re.sub(r"e([+-])0*(\d)", lambda e: "e" + e[1].replace("+", "") + e[2], numeral)


def scalar(value: Scalar, *, digits: int = _EXACT_DIGITS, quote: bool = False) -> str:
    """A metric's value, inert; with `quote`, text is told from a number that looks like it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{safe(value)}"' if quote or not value.strip() else safe(value)
    return number(value, digits)


def pair(old: Scalar, new: Scalar) -> tuple[str, str]:
    """Two different values, inert, with as many digits as it takes to print them differently."""
    kinds = {type(value) for value in (old, new)}
    quote = str in kinds and len(kinds) > 1
    needed = _EXACT_DIGITS + 1
    while needed > DIGITS and _reads_differently(*_scalars(old, new, needed - 1, quote)):
        needed -= 1
    if needed <= _EXACT_DIGITS:
        return _scalars(old, new, needed if needed == DIGITS else needed + 2, quote)
    return safe(ascii(old)), safe(ascii(new))


def _scalars(old: Scalar, new: Scalar, digits: int, quote: bool) -> tuple[str, str]:
    shown = [scalar(value, digits=digits, quote=quote) for value in (old, new)]
    return shown[0], shown[1]


def _reads_differently(old: str, new: str) -> bool:
    """Whether a person sees two values: 100 and 100.0 are one."""
    values = parse_number(old), parse_number(new)
    return old != new if None in values else values[0] != values[1]


def text_pair(old: str, new: str, empty: str = "(empty)") -> tuple[str, str]:
    """Two different cells of a table, inert and printed differently."""
    shown = safe(old) or empty, safe(new) or empty
    return shown if shown[0] != shown[1] else (ascii(old), ascii(new))


def signed(old: float, new: float, difference: float) -> str:
    """The difference |new - old| with its sign, to six significant digits."""
    sign = "-" if new < old else "+"
    return sign + _exponent(f"{difference:.6g}")


def percent(old: float, new: float, relative: float) -> str:
    """A relative difference in percent, with its sign, to three significant digits."""
    sign = "-" if new < old else "+"
    if math.isinf(relative * 100):
        return f"{sign}huge"
    rounded = float(f"{relative * 100:.3g}")
    return sign + _exponent(f"{rounded:g}") + " %"


def tolerance(value: Tolerance) -> str:
    """`rel 1e-9`, `abs 0.01`, both, or `exact`."""
    parts = [
        f"{name} {number(size)}"
        for name, size in (("rel", value.rel), ("abs", value.abs))
        if size > 0
    ]
    return ", ".join(parts) or "exact"


def counted(amount: int, noun: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"


# -------------------------------------------------------------------- layout


@dataclass(frozen=True, slots=True)
class Cell:
    """Inert text in one Rich style."""

    text: str
    style: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a grid. `least`: the cells below which it is not cut (None: never cut)."""

    title: str
    right: bool = False
    least: int | None = None


class Report:
    """A Rich renderable that lays its lines out for the width it is given."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._lines(options.max_width)


if TYPE_CHECKING:
    from collections.abc import Callable

    Lines = Callable[[int], list[Text]]


def line(*cells: Cell | str) -> Text:
    """One line out of inert pieces; folded where it is too wide, never cut."""
    from rich.text import Text

    made = Text(overflow="fold")
    for cell in cells:
        piece = Cell(cell) if isinstance(cell, str) else cell
        made.append(safe(piece.text), style=piece.style)
    made.rstrip()
    return made


def file_text(name: str, text: str) -> Report:
    """What a file holds or would hold, below its name: inert, each line as it is."""
    from rich.text import Text

    def lines(_width: int) -> list[Text]:
        written = [safe(one) for one in text.removesuffix("\n").split("\n")]
        whole = [Text(one, no_wrap=True, overflow="ignore") for one in written]
        return [line(Cell(f"--- {name}", "bold")), *whole]

    return Report(lines)


def grid(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, indent: int = 2
) -> list[Text] | None:
    """A table in at most `width` cells, its columns two apart; None when it does not fit.

    Columns that hold nothing at all are left out.
    """
    used = [i for i, _ in enumerate(columns) if any(row[i].text for row in rows)]
    columns = [columns[i] for i in used]
    rows = [[row[i] for i in used] for row in rows]
    widths = _widths(columns, rows, width - indent)
    if widths is None:
        return None
    header = [Cell(column.title, "dim") for column in columns]
    return [_grid_line(columns, row, widths, indent) for row in (header, *rows)]


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int
) -> list[int] | None:
    widths = [
        max(width_of(column.title), *(width_of(row[i].text) for row in rows))
        for i, column in enumerate(columns)
    ]
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    for i, column in enumerate(columns):
        if excess > 0 and column.least is not None:
            cut = min(excess, max(0, widths[i] - column.least))
            widths[i] -= cut
            excess -= cut
    return widths if excess <= 0 else None


def _grid_line(
    columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], indent: int
) -> Text:
    pieces: list[Cell | str] = [" " * indent]
    for i, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True)):
        shown = middle(cell.text, width)
        space = " " * (width - width_of(shown))
        pieces += ["  "] if i else []
        pieces += (
            [space, Cell(shown, cell.style)]
            if column.right
            else [
                Cell(shown, cell.style),
                space,
            ]
        )
    return line(*pieces)


def flow(
    lead: Cell, items: Iterable[str], width: int, *, style: str = "", indent: int = 2
) -> list[Text]:
    """`lead`, then the items with commas, in as many lines as it takes; long items are cut."""
    from rich.text import Text

    hang = " " * (indent + 2)
    lines = [line(" " * indent, lead)]
    names = [safe(item) for item in items]
    for i, name in enumerate(names):
        piece = middle(name, max(8, width - len(hang) - 1)) + ("," if i + 1 < len(names) else "")
        if lines[-1].cell_len + 1 + width_of(piece) > width:
            lines.append(Text(hang, overflow="fold"))
            lines[-1].append(piece, style=style)
        else:
            lines[-1].append(f" {piece}", style=style)
    return lines


def words(text: str, width: int, *, style: str = "", indent: int = 2) -> list[Text]:
    """A sentence, wrapped at its spaces; a word that is longer than a line is broken."""
    import textwrap

    wrapped = textwrap.wrap(safe(text), max(10, width - indent)) or [""]
    return [line(" " * indent, Cell(piece, style)) for piece in wrapped]


def to_string(renderable: RenderableType, *, width: int = 80, color: bool = False) -> str:
    """A report as text; without `color` it holds no escape sequence at all."""
    import io

    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(renderable, crop=False)  # what is wider than this is so on purpose
    return file.getvalue()
