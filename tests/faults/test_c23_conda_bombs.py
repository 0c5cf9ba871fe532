"""C23: a conda package that is a bomb by ratio, by size, by entries: exit 3, under 200 MB resident.

The guards run in the process that installs: the larger of the two counts.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from tests.conda_archives import Package, part, zipped
from tests.faults.conda_sources import PinConda, PinnedConda
from tests.support import Answer, assert_refused
from tests.watch import watching

pytestmark = pytest.mark.network

MEGABYTE = 1 << 20
# the command, that writes the largest memory of its own and of its children where it ends
MEASURED = """
import os, resource, sys
from pathlib import Path
from repro.cli import main
end = os._exit
def measured(code):
    lines = Path("/proc/self/status").read_text().splitlines()
    [own] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    Path(sys.argv[1]).write_text(f"{own} {children}")
    end(code)
os._exit = measured
main.main(["build"])
"""


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
    answer, peak = build(pinned, tmp_path / "peak")
    assert_refused(answer, 3, "conda demo 1.0: demo-1.0-0.conda: ", says)
    assert peak < 200 * MEGABYTE, peak
    assert not pinned.layer_made()


def build(pinned: PinnedConda, peak: Path) -> tuple[Answer, int]:
    """What `repro build` says, and its largest resident memory in bytes."""
    with watching(pinned.cli) as watch:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(peak)],
            cwd=pinned.cli.folder,
            env=watch.env,
            capture_output=True,
            check=False,
        )
        answer = Answer(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
        watch.said(answer.out + answer.err)
    return answer, max(map(int, peak.read_text().split())) << 10
