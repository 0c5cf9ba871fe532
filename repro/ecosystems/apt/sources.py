"""Where the archives are mirrored for this host: from apt's own sources and settings.

Formats: sources.list(5), apt.conf(5), apt_auth.conf(5). Nothing of this enters a lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from repro.errors import UsageError
from repro.locks.apt import ARCHIVES
from repro.models.project import Sources
from repro.process import run, which

SNAPSHOT_ID = "@SNAPSHOTID@"
"""What apt writes in `Acquire::Snapshots::URI` where the timestamp goes."""

TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
"""How the snapshot archive names a state."""

_ONE_LINE = re.compile(r"deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s+(.+)")
_OWN_KEYS = re.compile("debian-archive|ubuntu-archive")
_SETTING = re.compile(r'([^"\s]+) "(.*)";')

# What decides how addresses are reached. Everything else of the host's settings is left out.
_PASSED_ON = re.compile(r"(?i)acquire::(?:https?::|retries$|forceipv[46]$|by-hash$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mirror:
    """One mirror of an archive.

    `base` has no trailing slash and may hold credentials: it is never shown. `signed_by` is what
    a source's `Signed-By` says: key ring paths, or a key itself; empty: nothing. `past` is the
    timestamp of a past state that is kept there, "" for the archive as it is now.
    """

    archive: str
    base: str = field(repr=False)
    signed_by: str = ""
    past: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """One `machine` of apt's auth.conf; `machine` is `[scheme://]host[:port][/path]`."""

    machine: str
    user: str = field(repr=False)
    password: str = field(repr=False)

    def fits(self, address: str) -> bool:
        """Whether apt would use it there: host, port and path; https only unless it says http."""
        scheme, _, rest = self.machine.rpartition("://")
        parts = urlsplit(address)
        host, slash, path = rest.partition("/")
        if parts.scheme != (scheme or "https"):
            return False
        known = (parts.hostname or "", f"{parts.hostname}:{parts.port}")
        return host in known and parts.path.startswith(slash + path)


@dataclass(frozen=True, kw_only=True, slots=True)
class AptSources:
    """All that reaches the archives from here. Held in memory only.

    `snapshots` are (archive, address with SNAPSHOT_ID in it); `settings` are (name, value) of
    apt's configuration that a private apt must have too; `auth` are apt's credential files.
    """

    mirrors: tuple[Mirror, ...] = ()
    snapshots: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    logins: tuple[Login, ...] = ()
    auth: tuple[tuple[str, str], ...] = ()

    def mirror(self, archive: str) -> Mirror:
        """Return the archive's first mirror. Raises UsageError when the host names none."""
        for mirror in self.mirrors:
            if mirror.archive == archive:
                return mirror
        below = "debian and debian-security lie" if archive[:6] == "debian" else f"{archive} lies"
        raise UsageError(
            f"no mirror of the archive {archive!r} is known: "
            "no source in /etc/apt/sources.list.d or /etc/apt/sources.list ends with its name",
            hint='set one in repro.toml: [apt] mirror = "https://deb.example.org" '
            f"({below} below it)",
        )

    def signed_by(self, archive: str) -> str:
        """Return what the host says of the archive's keys; empty when it says nothing."""
        return next((one.signed_by for one in self.mirrors if one.archive == archive), "")

    def addresses(self, archive: str, filename: str) -> Iterator[str]:
        """Yield where a file below the archive's root may be, with credentials where needed."""
        for mirror in self.mirrors:
            if mirror.archive == archive:
                yield self.with_login(f"{mirror.base}/{quote(filename, safe='/~')}")

    def with_login(self, address: str) -> str:
        """Return the address with auth.conf's user and password, unless it has its own."""
        parts = urlsplit(address)
        if parts.username:
            return address
        for login in self.logins:
            if login.fits(address):
                user = f"{quote(login.user, safe='')}:{quote(login.password, safe='')}"
                return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
        return address

    def proxies(self) -> dict[str, str]:
        """Return apt's proxy for each host, as requests wants it: {`scheme://host`: proxy}."""
        found = {}
        for parts in map(urlsplit, self._bases()):
            proxy = self._acquire(parts.scheme, parts.hostname or "", "proxy")
            if proxy and proxy.upper() != "DIRECT":
                found[f"{parts.scheme}://{parts.hostname}"] = proxy
        return found

    def authorities(self) -> dict[str, str]:
        """Return apt's CA bundle for each host that has one: {host: path}."""
        hosts = {urlsplit(base).hostname or "" for base in self._bases() if base[:6] == "https:"}
        found = {host: self._acquire("https", host, "cainfo") for host in sorted(hosts)}
        return {host: path for host, path in found.items() if path}

    def _bases(self) -> tuple[str, ...]:
        return (*(mirror.base for mirror in self.mirrors), *(base for _, base in self.snapshots))

    def _acquire(self, scheme: str, host: str, option: str) -> str | None:
        """A setting as apt looks it up: per host, then per scheme; https falls back on http."""
        values = {name.lower(): value for name, value in self.settings}
        for method in dict.fromkeys((scheme, "http")):
            for name in (
                f"acquire::{method}::{option}::{host}",
                f"acquire::{method}::{host}::{option}",
                f"acquire::{method}::{option}",
            ):
                if values.get(name):
                    return values[name]
        return None


def host_sources(sources: Sources, architecture: str = "amd64") -> AptSources:
    """Read the host's apt sources and settings; `[apt]` of repro.toml replaces what it names.

    Sources that are for other architectures alone are left out. Raises UsageError for an address
    that cannot be used.
    """
    settings = parse_settings(_dump())
    file = _located(settings, "netrc", "auth.conf")
    folder = _located(settings, "netrcparts", "auth.conf.d")
    return AptSources(
        mirrors=_configured(sources) or tuple(_host_mirrors(settings, architecture)),
        snapshots=_snapshots(sources, settings),
        settings=tuple((name, value) for name, value in settings if _PASSED_ON.match(name)),
        logins=tuple(_host_logins(file, folder)),
        auth=(("Dir::Etc::netrc", str(file)), ("Dir::Etc::netrcparts", str(folder))),
    )


def parse_settings(dump: str) -> tuple[tuple[str, str], ...]:
    """Return (name, value) of what `apt-config dump` prints, in its order."""
    lines = (_SETTING.fullmatch(line) for line in dump.splitlines())
    return tuple((match[1], match[2]) for match in lines if match)


def parse_one_line(text: str, architecture: str = "amd64") -> tuple[Mirror, ...]:
    """Return the mirrors that a one-line `sources.list` names for an architecture."""
    found: list[Mirror] = []
    for raw in text.splitlines():
        match = _ONE_LINE.fullmatch(raw.partition("#")[0].strip())
        if match:
            options = {
                name.lower(): value
                for name, _, value in (word.partition("=") for word in (match[1] or "").split())
            }
            found += _usable(
                uris=[match[2]],
                components=match[4].split(),
                architectures=options.get("arch", "").split(","),
                wanted=architecture,
                signed_by=options.get("signed-by", ""),
            )
    return tuple(found)


def parse_deb822(text: str, architecture: str = "amd64") -> tuple[Mirror, ...]:
    """Return the mirrors that a deb822 `.sources` file names for an architecture.

    Those with `Enabled: no` are left out.
    """
    from debian.deb822 import Deb822

    found: list[Mirror] = []
    for paragraph in Deb822.iter_paragraphs(text.splitlines(), use_apt_pkg=False):
        fields = {str(key).lower(): str(value) for key, value in paragraph.items()}
        enabled = fields.get("enabled", "yes").strip().lower() not in ("no", "false", "0", "off")
        if enabled and "deb" in fields.get("types", "").split():
            found += _usable(
                uris=fields.get("uris", "").split(),
                components=fields.get("components", "").split(),
                architectures=fields.get("architectures", "").split(),
                wanted=architecture,
                signed_by=fields.get("signed-by", ""),
            )
    return tuple(found)


def parse_auth(text: str) -> tuple[Login, ...]:
    """Return the logins of an auth.conf (netrc's words; a `#` line is a comment)."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = " ".join(lines).split()
    found: list[Login] = []
    current: dict[str, str] = {}
    for key, value in zip(words[::2], words[1::2], strict=False):
        if key == "machine":
            found += _login(current)
            current = {}
        current[key] = value
    return (*found, *_login(current))


def _login(words: Mapping[str, str]) -> tuple[Login, ...]:
    if "machine" not in words or "login" not in words:
        return ()
    return (
        Login(machine=words["machine"], user=words["login"], password=words.get("password", "")),
    )


def _usable(
    *,
    uris: Iterable[str],
    components: Iterable[str],
    architectures: Iterable[str],
    signed_by: str,
    wanted: str,
) -> Iterator[Mirror]:
    """Mirrors of the distributions' own archives: known by the last part of the address.

    Others call their archive `debian` too; none of them has the component `main` and Debian's
    signature, which apt checks.
    """
    named = [name for name in architectures if name]
    if "main" not in components or (named and wanted not in named):
        return
    for uri in uris:
        base = uri.rstrip("/")
        scheme = _scheme(base)
        archive = base.rpartition("/")[2]
        if scheme == "mirror+file":
            yield from _mirror_list(Path(urlsplit(base).path), signed_by)
        elif archive in ARCHIVES and scheme in ("http", "https", "file"):
            yield Mirror(archive=archive, base=base, signed_by=_keys(signed_by))


def _scheme(address: str) -> str:
    """Return an address's scheme; empty where apt could not use it either."""
    try:
        parts = urlsplit(address)
        return parts.scheme if parts.port != 0 else ""
    except ValueError:  # half an IPv6 address, a port that is no number
        return ""


def _mirror_list(path: Path, signed_by: str) -> Iterator[Mirror]:
    """Mirrors of an apt-transport-mirror(1) list: one address a line, then options."""
    for line in _read(path).splitlines():
        uri = line.partition("#")[0].split()[:1]
        yield from _usable(
            uris=uri, components=["main"], architectures=[], signed_by=signed_by, wanted=""
        )


def _keys(signed_by: str) -> str:
    """Key ring paths, or a key; fingerprints alone choose nothing that we could find."""
    if "-----BEGIN" in signed_by:
        return signed_by.strip("\n")
    paths = [word for word in signed_by.replace(",", " ").split() if word.startswith("/")]
    return " ".join(paths)


def _configured(sources: Sources) -> tuple[Mirror, ...]:
    if sources.apt_mirror is None:
        return ()
    base = sources.apt_mirror.rstrip("/")
    if urlsplit(base).scheme not in ("http", "https", "file"):
        raise UsageError(
            "repro.toml: [apt] mirror: not an http, https or file address",
            hint='for example: mirror = "https://deb.example.org"',
        )
    return tuple(Mirror(archive=archive, base=f"{base}/{archive}") for archive in ARCHIVES)


def _snapshots(
    sources: Sources, settings: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Where past states of the archives are kept: repro.toml's, else what apt ≥ 3 knows."""
    if sources.apt_snapshot is not None:
        base = sources.apt_snapshot.rstrip("/")
        return tuple((name, f"{base}/archive/{name}/{SNAPSHOT_ID}") for name in ARCHIVES)
    known: dict[str, str] = {}
    for name, value in settings:
        before, found, _ = value.partition(f"/{SNAPSHOT_ID}")
        archive = before.rpartition("/")[2]
        if found and archive in ARCHIVES and name.lower().startswith("acquire::snapshots::uri"):
            known.setdefault(archive, f"{before}/{SNAPSHOT_ID}")
    return tuple(sorted(known.items()))


def _dump() -> str:
    """Return the host's apt configuration; empty where there is no apt."""
    if which("apt-config") is None:
        return ""
    done = run(["apt-config", "dump"], timeout=60)
    if done.code:
        raise UsageError(
            f"apt-config dump failed: {done.tail(3)}", hint="mend the host's apt configuration"
        )
    return done.text


def _located(settings: Iterable[tuple[str, str]], name: str, default: str) -> Path:
    """Where `Dir::Etc::<name>` lies, each part relative to the one before."""
    values = {key.lower(): value for key, value in settings}
    return Path(
        values.get("dir", "/") or "/",
        values.get("dir::etc", "etc/apt"),
        values.get(f"dir::etc::{name}", default),
    )


def _host_mirrors(settings: tuple[tuple[str, str], ...], architecture: str) -> Iterator[Mirror]:
    """Every usable mirror of the host's sources, those with the archive's own key ring first."""
    folder = _located(settings, "sourceparts", "sources.list.d")
    listed = _read(_located(settings, "sourcelist", "sources.list"))
    found = list(parse_one_line(listed, architecture))
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".list":
            found += parse_one_line(_read(path), architecture)
        elif path.suffix == ".sources":
            found += parse_deb822(_read(path), architecture)
    seen: set[tuple[str, str]] = set()
    for mirror in sorted(found, key=_foreign):
        if (mirror.archive, mirror.base) not in seen:
            seen.add((mirror.archive, mirror.base))
            yield mirror


def _foreign(mirror: Mirror) -> bool:
    return bool(mirror.signed_by) and not _OWN_KEYS.search(mirror.signed_by)


def _host_logins(file: Path, folder: Path) -> Iterator[Login]:
    paths = sorted(folder.glob("*.conf")) if folder.is_dir() else []
    for path in (file, *paths):
        yield from parse_auth(_read(path))


def _read(path: Path) -> str:
    """Text of a configuration file; empty when it is absent, or root's alone (credentials)."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
