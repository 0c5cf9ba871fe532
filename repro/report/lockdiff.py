"""What differs between two environments, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from repro.models.lock import LockDiff, PackageChange
from repro.report.text import Cell, Column, Report, counted, grid, line, safe

if TYPE_CHECKING:
    from rich.text import Text

_ORDER = ("base", "python", "conda", "pip", "apt")


def render(diff: LockDiff) -> Report:
    """Every change, one a line, after a line that counts them."""
    return Report(lambda width: lines(diff, width))


def data(diff: LockDiff) -> list[dict[str, object]]:
    """The changes as JSON values; null: absent on that side."""
    return [
        {"ecosystem": c.ecosystem, "name": c.name, "old": c.old, "new": c.new} for c in diff.changes
    ]


def summary(diff: LockDiff) -> str:
    """`3 pip packages, 40 apt packages differ`, or that nothing does."""
    counts = Counter(change.ecosystem for change in diff.changes)
    if not counts:
        return "the same, package for package"
    nouns = {name: f"{name} package" for name in ("apt", "conda", "pip")}
    parts = [
        "Python" if name == "python" else counted(counts[name], nouns.get(name, f"{name} setting"))
        for name in sorted(counts, key=_rank)
    ]
    return f"{', '.join(parts)} {'differs' if len(diff.changes) == 1 else 'differ'}"


def lines(diff: LockDiff, width: int, *, limit: int | None = None) -> list[Text]:
    """The summary, then at most `limit` changes."""
    changes = sorted(diff.changes, key=lambda c: (_rank(c.ecosystem), c.name))
    shown = changes[:limit]
    made = [line(Cell("environment", "bold"), Cell(f"  {summary(diff)}"))]
    if shown:
        made += _table(shown, width)
    if len(shown) < len(changes):
        made.append(line(Cell(f"  and {len(changes) - len(shown)} more", "dim")))
    return made


def _rank(ecosystem: str) -> int:
    return _ORDER.index(ecosystem) if ecosystem in _ORDER else len(_ORDER)


def _table(changes: list[PackageChange], width: int) -> list[Text]:
    columns = (
        Column(title=""),
        Column(title="", least=12),
        Column(title="", least=8),
        Column(title="", least=2),
        Column(title="", least=8),
    )
    rows = [_row(change) for change in changes]
    table = grid(columns, rows, width)
    if table is None:
        return [line("  ", safe(f"{c.name} {c.old} → {c.new}")) for c in changes]
    return table[1:]


def _row(change: PackageChange) -> tuple[Cell, ...]:
    old = Cell(safe(change.old)) if change.old is not None else Cell("absent", "dim")
    new = Cell(safe(change.new)) if change.new is not None else Cell("absent", "dim")
    name = Cell(safe(change.name), "bold")
    return Cell(safe(change.ecosystem), "dim"), name, old, Cell("→", "dim"), new
