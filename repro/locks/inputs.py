"""What an environment is asked to be, as digests by input: the seal compares them (DESIGN.md §5).

Only parsed content counts: a comment, the order of lines, a tolerance change nothing.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from repro.models.project import Environment


def environment_inputs(environment: Environment) -> tuple[tuple[str, str], ...]:
    """Return (input name, sha256 hex of its canonical content), sorted by name.

    One input a requirement file and one for the apt packages, named by their paths; one a key of
    `[environment]` that decides the resolution. A file that holds several kinds (pyproject.toml)
    is one input. What came later is an input only where it is asked for: older seals stay fresh.
    """
    contents: dict[str, list[Any]] = {
        "environment.suite": [environment.suite],
        "environment.python": [environment.python],
        "environment.resolver": [environment.resolver],
        "environment.system-site-packages": [environment.system_site_packages],
        "environment.allow-overlap": sorted(environment.allow_overlap),
    }
    later = {"image": environment.image, "as-of": environment.as_of}
    if environment.conda is not None:
        later["conda-resolver"] = environment.conda_resolver
        channels, specs = environment.conda.channels, sorted(environment.conda.specs)
        contents[environment.conda.path] = [["conda", list(channels), specs]]
    contents |= {f"environment.{key}": [value] for key, value in later.items() if value}
    for item in environment.pip:
        kind = "constraint" if item.constraint else "pip"
        contents.setdefault(item.path, []).append([kind, sorted(item.lines)])
    if environment.apt:
        packages = sorted(str(request) for request in environment.apt)
        contents.setdefault(environment.apt_source, []).append(["apt", packages])
    return tuple(sorted((name, _digest(value)) for name, value in contents.items()))


def _digest(value: list[Any]) -> str:
    """Canonical JSON, so that the digest depends on no Python version."""
    ordered = sorted(value, key=json.dumps)
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
