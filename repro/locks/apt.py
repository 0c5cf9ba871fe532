"""`apt.lock`: a deb822 `Packages` index of the locked packages alone, which apt itself reads.

One stanza a package, sorted by name; in each only what apt needs to install it, one line a field
(https://wiki.debian.org/DebianRepository/Format#A.22Packages.22_Indices, deb822(5)).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from repro.errors import LockError
from repro.locks import names
from repro.models.lock import Deb

ARCHIVES = ("debian", "debian-security", "ubuntu", "ubuntu-ports")
"""The archives that packages are locked from; a mirror of each is found by this name."""

ARCHIVE_FIELD = "X-Repro-Archive"
HINT = "run: repro snapshot"

FIELDS = (
    "Source",
    "Multi-Arch",
    "Essential",
    "Protected",
    "Installed-Size",
    "Pre-Depends",
    "Depends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
)
"""What `Deb.fields` may hold, in canonical order."""

_HEAD = ("Package", "Version", "Architecture")
_TAIL = ("Filename", "Size", "SHA256", ARCHIVE_FIELD)
_REQUIRED = (*_HEAD, *_TAIL)
_WEAK = ("MD5sum", "SHA1")

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (\S(?:.*\S)?)", re.ASCII)
_CONFLICT = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?: .*)?")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)

# Below the archive's root, in its pool, every part beginning with a letter or digit: no scheme,
# no leading slash, no "..", no escapes that a server would decode.
_FILENAME = re.compile(r"pool(?:/[A-Za-z0-9][A-Za-z0-9.+~_-]*)+\.deb", re.ASCII)

_VALUES: Mapping[str, re.Pattern[str]] = {
    "Multi-Arch": re.compile(r"same|foreign|allowed|no"),
    "Essential": re.compile(r"yes|no"),
    "Protected": re.compile(r"yes|no"),
    "Installed-Size": _NUMBER,
}


_Line = tuple[int, str, str]
"""Its number, field and value."""


@dataclass(frozen=True, slots=True)
class _Stanza:
    """One paragraph: where it begins (0: in no file of ours), its fields, the line of each."""

    where: str
    start: int
    fields: Mapping[str, str]
    lines: Mapping[str, int]

    def error(self, what: str, field: str | None = None) -> LockError:
        line = self.lines.get(field or "", self.start)
        where = f"{self.where}:{line}" if line else self.where
        return LockError(f"{where}: {self.label}: {what}", hint=HINT)

    @property
    def label(self) -> str:
        return names.shown(self.fields["Package"]) if "Package" in self.fields else "a stanza"


def parse(
    text: str, *, where: str, architecture: str = "amd64", on_image: bool = False
) -> tuple[Deb, ...]:
    """Return the packages that an `apt.lock` names, sorted; all of them or none.

    `where` is the file's name, for messages; `architecture` Debian's name of the platform's;
    `on_image`: they come on top of a base image, and may be none at all.
    Raises LockError naming file, line and package for whatever is not exactly this format: no
    second hash algorithm, no unknown or folded field, no package of another architecture.
    """
    debs: dict[str, Deb] = {}
    for stanza in _stanzas(text, where):
        deb = _deb(stanza, architecture)
        if deb.name in debs:
            raise stanza.error("is there twice")
        debs[deb.name] = deb
    if not debs and not (on_image and not text):
        raise LockError(f"{where}:1: holds no package", hint=HINT)
    return tuple(sorted(debs.values(), key=_order))


def render(debs: Iterable[Deb]) -> str:
    """Return the text of an `apt.lock`: a pure function of the set of packages."""
    return "\n".join(render_one(deb) for deb in sorted(debs, key=_order))


def render_one(deb: Deb, *, filename: str | None = None) -> str:
    """Return one package's stanza, newline-terminated; `filename` replaces its `Filename`."""
    held = dict(deb.fields)
    values = [
        ("Package", deb.name),
        ("Version", deb.version),
        ("Architecture", deb.architecture),
        *((name, held[name]) for name in FIELDS if name in held),
        ("Filename", filename or deb.filename),
        ("Size", str(deb.size)),
        ("SHA256", deb.sha256),
        (ARCHIVE_FIELD, deb.archive),
    ]
    return "".join(f"{name}: {value}\n" for name, value in values)


def from_fields(
    fields: Mapping[str, str], *, archive: str, where: str, architecture: str = "amd64"
) -> Deb:
    """Return the package that a stanza of a full index describes, as the lock keeps it.

    `fields` are that stanza's; those that are not needed to install it are left out. Raises
    LockError when what is kept is not what a lock may hold.
    """
    said = {name: " ".join(fields.get(name, "").split()) for name in (*_REQUIRED, *FIELDS)}
    kept = {name: value for name, value in said.items() if value} | {ARCHIVE_FIELD: archive}
    stanza = _Stanza(where=where, start=0, fields=kept, lines={})
    for name, value in kept.items():
        if not value.isprintable():  # no lock could be read that holds it
            raise stanza.error(f"{name} holds a control character: {names.shown(value)}")
    return _deb(stanza, architecture)


def _order(deb: Deb) -> tuple[str, str, str]:
    return deb.name, deb.version, deb.architecture


def _stanzas(text: str, where: str) -> Iterable[_Stanza]:
    """Paragraphs of well-formed lines. Raises LockError with the line that is not one."""
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise LockError(f"{where}:{last}: the file ends within a line: half a file", hint=HINT)
    block: list[_Line] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            block.append((number, *_field(line, where, number)))
        elif block:
            yield _stanza(block, where)
            block = []


def _field(line: str, file: str, number: int) -> tuple[str, str]:
    """Return a line's field and value: nothing is folded here, so no larger grammar is needed.

    `status` reads hundreds of these lines in the time that importing a deb822 library takes.
    """
    found = _FIELD.fullmatch(line)
    if found is not None and line.isprintable():
        return found[1], found[2]
    where = f"{file}:{number}"
    if _CONFLICT.fullmatch(line):
        raise LockError(
            f"{where}: a merge conflict's marker: {line[:7]}",
            hint="take one side's lock whole, then run: repro snapshot",
        )
    if not line.isprintable():
        raise LockError(f"{where}: {names.shown(line)} holds a control character", hint=HINT)
    raise LockError(f"{where}: {names.shown(line)} is not 'Field: value'", hint=HINT)


def _stanza(block: list[_Line], where: str) -> _Stanza:
    seen: set[str] = set()
    for number, field, _ in block:
        if field.lower() in seen:
            raise LockError(f"{where}:{number}: the field {field} is there twice", hint=HINT)
        seen.add(field.lower())
    return _Stanza(
        where=where,
        start=block[0][0],
        fields={field: value for _, field, value in block},
        lines={field: number for number, field, _ in block},
    )


def _deb(stanza: _Stanza, expected: str) -> Deb:
    _check_fields(stanza)
    value = stanza.fields
    filename = _matching(stanza, "Filename", _FILENAME, "a path below pool/")
    if (architecture := value["Architecture"]) not in (expected, "all"):
        raise stanza.error(
            f"the architecture {names.shown(architecture)} is not {expected} or all", "Architecture"
        )
    if (archive := value[ARCHIVE_FIELD]) not in ARCHIVES:
        raise stanza.error(f"the archive {names.shown(archive)} is unknown", ARCHIVE_FIELD)
    return Deb(
        name=_named(stanza, "Package", names.debian_package),
        version=_named(stanza, "Version", names.debian_version),
        architecture=architecture,
        filename=filename,
        size=int(_matching(stanza, "Size", _NUMBER, "a size in bytes")),
        sha256=_named(stanza, "SHA256", names.sha256),
        archive=archive,
        fields=tuple((name, value[name]) for name in FIELDS if name in value),
    )


def _check_fields(stanza: _Stanza) -> None:
    """Refuse a stanza without a strong hash, with missing fields, or with others than ours."""
    value = stanza.fields
    weak = [name for name in _WEAK if name in value]
    if "SHA256" not in value:
        what = f"only a weak hash ({', '.join(weak)})" if weak else "no SHA256"
        raise stanza.error(what, weak[0] if weak else None)
    if missing := [name for name in _REQUIRED if name not in value]:
        raise stanza.error(f"no {', '.join(missing)}: half a stanza")
    known = (*_REQUIRED, *FIELDS)
    if unknown := [name for name in value if name not in known]:
        raise stanza.error(f"the field {unknown[0]} does not belong here", unknown[0])
    for name, pattern in _VALUES.items():
        if name in value and not pattern.fullmatch(value[name]):
            raise stanza.error(f"{name} cannot be {names.shown(value[name])}", name)


def _named(stanza: _Stanza, field: str, grammar: Callable[[str, str, type[LockError]], str]) -> str:
    try:
        return grammar(stanza.fields[field], field, LockError)
    except LockError as error:
        raise stanza.error(error.message, field) from None


def _matching(stanza: _Stanza, field: str, pattern: re.Pattern[str], what: str) -> str:
    text = stanza.fields[field]
    if not pattern.fullmatch(text):
        raise stanza.error(f"{field} {names.shown(text)} is not {what}", field)
    return text
