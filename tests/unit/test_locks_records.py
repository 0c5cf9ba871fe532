from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.locks import records
from repro.models.baseline import Baseline
from repro.models.execution import Cpu, Ending, Execution, FileDigest, Run
from repro.models.image import ImageRecord

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
DIGEST = HEX.map("sha256:{}".format)
WORD = st.text(min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z][a-z0-9_.]{0,8}){0,2}", fullmatch=True)
FILES = st.lists(
    st.builds(FileDigest, path=NAME, size=st.integers(0, 10**12), sha256=HEX),
    max_size=4,
    unique_by=lambda item: item.path,
).map(lambda items: tuple(sorted(items, key=lambda item: item.path)))
CPU = st.builds(
    Cpu, model=WORD, features=st.lists(WORD, max_size=3).map(lambda f: tuple(sorted(f)))
)
IMAGES = st.builds(
    ImageRecord,
    recipe=st.integers(0, 9),
    environment_key=DIGEST,
    image_id=DIGEST,
    manifest_digest=DIGEST,
    layers=st.lists(st.tuples(WORD, DIGEST), max_size=3).map(tuple),
    tools=st.dictionaries(WORD, WORD, max_size=3).map(lambda d: tuple(sorted(d.items()))),
)
RUNS = st.builds(
    Run,
    id=WORD,
    folder=st.just(Path("r")),
    environment_key=DIGEST,
    image_id=DIGEST,
    platform=WORD,
    execution=st.builds(
        Execution,
        engine=WORD,
        ending=st.sampled_from(Ending),
        code=st.integers(0, 255),
        step=st.integers(0, 9),
        seconds=st.integers(0, 10**6).map(lambda ms: ms / 1000),
        log_cut=st.booleans(),
        unenforced=st.lists(WORD, max_size=2).map(tuple),
    ),
    cpu=CPU,
    code=FILES,
    data=FILES,
    outputs=FILES,
    discarded=st.lists(WORD, max_size=2).map(tuple),
)
BASELINES = st.builds(
    Baseline,
    folder=st.just(Path("b")),
    platform=WORD,
    environment_key=DIGEST,
    image_id=DIGEST,
    engine=WORD,
    reason=WORD,
    cpu=CPU,
    code=FILES,
    data=FILES,
    files=FILES,
)


@given(IMAGES)
def test_image_round_trip(record: ImageRecord) -> None:
    data = records.render_image(record)
    assert records.parse_image(data, where="image.toml") == record
    assert records.render_image(records.parse_image(data, where="image.toml")) == data


@given(RUNS)
def test_run_round_trip(run: Run) -> None:
    data = records.render_run(run)
    assert records.parse_run(data, where="run.toml", folder=Path("r")) == run


@given(BASELINES)
def test_baseline_round_trip(baseline: Baseline) -> None:
    data = records.render_baseline(baseline)
    assert records.parse_baseline(data, where="seal.toml", folder=Path("b")) == baseline


READERS: tuple[Callable[[bytes], object], ...] = (
    lambda data: records.parse_image(data, where="the-file"),
    lambda data: records.parse_run(data, where="the-file", folder=Path("r")),
    lambda data: records.parse_baseline(data, where="the-file", folder=Path("b")),
)


@given(st.binary(max_size=300), st.sampled_from(READERS))
def test_any_bytes_are_refused_by_name(data: bytes, read: Callable[[bytes], object]) -> None:
    with pytest.raises(LockError, match="the-file"):
        read(data)


def test_a_path_out_of_the_folder_is_refused() -> None:
    baseline = Baseline(
        folder=Path("b"),
        platform="linux-amd64",
        environment_key="sha256:" + "0" * 64,
        image_id="sha256:" + "0" * 64,
        engine="sandbox",
        reason="r",
        cpu=Cpu(model="m", features=()),
        code=(),
        data=(),
        files=(FileDigest(path="../x", size=1, sha256="0" * 64),),
    )
    with pytest.raises(LockError, match="files"):
        records.parse_baseline(records.render_baseline(baseline), where="w", folder=Path("b"))
