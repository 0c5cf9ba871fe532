"""The archives as they were: the snapshot archive's state at a moment, in place of the mirrors.

Layout: `…/archive/<name>/<timestamp>/` below it is the archive of that moment; a timestamp between
two states is redirected to the earlier one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from repro.download import Http
from repro.ecosystems.apt.sources import SNAPSHOT_ID, TIMESTAMP, AptSources, Mirror
from repro.errors import LockError, NetworkError, UsageError
from repro.files import local_errors, remove_tree
from repro.models.lock import Provenance
from repro.models.project import family_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A moment (`YYYY-MM-DDThh:mm:ssZ`), and what a lock of the same moment says of its indexes."""

    moment: str
    pinned: tuple[Provenance, ...] = ()

    def require_same(self, found: Iterable[Provenance], *, lists: Path) -> None:
        """Raise LockError where an index of the past is not the one that was locked from.

        A state of the past does not change: whoever serves another one is not to be trusted, and
        `lists`, apt's folder of indexes, is removed: the right one would look like a rollback.
        """
        before, now = (
            {
                one.source: f"{facts['inrelease']} ({facts['snapshot']})"
                for one in provenance
                if "snapshot" in (facts := dict(one.facts))
            }
            for provenance in (self.pinned, found)
        )
        for source in sorted({*before, *now}) if before else ():
            old, new = before.get(source, "none"), now.get(source, "none")
            if old.split()[0] != new.split()[0]:
                remove_tree(lists)
                raise LockError(
                    f"{source} as of {self.moment}: its InRelease is {new}, "
                    f"and the lock was made from {old}",
                    hint="the past does not change: take another snapshot archive ([apt] "
                    "snapshot); or lock another day: as-of",
                )


def sources_as_of(
    sources: AptSources, moment: str, *, suite: str, architecture: str, http: Http
) -> AptSources:
    """Return the sources with each archive of the suite as it was at `moment`, and no other.

    Raises UsageError where no snapshot archive is known, NetworkError where it has no such state.
    """
    http.route(proxies=sources.proxies(), authorities=sources.authorities())
    known = dict(sources.snapshots)
    mirrors = []
    for archive, suffixes in family_of(suite).archives_for(architecture):
        if archive not in known:
            raise UsageError(
                f"as-of {moment}: no snapshot archive of {archive!r} is known on this host",
                hint='name one in repro.toml: [apt] snapshot = "https://snapshot.example.org" '
                f"(archive/{archive}/<timestamp>/ lies below it); apt 3 knows its own",
            )
        release = f"dists/{suite}{suffixes[0]}/InRelease"
        try:
            past = _state(sources, known[archive], timestamp(moment), release, http)
        except NetworkError as error:
            raise _not_had(error, f"{suite} of {archive}", moment) from error
        mirrors.append(
            Mirror(
                archive=archive,
                base=known[archive].replace(SNAPSHOT_ID, past),
                signed_by=sources.signed_by(archive),
                past=past,
            )
        )
    return replace(sources, mirrors=tuple(mirrors))


def timestamp(moment: str) -> str:
    """Return a moment as the snapshot archive writes it: `20250601T000000Z`."""
    return re.sub("[-:]", "", moment)


def _state(sources: AptSources, template: str, asked: str, release: str, http: Http) -> str:
    """The timestamp of the state that stood at `asked`."""
    if template.startswith("file:"):
        return _on_disk(Path(unquote(urlsplit(template.partition(SNAPSHOT_ID)[0]).path)), asked)
    address = sources.with_login(f"{template.replace(SNAPSHOT_ID, asked)}/{release}")
    with http.answer(address, http.tries(address), "HEAD") as response:
        parts = str(response.url).split("/")  # where it was led to
    found = [part for part in parts if TIMESTAMP.fullmatch(part)]
    if not found or found[-1] > asked:
        raise NetworkError("it leads to no state of then", status=404)
    return found[-1]


def _on_disk(folder: Path, asked: str) -> str:
    """The newest state in a folder of states that is not later than `asked`."""
    with local_errors(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found = [name for name in names if TIMESTAMP.fullmatch(name) and name <= asked]
    if not found:
        raise NetworkError(f"no state up to {asked} in {folder}", status=404)
    return found[-1]


def _not_had(error: NetworkError, what: str, moment: str) -> NetworkError:
    """Say that the archive has no such state; only one that answered knows it."""
    if error.status not in (404, 410):
        said = f"as-of {moment}: the snapshot archive does not give {what}: {error.message}"
        return NetworkError(said, hint=error.hint, status=error.status)
    return NetworkError(
        f"as-of {moment}: the snapshot archive has no {what} of then: {error.message}",
        hint="take another day (as-of), or another archive: [apt] snapshot",
        status=error.status,
    )
