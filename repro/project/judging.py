"""`[metrics]` and `[[tables]]`: how results are judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from repro.errors import UsageError
from repro.locks.names import shown
from repro.models.measurement import METRICS_SUFFIXES, TABLE_SUFFIXES
from repro.models.project import MetricRule, MetricSettings, TableSettings, Tolerance
from repro.project.source import project_path
from repro.project.values import Table

RULE = ("rel", "abs", "direction", "ignore")
DEFAULT = ("rel", "abs")
METRICS = ("files", "default")
TABLES = ("file", "key", "default", "columns")
"""Keys of a rule, of a default tolerance, of `[metrics]` beside its patterns, of `[[tables]]`."""


def metric_settings(table: Table | None) -> MetricSettings:
    """Read `[metrics]`: every key but `files` and `default` is a pattern. Raises UsageError."""
    if table is None:
        return MetricSettings()
    default = _default(table)
    files = output_paths(table, "files")
    for i, path in enumerate(files):
        require_suffix(path, METRICS_SUFFIXES, table.at("files", i))
    return MetricSettings(
        files=files,
        default=default,
        rules=_rules(table, default, [key for key in table.values if key not in METRICS]),
    )


def table_settings(tables: Sequence[Table]) -> tuple[TableSettings, ...]:
    """Read `[[tables]]`. Raises UsageError."""
    found: dict[str, TableSettings] = {}
    for table in tables:
        table.only(*TABLES)
        file = table.text("file")
        if file is None:
            raise UsageError(f"{table.where()}: file is missing", hint='file = "out/table.csv"')
        file = output_path(file, table.where("file"))
        require_suffix(file, TABLE_SUFFIXES, table.where("file"))
        if file in found:
            raise UsageError(f"{table.where('file')}: {file!r} has an entry already")
        default = _default(table)
        columns = table.table("columns")
        found[file] = TableSettings(
            file=file,
            key=table.texts("key") or (),
            default=default,
            columns=_rules(columns, default, list(columns.values)) if columns else (),
        )
    return tuple(found.values())


def output_paths(table: Table, key: str) -> tuple[str, ...]:
    """Read a list of paths that a run writes. Raises UsageError naming the key."""
    listed = table.texts(key) or ()
    return tuple(output_path(path, table.at(key, i)) for i, path in enumerate(listed))


def output_path(text: str, where: str) -> str:
    """Return a path that a run may write and `repro run` may copy into the user's tree.

    Raises UsageError for what decides the environment, the verdict or the host's behaviour.
    """
    path = project_path(text, where)
    top = path.partition("/")[0]
    if top in (".git", ".hg", ".svn", ".repro", "lockfiles", "baseline") or path in (
        "repro.toml",
        "pyproject.toml",
    ):
        raise UsageError(
            f"{where}: {path!r} is not an analysis's to write", hint="choose a folder like out/"
        )
    return path


def require_suffix(path: str, known: tuple[str, ...], where: str) -> None:
    """Refuse a results file that nothing reads, before the run rather than after it."""
    if PurePosixPath(path).suffix.lower() not in known:
        other = "[[tables]]" if known is METRICS_SUFFIXES else "[metrics] files"
        raise UsageError(
            f"{where}: {shown(path)} is none of {', '.join(known)}",
            hint=f"let the analysis write one of these; {other} is for the other kind of results",
        )


def _default(table: Table) -> Tolerance:
    default = table.table("default", "write default = { rel = 1e-9, abs = 0.0 }")
    if default is None:
        return MetricSettings().default
    default.only(*DEFAULT)
    return _tolerance(default)


def _tolerance(table: Table) -> Tolerance:
    """A rule that gives one of rel and abs gives both: the other is 0."""
    return Tolerance(rel=table.tolerance("rel") or 0.0, abs=table.tolerance("abs") or 0.0)


def _rules(table: Table, default: Tolerance, patterns: Sequence[str]) -> tuple[MetricRule, ...]:
    found = []
    for pattern in patterns:
        if not pattern:
            raise UsageError(f"{table.where(pattern)}: the pattern is empty")
        rule = table.table(pattern, "write { rel = 1e-6 }, { abs = 0.01 } or { ignore = … }")
        assert rule is not None
        found.append(_rule(rule, pattern, default))
    return tuple(found)


def _rule(table: Table, pattern: str, default: Tolerance) -> MetricRule:
    inner = [key for key, value in table.values.items() if isinstance(value, dict)]
    if inner and inner[0] not in RULE:
        raise UsageError(
            f"{table.where(inner[0])}: unknown key",
            hint=f'a pattern with a dot is quoted: "{pattern}.{inner[0]}" = {{ … }}',
        )
    table.only(*RULE)
    if not table.values:
        raise UsageError(f"{table.where()}: an empty rule", hint="give rel, abs or ignore")
    reason = table.text("ignore", 'the reason is required: ignore = "timing"')
    if reason is not None and len(table.values) > 1:
        raise UsageError(
            f"{table.where('ignore')}: what is ignored has no tolerance and no direction",
            hint="keep ignore, or the other keys",
        )
    given = "rel" in table.values or "abs" in table.values
    return MetricRule(
        pattern=pattern,
        tolerance=_tolerance(table) if given else default,
        ignore=reason,
        direction=table.choice("direction", "lower", "higher"),
    )
