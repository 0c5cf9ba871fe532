"""Nested values → metrics with dotted names, under limits that bound time and memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from repro.measure.source import Source, quoted
from repro.models.measurement import Metric, Scalar

MAX_DEPTH = 100
"""Deepest nesting of objects and lists."""

MAX_METRICS = 100_000
"""Most metrics in one file."""

MAX_NAME = 1000
"""Longest dotted name, in characters."""


@dataclass(slots=True)
class _Frame:
    """One open object or list. `keys` is None for a list; `next` is the name of its next item."""

    name: str
    keys: set[str] | None
    next: str = ""
    items: int = 0


@dataclass(slots=True)
class Collector:
    """Takes the events of a parser (enter, key, value, leave) and keeps the metrics.

    `at` is always a character offset into the source. Every method raises AnalysisError with
    that position: duplicate keys, two values of one dotted name, a limit, a lone surrogate.
    """

    source: Source
    metrics: list[Metric] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)

    @property
    def in_mapping(self) -> bool:
        """Whether the innermost open container is an object."""
        return bool(self._frames) and self._frames[-1].keys is not None

    def enter(self, at: int, *, mapping: bool) -> None:
        """An object (`mapping`) or a list opens."""
        if len(self._frames) >= MAX_DEPTH:
            raise self.source.error(f"nested more than {MAX_DEPTH} deep", at)
        name = self._take_name(at) if self._frames else ""
        self._frames.append(_Frame(name=name, keys=set() if mapping else None))

    def leave(self, at: int) -> None:
        """The innermost container closes. An empty one counts as the text `{}` or `[]`.

        So it is seen when an empty list comes, goes or is filled.
        """
        frame = self._frames.pop()
        if not frame.items and self._frames:
            self._add(frame.name, "[]" if frame.keys is None else "{}", at)

    def key(self, name: str, at: int) -> None:
        """The name of the next item of the innermost object."""
        frame = self._frames[-1]
        assert frame.keys is not None
        self._check_text(name, "the key", at)
        if name in frame.keys:
            raise self.source.error(f"the key {quoted(name)} occurs twice", at)
        frame.keys.add(name)
        frame.next = name

    def value(self, value: Scalar, at: int) -> None:
        """A scalar."""
        if not self._frames:
            raise self.source.error(
                "a lone value has no name", at, hint='write named values: {"rmse": 0.25}'
            )
        if isinstance(value, str):
            self._check_text(value, "the text", at)
        self._add(self._take_name(at), value, at)

    def finish(self) -> tuple[Metric, ...]:
        """The metrics, in the order of the file. Raises AnalysisError when there is none."""
        if not self.metrics:
            raise self.source.error("it holds no metric", 0, hint='for example: {"rmse": 0.25}')
        return tuple(self.metrics)

    def _take_name(self, at: int) -> str:
        frame = self._frames[-1]
        own = str(frame.items) if frame.keys is None else frame.next
        frame.items += 1
        name = f"{frame.name}.{own}" if len(self._frames) > 1 else own
        if len(name) > MAX_NAME:
            message = f"the name {quoted(name)} is longer than {MAX_NAME} characters"
            raise self.source.error(message, at)
        return name

    def _add(self, name: str, value: Scalar, at: int) -> None:
        if name in self._names:
            raise self.source.error(f"two values have the name {quoted(name)}", at)
        if len(self.metrics) >= MAX_METRICS:
            raise self.source.error(
                f"more than {MAX_METRICS} metrics", at, hint="declare it under [[tables]] as a CSV"
            )
        self._names.add(name)
        self.metrics.append(Metric(name=name, value=value, file=self.source.file))

    def _check_text(self, text: str, what: str, at: int) -> None:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise self.source.error(f"{what} {quoted(text)} holds a lone surrogate", at) from None
