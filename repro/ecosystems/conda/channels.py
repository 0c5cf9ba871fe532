"""From a channel's name to its address, as conda's configuration says."""

from __future__ import annotations

from collections.abc import Mapping

from repro.ecosystems.conda.settings import Settings
from repro.errors import UsageError
from repro.locks.names import shown
from repro.locks.yaml import Value
from repro.models.project import CondaRequest


def addressed(request: CondaRequest, settings: Settings) -> tuple[list[str], list[str]]:
    """Return the channels' places in order of priority, and the specifications in their terms.

    They may hold logins, see `places`. Raises UsageError naming the environment.yml.
    """
    found = {name: places(name, settings, request.path) for name in request.channels}
    specs = []
    for spec in request.specs:
        channel, colons, rest = spec.rpartition("::")
        if colons and len(found[channel]) > 1:
            raise UsageError(
                f"{request.path}: {shown(spec)}: {channel} is several channels",
                hint="name one of them, and list it under channels",
            )
        specs.append(f"{found[channel][0]}::{rest}" if colons else spec)
    return list(dict.fromkeys(place for each in found.values() for place in each)), specs


def places(channel: str, settings: Settings, where: str) -> tuple[str, ...]:
    """Return where a channel of an environment.yml is asked, in order of priority.

    An address with the login that the configuration has for it: never to be shown. A name that
    the configuration says nothing of stays a name: the resolver has its own idea of it. Raises
    UsageError for `defaults` where the configuration has no default channels.
    """
    if "://" in channel:
        return (settings.with_login(channel),)
    several = _table(settings, "custom_multichannels").get(channel)
    if channel == "defaults":
        several = settings.values.get("default_channels") or several
        if not several:
            raise UsageError(
                f"{where}: the channel 'defaults' is what conda's configuration says, and it "
                "says nothing",
                hint="list the channels themselves; or default_channels in ~/.condarc",
            )
    if isinstance(several, list):
        names = [one for one in several if isinstance(one, str)]
        return tuple(_one(name, settings, where) for name in names)
    return (_one(channel, settings, where),)


def _one(channel: str, settings: Settings, where: str) -> str:
    if "://" in channel:
        return channel.rstrip("/")
    name = channel.strip("/")
    own = _table(settings, "custom_channels")
    parts = name.split("/")
    for count in range(len(parts), 0, -1):  # `team/label/dev` lies where `team` does
        base = own.get("/".join(parts[:count]))
        if isinstance(base, str) and base:
            return _below(base, name, where)
    alias = settings.values.get("channel_alias")
    return _below(alias, name, where) if isinstance(alias, str) and alias else name


def _below(base: str, name: str, where: str) -> str:
    if "://" not in base:
        raise UsageError(
            f"{where}: conda's configuration has no address for {shown(name)}",
            hint="write https:// or file:// before it in .condarc",
        )
    return f"{base.rstrip('/')}/{name}"


def _table(settings: Settings, key: str) -> Mapping[str, Value]:
    value = settings.values.get(key, "")
    return value if isinstance(value, dict) else {}
