"""What the locks of other tools say, before a project takes one over."""

from __future__ import annotations

from dataclasses import dataclass

from repro.models.lock import CondaPackage


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a package of a foreign lock cannot be taken over, and what to do about it."""

    why: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignPin:
    """A Python package as a foreign lock pins it; name and version are normalised.

    `hashes` are the sha256 (hex) of the files that it may be, sorted. `markers`: it applies
    where one of them holds, everywhere when there are none. `where` is its place in the file.
    """

    name: str
    version: str
    where: str
    hashes: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignLock:
    """A lock that another tool wrote, parsed.

    `kind` is the format's name (`uv.lock`). `environments`: it is for where one of these markers
    holds, for everywhere when there are none. `wants` are the requirements that it was made for,
    as PEP 508 lines; empty when the format does not say. `partial`: it holds packages that not
    every environment asks for (extras, groups, forks), so that leaving some out is no loss.
    `conda` are the conda packages of one platform and environment, `channels` theirs, and
    `conda_wants` those that no other one needs.
    """

    path: str
    kind: str
    pins: tuple[ForeignPin, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    channels: tuple[str, ...] = ()
    conda_wants: tuple[str, ...] = ()
    requires_python: str = ""
    environments: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    partial: bool = False
    notes: tuple[str, ...] = ()
