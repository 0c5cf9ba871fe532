"""C23: a bomb by ratio, by size, by entries: exit 3, under 200 MB resident."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.memory import MEGABYTE, measured_build
from tests.faults.sources import RECIPE, Pin
from tests.support import assert_refused
from tests.wheelhouse import Member, raw_zip, record_line, zeros

pytestmark = pytest.mark.network


def ratio() -> bytes:
    """Two gigabytes of zeros in two megabytes."""
    return raw_zip([Member(name=b"demo/x", data=zeros(2048), size=2 << 30, method=8)])


def size() -> bytes:
    """Metadata of a gigabyte, which an installer reads whole."""
    name = b"demo-1.0.dist-info/METADATA"
    return raw_zip([Member(name=name, data=zeros(1024), size=1 << 30, method=8)])


def lie() -> bytes:
    """Metadata that says a kilobyte and unpacks to a gigabyte."""
    metadata, wheel, record = (f"demo-1.0.dist-info/{n}" for n in ("METADATA", "WHEEL", "RECORD"))
    text = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
    rows = record_line(metadata, b"") + record_line(wheel, text) + f"{record},,\n"
    return raw_zip(
        [
            Member(name=metadata.encode(), data=zeros(1024), size=1024, method=8),
            Member(name=wheel.encode(), data=text),
            Member(name=record.encode(), data=rows.encode()),
        ]
    )


def entries() -> bytes:
    """A directory of a million members."""
    one = raw_zip([Member(name=b"000000")])
    local, entry, end = one[:36], one[36:82], bytearray(one[88:])
    listing = b"".join([entry + b"%06x" % number for number in range(1_000_000)])
    struct.pack_into("<L", end, 12, len(listing))
    return local + listing + end


@pytest.mark.parametrize(
    ("bomb", "says"),
    [
        (ratio, f"would unpack to {2 << 30}"),
        (size, f"METADATA' has {1 << 30} bytes"),
        (lie, "Bad CRC-32"),
        (entries, "central directory has 52000000 bytes"),
    ],
)
def test_c23_refused_by_its_shape(
    pin: Pin, tmp_path: Path, bomb: Callable[[], bytes], says: str
) -> None:
    pinned = pin(bomb())
    answer, peak = measured_build(pinned.cli, tmp_path / "peak")
    assert_refused(answer, 3, f"pip demo 1.0: {RECIPE.filename}: ", says)
    assert peak < 200 * MEGABYTE, peak
    assert pinned.layers() == []
