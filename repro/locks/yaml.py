"""Reading YAML that others wrote (dvc.yaml, environment.yml, conda's locks), within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.errors import UsageError
from repro.locks.names import shown

if TYPE_CHECKING:
    import yaml

LIMIT = 256 << 10
"""Characters of what a person writes."""

DEPTH = 32
"""Open sequences and mappings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How large a document may be: characters, and nodes once every alias is expanded.

    An alias bomb has billions of nodes.
    """

    characters: int
    nodes: int


HAND = Bounds(characters=LIMIT, nodes=20_000)
LOCK = Bounds(characters=16 << 20, nodes=2_000_000)
"""What a program wrote: a lock of several large environments has 2 MiB."""

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)

Value = str | list["Value"] | dict[str, "Value"]
"""Scalars stay text: "3.10" is a version here, not a float."""


def parse(text: str, *, where: str, bounds: Bounds = HAND) -> Value:
    """Return one YAML document's value; scalars as text, merge keys applied, an empty one as "".

    Raises UsageError naming `where` and the line: not YAML, a duplicate key, a tag of its own
    (nothing is ever constructed from it), too deep, too large once aliases are expanded.
    """
    import yaml

    if len(text) > bounds.characters:
        raise UsageError(f"{where}: larger than {bounds.characters >> 10} KiB")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _check(yaml.parse(text, Loader=loader), where, bounds.nodes)
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not valid YAML: {_said(error)}") from None
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{where}: not valid YAML: {type(error).__name__}") from None
    return "" if node is None else _value(node, where)


def _said(error: yaml.YAMLError) -> str:
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return str(error).split("\n", maxsplit=1)[0][:200]


def _check(events: Any, where: str, most: int) -> None:
    """Count depth and expanded size over the event stream, which no nesting can make recursive."""
    import yaml

    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]  # (anchor, size) of each open collection
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            _check_tag(event, where)
            stack.append((event.anchor, 1))
            if len(stack) > DEPTH:
                raise _refuse(event, where, f"nested more than {DEPTH} deep")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = stack.pop()
        elif isinstance(event, yaml.ScalarEvent):
            _check_tag(event, where)
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                said = f"the alias {shown(str(event.anchor))} is undefined or holds itself"
                raise _refuse(event, where, said)
            anchor, size = None, sizes[event.anchor]
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        stack[-1] = (stack[-1][0], stack[-1][1] + size)
        if stack[-1][1] > most:
            raise _refuse(event, where, f"more than {most} nodes once aliases are expanded")


def _check_tag(event: yaml.CollectionStartEvent | yaml.ScalarEvent, where: str) -> None:
    if event.tag is not None and event.tag not in _TAGS:
        raise _refuse(event, where, f"the tag {shown(event.tag)} is not read")


def _refuse(event: yaml.Event, where: str, what: str) -> UsageError:
    line = event.start_mark.line + 1 if event.start_mark is not None else 0
    return UsageError(f"{where}: line {line}: {what}", hint="simplify the file")


def _value(node: yaml.Node, where: str) -> Value:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, where) for item in node.value]
    assert isinstance(node, yaml.MappingNode)
    own: dict[str, Value] = {}
    merged: dict[str, Value] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{where}: line {line}: a key must be a plain word")
        if key.tag == "tag:yaml.org,2002:merge":
            for table in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                if not isinstance(table, yaml.MappingNode):
                    raise UsageError(f"{where}: line {line}: '<<' merges mappings only")
                merged = {**_mapping(table, where), **merged}
            continue
        if key.value in own:
            raise UsageError(
                f"{where}: line {line}: the key {shown(key.value)} is given twice",
                hint="remove one of them",
            )
        own[key.value] = _value(item, where)
    return {**merged, **own}


def _mapping(node: yaml.MappingNode, where: str) -> dict[str, Value]:
    value = _value(node, where)
    assert isinstance(value, dict)
    return value
