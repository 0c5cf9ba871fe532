"""The filters, run by a small interpreter of the kernel's filter language."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from repro.engines.sandbox import seccomp
from repro.engines.sandbox.seccomp import ALLOWED, REFUSED, filters

X86_64 = 0xC000003E
ALLOW, KILL = 0x7FFF0000, 0x00000000
NUMBERS = {
    "read": 0,
    "ioctl": 16,
    "socket": 41,
    "clone": 56,
    "ptrace": 101,
    "personality": 135,
    "mount": 165,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "setns": 308,
    "bpf": 321,
    "io_uring_setup": 425,
    "clone3": 435,
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    made = filters(tmp_path_factory.mktemp("cache"))
    if made is None:
        pytest.skip("libseccomp is not installed: apt-get install libseccomp2")
    return made


def evaluate(program: bytes, number: int, *arguments: int, arch: int = X86_64) -> int:
    """What the kernel's interpreter returns for a call (linux/filter.h, linux/seccomp.h)."""
    data = struct.pack("<iIQ6Q", number, arch, 0, *(*arguments, *[0] * (6 - len(arguments))))
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    place = accumulator = 0
    while True:
        operation, yes, no, value = code[place]
        place += 1
        if operation == 0x20:  # load a word
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x54:  # and
            accumulator &= value
        elif operation == 0x06:  # return
            return int(value)
        elif operation == 0x05:  # jump
            place += value
        else:
            tests = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: accumulator & value != 0,
            }
            place += yes if tests[operation] else no


def answer(programs: tuple[bytes, ...], name: str, *arguments: int) -> int | None:
    """The errno that a call gets, None when it is allowed: the strictest of all filters."""
    results = [evaluate(program, NUMBERS[name], *arguments) for program in programs]
    strictest = min(results)
    return None if strictest == ALLOW else strictest & 0xFFFF


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("read", (0, 0, 0), None),
        ("mount", (), errno.EPERM),
        ("unshare", (0x10000000,), errno.EPERM),
        ("setns", (), errno.EPERM),
        ("bpf", (), errno.EPERM),
        ("keyctl", (), errno.EPERM),
        ("ptrace", (), errno.EPERM),
        ("perf_event_open", (), errno.EPERM),
        ("io_uring_setup", (), errno.EPERM),
        ("clone3", (), errno.ENOSYS),
        ("clone", (0x1200011,), None),  # what fork is
        ("clone", (0x3D0F00,), None),  # what a thread is
        ("clone", (0x10000000,), errno.ENOSYS),  # with a user namespace
        ("clone", (0x20000011,), errno.ENOSYS),
        ("socket", (1,), None),
        ("socket", (2,), None),
        ("socket", (10,), None),
        ("socket", (40,), errno.ENOSYS),  # AF_VSOCK
        ("socket", (17,), errno.ENOSYS),  # AF_PACKET
        ("socket", (38,), errno.ENOSYS),  # AF_ALG
        ("personality", (0xFFFFFFFF,), None),
        ("personality", (0x0400000,), errno.ENOSYS),  # READ_IMPLIES_EXEC
        ("ioctl", (0, 0x5401), None),  # TCGETS
        ("ioctl", (0, 0x5413), None),  # TIOCGWINSZ
        ("ioctl", (0, 0x5412), errno.EPERM),  # TIOCSTI
        ("ioctl", (0, 0x541C), errno.EPERM),  # TIOCLINUX
        ("ioctl", (0, 0x1_0000_5412), errno.EPERM),  # CVE-2019-10063
        ("ioctl", (0, 0xFFFF_FFFF_0000_541C), errno.EPERM),
    ],
)
def test_answers(
    programs: tuple[bytes, ...], name: str, arguments: tuple[int, ...], expected: int | None
) -> None:
    assert answer(programs, name, *arguments) == expected


def test_a_call_of_the_future_does_not_exist(programs: tuple[bytes, ...]) -> None:
    assert min(evaluate(program, 9999) for program in programs) & 0xFFFF == errno.ENOSYS


def test_other_tables_of_calls_are_closed(programs: tuple[bytes, ...]) -> None:
    """The 32-bit table, and x32's numbers, where 321 is another call."""
    assert evaluate(programs[0], 3, arch=0x40000003) == KILL
    assert evaluate(programs[0], 0x40000000) in (KILL, 0x00050000 | errno.ENOSYS)


def test_compiled_once(tmp_path: Path) -> None:
    first = filters(tmp_path)
    if first is None:
        pytest.skip("libseccomp is not installed: apt-get install libseccomp2")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(times) == 2
    assert filters(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "LIBRARY", "libseccomp-that-is-not-there.so.2")
    assert filters(tmp_path) is None


def test_the_lists_are_disjoint_and_without_doubles() -> None:
    allowed, refused = ALLOWED.split(), REFUSED.split()
    conditional = ["clone", "clone3", "personality", "socket"]
    every = [*allowed, *refused, *conditional]
    assert len(every) == len(set(every))
