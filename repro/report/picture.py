"""A report as the SVG picture of a terminal, for a README."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 80
"""Columns of the terminal that is drawn."""

_BLANK = "\xa0"
_WEB_FONT = re.compile(r"@font-face \{[^}]*\}\s*")
_RUN = re.compile(
    r'<text class="([^"]+)" x="([\d.]+)" y="([^"]+)" textLength="([\d.]+)"([^>]*)>([^<]+)<'
)


def picture(renderable: RenderableType, title: str) -> str:
    """Draw a report. The picture loads nothing, and the same report is the same picture."""
    import io

    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        record=True,
        force_terminal=True,
        width=WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(renderable)
    drawn = _WEB_FONT.sub("", console.export_svg(title=title, unique_id="repro"))
    fonts = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
    return _RUN.sub(_trimmed, drawn.replace("Fira Code, monospace", fonts))


def _trimmed(run: re.Match[str]) -> str:
    """Start a run at its first letter: not every reader of SVG keeps the blanks before it."""
    style, x, y, length, rest, content = run.groups()
    text = html.unescape(content)
    shown = text.strip(_BLANK)
    cell = float(length) / len(text)
    start = float(x) + (len(text) - len(text.lstrip(_BLANK))) * cell
    place = f'x="{start:g}" y="{y}" textLength="{len(shown) * cell:g}"'
    written = html.escape(shown, quote=False).replace(_BLANK, "&#160;")
    return f'<text class="{style}" {place}{rest}>{written}<'
