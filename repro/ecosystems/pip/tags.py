"""What an interpreter on a Linux with glibc accepts: wheel tags and marker values.

Nothing of the host's interpreter is asked: the answer depends on the target alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from packaging.tags import Tag, compatible_tags, cpython_tags

from repro.errors import UsageError
from repro.models.project import PLATFORM, platform_of

_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
"""glibc 2.N of the oldest manylinux of a machine (PEP 513, PEP 599)."""

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""glibc 2.N of the names that came before PEP 600."""

_NARROW_ABI = 8
"""CPython 3.N from which on the ABI tag has no `m`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An interpreter in an image: `python` is `major.minor`, `glibc` is `2.N`.

    `full` is the interpreter's whole version where it is known (`3.11.2`), `machine` the
    kernel's name of the processor.
    """

    python: str
    glibc: str
    full: str | None = None
    machine: str = platform_of(PLATFORM).machine

    @property
    def version(self) -> tuple[int, int]:
        """(major, minor). Raises UsageError."""
        return _pair(self.python, "python")

    @property
    def glibc_minor(self) -> int:
        """The N of glibc 2.N. Raises UsageError."""
        major, minor = _pair(self.glibc, "glibc")
        if major != 2:
            raise UsageError(f"glibc {self.glibc}: only 2.N is known")
        return minor

    @property
    def full_version(self) -> str:
        """The interpreter's whole version, `.0` where it is not known."""
        return self.full or f"{self.python}.0"

    @property
    def is_two(self) -> bool:
        """Whether this is Python 2."""
        return self.version[0] == 2


def _pair(text: str, what: str) -> tuple[int, int]:
    major, dot, minor = text.partition(".")
    if not (dot and major.isdecimal() and minor.isdecimal()):
        raise UsageError(f"{what} {text!r} is not major.minor")
    return int(major), int(minor)


def platforms(glibc_minor: int, machine: str = "x86_64") -> Iterator[str]:
    """Yield platform tags, best first: manylinux_2_N downwards (PEP 600), then plain linux."""
    for minor in range(glibc_minor, _OLDEST_GLIBC[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"


@cache  # a thousand tags, asked for with every package
def supported(target: Target) -> tuple[Tag, ...]:
    """Return the wheel tags that this target accepts, best first (pip's order)."""
    major, minor = target.version
    interpreter = f"cp{major}{minor}"
    # Debian builds Python 2.7 with 32-bit characters; before 3.8 all had pymalloc in the name.
    suffix = "mu" if major == 2 else "" if minor >= _NARROW_ABI else "m"
    known = list(platforms(target.glibc_minor, target.machine))
    native = cpython_tags(
        python_version=(major, minor), abis=[interpreter + suffix], platforms=known
    )
    general = compatible_tags(
        python_version=(major, minor), interpreter=interpreter, platforms=known
    )
    return (*native, *general)


def markers(target: Target) -> dict[str, str]:
    """Return the PEP 508 marker environment of this target; no `extra`, no kernel version."""
    return {
        "implementation_name": "cpython" if not target.is_two else "",
        "implementation_version": target.full_version if not target.is_two else "0",
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": target.full_version,
        "python_version": target.python,
        "sys_platform": "linux2" if target.is_two else "linux",
    }
