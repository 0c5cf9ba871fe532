"""repro.toml: every key, its type, its range, and the words of each refusal."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro.errors import ReproError, UsageError
from repro.models.project import AptRequest, Limits, MetricRule, Sources, TableSettings, Tolerance
from repro.project import toml
from repro.project.config import Settings, parse_settings
from repro.project.load import load_project

DESIGN = """
name = "Report"
vendor = "vendored/"

[environment]
suite = "bookworm"
python = "3.11"
pip = ["./requirements.in"]
apt = ["libgomp1", "graphviz=2.42.2-7"]
resolver = "pip-tools"
system-site-packages = true
allow-overlap = ["b.py", "a/__init__.py"]
groups = ["analysis"]
extras = ["plot"]

[analysis]
command = [["python", "clean.py"], ["python", "report.py", ""]]
data = ["data/", "./extra.csv"]
outputs = ["out/"]
timeout = "90s"
memory = "512m"
pids = 64
threads = 2
max-output = "2G"
max-log = "1mb"
limits = "best-effort"
env = { REGION = "EU", A = "multi\\nline" }

[metrics]
files = ["out/metrics.json"]
default = { rel = 1e-9, abs = 0.0 }
"revenue.*" = { rel = 1e-6 }
"rmse" = { abs = 0.01, direction = "lower" }
"runtime_s" = { ignore = "timing" }
"speed" = { direction = "higher" }

[[tables]]
file = "out/by_region.csv"
key = ["region"]
columns = { total = { rel = 1e-9 } }

[[tables]]
file = "out/other.csv"
default = { abs = 1 }

[apt]
mirror = "http://mirror.example.org"
snapshot = "https://snapshot.example.org/"

[indexes]
internal = "https://pypi.example.org/simple"
local = "file:///srv/index"
"""


def read(text: str) -> Settings:
    return parse_settings(toml.parse(text, where="repro.toml"), file="repro.toml")


def test_every_key_of_the_design_is_read() -> None:
    found = read(DESIGN)
    assert (found.name, found.suite, found.python) == ("Report", "bookworm", "3.11")
    assert found.pip == ("requirements.in",)
    assert found.apt == (
        AptRequest(name="graphviz", version="2.42.2-7"),
        AptRequest(name="libgomp1"),
    )
    assert (found.resolver, found.system_site_packages) == ("pip-tools", True)
    assert found.allow_overlap == ("a/__init__.py", "b.py")
    assert (found.groups, found.extras) == (("analysis",), ("plot",))
    analysis = found.analysis
    assert analysis is not None
    assert analysis.steps == (("python", "clean.py"), ("python", "report.py", ""))
    assert (analysis.data, analysis.outputs) == (("data/", "extra.csv"), ("out/",))
    assert analysis.env == (("A", "multi\nline"), ("REGION", "EU"))
    assert analysis.threads == 2
    assert analysis.limits == Limits(
        timeout=90.0, memory=512 << 20, pids=64, output=2 << 30, log=1 << 20, best_effort=True
    )
    assert found.sources == Sources(
        apt_mirror="http://mirror.example.org",
        apt_snapshot="https://snapshot.example.org/",
        indexes=(
            ("internal", "https://pypi.example.org/simple"),
            ("local", "file:///srv/index"),
        ),
        vendor="vendored/",
    )


def test_a_rule_that_gives_one_tolerance_gives_both_and_else_the_default_holds() -> None:
    found = read(DESIGN)
    usual = Tolerance(rel=1e-9)
    assert found.metrics.files == ("out/metrics.json",)
    assert found.metrics.default == usual
    assert found.metrics.rules == (
        MetricRule(pattern="revenue.*", tolerance=Tolerance(rel=1e-6)),
        MetricRule(pattern="rmse", tolerance=Tolerance(abs=0.01), direction="lower"),
        MetricRule(pattern="runtime_s", tolerance=usual, ignore="timing"),
        MetricRule(pattern="speed", tolerance=usual, direction="higher"),
    )
    assert found.tables == (
        TableSettings(
            file="out/by_region.csv",
            key=("region",),
            columns=(MetricRule(pattern="total", tolerance=Tolerance(rel=1e-9)),),
        ),
        TableSettings(file="out/other.csv", default=Tolerance(abs=1.0)),
    )


def test_rules_keep_their_order() -> None:
    found = read('[metrics]\n"*" = {abs=1}\nb = {abs=2}\na = {abs=3}\n')
    assert [rule.pattern for rule in found.metrics.rules] == ["*", "b", "a"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    found = read(f'[analysis]\ncommand=["x"]\ntimeout="{text}"')
    assert found.analysis is not None
    assert found.analysis.limits.timeout == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4g", 4 << 30),
        ("512m", 512 << 20),
        ("1K", 1024),
        ("10", 10),
        ("2GiB", 2 << 30),
        ("1t", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    found = read(f'[analysis]\ncommand=["x"]\nmemory="{text}"')
    assert found.analysis is not None
    assert found.analysis.limits.memory == size


RUN = '[analysis]\ncommand=["x"]\n'
REFUSED = [
    ("enviroment = {}", "repro.toml: enviroment: unknown key", "did you mean environment?"),
    ("[environment]\nsuit='x'", "environment.suit: unknown key", "did you mean suite?"),
    ("[environment]\npyhton='x'", "environment.pyhton: unknown key", "python"),
    ('["a\\u001bb"]\nx=1', 'repro.toml: "a\\x1bb": unknown key', "known: "),
    ("environment = 1", "environment must be a table, not a whole number", None),
    ("[environment]\npython=3.11", "environment.python must be a string, not a number", '"3.11"'),
    ("[environment]\nsuite='a'\nimage='b'", "environment.image: suite is given too", "suite"),
    ("[environment]\nimage='A b'", "environment.image: 'A b' is not the name of an image", None),
    ("[environment]\nimage=['b']", "environment.image must be a string", 'image = "python:'),
    ("[environment]\nconda=['environment.yml']", "environment.conda must be a string", "path"),
    ("[environment]\nconda='../environment.yml'", "environment.conda: '../env", None),
    ("[environment]\nconda='lockfiles/conda-lock.yml'", "is written by repro", None),
    ("[environment]\nconda-resolver='mamba'", "must be one of rattler, conda-lock", None),
    ("[environment]\nas-of=2025", "environment.as-of: a value of type int is no date", "2025-06"),
    ("[analysis]\nnotebook='a.ipynb'", "analysis.notebook: not in this release", "later"),
    ("[environment]\npip='requirements.in'", "environment.pip must be a list", 'pip = ["…"]'),
    ("[environment]\npip=['a', 1]", "environment.pip[1] must be a string", None),
    ("[environment]\npip=['a', 'a']", "environment.pip[1]: 'a' is listed twice", None),
    ("[environment]\npip=['lockfiles/x']", "environment.pip[0]: 'lockfiles/x' is written by", None),
    ("[environment]\nresolver='poetry'", "resolver must be one of uv, pip-tools", None),
    ("[environment]\nresolver='piptools'", "must be one of", "did you mean 'pip-tools'?"),
    ("[environment]\nsystem-site-packages=1", "must be true or false, not a whole number", None),
    ("[environment]\nallow-overlap=['../x']", "environment.allow-overlap[0]", None),
    ("[environment]\napt=['a-']", "environment.apt[0]: 'a-' is not a Debian package's name", None),
    ("[environment]\napt=['ab=1','ab=2']", "environment.apt[1]: ab=2 after ab=1", "one"),
    ("[analysis]", "analysis.command is missing", "command = ["),
    (
        "[analysis]\ncommand='python \"my file.py\" --x'",
        "analysis.command must be a list",
        'command = ["python", "my file.py", "--x"]',
    ),
    ("[analysis]\ncommand=[]", "analysis.command must be a list", None),
    ("[analysis]\ncommand=[['a'], 'b']", "analysis.command[1] must be a list", "steps"),
    ("[analysis]\ncommand=[['a'], []]", "analysis.command[1] must be a list", None),
    ("[analysis]\ncommand=['a', 1]", "analysis.command[1] must be a string", "quote"),
    ("[analysis]\ncommand=['']", "analysis.command[0] names no program", None),
    ('[analysis]\ncommand=["a\\u0000"]', "analysis.command[0] holds a NUL", None),
    (RUN + "timeout=30", "analysis.timeout must be a string, not a whole number", "30m"),
    (RUN + "timeout='30'", "analysis.timeout is no duration", "30m"),
    (RUN + "timeout='0s'", "analysis.timeout is no duration", None),
    (RUN + "timeout='99999h'", "analysis.timeout is no duration", None),
    (RUN + "memory='4x'", "analysis.memory is no size", "4g"),
    (RUN + "memory='0'", "analysis.memory is no size", None),
    (RUN + "memory='999999999t'", "analysis.memory is no size", None),
    (RUN + "threads=0", "analysis.threads must lie between 1 and 1024", None),
    (RUN + "threads=true", "analysis.threads must be a whole number, not true or false", None),
    (RUN + "limits='none'", "analysis.limits must be one of", None),
    (RUN + "env={'A B'='x'}", 'analysis.env."A B": not the name', None),
    (RUN + "env={A=1}", "analysis.env.A must be a string", None),
    (RUN + "outputs=['.git/hooks/x']", "analysis.outputs[0]: '.git/hooks/x' is not an", "out/"),
    (RUN + "outputs=['lockfiles']", "analysis.outputs[0]: 'lockfiles' is not an", None),
    (RUN + "outputs=['repro.toml']", "analysis.outputs[0]: 'repro.toml' is not an", None),
    (RUN + "outputs=['.']", "analysis.outputs[0]: '.' is the project itself", None),
    (RUN + "data=['d/']\noutputs=['d/x']", "analysis.outputs[0]: 'd/x' overlaps", "out/"),
    (RUN + "data=['o/raw/x']\noutputs=['o/']", "'o' overlaps with analysis.data[0]", None),
    (RUN + "data=['d/']\n[metrics]\nfiles=['d/m.json']", "metrics.files[0]: 'd/m.json'", None),
    (RUN + "data=['d/']\n[[tables]]\nfile='d/m.csv'", "tables[0].file: 'd/m.csv'", None),
    ("[metrics]\na={rel=-1}", "metrics.a.rel must be a finite number that is not negative", None),
    ("[metrics]\na={rel=nan}", "metrics.a.rel must be a finite number", None),
    ("[metrics]\na={abs=inf}", "metrics.a.abs must be a finite number", "ignore"),
    ("[metrics]\na={abs=1" + "0" * 400 + "}", "metrics.a.abs must be a finite number", None),
    ("[metrics]\na={abs=true}", "metrics.a.abs must be a number", "1e-9"),
    ("[metrics]\n'r.*'={rle=1}", 'metrics."r.*".rle: unknown key', "did you mean rel?"),
    ("[metrics]\n'r.*'={ignore=''}", 'metrics."r.*".ignore must not be empty', None),
    ("[metrics]\na={ignore=true}", "metrics.a.ignore must be a string", "reason"),
    ("[metrics]\na={ignore='x', rel=1}", "metrics.a.ignore: what is ignored has no", None),
    ("[metrics]\na={direction='down'}", "metrics.a.direction must be one of lower, higher", None),
    ("[metrics]\na={}", "metrics.a: an empty rule", "rel"),
    ("[metrics]\n''={rel=1}", 'metrics."": the pattern is empty', None),
    ("[metrics]\na=1", "metrics.a must be a table", "{ rel"),
    ("[metrics]\nrevenue.total={rel=1}", "metrics.revenue.total: unknown key", '"revenue.total"'),
    ("[metrics]\ndefault={direction='lower'}", "metrics.default.direction: unknown key", None),
    (
        "[metrics]\nfiles=['m.txt']",
        "metrics.files[0]: 'm.txt' is none of .json, .yaml",
        "[[tables]]",
    ),
    ("[[tables]]\nfile='t.parquet'", "tables[0].file: 't.parquet' is none of .csv, .tsv", None),
    ("[tables]\nfile='x'", "tables must be a list, not a table", "[[tables]]"),
    ("[[tables]]\nkey=['x']", "tables[0]: file is missing", "file = "),
    (
        "[[tables]]\nfile='x.csv'\n[[tables]]\nfile='x.csv'",
        "tables[1].file: 'x.csv' has an entry",
        None,
    ),
    ("[[tables]]\nfile='x.csv'\n[[tables]]\nfle='x'", "tables[1].fle: unknown key", "file"),
    ("[[tables]]\nfile='x.csv'\ncolumns={a={rel=-1}}", "tables[0].columns.a.rel must be", None),
    ("tables=[1]", "tables[0] must be a table", None),
    ("[indexes]\nA='https://example.org'", "indexes.A: 'A' is not an index alias", None),
    ("[indexes]\na='ftp://example.org'", "indexes.a is not an http, https or file", None),
    ("[indexes]\na='https://'", "indexes.a is not an http, https or file", None),
    ("[indexes]\na='https://[::1'", "indexes.a is not an address", None),
    ("[apt]\nmirrors='x'", "apt.mirrors: unknown key", "did you mean mirror?"),
    ("apt=['libgomp1']", "apt must be a table, not a list", "[environment]"),
    ("vendor='/srv'", "vendor: '/srv' is an absolute path", None),
]


@pytest.mark.parametrize(("text", "said", "hint"), REFUSED)
def test_refusals_name_file_and_key(text: str, said: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert caught.value.message.startswith("repro.toml: ")
    assert said in caught.value.message
    assert hint is None or hint in str(caught.value.hint)
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "address",
    [
        "https://hunter2@example.org/simple",
        "https://user:hunter2@example.org/simple",
        "https://example.org/simple?token=hunter2",
        "https://example.org/simple#hunter2",
        "https://user:hunter2@exa mple.org/",
        "https://user:hunter2@[::1",
    ],
)
@pytest.mark.parametrize("key", ["[indexes]\na", "[apt]\nmirror", "[apt]\nsnapshot"])
def test_an_address_with_a_credential_is_refused_and_never_shown(key: str, address: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"{key} = '{address}'")
    assert "not shown" in caught.value.message
    assert "hunter2" not in str(caught.value)


WORDS = st.sampled_from(
    ["environment", "analysis", "metrics", "tables", "apt", "indexes", "name", "vendor", "suite",
     "python", "pip", "groups", "resolver", "command", "data", "outputs", "timeout", "memory",
     "threads", "env", "files", "default", "rel", "abs", "ignore", "direction", "file", "key",
     "columns", "mirror", "limits", "a.*", "allow-overlap", "system-site-packages"]
)  # fmt: skip
LEAVES = (
    st.text(max_size=8)
    | st.integers()
    | st.booleans()
    | st.floats()
    | st.dates()
    | st.sampled_from(["bookworm", "3.11", "uv", "x", "out/", "../x", "/x", "30m", "4g", "lower"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(WORDS, VALUES, max_size=5))
def test_any_tables_end_as_settings_or_usage_error(document: dict[str, object]) -> None:
    try:
        found = parse_settings(document, file="repro.toml")
    except UsageError as error:
        said = error.message
    else:
        assert not math.isnan(found.metrics.default.rel)
        return
    assert said.startswith("repro.toml")
    assert said.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.dictionaries(WORDS, VALUES, max_size=5).map(lambda d: tomli_w.dumps(d).encode())
)
def test_any_bytes_load_or_raise_a_repro_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "repro.toml").write_bytes(data)
    (tmp_path / "requirements.in").write_bytes(data)
    try:
        project = load_project(tmp_path).project
    except ReproError as error:
        code = error.exit_code
    else:
        assert project.config == "repro.toml"
        return
    assert code == 2
