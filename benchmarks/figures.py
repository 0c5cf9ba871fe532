"""Figures: what was measured beside which peer, against which target; and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.timing import Times


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a figure must not exceed: `seconds`, `ratio` to the first peer, `excess` over it."""

    seconds: float | None = None
    ratio: float | None = None
    excess: float | None = None

    def met(self, ours: float, peer: float) -> bool | None:
        """Whether medians (seconds) meet it; None where nothing is asked."""
        checks = [
            value <= limit
            for value, limit in (
                (ours, self.seconds),
                (ours / peer, self.ratio),
                (ours - peer, self.excess),
            )
            if limit is not None
        ]
        return all(checks) if checks else None

    def __str__(self) -> str:
        parts = []
        if self.seconds is not None:
            parts.append(f"≤ {shown(self.seconds)}")
        if self.ratio is not None:
            parts.append(f"≤ {self.ratio:g} ×")
        if self.excess is not None:
            parts.append(f"≤ +{shown(self.excess)}")
        return ", ".join(parts) or "–"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One row: ours and its peers (name, times), the first of which the ratio is to."""

    what: str
    ours: Times
    peers: tuple[tuple[str, Times], ...]
    target: Target
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met."""
        return self.target.met(self.ours.median, self.peers[0][1].median)


def shown(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def table(figures: Sequence[Figure]) -> str:
    """Return the Markdown table of figures, its notes below it."""
    rows = [
        "| What | repro | Peer | Ratio | Target | Met |",
        "|---|---:|---|---:|---|---|",
    ]
    notes: list[str] = []
    for figure in figures:
        mark = ""
        if figure.note:
            notes.append(f"{len(notes) + 1}. {figure.note}")
            mark = f" ({len(notes)})"
        peers = "; ".join(f"{name} {shown(times.median)}" for name, times in figure.peers)
        ratio = figure.ours.median / figure.peers[0][1].median
        met = {None: "–", True: "yes", False: "**no**"}[figure.met]
        rows.append(
            f"| {figure.what}{mark} | {shown(figure.ours.median)} | {peers} "
            f"| {ratio:.2f} | {figure.target} | {met} |"
        )
    return "\n".join([*rows, "", *notes]).rstrip() + "\n"
