"""Resolve conda packages: the inputs, the pins that stand and the image → packages by content."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import astuple
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from repro.addresses import join
from repro.download import Http
from repro.ecosystems.conda.channels import addressed
from repro.ecosystems.conda.condalock import resolve_with_conda_lock
from repro.ecosystems.conda.logins import bare, headers, hold_token
from repro.ecosystems.conda.request import CondaQuery, CondaResolution
from repro.ecosystems.conda.settings import Settings, host_settings
from repro.ecosystems.conda.virtual import virtual_packages
from repro.ecosystems.conda.words import inert
from repro.errors import EngineError, LocalError, LockError, NetworkError, ReproError, UsageError
from repro.files import make_folder, scratch
from repro.locks import conda_names, names
from repro.locks.conda import canonical_depends
from repro.models.lock import CondaPackage, Provenance
from repro.patience import Patience
from repro.process import run
from repro.progress import Progress, Silent

_LAST_RESORT = 60.0
"""Seconds after its own deadline that the process is ended."""

_NETWORK = {"GatewayError", "FetchRepoDataError"}
_REFUSED = {"InvalidMatchSpecError", "InvalidChannelError", "InvalidUrlError"}
_DISK = {"CacheDirError", "IoError"}
_REACH = "check their names and addresses, the network, and the logins in .condarc or netrc"
_LONGER = "try again later, or allow more time: REPRO_HTTP_DEADLINE=SECONDS"
_SEEN = ("PATH", "HOME", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "RATTLER_AUTH_FILE", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def resolve(
    query: CondaQuery,
    *,
    cache: Path,
    progress: Progress | None = None,
    environ: Mapping[str, str] = os.environ,
) -> CondaResolution:
    """Choose the packages for one platform; what the channels say is kept below `cache`.

    Raises UsageError in the solver's words where nothing fits, NetworkError for a channel that
    cannot be read, LockError for a package without sha256, LocalError, EngineError.
    """
    _check_platform(query)
    settings, progress = host_settings(environ), progress or Silent()
    with progress.task("resolving conda packages"):
        if query.resolver == "conda-lock":
            return resolve_with_conda_lock(
                query, settings, folder=make_folder(cache), environ=environ, progress=progress
            )
        answer = _solved(query, settings, cache, environ)
    packages = [_package(item) for item in answer["packages"]]
    channels = [conda_names.without_credential(place).rstrip("/") for place in answer["channels"]]
    facts = {
        "resolver": "py-rattler",
        "version": version("py-rattler"),
        "channels": " ".join(channels),
        "virtual": " ".join("=".join(one) for one in _virtual(query)),
    }
    return CondaResolution(
        packages=tuple(sorted(packages, key=lambda one: one.name)),
        provenance=(Provenance(source="conda", facts=tuple(sorted(facts.items()))),),
    )


def _check_platform(query: CondaQuery) -> None:
    subdir = conda_names.SUBDIRS[query.platform]
    if query.request.platforms and subdir not in query.request.platforms:
        raise UsageError(
            f"{query.request.path}: {subdir} is not among its platforms, and it is locked for "
            f"{query.platform}",
            hint=f"add {subdir} to platforms",
        )


def _virtual(query: CondaQuery) -> tuple[tuple[str, str, str], ...]:
    return virtual_packages(query.platform, query.glibc)


def _solved(
    query: CondaQuery, settings: Settings, cache: Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Have the solver answer in a process of its own. Raises what `resolve` does."""
    places, specs = addressed(query.request, settings)
    patience = Patience.of(environ)
    kept = [one for one in query.previous if not query.upgrade.covers(one.name)]
    job = {
        "channels": [bare(place) for place in places],
        "specs": [_bare_spec(spec) for spec in specs],
        "logins": [astuple(header) for header in headers(places)],
        "platform": conda_names.SUBDIRS[query.platform],
        "virtual": _virtual(query),
        "locked": [_locked(one) for one in kept],
        "as_of": datetime.fromisoformat(query.as_of).timestamp() if query.as_of else None,
        "timeout": math.ceil(5 * patience.read),
        "deadline": patience.total,
    }
    # what is kept of a channel's index says where it was read
    with scratch(cache) if hold_token(places) else nullcontext(make_folder(cache)) as folder:
        done = run(
            [sys.executable, "-P", "-m", "repro.ecosystems.conda.solver"],
            env=_environment(settings, environ),
            text=json.dumps({**job, "cache": str(folder)}).encode(),
            timeout=patience.total + _LAST_RESORT,
        )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise EngineError(
            f"choosing conda packages ended with {done.code}:\n{inert(done.tail())}",
            hint="run it again; if it fails again, this is a bug in repro",
        ) from None
    if "error" in answer:
        raise _error(answer["error"], answer["said"], query)
    http = Http(patience=patience)
    for place in (*places, *answer["channels"]):
        if place.startswith("https:"):
            _require_https(place, query, settings, http)
    return answer


def _require_https(place: str, query: CondaQuery, settings: Settings, http: Http) -> None:
    """Ask for a channel's index as all else is asked for here: the solver follows any redirect.

    Raises NetworkError where it leads to plain http.
    """
    proxies, authorities = settings.route(place)
    http.route(proxies=proxies, authorities=authorities)
    for subdir in (conda_names.SUBDIRS[query.platform], "noarch"):
        address = join(place, subdir, "repodata.json")
        try:
            http.answer(address, http.tries(address)).close()
        except NetworkError as error:
            if error.status is None:  # else it was reached: a channel need not have every folder
                raise


def _bare_spec(spec: str) -> str:
    channel, colons, rest = spec.rpartition("::")
    return f"{bare(channel)}::{rest}" if colons else spec


def _locked(package: CondaPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "subdir": package.subdir,
        "filename": package.filename,
        "sha256": package.sha256,
        "md5": package.md5,
        "size": package.size,
        "depends": list(package.depends),
        "address": package.address,
        "channel": package.channel,
    }


def _environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """What the process sees: logins and certificates of this host, no settings of rattler's."""
    found = {name: environ[name] for name in _SEEN if name in environ}
    found |= {name: value for name, value in environ.items() if name.lower() in _PROXIES}
    if "REQUESTS_CA_BUNDLE" in environ:  # conda's own word for it
        found.setdefault("SSL_CERT_FILE", environ["REQUESTS_CA_BUNDLE"])
    bundle = settings.values.get("ssl_verify")
    if isinstance(bundle, str) and Path(bundle).is_file():
        found["SSL_CERT_FILE"] = bundle
    proxies = settings.values.get("proxy_servers")
    for scheme, address in proxies.items() if isinstance(proxies, dict) else ():
        if scheme in ("http", "https") and isinstance(address, str):
            found[f"{scheme}_proxy"] = address
    return {**found, "PYTHONPATH": os.pathsep.join(sys.path)}


def _error(kind: str, words: str, query: CondaQuery) -> ReproError:
    """The error that the solver's words are; they may quote a channel, never a login."""
    where, said = query.request.path, inert(words)
    if kind == "SolverError":
        at = f" as of {query.as_of}" if query.as_of else ""
        image = f"glibc {query.glibc}" if query.glibc else "no glibc"
        return UsageError(
            f"{where}: its conda packages do not fit together on {query.platform}, {image}{at}:\n"
            f"{said}",
            hint="ask for other versions, or list the channel that has them",
        )
    if kind in _NETWORK:
        return NetworkError(f"{where}: its channels cannot be read:\n{said}", hint=_REACH)
    if kind == "TimeoutError":
        return NetworkError(f"{where}: its channels took too long", hint=_LONGER)
    if kind in _REFUSED:
        return UsageError(f"{where}: {said.strip()}", hint="correct it there")
    if kind in _DISK:
        return LocalError(f"the solver of conda packages: {said.strip()}", hint="check the disk")
    return _broken(kind, words)


def _broken(kind: str, words: str) -> EngineError:
    if "builder error" in words or "certificate" in words.lower():
        return EngineError(
            "the solver of conda packages finds no certificates of authorities",
            hint="install ca-certificates, or name a file of them: SSL_CERT_FILE=PATH",
        )
    return EngineError(
        f"the solver of conda packages ended with {kind}:\n{inert(words)}",
        hint="run it again; if it fails again, this is a bug in repro",
    )


def _package(item: Mapping[str, Any]) -> CondaPackage:
    """A record of a channel's index, whose words nobody has checked. Raises LockError."""
    where = f"conda {names.said(item['name'])} {names.said(item['version'])}"
    address = conda_names.without_credential(item["url"])
    above, _, filename = address.rpartition("/")
    channel, _, subdir = above.rpartition("/")
    name, number, build = conda_names.archive_name(unquote(filename), where)
    if (name, number, build) != (item["name"], item["version"], item["build"]):
        raise LockError(
            f"{where}: its archive is called {names.shown(filename)}",
            hint="the channel's index is damaged: ask who keeps it",
        )
    if not item["sha256"]:
        raise LockError(
            f"{where}: the channel {names.shown(urlsplit(channel).path)} says no sha256 of it",
            hint="ask for another build or version: without it nobody can know that the same "
            "package is installed again",
        )
    return CondaPackage(
        name=name,
        version=number,
        build=build,
        subdir=conda_names.subdir(subdir, where),
        channel=conda_names.address(channel, f"{where}: the channel"),
        filename=names.file_name(filename, where),
        sha256=names.sha256(item["sha256"], where),
        md5=item["md5"],
        size=item["size"],
        depends=canonical_depends(item["depends"]),
    )
