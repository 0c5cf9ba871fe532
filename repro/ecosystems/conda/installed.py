"""What a conda prefix holds, read from its `conda-meta`: nothing of it is run.

Format: one JSON document a package as conda and rattler write it, and `history` (the names that
were asked for, where the records do not say them).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from repro.addresses import join
from repro.download import Http
from repro.ecosystems.tree import FileTree, read
from repro.errors import LockError, NetworkError, UsageError
from repro.locks import conda_names, names
from repro.models.installed import Changed, CondaEnvironment, InstalledConda, Unfound
from repro.models.lock import CondaPackage

META = "conda-meta"
HINT = "install that package again: conda install --force-reinstall NAME"

_ASKED = re.compile(r"# update specs: \[(.*)\]")
_REMOVED = re.compile(r"# remove specs: \[(.*)\]")
_WORD = re.compile(r"""'([^']*)'|"([^"]*)\"""")
_SPEC_NAME = re.compile(r"(?:[^\s]*::)?([A-Za-z0-9_.-]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_MOST_FILES = 1 << 20


def read_prefix(tree: FileTree, prefix: str) -> CondaEnvironment:
    """Return the packages of a conda prefix, sorted by name.

    Raises UsageError where there is none, LockError for a record that cannot be read.
    """
    folder = f"{prefix}/{META}"
    found = [name for name in tree.names(folder) if name.endswith(".json")]
    if not found:
        raise UsageError(
            f"{prefix}: there is no conda environment: no {META} with packages",
            hint="name the folder that has conda-meta in it: --from conda:PREFIX",
        )
    packages = []
    for name in found:
        data = read(tree, f"{folder}/{name}") or b""
        packages.append(parse_record(data, where=f"{folder}/{name}"))
    packages.sort(key=lambda one: one.name)
    history = parse_history((read(tree, f"{folder}/history") or b"").decode(errors="replace"))
    return CondaEnvironment(
        prefix=prefix,
        packages=tuple(packages),
        specs=requested(packages, history),
        channels=tuple(
            channel
            for channel, _ in Counter(one.channel for one in packages if one.channel).most_common()
        ),
    )


def parse_record(data: bytes, *, where: str) -> InstalledConda:
    """Read one document of conda-meta. Raises LockError naming the value."""
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            raise TypeError("no mapping")
        channel, subdir, filename = _place(value, where)
        said = value.get("requested_specs") or [value.get("requested_spec")]
        paths = (value.get("paths_data") or {}).get("paths") or []
        files = tuple(_file(item) for item in paths) or tuple(
            (str(path), "") for path in value.get("files") or ()
        )
        if len(files) > _MOST_FILES:
            raise ValueError(f"{len(files)} files")
        sha256, md5, size = value.get("sha256"), value.get("md5"), value.get("size")
        return InstalledConda(
            name=conda_names.package_name(str(value["name"]), where),
            version=conda_names.package_version(str(value["version"]), where),
            build=conda_names.build_string(
                str(value.get("build") or value.get("build_string")), where
            ),
            subdir=subdir,
            channel=channel,
            filename=filename,
            sha256=sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else "",
            md5=md5 if isinstance(md5, str) and _MD5.fullmatch(md5) else "",
            size=size if isinstance(size, int) and size > 0 else 0,
            depends=tuple(names.single_line(str(one), where) for one in value.get("depends") or ()),
            requested=tuple(str(one) for one in said if one and one != "None"),
            files=files,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LockError(f"{where}: {names.said(repr(error))}", hint=HINT) from None


def _place(value: Mapping[str, Any], where: str) -> tuple[str, str, str]:
    """Return channel, subdir and file name; the channel is "" where no address says it."""
    subdir = conda_names.subdir(str(value["subdir"]), where)
    filename = str(value.get("fn") or "")
    address = conda_names.without_credential(str(value.get("url") or ""))
    head, _, last = address.rpartition("/")
    if last.endswith((".conda", ".tar.bz2")):
        filename = last
    elif not filename.endswith((".conda", ".tar.bz2")):
        filename += ".conda"
    conda_names.archive_name(filename, where)
    channel, _, below = head.rpartition("/")
    if below != subdir or "://" not in channel:
        return "", subdir, filename
    return conda_names.channel(channel, where), subdir, filename


def _file(item: Mapping[str, Any]) -> tuple[str, str]:
    """A file of a package: its path, and its sha256 in the prefix where the record says that."""
    path = str(item["_path"])
    if item.get("path_type") != "hardlink":
        return path, ""
    digest = item.get("sha256_in_prefix")
    if digest is None and not item.get("prefix_placeholder"):
        digest = item.get("sha256")
    return path, digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else ""


def parse_history(text: str) -> dict[str, str]:
    """Return {name: specification} of what was asked for and not removed again."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := _ASKED.match(line):
            for spec in _words(match[1]):
                if name := _SPEC_NAME.match(spec):
                    found[name[1].lower()] = spec
        elif match := _REMOVED.match(line):
            for spec in _words(match[1]):
                if name := _SPEC_NAME.match(spec):
                    found.pop(name[1].lower(), None)
    return found


def _words(text: str) -> list[str]:
    return [one or other for one, other in _WORD.findall(text)]


def requested(packages: Iterable[InstalledConda], history: Mapping[str, str]) -> tuple[str, ...]:
    """Return the specifications that were asked for, sorted; without any, what nothing needs."""
    known = {one.name: one for one in packages}
    found = {name: one.requested[-1] for name, one in known.items() if one.requested}
    found |= {name: spec for name, spec in history.items() if name in known and name not in found}
    if not found:
        needed = {spec.split()[0].rpartition("::")[2].lower() for one in known.values()
                  for spec in one.depends if spec.split()}  # fmt: skip
        found = {name: name for name in known if name not in needed}
    return tuple(sorted(found.values()))


def locked(
    environment: CondaEnvironment, http: Http
) -> tuple[tuple[CondaPackage, ...], tuple[Unfound, ...]]:
    """Return the packages as a lock has them, and those that no channel can give again.

    A hash that a record lacks is looked up in its channel. Raises NetworkError.
    """
    packages: list[CondaPackage] = []
    unfound: list[Unfound] = []
    indexes: dict[str, Mapping[str, Any]] = {}
    for one in environment.packages:
        reason, sha256 = "", one.sha256
        if not one.channel:
            reason = "its record names no channel that has it"
        elif not sha256:
            sha256, reason = _looked_up(one, indexes, http)
        if reason:
            unfound.append(
                Unfound(ecosystem="conda", name=one.name, version=one.version, reason=reason)
            )
            continue
        packages.append(
            CondaPackage(
                name=one.name,
                version=one.version,
                build=one.build,
                subdir=one.subdir,
                channel=one.channel,
                filename=one.filename,
                sha256=sha256,
                md5=one.md5,
                size=one.size,
                depends=one.depends,
            )
        )
    return tuple(packages), tuple(unfound)


def _looked_up(
    one: InstalledConda, indexes: dict[str, Mapping[str, Any]], http: Http
) -> tuple[str, str]:
    """Return the sha256 that the channel lists for a package, or "" and why there is none."""
    address = join(one.channel, one.subdir, "repodata.json")
    if address not in indexes:
        data, _ = http.get(address)
        try:
            value = json.loads(data)
            indexes[address] = {**value["packages"], **value.get("packages.conda", {})}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NetworkError(f"{address}: {names.said(repr(error))}") from None
    listed = indexes[address].get(one.filename)
    if not isinstance(listed, dict):
        return "", "its record has no sha256, and its channel does not list it any more"
    sha256, md5 = str(listed.get("sha256") or ""), str(listed.get("md5") or "")
    if one.md5 and md5 and md5 != one.md5:
        return "", "its channel has another archive of that name now"
    if not _SHA256.fullmatch(sha256):
        return "", "neither its record nor its channel says a sha256"
    return sha256, ""


def changed(tree: FileTree, environment: CondaEnvironment) -> tuple[Changed, ...]:
    """Return the files that are not what their package's record says."""
    found = []
    for one in environment.packages:
        for path, digest in one.files:
            if not digest:
                continue
            facts = tree.facts(f"{environment.prefix}/{path}")
            if facts is None or facts.sha256 != digest:
                found.append(Changed(name=one.name, path=path, missing=facts is None))
    return tuple(found)
