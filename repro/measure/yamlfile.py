"""YAML metrics out of the parser's events: no objects, no aliases, no duplicate keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from repro.errors import AnalysisError
from repro.measure.collect import Collector
from repro.measure.jsonfile import finite
from repro.measure.source import Source, quoted
from repro.models.measurement import Metric, Scalar
from repro.models.numerals import is_numeral

if TYPE_CHECKING:
    import yaml

# The core schema of YAML 1.2 (section 10.3.2), which reads 1e-05 as the number that it is and
# `yes` as text. Leading zeros stay text: 1.1 and 1.2 disagree about them.
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{s + w: math.inf for s in ("", "+") for w in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
_TAG_HINT = "write plain numbers: float(x) and int(x) of NumPy's values, before dumping"


def read_yaml(source: Source) -> tuple[Metric, ...]:
    """Metrics of one YAML document, nested names joined by dots. Raises AnalysisError."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(source)
    try:
        for event in yaml.parse(source.text, Loader=loader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "not valid YAML"
        if mark is None:
            raise AnalysisError(f"{source.file}: {message}") from None
        where = f"line {mark.line + 1}, column {mark.column + 1}"
        raise AnalysisError(f"{source.file}, {where}: {message}") from None
    except yaml.reader.ReaderError as error:
        at = min(_int(error.position), len(source.text))
        raise source.error(f"not valid YAML: {error.reason}", at) from None
    return reader.finish()


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


class _Reader:
    """`_keys` tells for each open container whether a key comes next (lists: never)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._collector = Collector(source)
        self._keys: list[bool] = []
        self._documents = 0

    def finish(self) -> tuple[Metric, ...]:
        return self._collector.finish()

    def take(self, event: yaml.Event) -> None:
        """One event of the parser."""
        import yaml

        at = event.start_mark.index if event.start_mark else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._source.error("a second document", at, hint="write one document a file")
        elif isinstance(event, yaml.AliasEvent):
            raise self._source.error(
                f"the alias *{event.anchor} is not read",
                at,
                hint="write the value out in full (PyYAML: dump with ignore_aliases)",
            )
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, at)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._enter(event, at)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._keys.pop()
            self._collector.leave(at)
            self._turn()

    def _enter(self, event: yaml.CollectionStartEvent, at: int) -> None:
        import yaml

        self._check_tag(event.tag, at)
        if self._keys and self._keys[-1] and self._collector.in_mapping:
            raise self._source.error("a key that is a list or a mapping", at)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._collector.enter(at, mapping=mapping)
        self._keys.append(mapping)

    def _scalar(self, event: yaml.ScalarEvent, at: int) -> None:
        self._check_tag(event.tag, at)
        text: str = event.value
        if self._keys and self._keys[-1]:
            self._collector.key(text, at)
        elif event.tag or not event.implicit[0]:
            self._collector.value(text, at)
        else:
            self._collector.value(self._plain(text, at), at)
        self._turn()

    def _turn(self) -> None:
        """A key is followed by its value, a value by the next key."""
        if self._keys and self._collector.in_mapping:
            self._keys[-1] = not self._keys[-1]

    def _plain(self, text: str, at: int) -> Scalar:
        if text in _WORDS:
            return _WORDS[text]
        return finite(text, self._source, at) if is_numeral(text) else text

    def _check_tag(self, tag: str | None, at: int) -> None:
        if tag is not None and tag not in _PLAIN_TAGS:
            raise self._source.error(f"the tag {quoted(tag)} is not read", at, hint=_TAG_HINT)
