"""Which suite and which Python: what is asked for, within what the suites have."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from repro.errors import UsageError
from repro.locks.names import shown
from repro.models.project import DEBIAN, SUITES, Suite

DEFAULT_SUITE = "bookworm"
_UNNAMED = tuple(suite for suite in SUITES if suite.family is DEBIAN)
"""What is chosen without being named: another distribution's mirror may have to be configured."""

# pyenv and uv write "3.11", "3.11.4", "cpython-3.11", "cpython@3.11"; Binder "python-3.11".
_VERSION = re.compile(
    r"(?:(?:c?python)[-@]?)?(?P<minor>[0-9]{1,2}\.[0-9]{1,3})(?P<patch>\.(?:[0-9]{1,3}|[xX*]))?",
    re.ASCII,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A wish with the place where it stands, for messages."""

    value: str
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """The choice: a suite and one of its Pythons; `python` is "" where conda's decide."""

    suite: str
    python: str
    notes: tuple[str, ...] = ()


def parse_python_version(text: str, where: str) -> Asked | None:
    """Read a `.python-version` or `runtime.txt`: its first line that is no comment; empty: None.

    Raises UsageError for anything but CPython `major.minor[.patch]`.
    """
    lines = [line.partition("#")[0].strip() for line in text.split("\n")]
    line = next((line for line in lines if line), None)
    if line is None:
        return None
    found = _VERSION.fullmatch(line)
    if found is None:
        raise UsageError(
            f"{where}: {shown(line)} is not a version of Python",
            hint='write "3.11" there, or python = "3.11" under [environment] in repro.toml',
        )
    return Asked(value=found["minor"] + (found["patch"] or ""), where=where)


def of_image(python: Asked | None) -> Interpreter:
    """Return what is asked of an image's own Python: no suite; no version where none is asked for.

    Raises UsageError for anything but `major.minor[.patch]`.
    """
    if python is None:
        return Interpreter(suite="", python="")
    found = _VERSION.fullmatch(python.value)
    if found is None:
        raise UsageError(
            f"{python.where}: {shown(python.value)} is not a version of Python",
            hint='write "3.12", or leave it to the image',
        )
    note = f"{python.where} asks for {python.value}: the image decides the patch release"
    return Interpreter(suite="", python=found["minor"], notes=(note,) if found["patch"] else ())


def choose(python: Asked | None, suite: Asked | None, requires: Asked | None = None) -> Interpreter:
    """Choose suite and Python from what is given; `requires` is a `requires-python` (PEP 440).

    A Python decides the suite, a suite its first Python; else `requires` decides where the
    default does not fit. Raises UsageError, naming what there is, when nothing fits.
    """
    chosen = _suite(suite) if suite is not None else None
    if python is not None:
        return _checked(_by_python(python, chosen, suite), requires)
    if chosen is not None:
        return _checked(Interpreter(suite=chosen.name, python=chosen.pythons[0]), requires)
    return _by_requirement(requires)


def choose_suite(suite: Asked | None) -> Interpreter:
    """Choose the suite that conda packages stand on: they decide the Python. Raises UsageError."""
    return Interpreter(suite=_suite(suite).name if suite is not None else DEFAULT_SUITE, python="")


def _available() -> str:
    return "; ".join(f"{suite.name} has {' and '.join(suite.pythons)}" for suite in SUITES)


def _others(minor: str) -> str:
    """Where a Python comes from that no suite has: an image, or conda."""
    return (
        f'others come from an image: image = "python:{minor}-slim" under [environment] in '
        "repro.toml instead of suite; or from conda: list python in an environment.yml"
    )


def _suite(asked: Asked) -> Suite:
    found = next((suite for suite in SUITES if suite.name == asked.value), None)
    if found is None:
        raise UsageError(
            f"{asked.where}: the suite {shown(asked.value)} is not one that can be bootstrapped",
            hint=f"{_available()}; {_others('3.12')}",
        )
    return found


def _by_python(asked: Asked, chosen: Suite | None, suite: Asked | None) -> Interpreter:
    found = _VERSION.fullmatch(asked.value)
    if found is None:
        raise UsageError(
            f"{asked.where}: {shown(asked.value)} is not a version of Python",
            hint=f'write "3.11"; {_available()}',
        )
    minor, patch = found["minor"], (found["patch"] or "").strip(".xX*")
    having = [known for known in SUITES if minor in known.pythons]
    if not having or (chosen is None and having[0] not in _UNNAMED):
        near = _nearest(minor)
        which = "suite of Debian" if having else "suite"
        named = f'Ubuntu has it: suite = "{having[0].name}"; ' if having else ""
        raise UsageError(
            f"{asked.where}: no {which} has Python {minor}",
            hint=f'{named}nearest: python = "{near[1]}" ({near[0]}); {_others(minor)} '
            f"({_available()})",
        )
    if chosen is not None and chosen not in having:
        where = suite.where if suite is not None else asked.where
        raise UsageError(
            f"{where}: {chosen.name} has no Python {minor}, which {asked.where} asks for",
            hint=f"{_available()}; {_others(minor)}",
        )
    name = (chosen or having[0]).name
    note = f"{asked.where} asks for Python {minor}.{patch}: {name} decides the patch release"
    return Interpreter(suite=name, python=minor, notes=(note,) if patch else ())


def _numbers(minor: str) -> tuple[int, int]:
    major, _, rest = minor.partition(".")
    return int(major), int(rest)


def _nearest(minor: str) -> tuple[str, str]:
    """Return the (suite, Python) of the same major version that is nearest, the newer of two."""
    major, number = _numbers(minor)
    pairs = [(suite.name, python) for suite in _UNNAMED for python in suite.pythons]

    def distance(pair: tuple[str, str]) -> tuple[bool, int, int]:
        other, its = _numbers(pair[1])
        return other != major, abs(its - number), -its

    return min(pairs, key=distance)


def _by_requirement(requires: Asked | None) -> Interpreter:
    default = next(suite for suite in SUITES if suite.name == DEFAULT_SUITE)
    usual = Interpreter(suite=default.name, python=default.pythons[0])
    if requires is None or _allows(requires, usual.python):
        return usual
    pairs = [(_numbers(p), s.name, p) for s in _UNNAMED for p in s.pythons if _allows(requires, p)]
    if not pairs:
        raise UsageError(
            f"{requires.where}: no suite has a Python that fits {shown(requires.value)}",
            hint=f'{_available()}; or choose one: python = "3.11" under [environment]; '
            + _others("3.12"),
        )
    _, suite, python = max(pairs)
    return Interpreter(suite=suite, python=python)


def _checked(choice: Interpreter, requires: Asked | None) -> Interpreter:
    if requires is None or _allows(requires, choice.python):
        return choice
    note = f"{requires.where} is {shown(requires.value)}, but Python {choice.python} was chosen"
    return replace(choice, notes=(*choice.notes, note))


def _allows(requires: Asked, minor: str) -> bool:
    """Whether some patch release of this Python fits: the suite decides which it is."""
    from packaging.specifiers import SpecifierSet

    try:
        specifier = SpecifierSet(requires.value)
        return any(specifier.contains(f"{minor}.{patch}") for patch in range(40))
    except ValueError:  # InvalidSpecifier, and numbers of more than 4,300 digits
        raise UsageError(
            f"{requires.where}: {shown(requires.value)} is no version specifier",
            hint='write for example ">=3.9"',
        ) from None
