"""Conda's readers, on any bytes: a value, or their own error that names the file (see
`test_properties_readers`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError, UsageError
from repro.locks import conda
from repro.project import source
from repro.project.environment_yml import EnvironmentFile, parse_environment
from tests.mutations import CORPUS, damaged
from tests.unit.test_locks_conda import DEV, OURS, PIP, THEIRS
from tests.unit.test_project_environment_yml import SPECS, WHOLE
from tests.unit.test_properties_readers import Reader, check

EVERY_SPEC = "channels: [conda-forge, https://conda.example.org/team]\ndependencies:\n" + "".join(
    f"  - {json.dumps(text)}\n" for text, _ in SPECS
)


def _environment(data: bytes) -> EnvironmentFile:
    text = source.decode(data, where="environment.yml")
    return parse_environment(text, where="environment.yml")


def _environment_text(found: EnvironmentFile) -> bytes:
    """JSON is YAML."""
    specs: list[Any] = list(found.conda.specs) if found.conda is not None else []
    if found.pip is not None:
        lines = [*found.pip.lines]
        lines += [f"-r {json.dumps(name)}" for _, name in found.pip.includes]
        lines += [f"-c {json.dumps(name)}" for _, name in found.pip.constraints]
        lines += [f".[{','.join(extras)}]" for extras in found.pip.itself]
        specs.append({"pip": lines})
    value = {
        "name": found.name,
        "channels": list(found.conda.channels) if found.conda is not None else [],
        "dependencies": specs,
        "platforms": list(found.conda.platforms) if found.conda is not None else [],
    }
    return json.dumps(value).encode()


READERS = {
    "environment.yml": Reader(
        file="environment.yml",
        leaf=UsageError,
        samples=(WHOLE.encode(), EVERY_SPEC.encode()),
        read=_environment,
        render=_environment_text,
    ),
    "conda-lock.yml": Reader(
        file="conda-lock.yml",
        leaf=LockError,
        samples=(conda.render(OURS).encode(), THEIRS.read_bytes()),
        read=lambda data: conda.parse(data.decode(errors="replace"), where="conda-lock.yml"),
        render=lambda found: conda.render(found).encode(),
    ),
    "foreign/conda-lock.yml": Reader(
        file="conda-lock.yml",
        leaf=LockError,
        samples=((THEIRS.read_text() + PIP + DEV).encode(),),
        read=lambda data: conda.parse(
            data.decode(errors="replace"), where="conda-lock.yml", foreign=True
        ),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_the_samples_are_read(name: str) -> None:
    for sample in READERS[name].samples:
        check(READERS[name], sample)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_bytes_are_read_or_refused(name: str, data: st.DataObject) -> None:
    check(READERS[name], data.draw(damaged(*READERS[name].samples)))


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(CORPUS.glob("*/*")) if path.parent.name in READERS],
    ids=lambda path: "/".join(path.parts[-2:]),
)
def test_what_once_broke_a_reader(path: Path) -> None:
    check(READERS[path.parent.name], path.read_bytes())
