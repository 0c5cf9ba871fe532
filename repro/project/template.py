"""The first repro.toml: facts about a folder → a commented text that loads back to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from repro.models.project import SUITES
from repro.project import detect
from repro.project.dialect import python2_script
from repro.project.load import load_project
from repro.project.pyproject import NAME as PYPROJECT
from repro.project.pyproject import read_pyproject
from repro.project.scan import may_be_named, scan

_PREFERRED = ("analysis.py", "main.py", "run.py", "analyse.py", "analyze.py", "train.py")
_PYTHON_2 = next((suite.name, "2.7") for suite in SUITES if "2.7" in suite.pythons)
_NUMBERED = re.compile(r"(?:scripts/)?(?P<number>[0-9]{1,4})[-_.].*\.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class InitFacts:
    """What a proposal is made of; paths relative, folders end with `/`.

    `steps` is empty when no command could be guessed; `scripts` are all candidates. `apt` is
    the path of the file with system packages, `conda` that of an environment.yml; `python` is ""
    where conda's packages decide it.
    """

    suite: str
    python: str
    pip: tuple[str, ...] = ()
    conda: str | None = None
    apt: str | None = None
    scripts: tuple[str, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    data: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    system_site_packages: bool = False
    vendor: str = ""
    """Folder of artifacts that no index has, "" for none."""
    notes: tuple[str, ...] = ()


def look_around(folder: Path) -> InitFacts:
    """Collect the facts of a folder that is not configured yet. Raises UsageError, LocalError."""
    loaded = load_project(folder)
    root, environment = loaded.project.root, loaded.project.environment
    conda = detect.find_conda(root)
    pip = [item.path for item in environment.pip[:1] if conda is None]
    known, notes = detect.dvc_metrics(root)
    seen = scan(root, tuple(path for path in known if may_be_named(path)))
    suite, python = environment.suite, environment.python
    old = (
        None if conda is not None or _asks_for_python(root) else python2_script(root, seen.scripts)
    )
    if old is not None:
        suite, python = _PYTHON_2
        notes = (*notes, f"{old} is written in Python 2: Python {python} of {suite} is proposed")
    as_is = detect.lockable_as_is(root, has_inputs=bool(pip) or conda is not None)
    return InitFacts(
        suite=suite,
        python=python,
        pip=tuple(pip),
        conda=conda,
        apt=environment.apt_source if environment.apt else None,
        scripts=seen.scripts,
        steps=choose_steps(seen.scripts, python),
        data=seen.data,
        outputs=seen.written,
        metrics=seen.metrics,
        notes=(*loaded.notes, *notes, *as_is),
    )


def _asks_for_python(root: Path) -> bool:
    if detect.find_python(root) is not None:
        return True
    pyproject = read_pyproject(root) if detect.present(root, PYPROJECT) else None
    return pyproject is not None and "requires-python" in pyproject.table("project")


def choose_steps(scripts: tuple[str, ...], python: str) -> tuple[tuple[str, ...], ...]:
    """Guess the command: the only script, a usual name, or numbered scripts in their order."""
    program = "python2.7" if python == "2.7" else "python"  # Debian has no `python` for 2.7
    if len(scripts) == 1:
        return ((program, scripts[0]),)
    for name in _PREFERRED:
        if name in scripts:
            return ((program, name),)
    numbers = [_NUMBERED.fullmatch(path) for path in scripts]
    if scripts and all(numbers):
        ordered = sorted(scripts, key=lambda path: (_number(path), path))
        return tuple((program, path) for path in ordered)
    return ()


def _number(path: str) -> int:
    found = _NUMBERED.fullmatch(path)
    return int(found["number"]) if found else 0


def init_text(facts: InitFacts) -> str:
    """Return the text of repro.toml. Pure: loading it gives the same facts."""
    return "\n".join(
        [
            "# What repro locks (environment), runs (analysis) and judges (metrics, tables).",
            "",
            *_vendor(facts),
            *_environment(facts),
            "",
            *_analysis(facts),
            "",
            *_metrics(facts),
            "",
            *_tables(facts),
            "",
        ]
    )


def _vendor(facts: InitFacts) -> list[str]:
    if not facts.vendor:
        return []
    return [_row("vendor", _text(facts.vendor), "artifacts that are looked for there first"), ""]


def _environment(facts: InitFacts) -> list[str]:
    lines = [
        "[environment]",
        _row("suite", _text(facts.suite), "the Debian release that the image is built from"),
    ]
    if facts.conda is not None:
        lines.append(_row("conda", _text(facts.conda), "conda's packages, and pip's beside them"))
    if facts.python:
        lines.append(_row("python", _text(facts.python), "that release's interpreter"))
    if facts.pip or facts.conda is None:
        lines.append(_row("pip", _list(facts.pip), "requirement files, or pyproject.toml"))
    if facts.system_site_packages:
        seen = "the analysis sees Debian's python3-* packages"
        lines.append(_row("system-site-packages", "true", seen))
    if facts.apt is not None:
        return [*lines, _row("apt", _text(facts.apt), "system packages, one a line")]
    return [*lines, _row("# apt", '["libgomp1"]', 'system packages; or a file: "apt.txt"')]


def _analysis(facts: InitFacts) -> list[str]:
    outputs = facts.outputs
    if not facts.steps:
        candidates = ", ".join(facts.scripts[:8]) or "none found"
        return [
            f"# Which command makes the results? Scripts here: {candidates}",
            "# [analysis]",
            _row("# command", '["python", "analysis.py"]', "or a list of such lists: steps"),
            _row("# data", _list(facts.data or ("data/",)), "hashed; mounted read-only"),
            _row("# outputs", _list(outputs or ("out/",)), "removed before a run, kept after it"),
        ]
    command = _list(facts.steps[0])
    if len(facts.steps) > 1:
        command = "[\n" + "".join(f"    {_list(step)},\n" for step in facts.steps) + "]"
    empty = not outputs
    return [
        "[analysis]",
        _row("command", command, "several steps: a list of such lists"),
        _row("data" if facts.data else "# data", _list(facts.data or ("data/",)),
             "hashed; mounted read-only"),
        _row("# outputs" if empty else "outputs", _list(outputs or ("out/",)),
             "removed before a run, kept after it"),
        _row("timeout", '"30m"', "the run is ended after it"),
        _row("memory", '"4g"'),
        _row("threads", "1", "more threads may add in another order"),
        _row("# env", '{ REGION = "EU" }', "the run sees no other variables of yours"),
    ]  # fmt: skip


def _metrics(facts: InitFacts) -> list[str]:
    key = "files" if facts.metrics else "# files"
    return [
        "[metrics]",
        _row(
            key, _list(facts.metrics or ("out/metrics.json",)), "JSON, YAML, TOML, name,value CSV"
        ),
        _row("default", "{ rel = 1e-9, abs = 0.0 }", "equal: |new - old| <= max(abs, rel * |old|)"),
        '# "revenue.*" = { rel = 1e-6 }',
        '# "rmse" = { abs = 0.01, direction = "lower" }   # an improvement is no drift',
        '# "runtime_s" = { ignore = "timing" }            # the reason is required',
    ]


def _tables(facts: InitFacts) -> list[str]:
    tables = [path for path in facts.outputs if path.endswith(".csv") and path not in facts.metrics]
    name = tables[0] if tables else "out/by_region.csv"
    return [
        "# [[tables]]                     # compared row by row, cell by cell",
        _row("# file", _text(name)),
        _row("# key", '["region"]', "the columns that name a row; without: by position"),
        _row("# columns", "{ total = { rel = 1e-6 } }"),
    ]


def _row(key: str, value: str, comment: str | None = None) -> str:
    if key.startswith("#"):
        value = value.replace("\n", "\n# ")
    line = f"{key} = {value}"
    if comment is None:
        return line
    return f"{line}  # {comment}" if len(line) > 31 else f"{line:<33}# {comment}"


def _list(items: tuple[str, ...]) -> str:
    if sum(len(item) + 4 for item in items) <= 76:
        return "[" + ", ".join(_text(item) for item in items) + "]"
    return "[\n" + "".join(f"    {_text(item)},\n" for item in items) + "]"


def _text(value: str) -> str:
    """Write a TOML basic string; paths hold no control characters (locks.names)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
