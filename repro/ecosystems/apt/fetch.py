"""Where each locked package may be fetched from: this host's mirrors, then the snapshot archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import PurePosixPath
from urllib.parse import quote

from repro.download import Http
from repro.ecosystems.apt.sources import SNAPSHOT_ID, AptSources, host_sources
from repro.models.lock import Deb, Provenance, Seal
from repro.models.project import Sources
from repro.store.fetch import Wanted

# A Release is published some hours after its date, and what it names stays in the pool for a day
# and a half after it is superseded: half a day later both are so.
_PUBLISHED = timedelta(hours=12)


def wanted(
    debs: Iterable[Deb], sources: Sources, seal: Seal | None = None, http: Http | None = None
) -> tuple[Wanted, ...]:
    """Return what a lock's packages are and where they may be.

    The host's apt sources and settings are read once, and only when something is missing; `http`
    then goes through apt's proxies. The dates of the seal's releases choose the states of the
    snapshot archive.
    """
    packages = tuple(debs)
    architectures = {deb.architecture for deb in packages} - {"all"}
    architecture = min(architectures, default="amd64")

    @cache
    def reached() -> AptSources:
        found = host_sources(sources, architecture)
        if http is not None:
            http.route(proxies=found.proxies(), authorities=found.authorities())
        return found

    states = kept_states(seal.provenance if seal is not None else ())
    return tuple(
        Wanted(
            label=f"apt {deb.name} {deb.version}",
            filename=PurePosixPath(deb.filename).name,
            sha256=deb.sha256,
            size=deb.size,
            addresses=partial(_addresses, deb, reached, states.get(deb.archive, ())),
        )
        for deb in packages
    )


def release_dates(provenance: Iterable[Provenance]) -> dict[str, tuple[datetime, ...]]:
    """Return {archive: dates of its releases, newest first} of a seal's provenance.

    What is not dated is left out: without a date the snapshot archive cannot be asked.
    """
    return _moments(provenance, "date")


def kept_states(provenance: Iterable[Provenance]) -> dict[str, tuple[datetime, ...]]:
    """Return {archive: moments at which the snapshot archive may have its packages, best first}.

    The states that a release was read from are known to have them.
    """
    facts = tuple(provenance)
    read, dated = _moments(facts, "snapshot"), release_dates(facts)
    found = {
        archive: (
            *read.get(archive, ()),
            *(moment + late for late in (_PUBLISHED, timedelta(0)) for moment in dates),
        )
        for archive, dates in dated.items()
    }
    return {archive: tuple(dict.fromkeys(moments)) for archive, moments in found.items()}


def _moments(provenance: Iterable[Provenance], fact: str) -> dict[str, tuple[datetime, ...]]:
    found: dict[str, set[datetime]] = {}
    for one in provenance:
        for name, value in one.facts:
            if name == fact:
                try:
                    moment = datetime.fromisoformat(value)
                except ValueError:
                    continue
                found.setdefault(one.source.split(" ")[0], set()).add(moment.astimezone(UTC))
    return {archive: tuple(sorted(dates, reverse=True)) for archive, dates in found.items()}


def _addresses(
    deb: Deb, reached: Callable[[], AptSources], states: Iterable[datetime]
) -> Iterator[str]:
    sources = reached()
    yield from sources.addresses(deb.archive, deb.filename)
    path = quote(deb.filename, safe="/~")
    for archive, template in sources.snapshots:
        if archive == deb.archive:
            for moment in states:
                timestamp = moment.strftime("%Y%m%dT%H%M%SZ")
                yield sources.with_login(f"{template.replace(SNAPSHOT_ID, timestamp)}/{path}")
