"""Which file of the indexes an installed distribution is: chosen by its tags, proved by RECORD."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from repro.addresses import redact
from repro.download import Body, Http
from repro.ecosystems.pip import records
from repro.ecosystems.pip.pages import Catalogue, ListedFile, is_absent, project_of
from repro.ecosystems.pip.peek import NoRangesError, local_record, remote_record
from repro.ecosystems.pip.select import is_wheel
from repro.errors import LocalError, LockError, NetworkError
from repro.files import replacing
from repro.locks import names
from repro.models.installed import Distribution, Recorded
from repro.models.lock import PipArtifact
from repro.store.artifacts import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Finder:
    """Finds installed distributions in the indexes; `tags` are what the target accepts.

    What was found once is remembered below the store by the content of its RECORD: which wheel
    that is will never change.
    """

    catalogue: Catalogue
    http: Http
    store: Store
    tags: tuple[Tag, ...]

    def find(self, one: Distribution, scripts: tuple[str, ...]) -> PipArtifact | str:
        """Return the file that it was installed from, or else why it is not found.

        `scripts` are the names of its entry points. Raises NetworkError when an index cannot be
        read.
        """
        if one.record is None:
            return "has no RECORD: nobody knows its files"
        memory = self._memory(one)
        known = _remembered(memory, one)
        if known is not None:
            return known
        try:
            files = [
                file
                for file in self.catalogue.files(one.name, one_index(self.catalogue))
                if project_of(file.filename) == (one.name, one.version)
            ]
        except NetworkError as error:
            if is_absent(error):
                return "no configured index has a project of this name"
            raise
        if not files:
            return f"no configured index has version {one.version}"
        found = self._among(one, files, scripts)
        if isinstance(found, PipArtifact):
            _remember(memory, found)
        return found

    def _among(
        self, one: Distribution, files: list[ListedFile], scripts: tuple[str, ...]
    ) -> PipArtifact | str:
        """Compare the candidates, likeliest first."""
        assert one.record is not None
        first: str | None = None
        seen: set[str] = set()
        for file in self._candidates(one, files):
            if file.sha256 is not None and file.sha256 in seen:
                continue  # another index with the same file
            rows, sha256, size = self._record(file)
            seen.add(sha256)
            wrong = records.difference(rows, one.record, scripts)
            if wrong is None:
                return PipArtifact(
                    name=one.name,
                    version=one.version,
                    filename=file.filename,
                    size=size,
                    sha256=sha256,
                    index=file.index,
                )
            first = first or (
                f"is not what the index has of that version: {names.path_shown(wrong)} differs "
                f"from {file.filename}"
            )
        if first is not None:
            return first
        if any(is_wheel(file.filename) for file in files):
            return f"no wheel of the index is for {', '.join(one.tags[:3]) or 'this interpreter'}"
        return "was built on that machine: the index has its source distribution only"

    def _candidates(self, one: Distribution, files: list[ListedFile]) -> Iterator[ListedFile]:
        """Wheels that it may be: the archive that it says, then its own tags, then what fits."""
        own = {tag for text in one.tags for tag in _tags(text)}
        rank = {tag: position for position, tag in reversed(list(enumerate(self.tags)))}
        rows: list[tuple[bool, bool, bool, int, int, ListedFile]] = []
        for position, file in enumerate(files):
            if not is_wheel(file.filename):
                continue
            try:
                _, _, build, offered = parse_wheel_filename(file.filename)
            except (InvalidWheelFilename, ValueError):
                continue
            ranks = [rank[tag] for tag in offered if tag in rank]
            if not ranks:
                continue
            named = one.origin is not None and file.sha256 == one.origin.sha256
            same_build = "".join(map(str, build)) == one.build
            rows.append((not named, offered != own, not same_build, min(ranks), position, file))
        for row in sorted(rows, key=lambda row: row[:5]):
            yield row[5]

    def _record(self, file: ListedFile) -> tuple[tuple[Recorded, ...], str, int]:
        """Return a wheel's RECORD, sha256 and size: from the store, in ranges, or fetched whole."""
        if file.sha256 is not None and self.store.has(file.sha256):
            path = self.store.path(file.sha256)
            return local_record(path, file.filename), file.sha256, path.stat().st_size
        if file.sha256 is not None:
            try:
                rows, size = remote_record(self.http, file.address, file.filename)
            except NoRangesError:
                pass
            else:
                return rows, file.sha256, size

        def keep(body: Body) -> tuple[str, int]:
            return self.store.add(lambda target: target.writelines(body))

        sha256, size = self.http.read(file.address, keep)
        if file.sha256 is not None and sha256 != file.sha256:
            raise LockError(
                f"{file.filename}: the index lists sha256 {file.sha256}, its server gives {sha256}",
                hint="ask who runs that index; nothing was locked",
            )
        return local_record(self.store.path(sha256), file.filename), sha256, size

    def _memory(self, one: Distribution) -> Path:
        """Where the answer for this content and these indexes is remembered."""
        assert one.record is not None
        indexes = self.catalogue.indexes
        asked = [[one.alias, redact(one.given or "")] for one in indexes.indexes]
        asked.append([redact(link) for link in indexes.find_links])
        rows = sorted(records.content(one.record).items())
        tags = sorted(map(str, self.tags[:1]))
        text = json.dumps([one.name, one.version, tags, asked, rows])
        key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        return self.store.root / "installed" / key[:2] / key


def one_index(catalogue: Catalogue) -> str:
    """The alias of the index that is asked first."""
    return catalogue.indexes.indexes[0].alias if catalogue.indexes.indexes else "default"


def _tags(text: str) -> frozenset[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return frozenset()


def _remember(path: Path, found: PipArtifact) -> None:
    """Note an answer; where that cannot be written only speed is lost."""
    values = [found.filename, found.size, found.sha256, found.index]
    try:
        with replacing(path, durable=False) as file:
            file.write(json.dumps(values).encode())
    except LocalError:
        return


def _remembered(path: Path, one: Distribution) -> PipArtifact | None:
    """Read what `_remember` noted; None for anything else."""
    try:
        filename, size, sha256, index = json.loads(path.read_bytes())
        if project_of(filename) != (one.name, one.version) or not isinstance(size, int):
            return None
        return PipArtifact(
            name=one.name,
            version=one.version,
            filename=names.file_name(filename, "cache"),
            size=size,
            sha256=names.sha256(sha256, "cache"),
            index=names.single_line(index, "cache"),
        )
    except (OSError, ValueError, TypeError, LockError):
        return None
