"""G54: the run wrote no metrics file, or an empty one: exit 4, the paths looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.errors import AnalysisError
from repro.measure.measure import measure
from repro.models.measurement import Measurement
from repro.models.project import MetricSettings, TableSettings

SETTINGS = MetricSettings(files=("out/metrics.json", "out/more.csv"))
TABLES = (TableSettings(file="out/by_region.csv"),)


def measure_folder(folder: Path) -> Measurement:
    return measure(lambda path: (folder / path).read_bytes(), SETTINGS, TABLES)


def write(folder: Path, **files: str) -> None:
    (folder / "out").mkdir()
    for name, text in files.items():
        (folder / "out" / name.replace("__", ".")).write_text(text)


def assert_named(error: AnalysisError) -> None:
    assert error.exit_code == 4
    assert "(looked for: out/metrics.json, out/more.csv, out/by_region.csv)" in error.message
    assert error.hint is not None
    assert "outputs" in error.hint


def test_absent_files_are_all_named(tmp_path: Path) -> None:
    write(tmp_path, more__csv="n,1\n")
    with pytest.raises(AnalysisError) as caught:
        measure_folder(tmp_path)
    assert "did not write out/metrics.json, out/by_region.csv" in caught.value.message
    assert_named(caught.value)


@pytest.mark.parametrize("content", ["", " \n\t\n"])
def test_an_empty_file_is_no_measurement(tmp_path: Path, content: str) -> None:
    write(tmp_path, metrics__json=content, more__csv="n,1\n", by_region__csv="a\n1\n")
    with pytest.raises(AnalysisError) as caught:
        measure_folder(tmp_path)
    assert "left out/metrics.json empty" in caught.value.message
    assert_named(caught.value)


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_a_file_without_any_metric_never_passes(tmp_path: Path, content: str) -> None:
    write(tmp_path, metrics__json=content, more__csv="n,1\n", by_region__csv="a\n1\n")
    with pytest.raises(AnalysisError, match=r"out/metrics\.json, .*holds no metric"):
        measure_folder(tmp_path)
