"""The JSON Schemas of docs/reference/schemas/, applied to what the commands really write."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "schemas"


def names() -> set[str]:
    """What there is a schema for: commands, `error`, and what they share, `common`."""
    return {path.stem for path in FOLDER.glob("*.json")}


def assert_valid(said: dict[str, Any]) -> None:
    """Assert that an output has every key of its schema, and none that no schema explains."""
    name = "error" if "error" in said else said["command"]
    problems = [
        f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(said)
    ]
    assert problems == [], f"docs/reference/schemas/{name}.json: {problems[:5]}"


@functools.cache
def validator(name: str) -> Draft202012Validator:
    """The schema of that name; references are file names, as the published files have them."""
    registry = Registry[Any]().with_resources(
        (path.name, Resource.from_contents(closed(json.loads(path.read_text()))))
        for path in FOLDER.glob("*.json")
    )
    schema = registry.contents(f"{name}.json")
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, registry=registry)


def closed(part: Any, key: str = "") -> Any:
    """The schema without room for keys that it does not name.

    The published files leave that room: a later release may add a key without another version.
    """
    if isinstance(part, list):
        return [closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(value, name) for name, value in part.items()}
    if key not in ("result", "properties", "$defs") and ("properties" in part or "$ref" in part):
        made["unevaluatedProperties"] = False
    return made
