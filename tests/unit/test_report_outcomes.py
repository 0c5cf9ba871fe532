"""The reports of every command but verify: for a person at 80 columns, and as strict JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import RenderableType
from rich.text import Text

from repro.models.baseline import Baseline
from repro.models.execution import Cpu, Ending, Execution, FileDigest, Run
from repro.models.image import Image, ImageRecord, Layer
from repro.models.lock import (
    BaseImage,
    Deb,
    Lock,
    LockDiff,
    LockState,
    PackageChange,
    PipArtifact,
    Seal,
)
from repro.models.measurement import Measurement, Metric, Table
from repro.models.outcome import (
    AcceptResult,
    BuildResult,
    DiffResult,
    InitResult,
    RecordResult,
    RunResult,
    SnapshotResult,
    Status,
)
from repro.models.verdict import Comparison
from repro.report import accept, build, diff, init, record, run, snapshot, status
from repro.report.console import envelope
from repro.report.picture import picture
from repro.report.text import to_string

DIGEST = "ab" * 32
CPU = Cpu(model="Some CPU", features=("avx",))
FILE = FileDigest(path="out/metrics.json", size=3, sha256=DIGEST)
SEAL = Seal(platform="linux-amd64", suite="bookworm", python="3.11", inputs=(), locks=(), pip=())
LOCK = Lock(
    debs=(
        Deb(
            name="libc6",
            version="2.36",
            architecture="amd64",
            filename="pool/x.deb",
            size=1,
            sha256=DIGEST,
            archive="debian",
        ),
    ),
    pip=(PipArtifact(name="numpy", version="1.0", filename="n.whl", size=1, sha256=DIGEST),),
    seal=SEAL,
    key=DIGEST,
)
CHANGE = LockDiff(changes=(PackageChange(ecosystem="pip", name="numpy", old="0.9", new="1.0"),))
IMAGE = Image(
    layers=(Layer(name="base", key="k", digest=f"sha256:{DIGEST}", size=5_000_000),),
    config=b"{}",
    manifest=b"{}",
    env=(),
)
RECORD = ImageRecord(
    recipe=1,
    environment_key=DIGEST,
    image_id=IMAGE.id,
    manifest_digest=IMAGE.manifest_digest,
    layers=(("base", f"sha256:{DIGEST}"),),
    tools=(),
)
RUN = Run(
    id="20250101T000000-abc123",
    folder=Path("/p/.repro/runs/x"),
    environment_key=DIGEST,
    image_id=IMAGE.id,
    platform="linux-amd64",
    execution=Execution(engine="sandbox", ending=Ending.EXITED, code=0, step=0, seconds=1.25),
    cpu=CPU,
    code=(),
    data=(),
    outputs=(FILE,),
    discarded=("cache.tmp",),
)
BASELINE = Baseline(
    folder=Path("/p/baseline/linux-amd64"),
    platform="linux-amd64",
    environment_key=DIGEST,
    image_id=IMAGE.id,
    engine="docker",
    reason="checked \x1b[31mby hand",
    cpu=CPU,
    code=(),
    data=(),
    files=(FILE,),
)
MEASURED = Measurement(
    metrics=(
        Metric(name="mean", value=float("nan"), file="out/metrics.json"),
        Metric(name="rows", value=12, file="out/metrics.json"),
    ),
    tables=(Table(file="out/t.csv", columns=("a", "b"), rows=(("1", "2"),)),),
)
STATUS = Status(
    project="demo",
    environment_key=DIGEST,
    lock=LockState(),
    seal=SEAL,
    packages=(("apt", 90), ("pip", 7)),
    image_id=IMAGE.id,
    image_built=True,
    baseline=BASELINE,
    baseline_current=True,
    last_run=RUN.id,
    last_run_succeeded=True,
    next_step="repro verify: judge it against the baseline",
)
SNAPSHOT = SnapshotResult(lock=LOCK, diff=CHANGE, written=True, folder="lockfiles/linux-amd64")
BUILT = BuildResult(
    image=IMAGE,
    record=RECORD,
    layers_built=0,
    loaded=("sandbox", "docker"),
    recorded=False,
    checked=True,
    seconds=12.3,
)
RAN = RunResult(run=RUN, measurement=MEASURED, copied=("out/metrics.json",))
ACCEPTED = AcceptResult(baseline=BASELINE, measurement=MEASURED, reran=False)
INIT = InitResult(
    config_written="repro.toml",
    config="repro.toml",
    snapshot=SNAPSHOT,
    build=BUILT,
    run=RAN,
    accepted=ACCEPTED,
)
DIFFERENT = DiffResult(
    old="baseline", new="last", environment=CHANGE, comparison=Comparison(metrics=())
)

EVERYTHING: dict[str, tuple[RenderableType, Mapping[str, object]]] = {
    "status": (status.render(STATUS), status.data(STATUS)),
    "snapshot": (snapshot.render(SNAPSHOT), snapshot.data(SNAPSHOT)),
    "build": (build.render(BUILT), build.data(BUILT)),
    "run": (run.render(RAN), run.data(RAN)),
    "accept": (accept.render(ACCEPTED), accept.data(ACCEPTED)),
    "init": (init.render(INIT), init.data(INIT)),
    "diff": (diff.render(DIFFERENT), diff.data(DIFFERENT)),
}


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("width", [80, 40])
def test_reports_keep_to_the_terminal_and_are_inert(name: str, width: int) -> None:
    text = to_string(EVERYTHING[name][0], width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_status_says_what_the_environment_stands_on() -> None:
    image = BaseImage(
        reference="docker.io/library/python:3.12-slim",
        digest=f"sha256:{DIGEST}",
        id=f"sha256:{DIGEST}",
        layers=(f"sha256:{DIGEST}",),
    )
    foreign = replace(SEAL, suite="", base=image, python="3.12", as_of="2025-06-01T00:00:00Z")
    on_image = replace(STATUS, seal=foreign)
    said = "python:3.12-slim (abababababab), Python 3.12, as of 2025-06-01T00:00:00Z"
    assert said in " ".join(to_string(status.render(on_image), width=200).split())
    assert status.data(on_image)["base"] == {
        "suite": None,
        "image": image.reference,
        "digest": image.digest,
        "python": "3.12",
        "as_of": "2025-06-01T00:00:00Z",
    }
    assert "Debian bookworm, Python 3.11\n" in to_string(status.render(STATUS), width=80)
    unread = replace(STATUS, seal=None)
    assert status.data(unread)["base"] is None
    assert "base " not in to_string(status.render(unread), width=80)


@pytest.mark.parametrize("name", EVERYTHING)
def test_json_is_strict_and_carries_schema_and_command(name: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    body = json.loads(envelope(name, EVERYTHING[name][1]), parse_constant=refuse)
    assert body["schema"] == 1
    assert body["command"] == name


@pytest.mark.parametrize(
    ("lock", "code", "says"),
    [
        (LockState(), 0, "fits the inputs"),
        (LockState(stale=("requirements.in",)), 3, "stale: requirements.in"),
        (LockState(edited=("apt.lock",)), 3, "edited: apt.lock"),
        (None, 3, "none"),
    ],
)
def test_status_gates_on_the_lock(lock: LockState | None, code: int, says: str) -> None:
    found = replace(STATUS, lock=lock)
    assert status.exit_code(found) == code
    assert status.data(found)["exit_code"] == code
    assert says in to_string(status.render(found))


def test_status_says_that_a_baseline_is_of_another_environment() -> None:
    assert "this environment" in to_string(status.render(STATUS))
    other = replace(STATUS, baseline_current=False)
    assert "another environment" in to_string(status.render(other))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (SNAPSHOT, "written"),
        (replace(SNAPSHOT, written=False), "not written (dry run)"),
        (replace(SNAPSHOT, written=False, diff=LockDiff(changes=())), "unchanged"),
        (replace(SNAPSHOT, diff=LockDiff(changes=())), "sealed anew"),
        (replace(SNAPSHOT, notes=("pins dropped",)), "pins dropped"),
        (replace(SNAPSHOT, adopted="uv.lock"), "adopted   uv.lock"),
        (replace(SNAPSHOT, inputs=(("requirements.in", "six\n"),)), "requirements.in, written"),
        (
            replace(SNAPSHOT, inputs=(("requirements.in", "# why\nsix\n"),), written=False),
            "\n--- requirements.in\n# why\nsix\n",
        ),
    ],
)
def test_snapshot_says_what_became_of_the_files(result: SnapshotResult, says: str) -> None:
    assert says in to_string(snapshot.render(result))


def test_a_dry_run_shows_files_as_they_would_be_written_and_inert() -> None:
    """In 80 columns too: whoever pipes them into a file gets that file."""
    text = "Depends: " + "libc6, " * 30 + "libc6\n\n  - indented\n"
    dry = replace(SNAPSHOT, written=False)
    recorded = RecordResult(
        source="host", snapshot=dry, inputs=(("a.in", text),), locks=(("x.lock", "\x1b[31m\n"),)
    )
    said = to_string(record.render(recorded, whole=True))
    assert said.endswith(f"\n--- a.in\n{text}\n--- x.lock\n\\x1b[31m\n")
    adopted = to_string(snapshot.render(replace(dry, inputs=(("a.in", text),))))
    assert f"\n--- a.in\n{text}" in adopted


def test_snapshot_lists_the_changes() -> None:
    text = to_string(snapshot.render(SNAPSHOT))
    assert "numpy" in text
    assert "0.9" in text


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (BUILT, "as image.toml records; the same from two builds"),
        (replace(BUILT, recorded=True, checked=False), "recorded in image.toml"),
        (
            replace(BUILT, record=replace(RECORD, image_id="sha256:0", recipe=7)),
            "not compared: image.toml is of recipe 7",
        ),
        (replace(BUILT, layers_built=1), "1 built"),
        (BUILT, "all from the cache"),
    ],
)
def test_build_says_how_far_the_image_was_checked(result: BuildResult, says: str) -> None:
    assert says in " ".join(to_string(build.render(result)).split())


def test_build_shows_the_whole_image_id() -> None:
    assert IMAGE.id in to_string(build.render(BUILT))
    assert build.data(BUILT)["image_id"] == IMAGE.id


def test_run_shows_metrics_tables_and_what_was_thrown_away() -> None:
    text = to_string(run.render(RAN))
    for says in ("NaN", "rows", "12", "out/t.csv", "1 row, 2 columns", "cache.tmp"):
        assert says in text
    assert run.data(RAN)["measurement"] == {
        "metrics": {"mean": "nan", "rows": 12},
        "tables": [{"file": "out/t.csv", "rows": 1, "columns": ["a", "b"]}],
    }


def test_a_command_of_ones_own_measures_nothing() -> None:
    assert run.data(replace(RAN, measurement=None))["measurement"] is None


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (INIT, "repro verify"),
        (replace(INIT, accepted=None), "repro accept"),
        (replace(INIT, accepted=None, run=None), "repro run"),
        (replace(INIT, accepted=None, run=None, runnable=False), "[analysis] command"),
        (replace(INIT, accepted=None, run=None, build=None), "repro build"),
        (replace(INIT, accepted=None, run=None, build=None, snapshot=None), "repro snapshot"),
        (
            InitResult(config_written=None, snapshot=None, build=None, run=None, accepted=None),
            "repro init",
        ),
    ],
)
def test_init_ends_with_the_next_step(result: InitResult, says: str) -> None:
    last = to_string(init.render(result)).split("next", 1)[1]
    assert says in " ".join(last.split())


def test_diff_names_both_sides() -> None:
    text = to_string(diff.render(DIFFERENT))
    assert "baseline" in text
    assert "last" in text
    assert "numpy" in text


def test_a_picture_is_the_same_from_the_same_report_and_loads_nothing() -> None:
    first, second = (picture(snapshot.render(SNAPSHOT), "repro snapshot") for _ in range(2))
    assert first == second
    root = ElementTree.fromstring(first)
    assert "@font-face" not in first
    assert "url(http" not in first
    texts = [element for element in root.iter() if element.tag.endswith("}text")]
    assert "numpy" in [element.text for element in texts]


def test_a_picture_keeps_columns_without_blanks_at_the_ends_of_a_run() -> None:
    """Not every reader of SVG keeps blanks there: each run stands where its first letter does."""
    text = Text.assemble(("ab", "bold"), ("   cd  ", ""), ("ef", "bold"))
    root = ElementTree.fromstring(picture(text, "t"))
    found = {
        element.text: (float(element.get("x", "")), float(element.get("textLength", "0")))
        for element in root.iter()
        if element.tag.endswith("}text") and element.text in ("ab", "cd", "ef")
    }
    cell = found["ab"][1] / 2
    assert found["cd"] == pytest.approx((5 * cell, 2 * cell))
    assert found["ef"] == pytest.approx((9 * cell, 2 * cell))
