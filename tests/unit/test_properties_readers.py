"""Every reader, on any bytes: a value, or its own error that names the file; nothing else, ever.

What is accepted can be written again, and is then read as the same. Every input that once broke
a reader lies in `data/corpus/READER/` and is tried again in each run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import AnalysisError, LockError, ReproError, UsageError
from repro.locks import apt, records, requirements, seal, yaml
from repro.measure.metrics import READERS as METRICS
from repro.measure.metrics import read_metrics
from repro.measure.tables import DELIMITERS, read_table
from repro.models.lock import PipArtifact
from repro.models.measurement import METRICS_SUFFIXES, TABLE_SUFFIXES, Metric
from repro.project import source, toml
from repro.project.apt import parse_apt_text
from repro.project.config import parse_settings
from repro.project.interpreter import parse_python_version
from repro.project.pyproject import Pyproject, dependencies
from repro.project.requirements import parse_requirements
from tests.mutations import CORPUS, damaged, fixture_files, read_or_refused


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader of one format: `read` takes a file's bytes, `render` writes a value again."""

    file: str
    leaf: type[ReproError]
    samples: tuple[bytes, ...]
    read: Callable[[bytes], Any]
    render: Callable[[Any], bytes] | None = None


def _text(read: Callable[[str], Any], file: str) -> Callable[[bytes], Any]:
    """A reader of the user's text files, behind the decoder that all of them share."""
    return lambda data: read(source.decode(data, where=file))


def _lock_text(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """A reader of a lock's text: `lockfiles._text` refuses what is not UTF-8 before it."""
    return lambda data: read(data.decode(errors="replace"))


def _pins(pins: tuple[requirements.PinnedHash, ...]) -> bytes:
    found = [
        PipArtifact(name=p.name, version=p.version, sha256=p.sha256, filename="x", size=0)
        for p in pins
    ]
    return requirements.render(found).encode()


def _dependencies(data: bytes) -> tuple[str, ...]:
    document = toml.parse(source.decode(data, where="pyproject.toml"), where="pyproject.toml")
    read = Pyproject(path="pyproject.toml", document=document)
    groups = tuple(read.table("dependency-groups"))
    extras = tuple(read.table("project").get("optional-dependencies", {}))
    return dependencies(read, extras=extras, groups=groups)


def _settings(data: bytes) -> object:
    text = source.decode(data, where="repro.toml")
    return parse_settings(toml.parse(text, where="repro.toml"), file="repro.toml")


def _metrics(suffix: str) -> Callable[[bytes], tuple[Metric, ...]]:
    return lambda data: read_metrics(data, file=f"out/metrics{suffix}")


LOCKS = "fixtures/*/lockfiles/linux-amd64/"
RUN = b"""schema = 1
needs = "0.1.0"
id = "20260101T000000123456-abcdef"
environment-key = "sha256:%b"
image-id = "sha256:%b"
platform = "linux-amd64"
discarded = ["x/y", "\\u00e9"]
code = [{ path = "a.py", size = 3, sha256 = "%b" }]
data = []
outputs = [{ path = "out/metrics.json", size = 3, sha256 = "%b" }]

[execution]
engine = "sandbox"
ending = "exited"
code = 0
step = 1
seconds = 1.25
log-cut = false
unenforced = ["memory"]

[cpu]
model = "A processor"
features = ["avx2", "sse4_2"]
""" % ((b"0a" * 32,) * 4)

SDIST_SEAL = b"""schema = 1
needs = "0.1.0"
platform = "linux-amd64"
suite = "bookworm"
python = "3.11"
system-site-packages = false
allow-overlap = ["a/b.py", "c"]
pip = [
    { name = "demo", version = "1.0", filename = "demo-1.0.tar.gz", size = 7, sha256 = "%b", index = "default", build = { wheel = "demo-1.0-py3-none-any.whl", sha256 = "%b", requires = [
    { name = "wheel", version = "0.40", filename = "wheel-0.40-py3-none-any.whl", size = 1, sha256 = "%b", index = "corp" },
] } },
]
provenance = [{ source = "apt", version = "3.0" }]

[inputs]
"requirements.in" = "%b"

[locks]
"apt.lock" = "%b"
"requirements.txt" = "%b"
""" % ((b"1b" * 32,) * 6)  # noqa: E501

CONFIG = b"""name = "study"
vendor = "vendored"
[environment]
suite = "bookworm"
python = "3.11"
pip = ["requirements.in", "sub/more.txt"]
extras = ["plot"]
groups = ["dev"]
apt = ["libgomp1", "graphviz=2.42.2-7"]
resolver = "uv"
system-site-packages = false
allow-overlap = ["a/b.py"]
[analysis]
command = [["python", "clean.py"], ["python", "report.py", "--fast"]]
data = ["data/"]
outputs = ["out/"]
timeout = "30m"
memory = "4g"
pids = 100
threads = 1
env = { REGION = "EU" }
limits = "best-effort"
max-output = "1g"
max-log = "16m"
[metrics]
files = ["out/metrics.json"]
default = { rel = 1e-9, abs = 0.0 }
"revenue.*" = { rel = 1e-6 }
rmse = { abs = 0.01, direction = "lower" }
runtime_s = { ignore = "timing" }
[[tables]]
file = "out/by_region.csv"
key = ["region"]
columns = { total = { rel = 1e-9 } }
[apt]
mirror = "https://deb.example.org"
snapshot = "https://snapshot.example.org"
[indexes]
default = "https://index.example.org/simple"
"""

PYPROJECT = b"""[project]
name = "study"
requires-python = ">=3.9"
dependencies = ["numpy>=1.20,<3", "pandas ; python_version >= '3.9'", "study[plot]"]
[project.optional-dependencies]
plot = ["matplotlib[a,b] ~= 3.0"]
all = ["study[plot]", "x===1.0"]
[dependency-groups]
test = ["pytest!=8.0.*"]
dev = [{ include-group = "test" }, "nox"]
"""

REQUIREMENTS = b"""# comment
numpy>=1.20,<3  # why
pandas[excel,sql]==2.2.* ; python_version >= "3.9" and (sys_platform == 'linux' or extra == "x")
demo==1.0 \\
    --hash=sha256:%b \\
    --hash=sha256:%b
-r more.txt
-c "with space.txt"
--constraint=c.txt
-e .[plot]
.
torch===2.0+cpu
""" % (b"0c" * 32, b"1d" * 32)

APT = b"# needed\nlibgomp1\ngraphviz=2.42.2-7+deb12u1  # pictures\nlibstdc++6=1:12.2~rc1-3\n"

DVC = b"""vars: [a]
stages:
  train:
    cmd: python train.py
    wdir: sub
    metrics:
      - scores.json: {cache: false}
      - other.yaml
  again: {cmd: [a, b], metrics: ["x.json"]}
base: &base {a: 1, b: 0x1f}
more:
  <<: *base
  c: 3.10
metrics:
  - out/metrics.json
  - "q.json"
"""

CONDA = b"name: env\nchannels: [c]\ndependencies:\n  - python=3.10\n  - pip:\n    - x==1\n"

JSON = b"""{"rmse": 0.25, "n": -12, "by": {"a": [1, 2.5e-3, null, true], "b": {}},
 "text": "caf\\u00e9 \\ud83d\\ude00", "nan": NaN, "inf": -Infinity, "": [[], [0]]}
"""
YAML = b"""rmse: 0.25
n: -12
by:
  a: [1, 2.5e-3, ~, true, yes, 007]
  b: {}
text: "caf\\u00e9"
nan: .nan
block: |
  two
  lines
"""
TOML = b"""rmse = 0.25
n = -1_2
when = 2026-01-02T03:04:05Z
time = 03:04:05.25
[by]
a = [1, 2.5e-3, true, 0xff]
b = {}
c.d.e = "caf\\u00e9"
[[runs]]
nan = nan
inf = -inf
[[runs]]
text = '''
two
lines'''
"""
CSV = b'name,value\nrmse,0.25\n"a, b",1e-3\nnan,NaN\nempty,\nt,"two\nlines"\n'
TABLE = b'region,n,"a ""b"""\r\nNorth,1,0.5\r\n"So\nuth",,x\r\n'
TSV = b"region\tn\nNorth\t1\nSouth\t2.5\n"
SAMPLES = {".json": JSON, ".yaml": YAML, ".yml": YAML, ".toml": TOML, ".csv": CSV}

READERS: dict[str, Reader] = {
    "apt.lock": Reader(
        file="apt.lock",
        leaf=LockError,
        samples=tuple(data[:2500].rpartition(b"\n\n")[0] + b"\n" for data in
                      fixture_files(f"{LOCKS}apt.lock")),
        read=_lock_text(lambda text: apt.parse(text, where="apt.lock")),
        render=lambda debs: apt.render(debs).encode(),
    ),
    "requirements.lock": Reader(
        file="requirements.txt",
        leaf=LockError,
        samples=(*fixture_files(f"{LOCKS}requirements.txt"),),
        read=_lock_text(lambda text: requirements.parse(text, where="requirements.txt")),
        render=_pins,
    ),
    "repro.lock": Reader(
        file="repro.lock",
        leaf=LockError,
        samples=(*fixture_files(f"{LOCKS}repro.lock"), SDIST_SEAL),
        read=lambda data: seal.parse(data, where="repro.lock"),
        render=seal.render,
    ),
    "image.toml": Reader(
        file="image.toml",
        leaf=LockError,
        samples=(*fixture_files(f"{LOCKS}image.toml"),),
        read=lambda data: records.parse_image(data, where="image.toml"),
        render=records.render_image,
    ),
    "run.toml": Reader(
        file="run.toml",
        leaf=LockError,
        samples=(RUN,),
        read=lambda data: records.parse_run(data, where="run.toml", folder=Path()),
        render=records.render_run,
    ),
    "seal.toml": Reader(
        file="seal.toml",
        leaf=LockError,
        samples=(*fixture_files("fixtures/*/baseline/linux-amd64/seal.toml"),),
        read=lambda data: records.parse_baseline(data, where="seal.toml", folder=Path()),
        render=records.render_baseline,
    ),
    "repro.toml": Reader(
        file="repro.toml",
        leaf=UsageError,
        samples=(CONFIG, *fixture_files("fixtures/*/repro.toml")),
        read=_settings,
    ),
    "pyproject.toml": Reader(
        file="pyproject.toml",
        leaf=UsageError,
        samples=(PYPROJECT, *fixture_files("pyproject.toml")),
        read=_dependencies,
    ),
    "requirements.in": Reader(
        file="requirements.in",
        leaf=UsageError,
        samples=(REQUIREMENTS, *fixture_files("fixtures/*/requirements.*")),
        read=_text(lambda text: parse_requirements(text, where="requirements.in").lines,
                   "requirements.in"),
        render=lambda lines: "".join(f"{line}\n" for line in lines).encode(),
    ),
    "apt.txt": Reader(
        file="apt.txt",
        leaf=UsageError,
        samples=(APT, *fixture_files("fixtures/*/apt.txt")),
        read=_text(lambda text: parse_apt_text(text, where="apt.txt"), "apt.txt"),
        render=lambda found: "".join(f"{one}\n" for one in found).encode(),
    ),
    ".python-version": Reader(
        file=".python-version",
        leaf=UsageError,
        samples=(b"3.11\n", b"# which\ncpython@3.11.4\n", b"python-2.7\r\n"),
        read=_text(lambda text: parse_python_version(text, ".python-version"), ".python-version"),
    ),
    "dvc.yaml": Reader(
        file="dvc.yaml",
        leaf=UsageError,
        samples=(DVC, CONDA),
        read=_text(lambda text: yaml.parse(text, where="dvc.yaml"), "dvc.yaml"),
    ),
    **{
        f"metrics{suffix}": Reader(
            file=f"out/metrics{suffix}",
            leaf=AnalysisError,
            samples=(SAMPLES[suffix],),
            read=_metrics(suffix),
        )
        for suffix in METRICS
        if suffix != ".yml"
    },
    ".csv": Reader(
        file="t.csv",
        leaf=AnalysisError,
        samples=(TABLE,),
        read=lambda data: read_table(data, file="t.csv"),
    ),
    ".tsv": Reader(
        file="t.tsv",
        leaf=AnalysisError,
        samples=(TSV,),
        read=lambda data: read_table(data, file="t.tsv"),
    ),
}  # fmt: skip


def check(reader: Reader, data: bytes) -> None:
    """One input through one reader."""
    value = read_or_refused(lambda: reader.read(data), reader.leaf, names=reader.file)
    if value is None or reader.render is None:
        return
    rendered = reader.render(value)
    again = reader.read(rendered)
    assert reader.render(again) == rendered


@pytest.mark.parametrize("name", READERS)
def test_the_sample_is_read(name: str) -> None:
    reader = READERS[name]
    for sample in reader.samples:
        value = reader.read(sample)
        assert value
        if reader.render is not None:
            assert reader.read(reader.render(value)) == value


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    check(reader, data.draw(damaged(*reader.samples)))


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CORPUS.glob("*/*")) if path.parent.name in READERS],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_what_once_broke_a_reader(path: Path) -> None:
    check(READERS[path.parent.name], path.read_bytes())


def test_every_reader_of_results_is_here() -> None:
    assert set(METRICS) == set(METRICS_SUFFIXES)
    assert set(DELIMITERS) == set(TABLE_SUFFIXES)
    assert {f"metrics{suffix}" for suffix in METRICS} - {"metrics.yml"} <= READERS.keys()
    assert set(DELIMITERS) <= READERS.keys()
