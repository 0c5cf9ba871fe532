"""repro2docker's files: `apt.txt`, and either `requirements.txt` and `runtime.txt` or conda's.

Where there is an environment.yml, repo2docker reads neither requirements.txt nor runtime.txt. It
stands on a base of its own, which has no package of Debian in the locked version: apt's packages
are named only.
"""

from __future__ import annotations

from collections.abc import Iterable

from repro.export.facts import head
from repro.locks import requirements
from repro.models.lock import Lock


def render(lock: Lock, *, name: str, apt: Iterable[str]) -> dict[str, str]:
    """Return {file name: text}; `apt` are the packages that the project asks for."""
    top = f"# {head('binder', lock)}.\n"
    found = {}
    if names := sorted(set(apt)):
        found["apt.txt"] = top + "".join(f"{one}\n" for one in names)
    if lock.conda:
        found["environment.yml"] = top + _environment(lock, name)
        return found
    found["requirements.txt"] = top + requirements.render(lock.pip)
    if lock.seal.python:
        found["runtime.txt"] = f"python-{lock.seal.python}\n"
    return found


def _environment(lock: Lock, name: str) -> str:
    """Return an environment.yml of exact builds, and pip's packages by version."""
    channels = dict.fromkeys(package.channel for package in lock.conda)
    lines = [f"name: {_quoted(name)}", "channels:"]
    lines += [f"- {_quoted(channel)}" for channel in channels]
    lines += ["- nodefaults", "dependencies:"]
    for package in sorted(lock.conda, key=lambda package: package.name):
        lines.append(f"- {_quoted(f'{package.name}={package.version}={package.build}')}")
    if lock.pip:
        lines.append("- pip:")
        for item in sorted(lock.pip, key=lambda item: item.name):
            lines.append(f"  - {_quoted(f'{item.name}=={item.version}')}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A YAML scalar in single quotes; no line end can be in it."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"
