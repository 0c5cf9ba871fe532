"""Reading environment.yml: conda's packages, its `pip:` part, channels and platforms.

The format is that of `conda env create`, with `platforms:` and the selectors of conda-lock
(https://conda.github.io/conda-lock/src_environment_yml/).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UsageError
from repro.locks import conda_names, yaml
from repro.locks.names import shown, single_line
from repro.models.project import CondaRequest
from repro.project import source
from repro.project.match_spec import MatchSpec, parse_match_spec
from repro.project.requirements import RequirementText, parse_requirements

NAMES = ("environment.yml", "environment.yaml")

_KEYS = ("name", "channels", "dependencies", "platforms", "prefix", "category")
_ELSEWHERE = {
    "variables": 'what a run sees of them is said in repro.toml: env = { NAME = "…" } under '
    "[analysis]",
    "pip-repositories": "name package indexes under [indexes] in repro.toml",
    "allow-pypi-requests": "name package indexes under [indexes] in repro.toml",
}
_MOST = 2_000

# conda-build's selectors, as far as conda-lock reads them; those of one machine are refused.
_LINUX = {"linux", "unix"}
_OTHERS = {"win", "win32", "win64", "osx", "osx64", "arm64"}


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvironmentFile:
    """An environment.yml, read: `conda` is None where it lists no conda packages.

    `pip` is its `pip:` part, which may name other files; `name` is "" where it has none.
    """

    path: str
    conda: CondaRequest | None
    pip: RequirementText | None = None
    name: str = ""
    notes: tuple[str, ...] = ()


def read_environment(root: Path, path: str, *, where: str | None = None) -> EnvironmentFile:
    """Read one environment.yml of the project; `where` names the place that asked for it.

    Raises UsageError naming the file and the value, LocalError when the disk refuses.
    """
    text = source.read_text(root, path, where=where, limit=yaml.LIMIT)
    return parse_environment(text, where=path)


def parse_environment(text: str, *, where: str) -> EnvironmentFile:
    """Read the text of an environment.yml. Raises UsageError naming `where` and the value."""
    value = yaml.parse(_selected(text, where), where=where)
    if not isinstance(value, dict):
        raise UsageError(
            f"{where}: not the mapping that an environment.yml is",
            hint="it has the keys name, channels and dependencies",
        )
    _check_keys(value, where)
    specs, pip = _dependencies(value, where)
    channels = _channels(value, where)
    _check_channels(specs, channels, where)
    platforms = _platforms(value, where)
    conda = None
    if specs:
        conda = CondaRequest(
            path=where,
            channels=channels,
            specs=tuple(sorted({str(spec) for _, spec in specs})),
            platforms=platforms,
        )
    notes = (f"{where}: prefix is not read: packages lie in /opt/conda",)
    return EnvironmentFile(
        path=where,
        conda=conda,
        pip=pip,
        name=_text(value.get("name", ""), f"{where}: name"),
        notes=notes if "prefix" in value else (),
    )


def _selected(text: str, where: str) -> str:
    """Blank the lines whose selector (`# [win]`) leaves them out on Linux."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        selector = _selector(line)
        if selector is None or selector in _LINUX:
            continue
        if selector not in _OTHERS:
            raise UsageError(
                f"{where}:{number + 1}: the selector {shown(selector)} is not read",
                hint="linux, unix, win and osx are; what is no selector goes without brackets",
            )
        lines[number] = ""
    return "\n".join(lines)


def _selector(line: str) -> str | None:
    """What stands in brackets at the end of a line's comment; None where nothing does."""
    start = line.find(" #")
    end = line.rfind("]")
    opening = line.rfind("[", 0, max(end, 0))
    whole = line.lstrip().startswith("#")  # a comment of its own leaves nothing out
    if whole or not -1 < start < opening or {"(", ")"} & set(line[end:]):
        return None
    return line[opening + 1 : end].strip()


def _check_keys(value: dict[str, yaml.Value], where: str) -> None:
    for key in value:
        if key in _ELSEWHERE:
            raise UsageError(f"{where}: {key} is not read", hint=_ELSEWHERE[key])
        if key not in _KEYS:
            near = difflib.get_close_matches(key[:80], _KEYS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(_KEYS)}"
            raise UsageError(f"{where}: {shown(key)}: unknown key", hint=hint)
    if value.get("category", "main") not in ("main", ""):
        raise UsageError(
            f"{where}: category: only main is read",
            hint="list what the analysis needs, and nothing else, in one environment.yml",
        )


def _list(value: dict[str, yaml.Value], key: str, where: str) -> list[yaml.Value]:
    """A list of the file; one that is absent or empty is an empty one."""
    listed = value.get(key, "")
    if listed == "":
        return []
    if not isinstance(listed, list):
        raise UsageError(f"{where}: {key} must be a list", hint="write one a line, with '- '")
    if len(listed) > _MOST:
        raise UsageError(f"{where}: {key} has more than {_MOST} entries", hint="shorten it")
    return listed


def _text(value: yaml.Value, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be plain text", hint="write one word or a quoted text")
    return single_line(value, where, UsageError)


def _dependencies(
    value: dict[str, yaml.Value], where: str
) -> tuple[list[tuple[str, MatchSpec]], RequirementText | None]:
    """The conda packages, each with its place, and the `pip:` part."""
    if "dependencies" not in value:
        raise UsageError(f"{where}: lists no dependencies", hint="dependencies: [numpy=1.26]")
    specs: list[tuple[str, MatchSpec]] = []
    pip: RequirementText | None = None
    for number, item in enumerate(_list(value, "dependencies", where)):
        place = f"{where}: dependencies[{number}]"
        if isinstance(item, str):
            specs.append((place, parse_match_spec(item, place)))
            continue
        if not isinstance(item, dict) or set(item) != {"pip"}:
            raise UsageError(
                f"{place} must be a package, or the mapping pip: with a list",
                hint="a version is written without a colon and a space: numpy=1.26",
            )
        if pip is not None:
            raise UsageError(f"{place}: pip: is given twice", hint="join the two lists")
        pip = _pip(item, place)
    return specs, pip


def _pip(item: dict[str, yaml.Value], where: str) -> RequirementText:
    parsed = [
        parse_requirements(_text(line, f"{where}.pip[{number}]"), where=f"{where}.pip[{number}]")
        for number, line in enumerate(_list(item, "pip", where))
    ]
    return RequirementText(
        lines=tuple(sorted({line for one in parsed for line in one.lines})),
        includes=tuple(pair for one in parsed for pair in one.includes),
        constraints=tuple(pair for one in parsed for pair in one.constraints),
        itself=tuple(extras for one in parsed for extras in one.itself),
    )


def _channels(value: dict[str, yaml.Value], where: str) -> tuple[str, ...]:
    """The channels in order of priority, each once; `nodefaults` says what holds anyway."""
    found: dict[str, None] = {}
    for number, item in enumerate(_list(value, "channels", where)):
        place = f"{where}: channels[{number}]"
        name = conda_names.channel(_text(item, place), place, UsageError)
        if name != "nodefaults":
            found[name] = None
    return tuple(found)


def _check_channels(
    specs: list[tuple[str, MatchSpec]], channels: tuple[str, ...], where: str
) -> None:
    if specs and not channels:
        raise UsageError(
            f"{where}: names no channel",
            hint="say where its packages come from, for example: channels: [conda-forge]",
        )
    for place, spec in specs:
        if spec.channel and spec.channel not in channels:
            raise UsageError(
                f"{place}: the channel {shown(spec.channel)} is not listed under channels",
                hint="list it there; the last has the lowest priority",
            )


def _platforms(value: dict[str, yaml.Value], where: str) -> tuple[str, ...]:
    found = []
    for number, item in enumerate(_list(value, "platforms", where)):
        place = f"{where}: platforms[{number}]"
        found.append(conda_names.subdir(_text(item, place), place, UsageError))
    known = conda_names.SUBDIRS.values()
    if found and not set(found) & set(known):
        raise UsageError(
            f"{where}: platforms: none of them is one that is locked here",
            hint=f"add one of {', '.join(known)}",
        )
    return tuple(sorted(set(found)))
