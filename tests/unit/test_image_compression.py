"""Blobs back to plain tars: every compression, however it is cut into pieces."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from repro.errors import LockError
from repro.image import compression
from repro.image.compression import plain

ZSTD = zstandard.ZstdCompressor()


def parts(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip in members": lambda data: b"".join(gzip.compress(part) for part in parts(data)),
    "zstd": ZSTD.compress,
    "zstd in frames": lambda data: b"".join(ZSTD.compress(part) for part in parts(data)),
    "plain": lambda data: b"tar" + data,
}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(
    way=st.sampled_from(sorted(WAYS)),
    data=st.binary(max_size=2000) | st.integers(0, 3 << 20).map(bytes),
    size=st.sampled_from([1, 2, 3, 5, 1000, 1 << 20]),
)
def test_it_comes_out_as_it_went_in(way: str, data: bytes, size: int) -> None:
    blob = WAYS[way](data)
    if len(blob) // size > 20_000:
        size = 1000
    found = b"".join(plain(pieces(blob, size), size=len(blob), label="layer"))
    assert found == (b"tar" + data if way == "plain" else data)


@pytest.mark.parametrize("way", ["gzip", "zstd", "gzip in members"])
def test_a_damaged_blob_is_refused_or_ends_early(way: str) -> None:
    data = bytes(range(256)) * 4000
    blob = WAYS[way](data)
    for at in (10, len(blob) // 2, len(blob) - 3):
        flipped = blob[:at] + bytes([blob[at] ^ 0x55]) + blob[at + 1 :]
        for damaged in (flipped, blob[:at]):
            try:
                found = b"".join(plain(pieces(damaged, 100), size=len(blob), label="layer 1"))
            except LockError as error:
                assert "layer 1: cannot be uncompressed: " in error.message  # noqa: PT017
            else:  # whoever asked compares digests
                assert found != data or way == "zstd"


def grown(blob: bytes, sizes: list[int]) -> None:
    """Uncompress a blob that says to be small; note the sizes of what comes."""
    for piece in plain(pieces(blob, 1 << 16), size=1 << 10, label="layer"):
        sizes.append(len(piece))


def test_a_bomb_is_stopped_before_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_FREE", 1 << 20)
    for way in ("gzip", "zstd"):
        sizes: list[int] = []
        with pytest.raises(LockError, match="become more than"):
            grown(WAYS[way](bytes(1 << 25)), sizes)
        assert sum(sizes) <= 1 << 20
