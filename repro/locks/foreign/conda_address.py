"""A conda package as its address and its hashes say it: what pixi.lock and conda-lock.yml hold."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from repro.errors import LockError
from repro.locks import conda_names, names
from repro.locks.conda import canonical_depends
from repro.models.lock import CondaPackage

_DIGITS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a lock says of a package: texts as they stand there, "" for what it does not say."""

    address: str
    sha256: str
    md5: str = ""
    size: str = ""
    depends: tuple[str, ...] = ()


def package(said: Said, *, subdir: str, where: str, hint: str) -> CondaPackage:
    """Return the package that an address names, for the platform `subdir` or any.

    Raises LockError naming `where`: no address of a channel, another platform's package, no
    sha256 (a weaker hash is none).
    """
    address = conda_names.without_credential(said.address)
    rest, _, filename = address.rpartition("/")
    channel, _, folder = rest.rpartition("/")
    channel = conda_names.address(channel, f"{where}: the channel")
    name, version, build = conda_names.archive_name(unquote(filename), where)
    if conda_names.subdir(folder, where) not in (subdir, "noarch"):
        raise LockError(f"{where}: {name} is for {folder}, not for {subdir}", hint=hint)
    if not said.sha256:
        what = "only an md5" if said.md5 else "no hash"
        raise LockError(f"{where}: {name} has {what}, and no sha256", hint=hint)
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        subdir=folder,
        channel=channel,
        filename=names.file_name(filename, where),
        sha256=names.sha256(said.sha256, f"{where}: {name}"),
        md5=_md5(said.md5, f"{where}: {name}", hint),
        size=_size(said.size, f"{where}: {name}", hint),
        depends=canonical_depends(
            names.single_line(text, f"{where}: {name}") for text in said.depends
        ),
    )


def _md5(text: str, where: str, hint: str) -> str:
    if text and (len(text) != 32 or set(text) - set("0123456789abcdef")):
        raise LockError(f"{where}: {names.shown(text)} is not an md5", hint=hint)
    return text


def _size(text: str, where: str, hint: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise LockError(f"{where}: {names.shown(text)} is not a size in bytes", hint=hint)
    return int(text)
