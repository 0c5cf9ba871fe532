"""From a hashed wheel to the files of a layer, with PyPA's `installer`: nothing is executed.

Format: the "Binary distribution format" specification (PEP 427).
"""

from __future__ import annotations

import configparser
import hashlib
import lzma
import posixpath
import re
import stat
import warnings
import zipfile
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from io import BytesIO
from typing import BinaryIO, Literal, cast

from installer import install
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry, parse_record_file
from installer.scripts import Script
from installer.sources import WheelContentElement, WheelFile
from installer.utils import Scheme, construct_record_file, parse_entrypoints
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from repro.ecosystems.archives import HINT, opened_zip, read_member
from repro.ecosystems.pip.layout import Layout
from repro.ecosystems.pip.wheel import Wheel
from repro.errors import LockError
from repro.image.layer import Entry
from repro.locks import names

INSTALLER = b"repro\n"
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What `zipfile` raises for a damaged, encrypted or unknown member."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One file that a wheel writes at `path` (in the layer).

    Its content is `data`, or else the wheel's member `member`, of `size` bytes and that CRC-32.
    """

    path: str
    mode: int
    member: str | None
    data: bytes
    size: int
    crc: int


def plan(wheel: Wheel, layout: Layout) -> tuple[Planned, ...]:
    """Return every file that the wheel writes, sorted by path; reads no content but scripts'.

    Raises LockError for a name that leaves the wheel, is there twice or is no regular file, for
    a name or version other than the lock's, and for whatever else `installer` refuses.
    """
    try:
        with opened_zip(wheel.path, f"{wheel.label}: {wheel.filename}") as archive:
            source = _Source(archive, wheel)
            source.validate_record(validate_contents=False)
            _check_identity(source, wheel)
            destination = _Destination(layout, wheel)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # "Skip installing __pycache__"
                install(source, destination, {"INSTALLER": INSTALLER})
    except (
        *DAMAGED,
        InstallerError,
        configparser.Error,
        AssertionError,  # installer's way to refuse a malformed entry point
        KeyError,
        ValueError,
    ) as error:
        raise LockError(f"{wheel.label}: {wheel.filename}: {_said(error)}", hint=HINT) from error
    return tuple(sorted(destination.planned.values(), key=lambda item: item.path))


def _said(error: Exception) -> str:
    issues = getattr(error, "issues", None)
    if isinstance(issues, list) and issues:
        more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
        issue = re.sub(r"^In [^,]*, ", "", str(issues[0]))  # the file's name, once more
        return f"its RECORD and its members do not agree: {names.said(issue)}{more}"
    if isinstance(error, AssertionError):
        return "entry_points.txt holds what is no `name = module:attribute`"
    return names.said(error)


@contextmanager
def opened(wheel: Wheel, files: Iterable[Planned]) -> Iterator[tuple[Entry, ...]]:
    """Yield the planned files as layer entries, readable inside the block."""
    with zipfile.ZipFile(wheel.path) as archive:
        yield tuple(_entry(item, archive) for item in files)


def _entry(item: Planned, archive: zipfile.ZipFile) -> Entry:
    member = item.member
    if member is None:
        return Entry(path=item.path, mode=item.mode, kind="file", data=item.data)
    return Entry(
        path=item.path,
        mode=item.mode,
        kind="file",
        data=lambda: cast("BinaryIO", archive.open(member)),
        size=item.size,
    )


def content_digest(wheel: Wheel, item: Planned) -> str:
    """Return the sha256 hex of a planned file's content."""
    if item.member is None:
        return hashlib.sha256(item.data).hexdigest()
    with zipfile.ZipFile(wheel.path) as archive, archive.open(item.member) as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()


def _check_identity(source: WheelFile, wheel: Wheel) -> None:
    """Compare the wheel's own name and version with the lock's."""
    headers = HeaderParser().parsestr(source.read_dist_info("METADATA"))
    name, version = str(headers["Name"]).strip(), str(headers["Version"]).strip()
    try:
        same = canonicalize_name(name) == wheel.name and Version(version) == Version(wheel.version)
    except InvalidVersion:
        same = False
    if not same:
        raise LockError(
            f"{wheel.label}: {wheel.filename} says inside that it is "
            f"{names.shown(name)} {names.shown(version)}",
            hint="the lock and the wheel disagree; restore the lock, or run: repro snapshot",
        )


class _Member(BytesIO):
    """Stands for a member's content; nothing is read until somebody asks the archive."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, record: RecordEntry):
        super().__init__()
        self.archive, self.info, self.record = archive, info, record


class _Source(WheelFile):
    """An `installer` source that hands out members instead of opened streams."""

    def __init__(self, archive: zipfile.ZipFile, wheel: Wheel) -> None:
        self._archive = archive
        archive.filename = wheel.filename  # the store's path is a digest; the name is in the lock
        super().__init__(archive)

    def read_dist_info(self, filename: str) -> str:
        """See WheelSource.read_dist_info."""
        return read_member(self._archive, f"{self.dist_info_dir}/{filename}").decode()

    def get_contents(self) -> Iterator[WheelContentElement]:
        """See WheelSource.get_contents."""
        rows = parse_record_file(self.read_dist_info("RECORD").splitlines())
        records = {row[0]: row for row in rows}
        replaced = self._replaced()
        for info in self._archive.infolist():
            if info.filename.endswith("/") or info.filename in replaced:
                continue
            row = records.get(info.filename, (info.filename, "", ""))
            mode = info.external_attr >> 16
            member = _Member(self._archive, info, RecordEntry.from_elements(*row))
            yield row, member, bool(stat.S_ISREG(mode) and mode & 0o111)

    def _replaced(self) -> frozenset[str]:
        """Members in whose place an installer writes its own, as pip does.

        Wheels made from old installations hold the scripts of their entry points, and INSTALLER.
        """
        found = [f"{self.dist_info_dir}/INSTALLER"]
        if "entry_points.txt" in self.dist_info_filenames:
            for name, *_ in parse_entrypoints(self.read_dist_info("entry_points.txt")):
                found.append(f"{self.data_dir}/scripts/{name}")
        return frozenset(found)


class _Destination(WheelDestination):
    """An `installer` destination that only notes what would be written."""

    def __init__(self, layout: Layout, wheel: Wheel) -> None:
        self.layout = layout
        self.wheel = wheel
        self.planned: dict[str, Planned] = {}
        self.scripts: dict[str, str] = {}
        """Path of the script that stands for each entry point."""

    def write_script(
        self, name: str, module: str, attr: str, section: Literal["console", "gui"]
    ) -> RecordEntry:
        """See WheelDestination.write_script."""
        names.file_name(name, f"{self.wheel.label}: entry point")
        script = Script(name, module, attr, section)
        filename, data = script.generate(self.layout.interpreter, "posix")
        # one name in both sections: the later one counts, as pip has it
        self.planned.pop(self.scripts.pop(name, ""), None)
        self.scripts[name] = self._target("scripts", filename)
        return self._put_data("scripts", filename, data, executable=True)

    def write_file(
        self, scheme: Scheme, path: object, stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """See WheelDestination.write_file."""
        if not isinstance(stream, _Member):
            return self._put_data(scheme, str(path), stream.read(), executable=is_executable)
        executable = is_executable or scheme == "scripts"
        if scheme == "scripts" and (data := _with_interpreter(stream, self.layout.interpreter)):
            return self._put_data(scheme, str(path), data, executable=True)
        info = stream.info
        self._put(
            Planned(
                path=self._target(scheme, str(path)),
                mode=0o755 if executable else 0o644,
                member=info.filename,
                data=b"",
                size=info.file_size,
                crc=info.CRC,
            )
        )
        return RecordEntry(str(path), stream.record.hash_, stream.record.size)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """See WheelDestination.finalize_installation."""
        last = {self._target(scheme, record.path): (scheme, record) for scheme, record in records}
        rows = [row for _, row in sorted(last.items())]

        def prefix(name: Scheme) -> str | None:
            folder = self.layout.scheme(name, self.wheel.name)
            base = self.layout.scheme(scheme, self.wheel.name)
            return None if folder == base else posixpath.relpath(folder, base) + "/"

        with construct_record_file(rows, prefix) as stream:
            self._put_data(scheme, record_file_path, stream.read(), executable=False)

    def _target(self, scheme: str, path: str) -> str:
        names.relative_path(path, self.wheel.label)
        return f"{self.layout.scheme(scheme, self.wheel.name)}/{path}"

    def _put_data(self, scheme: str, path: str, data: bytes, *, executable: bool) -> RecordEntry:
        self._put(
            Planned(
                path=self._target(scheme, path),
                mode=0o755 if executable else 0o644,
                member=None,
                data=data,
                size=len(data),
                crc=0,
            )
        )
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        return RecordEntry(path, Hash("sha256", digest), len(data))

    def _put(self, item: Planned) -> None:
        if item.path in self.planned:
            raise LockError(
                f"{self.wheel.label}: {self.wheel.filename} writes {item.path} twice", hint=HINT
            )
        self.planned[item.path] = item


def _with_interpreter(stream: _Member, interpreter: str) -> bytes | None:
    """Return a script with its `#!python` line completed; None: it has none, keep it as it is."""
    with stream.archive.open(stream.info) as file:
        if file.read(8) != b"#!python":
            return None
    rest = read_member(stream.archive, stream.info.filename)[8:]
    line, _, body = rest.partition(b"\n")
    # `python`, `pythonw`, `python3`: all mean the interpreter that it is installed for
    options = line.lstrip(b"w.0123456789").strip()
    first = b"#!" + interpreter.encode() + (b" " + options if options else b"")
    return first + b"\n" + body
