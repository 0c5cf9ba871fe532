"""Where channels are reached: conda's own configuration on this host, its logins among it.

Format: `.condarc` (YAML): channel_alias, custom_channels, channels, default_channels,
mirrored_channels, proxy_servers, ssl_verify.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from repro.ecosystems.conda.layout import channel_name
from repro.locks.yaml import Value, parse

_SYSTEM = ("/etc/conda/.condarc", "/etc/conda/condarc", "/etc/conda/condarc.d")
_OF_USER = tuple(
    f"{folder}/{name}"
    for folder in (".config/conda", ".conda")
    for name in (".condarc", "condarc", "condarc.d")
)
_TOKEN = re.compile(r"/t/[^/]+(?=/|\Z)")


@dataclass(frozen=True)
class Settings:
    """What conda is set to on this host; addresses in it may hold logins, and are never shown."""

    values: Mapping[str, Value]

    def addresses(self, channel: str) -> Iterator[str]:
        """Yield where the channel of a lock may be, best first.

        Its mirrors, its own address with the login that the configuration has for it, and where
        the configuration finds a channel of that name.
        """
        name = channel_name(channel)
        found = [
            *self._list("mirrored_channels", name),
            *self._list("mirrored_channels", channel),
            self.with_login(channel),
        ]
        if custom := self._text("custom_channels", name):
            found.append(f"{custom.rstrip('/')}/{name}")
        if (alias := self._text("channel_alias")) and name:
            found.append(f"{alias.rstrip('/')}/{name}")
        yield from dict.fromkeys(one for place in found if (one := _address(place)))

    def route(self, channel: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return proxies and certificates for a channel, as `Http.route` takes them."""
        proxies: dict[str, str] = {}
        authorities: dict[str, str] = {}
        bundle = self._text("ssl_verify")
        for address in self.addresses(channel):
            parts = urlsplit(address)
            origin = f"{parts.scheme}://{parts.hostname}"
            for key in (origin, parts.scheme):
                if proxy := self._text("proxy_servers", key):
                    proxies[origin] = proxy
                    break
            if bundle and parts.hostname and Path(bundle).is_file():
                authorities[parts.hostname] = bundle
        return proxies, authorities

    def with_login(self, channel: str) -> str:
        """Return a channel's address, with the login of the longest setting that begins it."""
        begins = [one for one in self._bases if _is_below(channel, without_login(one))]
        if not begins:
            return channel
        base = max(begins, key=lambda one: len(without_login(one)))
        return base.rstrip("/") + channel.removeprefix(without_login(base))

    @cached_property
    def _bases(self) -> tuple[str, ...]:
        """Every address of the configuration."""
        found = [self._text("channel_alias")]
        for name in ("channels", "default_channels", "custom_channels", "custom_multichannels"):
            found += _texts(self.values.get(name, ""))
        return tuple(one for one in found if one and "://" in one)

    def _text(self, *names: str) -> str | None:
        value: Value = dict(self.values)
        for name in names:
            value = value.get(name, "") if isinstance(value, dict) else ""
        return value if isinstance(value, str) and value else None

    def _list(self, name: str, key: str) -> list[str]:
        value = self.values.get(name, "")
        return list(_texts(value.get(key, ""))) if isinstance(value, dict) else []


def without_login(address: str) -> str:
    """Return an address without user, password and token, and without a slash at the end."""
    parts = urlsplit(address)
    bare = parts._replace(
        netloc=parts.netloc.rpartition("@")[2], path=_TOKEN.sub("", parts.path).rstrip("/")
    )
    return urlunsplit(bare)


def host_settings(environ: Mapping[str, str]) -> Settings:
    """Read conda's configuration; what comes later in conda's own order wins.

    A list of one file goes before that of another, as conda has it. Raises UsageError for a file
    that is no YAML.
    """
    merged: dict[str, Value] = {}
    for path in _files(environ):
        text = path.read_text(encoding="utf-8", errors="replace")
        found = parse(text, where=str(path))
        for key, value in found.items() if isinstance(found, dict) else ():
            merged[key] = _merged(merged.get(key), _expanded(value, environ))
    for key in ("channel_alias", "ssl_verify"):
        if said := environ.get(f"CONDA_{key.upper()}"):
            merged[key] = said
    return Settings(merged)


def _merged(old: Value | None, new: Value) -> Value:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **new}
    if isinstance(old, list) and isinstance(new, list):
        return [*new, *old]
    return new


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the configuration files that are there, in conda's order."""
    home = Path(environ.get("HOME") or Path.home())
    places = [Path(one) for one in _SYSTEM]
    for name in ("CONDA_ROOT", "MAMBA_ROOT_PREFIX"):
        if root := environ.get(name):
            places += [Path(root, ".condarc"), Path(root, "condarc")]
    places += [home / one for one in (*_OF_USER, ".condarc")]
    if prefix := environ.get("CONDA_PREFIX"):
        places += [Path(prefix, ".condarc"), Path(prefix, "condarc")]
    if said := environ.get("CONDARC"):
        places.append(Path(said))
    for place in places:
        if place.is_dir():
            yield from sorted(one for one in place.iterdir() if one.suffix in (".yml", ".yaml"))
        elif place.is_file():
            yield place


def _expanded(value: Value, environ: Mapping[str, str]) -> Value:
    """Put the environment's variables in, as conda does: `${TOKEN}`."""
    if isinstance(value, dict):
        return {key: _expanded(one, environ) for key, one in value.items()}
    if isinstance(value, list):
        return [_expanded(one, environ) for one in value]
    return re.sub(
        r"\$(?:\{(\w+)\}|(\w+))",
        lambda found: environ.get(found[1] or found[2], found[0]),
        value,
        flags=re.ASCII,
    )


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
        return
    for one in value.values() if isinstance(value, dict) else value:
        yield from _texts(one)


def _is_below(address: str, base: str) -> bool:
    return f"{address.rstrip('/')}/".startswith(f"{base}/")


def _address(place: str) -> str | None:
    """Return an address; a path is one of this host, a bare name is none."""
    if "://" in place:
        return place.rstrip("/")
    path = Path(place).expanduser()
    return path.as_uri() if path.is_absolute() else None
