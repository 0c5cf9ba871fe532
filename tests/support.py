"""What tests share: the installed command, a cache of their own, a small real project."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.schemas import assert_valid

TINY_CONFIG = """\
[environment]
suite = "bookworm"
python = "3.11"

[analysis]
command = ["python", "analysis.py"]
data = ["data/numbers.csv"]
outputs = ["out/"]
timeout = "60s"

[metrics]
files = ["out/metrics.json"]
"""
TINY_ANALYSIS = """\
import csv, json, statistics
values = [float(row["value"]) for row in csv.DictReader(open("data/numbers.csv"))]
json.dump({"count": len(values), "mean": statistics.mean(values)}, open("out/metrics.json", "w"))
"""
TINY_DATA = "value\n" + "".join(f"{n * n / 7}\n" for n in range(40))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the command said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its standard output as JSON, which its schema in docs/ must explain."""
        said = json.loads(self.out)
        assert_valid(said)
        return said


@dataclass(frozen=True, kw_only=True)
class Cli:
    """`repro` as a user runs it: a process of its own, with a cache of the tests'.

    `secrets` are what `extra` or the surroundings hold, and what nothing may ever show; `started`
    has the process number of each command.
    """

    cache: Path
    folder: Path
    extra: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    started: list[int] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """The environment that it is given."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith("REPRO_")}
        return {**plain, "REPRO_CACHE": str(self.cache), "NO_COLOR": "1", **self.extra}

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Answer:
        """Run `repro ARGUMENTS` in the folder."""
        with subprocess.Popen(
            [sys.executable, "-m", "repro", *arguments],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            self.started.append(child.pid)
            try:
                out, err = child.communicate(timeout=900)
            except BaseException:
                child.kill()
                raise
        return Answer(
            code=child.returncode,
            out=out.decode(errors="surrogateescape"),
            err=err.decode(errors="surrogateescape"),
        )


def test_cache() -> Path:
    """The cache that all tests of this machine share: `$REPRO_TEST_CACHE`, else /var/tmp."""
    return Path(os.environ.get("REPRO_TEST_CACHE", "/var/tmp/repro-test-cache"))


test_cache.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def cache() -> Path:
    """The store of the tests' `repro`."""
    folder = test_cache() / "store"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_tiny(folder: Path) -> None:
    """Write the small project: Debian and Python alone, a metric, a data file."""
    (folder / "data").mkdir(parents=True)
    (folder / "repro.toml").write_text(TINY_CONFIG)
    (folder / "analysis.py").write_text(TINY_ANALYSIS)
    (folder / "data" / "numbers.csv").write_text(TINY_DATA)


@pytest.fixture(scope="session")
def tiny_template(cache: Path) -> Iterator[Path]:
    """The small project, locked, built and accepted once by the real command."""
    text = (TINY_CONFIG + TINY_ANALYSIS + TINY_DATA).encode()
    folder = test_cache() / f"tiny-{hashlib.sha256(text).hexdigest()[:12]}-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    write_tiny(folder)
    cli = Cli(cache=cache, folder=folder)
    for command in (["snapshot"], ["build"], ["accept", "--reason", "the test's baseline"]):
        answer = cli(*command)
        assert answer.code == 0, (command, answer)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tiny(tiny_template: Path, cache: Path, tmp_path: Path) -> Cli:
    """A private copy of the small project, and the command in it."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_template, folder, symlinks=True)
    return Cli(cache=cache, folder=folder)


def tree_digest(folder: Path, *, leave_out: Sequence[str] = (".repro",)) -> dict[str, str]:
    """Every file's mode and sha256 below `folder`: to show that nothing changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] in leave_out or not path.is_file() or path.is_symlink():
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[name] = f"{path.stat().st_mode:o} {digest}"
    return found


_EXPLAINED = range(2, 8)
"""Exit codes of errors: each says what to do next."""

_QUOTED = re.compile(r"^ +\| .*$", re.MULTILINE)
"""Lines of an analysis' log: its own traceback is no traceback of ours."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def unquoted(text: str) -> str:
    """What repro says, without what it quotes of an analysis' log."""
    return _QUOTED.sub("", text)


def assert_refused(answer: Answer, code: int, *says: str) -> None:
    """Assert what every row of FAULTS.md does of an answer.

    Exit code; the texts that its message must hold; a next step with every error; no traceback,
    no control character, no "reproduced" beside another exit code. `tests.watch.faulted` looks
    at what the command left behind as well.
    """
    whole = answer.err + answer.out
    assert answer.code == code, answer
    assert "Traceback" not in unquoted(whole), answer.err
    assert not _CONTROL.search(whole), repr(whole)
    for text in says:
        assert text in whole, (text, answer)
    if code != 0:
        assert not re.search(r"^. reproduced|\"verdict\": \"reproduced\"", whole, re.MULTILINE), (
            answer
        )
    if code in _EXPLAINED:
        assert re.search(r"^  hint: .|\"hint\": \"|^ *next  |\"next\": \"", whole, re.MULTILINE), (
            answer
        )
