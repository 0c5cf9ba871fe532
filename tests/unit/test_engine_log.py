"""The log of a run keeps the beginning, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.engines.log import opened
from repro.errors import LocalError


@given(st.lists(st.binary(max_size=60)), st.integers(0, 200))
def test_the_first_bytes_are_kept(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "log"
    with opened(path, limit) as log:
        for chunk in chunks:
            log.write(chunk)
    said = b"".join(chunks)
    found = path.read_bytes()
    assert log.cut == (len(said) > limit)
    if log.cut:
        assert found.startswith(said[:limit])
        assert found[limit:].decode() == f"\n[repro: cut here, after {limit} bytes of output]\n"
    else:
        assert found == said


def test_it_is_written_also_when_the_run_is_interrupted(tmp_path: Path) -> None:
    def run() -> None:
        with opened(tmp_path / "a/b/log", 100) as log:
            log.write(b"until here")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert (tmp_path / "a/b/log").read_bytes() == b"until here"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "log").symlink_to(tmp_path / "precious")
    with pytest.raises(LocalError, match="log"), opened(tmp_path / "log", 100):
        pass
    assert (tmp_path / "precious").read_text() == "kept"
