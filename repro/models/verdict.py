"""Comparisons and verdicts: values, not exceptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from repro.models.lock import LockDiff
from repro.models.measurement import Scalar
from repro.models.project import Tolerance


class Change(StrEnum):
    """What happened to one metric, table row or cell."""

    SAME = "same"
    WITHIN = "within tolerance"
    IMPROVED = "improved"
    IGNORED = "ignored"
    DRIFTED = "drifted"
    ADDED = "added"
    MISSING = "missing"
    RETYPED = "retyped"

    @property
    def is_drift(self) -> bool:
        """Whether this alone makes the verdict a drift."""
        return self in (Change.DRIFTED, Change.ADDED, Change.MISSING, Change.RETYPED)


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricChange:
    """One metric against its baseline.

    `difference` is |new - old|, `relative` is that over |old|; None where they have no
    meaning (text, NaN on one side, old = 0 for `relative`).
    """

    name: str
    change: Change
    old: Scalar = None
    new: Scalar = None
    tolerance: Tolerance
    difference: float | None = None
    relative: float | None = None
    reason: str | None = None
    """For IGNORED the user's reason, for IMPROVED the direction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellChange:
    """One cell: `row` is the key's values (or the position), `column` its name."""

    row: str
    column: str
    change: Change
    old: str
    new: str
    tolerance: Tolerance
    difference: float | None = None
    relative: float | None = None
    reason: str | None = None
    """For IGNORED the user's reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableChange:
    """One table against its baseline; cells worst first, only those that are not SAME."""

    file: str
    change: Change
    rows_compared: int = 0
    rows_added: tuple[str, ...] = ()
    rows_missing: tuple[str, ...] = ()
    columns_added: tuple[str, ...] = ()
    columns_missing: tuple[str, ...] = ()
    cells: tuple[CellChange, ...] = ()
    problem: str | None = None
    """For example a key that is not unique."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Everything against the baseline, worst first."""

    metrics: tuple[MetricChange, ...]
    tables: tuple[TableChange, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether anything drifted."""
        return any(m.change.is_drift for m in self.metrics) or any(
            t.change.is_drift for t in self.tables
        )


class Verdict(StrEnum):
    """The answer."""

    REPRODUCED = "reproduced"
    DRIFTED = "drifted"
    NONDETERMINISTIC = "nondeterministic"

    @property
    def exit_code(self) -> int:
        """See DESIGN.md §10."""
        return {"reproduced": 0, "drifted": 10, "nondeterministic": 8}[self.value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """A verdict with its evidence."""

    verdict: Verdict
    comparison: Comparison
    environment: LockDiff
    """What differs between the baseline's locks and these."""
    engine: str
    run_id: str
    cpu_differs: bool = False
    code_changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
