"""Where locked conda packages may be fetched from: mirrors and channels, with conda's logins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial

from repro.addresses import join
from repro.download import Http
from repro.ecosystems.conda.settings import Settings, host_settings
from repro.models.lock import CondaPackage
from repro.store.fetch import Wanted


def wanted(
    packages: Iterable[CondaPackage],
    http: Http | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Wanted, ...]:
    """Return what the packages are and where they may be, sorted by name.

    conda's configuration is read once, and only when something is missing; `http` then goes
    through its proxies. The locked sha256 is what counts, from whatever source.
    """
    needed = {package.sha256: package for package in packages}

    @cache
    def reached() -> Settings:
        found = host_settings(environ)
        if http is not None:
            for channel in {package.channel for package in needed.values()}:
                proxies, authorities = found.route(channel)
                http.route(proxies=proxies, authorities=authorities)
        return found

    return tuple(
        Wanted(
            label=label(package),
            filename=package.filename,
            sha256=package.sha256,
            size=package.size or None,
            addresses=partial(_addresses, package, reached),
        )
        for package in sorted(needed.values(), key=lambda one: (one.name, one.filename))
    )


def label(package: CondaPackage) -> str:
    """Return the package's name in messages."""
    return f"conda {package.name} {package.version}"


def _addresses(package: CondaPackage, reached: Callable[[], Settings]) -> Iterator[str]:
    for channel in reached().addresses(package.channel):
        yield join(channel, package.subdir, package.filename)
