"""`pixi.lock`, versions 4 to 7: environments of conda and Python packages for several platforms.

4 and 5 list packages by `kind`, with name, version and build; from 6 on an entry begins with its
address, and says only what that does not. 7 names platforms apart from their subdirs
(https://pixi.sh/latest/workspace/lockfile/, and `rattler_lock`, which writes them).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from repro.errors import LockError
from repro.locks import conda_names, names
from repro.locks.foreign import conda_address
from repro.locks.foreign.common import ListedHash, sha256s
from repro.locks.foreign.graph import name_of, roots
from repro.locks.foreign.yaml_table import Map, document
from repro.models.foreign import ForeignLock, ForeignPin, Refusal
from repro.models.lock import CondaPackage

KIND = "pixi.lock"
HINT = "write it anew: pixi lock"
VERSIONS = ("4", "5", "6", "7")
DEFAULT = "default"

_ITSELF = (".", "./")
"""Where the project lies that the lock belongs to."""


def parse(text: str, *, where: str, subdir: str = "linux-64") -> ForeignLock:
    """Return what a pixi.lock pins for one platform, in its default environment.

    Raises LockError naming the place.
    """
    table = document(text, where=where, hint=HINT)
    version = table.text("version")
    if version not in VERSIONS:
        raise table.refuse(
            "version", f"is {names.shown(version)}, and {', '.join(VERSIONS)} are read"
        )
    environment, notes = _environment(table.map("environments"), where)
    listed = _selected(environment, _platforms(table), subdir)
    entries = _entries(table)
    conda: list[CondaPackage] = []
    pins: list[ForeignPin] = []
    needs: dict[str, tuple[str, ...]] = {}
    wants: tuple[str, ...] = ()
    for kind, address in listed:
        entry = entries.get((kind, address))
        if entry is None:
            raise LockError(
                f"{where}: packages has no {names.shown(address)}, which environments names",
                hint=HINT,
            )
        if kind == "conda":
            conda.append(_conda(entry, address, subdir))
            continue
        required = entry.texts("requires_dist")
        if address in _ITSELF:  # it is never installed
            wants = tuple(one for one in required if "extra" not in one.partition(";")[2])
            continue
        pins.append(_pin(entry, address))
        needs[pins[-1].name] = tuple(canonicalize_name(name_of(one)) for one in required)
    return ForeignLock(
        path=where,
        kind=KIND,
        pins=_once(pins),
        conda=tuple(sorted(conda, key=lambda item: item.name)),
        channels=_channels(environment),
        conda_wants=roots({item.name: [name_of(one) for one in item.depends] for item in conda}),
        wants=wants or roots(needs),
        notes=notes,
    )


def _environment(environments: Map, where: str) -> tuple[Map, tuple[str, ...]]:
    known = sorted(environments.values)
    if DEFAULT not in known:
        raise LockError(
            f"{where}: no environment 'default'; there are: "
            + (", ".join(names.shown(name) for name in known[:10]) or "none"),
            hint=HINT,
        )
    others = ", ".join(names.shown(name) for name in known if name != DEFAULT)
    note = f"{where}: its environment 'default' is taken over; it has {others[:200]} too"
    return environments.map(DEFAULT), (note,) if others else ()


def _platforms(table: Map) -> dict[str, str]:
    """Return the subdir of every platform that is named apart from it (version 7)."""
    found = {}
    for item in table.maps("platforms"):
        name = item.text("name")
        found[name] = item.text("subdir") or name
    return found


def _selected(
    environment: Map, platforms: Mapping[str, str], subdir: str
) -> tuple[tuple[str, str], ...]:
    """Return the (kind, address) of every package for the platform."""
    packages = environment.map("packages")
    known = [name for name in packages.values if platforms.get(name, name) == subdir]
    chosen = subdir if subdir in known else known[0] if len(known) == 1 else None
    if chosen is None:
        there = ", ".join(names.shown(name) for name in sorted(known or packages.values)[:10])
        raise LockError(
            f"{packages.where}: {'no' if not known else 'not one'} platform {subdir}; there are: "
            f"{there or 'none'}",
            hint=f'add it to platforms in pixi.toml: "{subdir}"; then: pixi lock',
        )
    found = []
    for item in packages.maps(chosen):
        kinds = [kind for kind in ("conda", "pypi", "conda_source") if kind in item.values]
        if len(kinds) != 1:
            raise LockError(f"{item.where}: is neither a conda nor a pypi package", hint=HINT)
        [kind] = kinds
        if kind == "conda_source":
            raise _from_source(item.where, item.text(kind))
        found.append((kind, item.text(kind)))
    return tuple(found)


def _entries(table: Map) -> dict[tuple[str, str], Map]:
    """Return the packages by kind and address, of whichever version's form they are.

    Version 4 lists one once for every platform that has it.
    """
    found: dict[tuple[str, str], Map] = {}
    for item in table.maps("packages"):
        kind = item.text("kind")
        if kind:  # versions 4 and 5
            key = (kind, item.text("url") or item.text("path"))
        else:
            kind = next((one for one in ("conda", "pypi") if one in item.values), "")
            key = (kind, item.text(kind) if kind else "")
        if kind in ("conda", "pypi"):
            other = found.setdefault(key, item)
            if any(other.text(one) != item.text(one) for one in ("sha256", "name", "version")):
                raise LockError(
                    f"{item.where}: {names.shown(key[1])} is there twice, and differs", hint=HINT
                )
    return found


def _conda(entry: Map, address: str, subdir: str) -> CondaPackage:
    if "://" not in address or "input" in entry.values or "package_build_source" in entry.values:
        raise _from_source(entry.where, address)
    said = conda_address.Said(
        address=address,
        sha256=entry.text("sha256"),
        md5=entry.text("md5"),
        size=entry.text("size"),
        depends=entry.texts("depends"),
    )
    found = conda_address.package(said, subdir=subdir, where=entry.where, hint=HINT)
    for key, known in (("name", found.name), ("version", found.version), ("build", found.build)):
        if (text := entry.text(key)) and text != known:
            raise entry.refuse(key, f"is {names.shown(text)}, and its address says {known}")
    return found


def _from_source(where: str, address: str) -> LockError:
    return LockError(
        f"{where}: {names.shown(address)} is built from source, and has no hash",
        hint="depend on a package that a channel has, then: pixi lock",
    )


def _pin(entry: Map, address: str) -> ForeignPin:
    name = names.python_name(entry.text("name"), f"{entry.where}: name")
    refusal = _refusal(name, address)
    version, hashes = "", tuple[str, ...]()
    if refusal is None:
        version = names.python_version(entry.text("version"), f"{entry.where}: {name}")
        filename = unquote(urlsplit(address).path.rpartition("/")[2])
        digests = tuple(
            f"{kind}:{entry.text(kind)}" for kind in ("sha256", "md5") if entry.text(kind)
        )
        listed = [ListedHash(filename=filename, hashes=digests)]
        hashes, refusal = sha256s(listed, f"{entry.where}: {name}")
    return ForeignPin(
        name=name, version=version, where=f"{entry.where}: {name}", hashes=hashes, refusal=refusal
    )


def _refusal(name: str, address: str) -> Refusal | None:
    remedy = f"require a released version of {name} that an index has, then: pixi lock"
    try:
        scheme = urlsplit(address).scheme
    except ValueError:  # half an IPv6 address
        scheme = ""
    if scheme.startswith(("git", "hg", "svn", "bzr")):
        return Refusal(why="comes from version control", remedy=remedy)
    if scheme not in ("http", "https"):
        return Refusal(why=f"is the local path {names.shown(address)}", remedy=remedy)
    return None


def _once(pins: list[ForeignPin]) -> tuple[ForeignPin, ...]:
    found: dict[str, ForeignPin] = {}
    for pin in pins:
        if pin.name in found:
            raise LockError(f"{pin.where}: is there twice", hint=HINT)
        found[pin.name] = pin
    return tuple(pins)


def _channels(environment: Map) -> tuple[str, ...]:
    found = []
    for item in environment.maps("channels"):
        text = item.text("url")
        if "://" in text:
            text = conda_names.without_credential(text)
        found.append(conda_names.channel(text, f"{item.where}: url"))
    return tuple(found)
