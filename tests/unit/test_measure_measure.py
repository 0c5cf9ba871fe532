from __future__ import annotations

import pytest

from repro.errors import AnalysisError
from repro.measure.measure import measure
from repro.models.project import MetricSettings, TableSettings

FILES = {"out/a.json": b'{"z": 1, "b": 2}', "out/b.csv": b"c,3\n", "out/t.csv": b"k,v\nx,1\n"}


def read(path: str) -> bytes:
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(path) from None


def test_all_files_make_one_measurement_sorted_by_name() -> None:
    settings = MetricSettings(files=("out/a.json", "out/b.csv"))
    found = measure(read, settings, (TableSettings(file="out/t.csv"),))
    assert [(m.name, m.value, m.file) for m in found.metrics] == [
        ("b", 2, "out/a.json"),
        ("c", 3, "out/b.csv"),
        ("z", 1, "out/a.json"),
    ]
    assert [table.file for table in found.tables] == ["out/t.csv"]


def test_one_name_in_two_files_names_both() -> None:
    files = {"a.json": b'{"x": 1}', "b.json": b'{"x": 1}'}
    with pytest.raises(AnalysisError, match=r"'x' is in a\.json and in b\.json"):
        measure(files.__getitem__, MetricSettings(files=("a.json", "b.json")), ())


def test_a_file_named_twice_is_read_once() -> None:
    found = measure(read, MetricSettings(files=("out/b.csv", "out/b.csv")), ())
    assert len(found.metrics) == 1


def test_nothing_declared_measures_nothing() -> None:
    assert measure(read, MetricSettings(), ()).metrics == ()
