"""What is asked of a resolver of conda packages, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from repro.models.lock import CondaPackage, Provenance, Upgrade
from repro.models.project import CondaRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaQuery:
    """One resolution for one platform (`linux-amd64`); `glibc` is the image's, `2.N`, "" for none.

    `previous` are the packages that the lock has for this platform, kept where `upgrade` does not
    cover them and they still fit. `as_of` is a moment, "" for now: newer records do not count.
    """

    request: CondaRequest
    platform: str
    glibc: str
    previous: tuple[CondaPackage, ...] = ()
    upgrade: Upgrade = field(default_factory=Upgrade)
    as_of: str = ""
    resolver: str = "rattler"
    """"rattler" or "conda-lock"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaResolution:
    """The packages, sorted by name, and where the answer comes from."""

    packages: tuple[CondaPackage, ...]
    provenance: tuple[Provenance, ...]
