"""What a Python environment holds, read from its files: no interpreter is started.

Formats: "Recording installed projects" (PEP 376, 627), "Direct URL" (PEP 610), "Core metadata",
`pyvenv.cfg` (PEP 405, and what uv and virtualenv write there).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from email.parser import BytesHeaderParser

from repro.addresses import redact
from repro.ecosystems.pip.records import HINT, WheelFacts, parse_record, parse_wheel
from repro.ecosystems.tree import FileTree, read
from repro.errors import LockError, UsageError
from repro.locks import names
from repro.models.installed import Distribution, Origin, PythonEnvironment, Unreadable

DEBIANS = "/usr/lib/python3/dist-packages"
"""Where dpkg, and nobody else, puts Python packages (Debian Python Policy §2.1)."""

_VERSIONED = re.compile(r"python([23]\.[0-9]{1,2})")
_FULL = re.compile(r"([23]\.[0-9]{1,2})(?:\.([0-9]{1,3}))?")
_PATCH = re.compile(rb'^#define\s+PY_VERSION\s+"([23]\.[0-9]{1,2}\.[0-9]{1,3})\+?"', re.MULTILINE)
_FOLDERS = ("site-packages", "dist-packages")
_UNOWNED = re.compile(r"__pycache__|_virtualenv\.(?:py|pth)|README(?:\.txt)?|~.*|\..*")
"""What lies in site folders and belongs to nobody: an interpreter's, virtualenv's, pip's own."""


def read_environment(tree: FileTree, prefix: str) -> PythonEnvironment:
    """Return what the environment at `prefix` holds: a virtual one, or an interpreter's own.

    Raises UsageError when there is no CPython environment, LocalError.
    """
    settings = parse_pyvenv(read(tree, f"{prefix}/pyvenv.cfg"))
    implementation = settings.get("implementation", "CPython")
    if implementation.lower() != "cpython":
        raise UsageError(
            f"{prefix}: is of {names.shown(implementation)}; only CPython is locked",
            hint="make the environment with CPython and install the same there",
        )
    python = _minor(tree, prefix, settings)
    full = settings.get("full") or _patch_level(tree, prefix, python)
    own = list(_sites(tree, prefix, python))
    system = list(_system_sites(tree, settings, python)) if settings else []
    found: dict[str, Distribution] = {}
    unreadable: list[Unreadable] = []
    strays: set[str] = set()
    for site in (*own, *system):
        listed = tree.names(site)
        here: list[Distribution] = []
        for name in listed:
            try:
                one = _distribution(tree, site, name)
            except LockError as error:
                unreadable.append(Unreadable(folder=f"{site}/{name}", reason=error.message))
                continue
            if one is not None:
                here.append(replace(one, system=site in system))
        for one in here:
            found.setdefault(one.name, one)
        if site in own and site != DEBIANS:
            strays.update(_strays(listed, here))
    return PythonEnvironment(
        prefix=prefix,
        python=python,
        full=full,
        distributions=tuple(found[name] for name in sorted(found)),
        unreadable=tuple(unreadable),
        strays=tuple(sorted(strays)),
    )


def find_python(tree: FileTree, search: tuple[str, ...]) -> str | None:
    """Return the prefix of the first Python in the folders of a search path, None without one."""
    for folder in search:
        if folder.rpartition("/")[2] != "bin":
            continue
        prefix = folder.rpartition("/")[0] or "/"
        programs = tree.names(folder)
        if any(name in programs for name in ("python3", "python")) and (
            read(tree, f"{prefix}/pyvenv.cfg") is not None or _versions(tree, prefix)
        ):
            return prefix
    return None


def parse_pyvenv(data: bytes | None) -> dict[str, str]:
    """Read a pyvenv.cfg: its keys in lower case, and `full`, the interpreter's version."""
    settings: dict[str, str] = {}
    for line in (data or b"").decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            settings[key.strip().lower()] = value.strip()
    said = settings.get("version_info") or settings.get("version") or ""
    if match := _FULL.match(said):
        settings["minor"] = match[1]
        if match[2]:
            settings["full"] = match[0]
    return settings


def _minor(tree: FileTree, prefix: str, settings: dict[str, str]) -> str:
    found = _versions(tree, prefix)
    if settings.get("minor") in found or (settings.get("minor") and not found):
        return settings["minor"]
    if not found:
        raise UsageError(
            f"{prefix}: there is no Python environment: no pyvenv.cfg, no lib/python3.N",
            hint="name the folder that has bin/python in it: --from venv:.venv",
        )
    if len(found) == 1:
        return found[0]
    target = posixpath.basename(tree.target(f"{prefix}/bin/python3"))
    match = _VERSIONED.fullmatch(target)
    if match is None or match[1] not in found:
        raise UsageError(
            f"{prefix}: has several Pythons: {', '.join(found)}",
            hint="name a virtual environment of one of them: --from venv:DIR",
        )
    return match[1]


def _versions(tree: FileTree, prefix: str) -> tuple[str, ...]:
    """The interpreters that have packages, or may have, below a prefix."""
    matches = (_VERSIONED.fullmatch(name) for name in tree.names(f"{prefix}/lib"))
    return tuple(
        match[1]
        for match in matches
        if match is not None and set(tree.names(f"{prefix}/lib/{match[0]}")) - {"dist-packages"}
    )


def _patch_level(tree: FileTree, prefix: str, python: str) -> str:
    data = read(tree, f"{prefix}/include/python{python}/patchlevel.h")
    match = _PATCH.search(data or b"")
    return match[1].decode() if match else ""


def _sites(tree: FileTree, prefix: str, python: str) -> Iterator[str]:
    """Where an interpreter's packages lie, as it searches them; each folder once."""
    candidates = [f"{prefix}/{lib}/python{python}/site-packages" for lib in ("lib", "lib64")]
    if prefix in ("/usr", "/usr/local"):
        candidates = [
            f"/usr/local/lib/python{python}/dist-packages",
            *candidates,
            DEBIANS,
        ]
    seen: set[str] = set()
    for site in candidates:
        real = tree.target(site)
        if real not in seen and tree.names(site):
            seen.add(real)
            yield site


def _system_sites(tree: FileTree, settings: dict[str, str], python: str) -> Iterator[str]:
    """What a virtual environment sees of its interpreter's own packages."""
    if settings.get("include-system-site-packages", "").lower() == "true":
        home = settings.get("home", "").rstrip("/")
        if home.startswith("/") and home.endswith("/bin"):
            yield from _sites(tree, home.removesuffix("/bin"), python)


def _strays(listed: tuple[str, ...], here: list[Distribution]) -> set[str]:
    """Names at a folder's top that no distribution recorded."""
    owned = {row.path.partition("/")[0] for one in here for row in one.record or ()}
    owned |= {one.folder.rpartition("/")[2] for one in here}
    if any(one.record is None for one in here):
        return set()
    return {
        name
        for name in listed
        if name not in owned
        and not _UNOWNED.fullmatch(name)
        and not name.endswith((".dist-info", ".egg-info", ".egg-link"))
    }


def _distribution(tree: FileTree, site: str, name: str) -> Distribution | None:
    """Read what one name in a site folder is the metadata of; None: of nothing."""
    folder = f"{site}/{name}"
    if name.startswith("~"):  # what pip left of an installation that broke off
        return None
    if name.endswith(".dist-info"):
        return _dist_info(tree, site, folder)
    if name.endswith(".egg-info"):
        data = read(tree, f"{folder}/PKG-INFO") or read(tree, folder)
        if data is None:
            return None
        headers = parse_metadata(data, where=folder)
        return replace(headers, folder=folder, site=site)
    if name.endswith(".egg-link"):
        data = read(tree, folder) or b""
        target = data.decode(errors="replace").split("\n")[0].strip()
        return _linked(tree, site, folder, target)
    return None


def _linked(tree: FileTree, site: str, folder: str, target: str) -> Distribution | None:
    """A `setup.py develop` installation: an .egg-link that names a source folder."""
    origin = Origin(kind="editable", address=target)
    for name in tree.names(target):
        if name.endswith(".egg-info"):
            data = read(tree, f"{target}/{name}/PKG-INFO")
            if data is not None:
                found = parse_metadata(data, where=f"{target}/{name}")
                return replace(found, folder=folder, site=site, origin=origin, requested=True)
    raise LockError(f"{folder}: names {names.shown(target)}, which has no metadata", hint=HINT)


def _dist_info(tree: FileTree, site: str, folder: str) -> Distribution:
    data = read(tree, f"{folder}/METADATA")
    if data is None:
        raise LockError(f"{folder}: has no METADATA", hint=HINT)
    one = parse_metadata(data, where=f"{folder}/METADATA")
    record, wheel = read(tree, f"{folder}/RECORD"), read(tree, f"{folder}/WHEEL")
    direct = read(tree, f"{folder}/direct_url.json")
    facts = WheelFacts(tags=(), build="", purelib=True)
    if wheel is not None:
        facts = parse_wheel(wheel.decode(errors="replace"))
    rows = None
    if record is not None:
        text = record.decode(errors="surrogateescape")
        rows = parse_record(text, where=f"{folder}/RECORD")
    return replace(
        one,
        folder=folder,
        site=site,
        record=rows,
        tags=facts.tags,
        build=facts.build,
        purelib=facts.purelib,
        requested="REQUESTED" in tree.names(folder),
        origin=parse_direct_url(direct, where=f"{folder}/direct_url.json")
        if direct is not None
        else None,
    )


def parse_metadata(data: bytes, *, where: str) -> Distribution:
    """Read METADATA or PKG-INFO: name, version and what it needs. Raises LockError."""
    headers = BytesHeaderParser().parsebytes(re.split(rb"\r?\n\r?\n", data, maxsplit=1)[0])

    def values(key: str) -> tuple[str, ...]:
        return tuple(str(value).strip() for value in headers.get_all(key) or ())

    if not values("Name") or not values("Version"):
        raise LockError(f"{where}: says no name or no version", hint=HINT)
    return Distribution(
        name=names.python_name(values("Name")[0], where),
        version=names.python_version(values("Version")[0], where),
        folder="",
        site="",
        requires=values("Requires-Dist"),
        extras=values("Provides-Extra"),
    )


def parse_direct_url(data: bytes, *, where: str) -> Origin:
    """Read a direct_url.json. Raises LockError."""
    try:
        value = json.loads(data)
        address = redact(str(value["url"]))
        if "vcs_info" in value:
            commit = str(value["vcs_info"].get("commit_id", ""))
            return Origin(kind="vcs", address=address, commit=commit)
        if "dir_info" in value:
            editable = value["dir_info"].get("editable") is True
            return Origin(kind="editable" if editable else "folder", address=address)
        info = value.get("archive_info") or {}
        sha256 = (info.get("hashes") or {}).get("sha256") or ""
        kind, _, digest = str(info.get("hash") or "").partition("=")
        found = str(sha256 or (digest if kind == "sha256" else ""))
        return Origin(
            kind="archive",
            address=address,
            sha256=found if re.fullmatch(r"[0-9a-f]{64}", found) else "",
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LockError(f"{where}: {names.said(error)}", hint=HINT) from None
