"""C23: a conda package that is a bomb by ratio, by size, by entries: exit 3, under 200 MB resident.

The guards run in the process that installs: the larger of the two counts.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from tests.conda_archives import Package, part, zipped
from tests.faults.conda_sources import PinConda
from tests.faults.memory import MEGABYTE, measured_build
from tests.support import assert_refused

pytestmark = pytest.mark.network


def header(name: str, size: int) -> bytes:
    """The header of a file of so many bytes."""
    return part(name, size=size).header.tobuf(tarfile.GNU_FORMAT)


def zeros(size: int) -> Iterator[bytes]:
    """A tar of one file of zeros."""
    yield header("zeros", size)
    for _ in range(size // MEGABYTE):
        yield bytes(MEGABYTE)


def entries() -> Iterator[bytes]:
    """A tar of a million empty files: names that differ, as far as anybody should read."""
    for number in range(66_000):
        last = header(f"{number:06}", 0)
        yield last
    for _ in range(934):
        yield last * 1000


def pressed(pieces: Iterator[bytes]) -> bytes:
    """A frame with the largest window that zstd takes: it is all that the reader remembers."""
    chosen = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    press = zstandard.ZstdCompressor(compression_params=chosen).compressobj()
    return b"".join([*(press.compress(piece) for piece in pieces), press.flush()])


def in_conda(pieces: Iterator[bytes]) -> bytes:
    """A package whose files are that tar."""
    return zipped({**Package().members(), "pkg-demo-1.0-0.tar.zst": pressed(pieces)})


def metadata() -> bytes:
    """A list of paths of 12 MB that is made of empty lists."""
    text = b'{"paths_version": 1, "paths": [' + b"[]," * (4 << 20)
    return Package(info={"info/paths.json": text[: 12 << 20]}).archive()


@pytest.mark.parametrize(
    ("bomb", "says"),
    [
        (lambda: in_conda(zeros(2 << 30)), "unpack to more than"),
        (lambda: in_conda(entries()), "holds more than 65536 entries"),
        (metadata, "holds too many values"),
    ],
    ids=["ratio", "entries", "metadata"],
)
def test_c23_refused_as_it_unpacks(
    pin_conda: PinConda, tmp_path: Path, bomb: Callable[[], bytes], says: str
) -> None:
    pinned = pin_conda(Package(), bomb())
    answer, peak = measured_build(pinned.cli, tmp_path / "peak")
    assert_refused(answer, 3, "conda demo 1.0: demo-1.0-0.conda: ", says)
    assert peak < 200 * MEGABYTE, peak
    assert not pinned.layer_made()
