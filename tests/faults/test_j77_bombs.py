"""J77: huge or deep TOML, YAML alias bombs, duplicate keys: exit 2, under 1 s and 200 MB.

Each bomb is read by a process of its own under hard limits of memory and processor time, so that
a reader that blows up fails here instead of taking the machine along.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

KIB = 1 << 10
READ = """
import json, resource, sys
from pathlib import Path
from repro.project.load import load_project
from repro.errors import ReproError
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    load_project(Path(sys.argv[1]))
    code, said = 0, ""
except ReproError as error:
    code, said = error.exit_code, str(error)
after = resource.getrusage(resource.RUSAGE_SELF)
seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
# ru_maxrss would do, but a child begins with what the process had that it was forked from
[peak] = [w for w in Path("/proc/self/status").read_text().splitlines() if w.startswith("VmHWM:")]
print(json.dumps([code, said, seconds, int(peak.split()[1])]))
"""


def bomb(fan: int, levels: int, start: str) -> str:
    rows = [f"{start}a0: &a0 [x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * fan)
        rows.append(f"{start}a{level}: &a{level} [{aliases}]")
    return "\n".join(rows) + "\n"


RUN = '[analysis]\ncommand = ["x"]\n'
BOMBS = {
    "huge": ("repro.toml", "# " + "x" * (1100 * KIB)),
    "huge-pyproject": ("pyproject.toml", "# " + "x" * (1100 * KIB)),
    "huge-requirements": ("requirements.in", "six\n" * (1100 * KIB)),
    "many-requirements": ("requirements.in", "".join(f"a{i}\n" for i in range(100_000))),
    "long-line": ("requirements.in", "six" + " " * (1100 * KIB) + "x"),
    "long-continuation": ("requirements.in", "a\\\n" * (1000 * KIB)),
    "huge-apt": ("apt.txt", "libc6\n" * (200 * KIB)),
    "deep-arrays": ("repro.toml", "a = " + "[" * (250 * KIB)),
    "deep-closed": ("repro.toml", "a = " + "[" * 100_000 + "]" * 100_000),
    "deep-tables": ("repro.toml", "a = " + "{a=" * (80 * KIB)),
    "deep-key": ("repro.toml", "a." * (120 * KIB) + "b = 1"),
    "deep-header": ("repro.toml", "[" + "a." * (120 * KIB) + "b]"),
    "deep-pyproject": ("pyproject.toml", "[tool.repro]\na = " + "[" * (100 * KIB)),
    "backslashes": ("repro.toml", '"\\' * (120 * KIB)),
    "digits": ("repro.toml", "a = " + "9" * (250 * KIB)),
    "duplicate-key": ("repro.toml", 'name = "a"\nname = "b"\n'),
    "duplicate-table": ("repro.toml", "[analysis]\n[analysis]\n"),
    "duplicate-pyproject": ("pyproject.toml", '[project]\nname = "a"\n[project]\nname = "b"\n'),
    "alias-bomb": ("environment.yml", bomb(9, 12, "")),
    "alias-bomb-wide": ("environment.yml", bomb(200, 8, "")),
    "alias-bomb-merge": (
        "environment.yml",
        "a0: &a0 {k: x}\n"
        + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)),
    ),
    "alias-to-itself": ("environment.yml", "a: &a [*a]\n"),
    "deep-yaml": ("environment.yml", "[" * (250 * KIB)),
    "huge-yaml": ("environment.yml", "a: x\n" * (250 * KIB)),
    "duplicate-yaml": ("environment.yml", "name: a\ndependencies: []\nname: b\n"),
    "dvc-bomb": ("dvc.yaml", bomb(9, 12, "")),
    "dvc-duplicate": ("dvc.yaml", "stages: {a: {cmd: x}, a: {cmd: y}}\n"),
}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_fast_and_small(tmp_path: Path, name: str) -> None:
    file, text = BOMBS[name]
    if file == "dvc.yaml":
        (tmp_path / "repro.toml").write_text(RUN)
    (tmp_path / file).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        capture_output=True,
        check=False,
        preexec_fn=limited,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    code, said, seconds, kilobytes = json.loads(done.stdout)
    assert code == 2
    assert file in said
    assert len(said) < 500
    assert "Traceback" not in said
    assert kilobytes < 200 * KIB
    assert seconds < 1.0


def test_the_largest_configuration_that_is_read_is_fast_and_small_too(tmp_path: Path) -> None:
    rules = "".join(f'"metric.{i}" = {{ rel = 1e-9 }}\n' for i in range(6000))
    (tmp_path / "repro.toml").write_text("[metrics]\n" + rules)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        capture_output=True,
        check=True,
        preexec_fn=limited,
        cwd=Path(__file__).parents[2],
    )
    code, said, seconds, kilobytes = json.loads(done.stdout)
    assert (code, said) == (0, "")
    assert kilobytes < 200 * KIB
    assert seconds < 1.0
