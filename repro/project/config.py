"""`repro.toml` or `[tool.repro]` (DESIGN.md §4): tables → what the user declares. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from repro.errors import UsageError
from repro.locks.names import index_alias, relative_path, shown
from repro.locks.reference import require_reference
from repro.models.project import (
    PLATFORMS,
    Analysis,
    AptRequest,
    Limits,
    MetricSettings,
    Sources,
    TableSettings,
)
from repro.project.apt import merged, parse_apt_request
from repro.project.judging import metric_settings, output_paths, table_settings
from repro.project.source import project_path
from repro.project.values import Table

FILE = "repro.toml"

TOP = (
    "name", "vendor", "environment", "analysis", "metrics", "tables", "apt", "indexes",
)  # fmt: skip
ENVIRONMENT = (
    "suite", "image", "python", "conda", "pip", "extras", "groups", "apt", "resolver",
    "conda-resolver",
    "system-site-packages", "allow-overlap", "as-of", "platforms",
)  # fmt: skip
ANALYSIS = (
    "command", "data", "outputs", "timeout", "memory", "pids", "threads", "env", "limits",
    "max-output", "max-log",
)  # fmt: skip
APT = ("mirror", "snapshot")
"""The keys of each table; docs/reference/repro-toml.md explains every one (a test compares)."""

_LATER_ENVIRONMENT = {
    "suites": "this release locks one suite: suite = …",
}
_LATER_ANALYSIS = {
    "notebook": 'for now: command = ["jupyter", "execute", "report.ipynb"], with nbclient among '
    "the requirements; notebooks come in a later release",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the configuration says; None where it says nothing and detection decides.

    `conda` is the path of an environment.yml, `pip` are paths; `apt` are packages, or the path of
    a file with packages. `file` is None when there is no configuration.
    """

    file: str | None = None
    key: str = ""
    """Prefix of keys in messages: "" or "tool.repro."."""
    name: str | None = None
    suite: str | None = None
    image: str | None = None
    python: str | None = None
    conda: str | None = None
    pip: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    apt: tuple[AptRequest, ...] | str | None = None
    resolver: str = "uv"
    conda_resolver: str = "rattler"
    system_site_packages: bool = False
    allow_overlap: tuple[str, ...] = ()
    as_of: str = ""
    platforms: tuple[str, ...] = ()
    analysis: Analysis | None = None
    metrics: MetricSettings = field(default_factory=MetricSettings)
    tables: tuple[TableSettings, ...] = ()
    sources: Sources = field(default_factory=Sources)

    def where(self, key: str) -> str:
        """Return `file: path.to.key`."""
        return f"{self.file or FILE}: {self.key}{key}"


def parse_settings(
    document: Mapping[str, Any], *, file: str, path: tuple[str, ...] = ()
) -> Settings:
    """Return the settings of one configuration table; `path` leads to it in its file.

    Raises UsageError naming file and path to the value: an unknown key, another type, a value
    out of range, a key of a later release.
    """
    top = Table(file=file, path=path, values=document)
    top.only(*TOP, later={"services": "services come in a later release"})
    environment = top.table("environment") or _empty(top, "environment")
    _environment_keys(environment)
    metrics = top.table("metrics")
    settings = Settings(
        file=file,
        key="".join(f"{part}." for part in path),
        name=top.text("name"),
        suite=environment.text("suite"),
        image=_image(environment),
        python=environment.text("python", 'quote it: python = "3.11"'),
        conda=_one_input_path(environment, "conda"),
        pip=_input_paths(environment, "pip"),
        extras=environment.texts("extras") or (),
        groups=environment.texts("groups") or (),
        apt=_apt(environment),
        resolver=environment.choice("resolver", "uv", "pip-tools") or "uv",
        conda_resolver=environment.choice("conda-resolver", "rattler", "conda-lock") or "rattler",
        system_site_packages=environment.flag("system-site-packages") or False,
        allow_overlap=_overlap(environment),
        as_of=environment.moment("as-of") or "",
        platforms=_platforms(environment),
        analysis=_analysis(top.table("analysis")),
        metrics=metric_settings(metrics),
        tables=table_settings(top.tables("tables")),
        sources=_sources(top),
    )
    refuse_data_overlap(settings)
    return settings


def _empty(table: Table, key: str) -> Table:
    return Table(file=table.file, path=(*table.path, key), values={})


def _environment_keys(table: Table) -> None:
    if "suite" in table.values and "image" in table.values:
        raise UsageError(
            f"{table.where('image')}: suite is given too: a base is one or the other",
            hint="remove suite to stand on that image, or image to bootstrap the suite",
        )
    table.only(*ENVIRONMENT, later=_LATER_ENVIRONMENT)


def _image(table: Table) -> str | None:
    text = table.text("image", 'write the name of an image: image = "python:3.12-slim"')
    return require_reference(text, table.where("image")) if text is not None else None


def _input_path(text: str, where: str) -> str:
    path = project_path(text, where)
    if path.partition("/")[0] in ("lockfiles", "baseline", ".repro"):
        raise UsageError(f"{where}: {path!r} is written by repro, not read as an input")
    return path


def _data_path(text: str, where: str) -> str:
    """A path that a run may read: not the results that it is compared with, nor older ones."""
    path = project_path(text, where)
    if path.partition("/")[0] in ("baseline", ".repro"):
        raise UsageError(
            f"{where}: {path!r} holds results of earlier runs, which no run may see",
            hint="copy what is data into a folder of its own, like data/",
        )
    return path


def _input_paths(table: Table, key: str) -> tuple[str, ...] | None:
    listed = table.texts(key)
    if listed is None:
        return None
    return tuple(_input_path(path, table.at(key, i)) for i, path in enumerate(listed))


def _one_input_path(table: Table, key: str) -> str | None:
    text = table.text(key, 'write the path of a file: conda = "environment.yml"')
    return _input_path(text, table.where(key)) if text is not None else None


def _apt(table: Table) -> tuple[AptRequest, ...] | str | None:
    if isinstance(table.values.get("apt"), str):
        text = table.text("apt")
        assert text is not None
        return _input_path(text, table.where("apt"))
    listed = table.texts("apt")
    if listed is None:
        return None
    places = [table.at("apt", i) for i in range(len(listed))]
    return merged(
        (where, parse_apt_request(item, where)) for where, item in zip(places, listed, strict=True)
    )


def _overlap(table: Table) -> tuple[str, ...]:
    listed = table.texts("allow-overlap") or ()
    for i, item in enumerate(listed):
        relative_path(item, table.at("allow-overlap", i), UsageError)
    return tuple(sorted(listed))


def _platforms(table: Table) -> tuple[str, ...]:
    """Read docker's names of the platforms to lock; return ours, sorted. Empty: not said."""
    listed = table.texts("platforms")
    known = {platform.docker: platform.name for platform in PLATFORMS}
    if listed is not None and not listed:
        raise UsageError(f"{table.where('platforms')} must not be empty", hint="take it away")
    for i, item in enumerate(listed or ()):
        if item not in known:
            raise UsageError(
                f"{table.at('platforms', i)}: {shown(item)} is not a platform that is locked",
                hint=f"write {' or '.join(known)}",
            )
    return tuple(sorted(known[item] for item in listed or ()))


def _analysis(table: Table | None) -> Analysis | None:
    if table is None:
        return None
    table.only(*ANALYSIS, later=_LATER_ANALYSIS)
    data = table.texts("data") or ()
    return Analysis(
        steps=_steps(table),
        data=tuple(_data_path(path, table.at("data", i)) for i, path in enumerate(data)),
        outputs=output_paths(table, "outputs"),
        threads=table.count("threads", most=1024) or 1,
        env=_variables(table.table("env")),
        limits=_limits(table),
    )


def _limits(table: Table) -> Limits:
    usual = Limits()
    return Limits(
        timeout=table.duration("timeout") or usual.timeout,
        memory=table.size("memory") or usual.memory,
        pids=table.count("pids", most=1 << 20) or usual.pids,
        output=table.size("max-output") or usual.output,
        log=table.size("max-log") or usual.log,
        best_effort=table.choice("limits", "enforced", "best-effort") == "best-effort",
    )


def _steps(table: Table) -> tuple[tuple[str, ...], ...]:
    """Read `command`: a list of strings is one step, a list of lists several."""
    value = table.values.get("command")
    where = table.where("command")
    if value is None:
        raise UsageError(f"{where} is missing", hint='command = ["python", "analysis.py"]')
    if isinstance(value, str):
        raise UsageError(f"{where} must be a list: no shell reads it", hint=_list_form(value))
    if not isinstance(value, list) or not value:
        raise UsageError(
            f"{where} must be a list of strings, not empty", hint='["python", "analysis.py"]'
        )
    if any(isinstance(item, list) for item in value):
        return tuple(_step(item, table.at("command", i)) for i, item in enumerate(value))
    return (_step(value, where),)


def _step(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise UsageError(
            f"{where} must be a list of strings, not empty",
            hint='several steps: [["python", "clean.py"], ["python", "report.py"]]',
        )
    for i, item in enumerate(value):
        if not isinstance(item, str):
            raise UsageError(f"{where}[{i}] must be a string", hint="quote it")
        if "\0" in item:
            raise UsageError(f"{where}[{i}] holds a NUL")
    if not value[0]:
        raise UsageError(f"{where}[0] names no program")
    return tuple(value)


def _list_form(command: str) -> str:
    """Show the list that a command line stands for."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    quoted = ", ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    return f"command = [{quoted}]" if quoted.isprintable() else "command = […]"


def _variables(table: Table | None) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in sorted(table.values.items()) if table is not None else ():
        assert table is not None
        if not _VARIABLE.fullmatch(name):
            raise UsageError(f"{table.where(name)}: not the name of an environment variable")
        if not isinstance(value, str):
            raise UsageError(f"{table.where(name)} must be a string", hint=f'{name} = "…"')
        if "\0" in value:
            raise UsageError(f"{table.where(name)} holds a NUL")
        found.append((name, value))
    return tuple(found)


def _sources(top: Table) -> Sources:
    apt = top.table("apt", "packages are listed under [environment] apt")
    if apt is not None:
        apt.only(*APT)
    indexes = top.table("indexes")
    vendor = top.text("vendor")
    return Sources(
        apt_mirror=_address(apt, "mirror") if apt else None,
        apt_snapshot=_address(apt, "snapshot") if apt else None,
        indexes=_indexes(indexes) if indexes else (),
        vendor=project_path(vendor, top.where("vendor")) if vendor else None,
    )


def _indexes(table: Table) -> tuple[tuple[str, str], ...]:
    found = []
    for alias in table.values:
        index_alias(alias, table.where(alias), UsageError)
        address = _address(table, alias)
        assert address is not None
        found.append((alias, address))
    return tuple(found)


def _address(table: Table, key: str) -> str | None:
    """Read an address without credentials. Raises UsageError that never shows it."""
    text = table.text(key, "write its address")
    if text is None:
        return None
    where = table.where(key)
    try:
        split = urlsplit(text)
        port = split.port
    except ValueError:
        raise UsageError(f"{where} is not an address (not shown)") from None
    if "@" in split.netloc or split.query or split.fragment:
        raise UsageError(
            f"{where}: the address holds a credential or a query (not shown)",
            hint="write it without; user names and passwords come from netrc, pip's or uv's own "
            "configuration, or apt's auth.conf",
        )
    local = split.scheme == "file" and not split.netloc and split.path.startswith("/")
    remote = split.scheme in ("http", "https") and split.hostname and port != 0
    if not (local or remote) or any(sign in text for sign in " '\"<>\\"):
        raise UsageError(f"{where} is not an http, https or file address: {shown(text)}")
    return text


def refuse_data_overlap(settings: Settings) -> None:
    """Raise UsageError when something that a run writes lies in data, or data in it.

    Data is mounted read-only, and outputs are removed before a run.
    """
    if settings.analysis is None:
        return
    data = {
        path.rstrip("/"): f"analysis.data[{i}]" for i, path in enumerate(settings.analysis.data)
    }
    rows = [(f"analysis.outputs[{i}]", p) for i, p in enumerate(settings.analysis.outputs)]
    rows += [(f"metrics.files[{i}]", p) for i, p in enumerate(settings.metrics.files)]
    rows += [(f"tables[{i}].file", table.file) for i, table in enumerate(settings.tables)]
    written = {path.rstrip("/"): key for key, path in rows}
    pairs = [
        (key, path, up) for path, key in written.items() for up in _upwards(path) if up in data
    ]
    pairs += [(written[up], up, path) for path in data for up in _upwards(path) if up in written]
    for key, path, source in pairs:
        raise UsageError(
            f"{settings.where(key)}: {shown(path)} overlaps with {data[source]}, "
            f"{shown(source)}, which is mounted read-only",
            hint="let the analysis write into a folder of its own, like out/",
        )


def _upwards(path: str) -> list[str]:
    """Return the path and its parents, as far as 64 levels up."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts), max(0, len(parts) - 64), -1)]
