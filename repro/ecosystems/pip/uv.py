"""Resolving with uv, on the host: it reads metadata only and runs no third-party code."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from repro.addresses import redact
from repro.ecosystems.pip.indexes import Indexes, uv_environment
from repro.ecosystems.pip.pages import ListedFile
from repro.ecosystems.pip.request import (
    InputFiles,
    Package,
    PipRequest,
    in_users_words,
    input_names,
    write_inputs,
)
from repro.ecosystems.pip.tags import Target
from repro.errors import NetworkError, ReproError, UsageError
from repro.files import scratch, write_atomic
from repro.locks import names
from repro.process import run

OUTPUT = "pylock.toml"
PINS = "pins.txt"
_CONSTRAIN, _PREFER, _FREE = "constrain", "prefer", "free"

OLDEST = (3, 6)
"""uv refuses interpreters before this."""

_GLIBC = (17, 28, *range(31, 41))
"""The glibc 2.N that uv knows as a platform (`uv pip compile --help`)."""

# What of the user's uv settings may reach the resolver: how to connect, never what to choose.
_UNDATED = re.compile(r"`([^`\n]+)` is missing an upload date")

_KEPT = re.compile(
    r"UV_(CACHE_DIR|HTTP_\w+|INDEX_\w+_(USERNAME|PASSWORD)|INSECURE_HOST|KEYRING_PROVIDER|"
    r"NATIVE_TLS|SYSTEM_CERTS|OFFLINE|REQUEST_TIMEOUT|CONCURRENT_\w+)"
)
_DROPPED = re.compile(r"UV_|PIP_|PYTHON|VIRTUAL_ENV$|CONDA_")


class UndatedError(UsageError):
    """Files of which no index says when they were uploaded, where the past is asked for."""

    def __init__(self, message: str, *, hint: str, files: tuple[str, ...]) -> None:
        super().__init__(message, hint=hint)
        self.files = files


class NeedsBuildError(UsageError):
    """A package has no wheel for the target: its metadata may need a build, in the image."""


def executable() -> Path:
    """Return uv's path: the `uv` package's own binary."""
    from uv import find_uv_bin

    return Path(find_uv_bin())


def version() -> str:
    """Return uv's version."""
    from importlib.metadata import version as version_of

    return version_of("uv")


def platform(target: Target) -> str:
    """Return uv's name of the target's platform, the nearest lower where it has not this one."""
    known = [minor for minor in _GLIBC if minor <= target.glibc_minor]
    if not known:
        raise UsageError(f"glibc {target.glibc}: uv knows 2.{_GLIBC[0]} and newer")
    return f"{target.machine}-manylinux_2_{known[-1]}"


def arguments(inputs: InputFiles, request: PipRequest) -> list[str]:
    """Return the arguments of `uv pip compile`, up to the interpreter and the build policy.

    Run in the folder with `inputs`; the old pins, where there are any, lie there as OUTPUT.
    """
    words = ["pip", "compile", "--no-config", "--no-progress", "--color", "never"]
    if as_of := request.environment.as_of:  # which it passes over silently when it is quiet
        words += ["--exclude-newer", as_of]
    else:
        words += ["--quiet"]
    words += ["--format", "pylock.toml", "--output-file", OUTPUT, "--no-header", "--no-annotate"]
    words += ["--no-sources", "--python-version", request.target.full_version]
    words += ["--python-platform", platform(request.target), "--no-python-downloads"]
    for name in inputs.constraints:
        words += ["--constraints", name]
    return [*words, *inputs.requirements]


def environment(indexes: Indexes, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the host's environment without what could change uv's choice, with the indexes."""
    found = {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) or not _DROPPED.match(name)
    }
    bundle = environ.get("PIP_CERT") or environ.get("REQUESTS_CA_BUNDLE")
    if bundle and "SSL_CERT_FILE" not in found:
        found["SSL_CERT_FILE"] = bundle
    return found | uv_environment(indexes)


def previous_pins(request: PipRequest) -> str:
    """Return the kept pins as a pylock that uv reads as preferences; empty: there are none."""
    import tomli_w

    packages = [{"name": item.name, "version": item.version} for item in request.kept]
    if not packages:
        return ""
    return tomli_w.dumps({"lock-version": "1.0", "created-by": "repro", "packages": packages})


def compile_on_host(request: PipRequest, indexes: Indexes, folder: Path) -> tuple[Package, ...]:
    """Resolve with wheels alone, keeping the pins that the requirements allow.

    Raises NeedsBuildError where a package has none, UsageError when the requirements cannot be
    met, NetworkError when an index cannot be read.
    """
    pins = previous_pins(request)
    # All pins as constraints first: with several indexes that list one package, uv rejects a
    # preferred version whose first listing has no file for the target (seen with uv 0.13.9).
    for keep in (_CONSTRAIN, _PREFER) if pins else ():
        try:
            return _compile(request, indexes, folder, keep=keep)
        except NetworkError:
            raise
        except UsageError:  # an upgrade or a new requirement needs a pin to move
            continue
    return _compile(request, indexes, folder, keep=_FREE)


def _compile(
    request: PipRequest, indexes: Indexes, folder: Path, *, keep: str
) -> tuple[Package, ...]:
    with scratch(folder) as work:
        inputs = write_inputs(request.environment.pip, work)
        if keep is _PREFER:
            write_atomic(work / OUTPUT, previous_pins(request).encode())
        elif keep is _CONSTRAIN:
            lines = "".join(f"{item.name}=={item.version}\n" for item in request.kept)
            write_atomic(work / PINS, lines.encode())
            inputs = replace(inputs, constraints=(*inputs.constraints, PINS))
        uv = executable()
        done = run(
            [uv, *arguments(inputs, request), "--no-build", "--python", sys.executable],
            env=environment(indexes, os.environ),
            cwd=work,
        )
        said = done.stderr.decode(errors="replace")
        require_dated(undated(said), request)
        if done.code:
            raise failure(said, request)
        return parse((work / OUTPUT).read_text(), indexes, request)


def undated(said: str) -> tuple[str, ...]:
    """Return the names of the files of which uv says that no index dates them."""
    return tuple(_UNDATED.findall(said))


def require_dated(files: Iterable[str], request: PipRequest) -> None:
    """Raise UndatedError where uv could not tell whether some files were there `as_of`.

    It left them out, or took them from a folder whatever their age. The project's own wheels are
    of no day.
    """
    own = request.wheels
    names_ = tuple(sorted({name for name in files if own is None or not (own / name).is_file()}))
    if request.environment.as_of and names_:
        raise UndatedError(
            f"{input_names(request.environment.pip)}: as-of {request.environment.as_of}: it is "
            f"not known when these were uploaded: {names.paths_shown(names_)}",
            hint="take as-of away, or use an index that says it (PEP 700)",
            files=names_,
        )


def parse(text: str, indexes: Indexes, request: PipRequest | None = None) -> tuple[Package, ...]:
    """Read uv's pylock.toml (PEP 751): every package with the files that fit the target.

    Raises UsageError for a package that is not from an index, and when the text is no pylock;
    UndatedError as `require_dated`.
    """
    try:
        listed = [
            item for entry in tomllib.loads(text).get("packages", []) for item in _files(entry)
        ]
        if request is not None:
            require_dated((_name(item) for item in listed if "upload-time" not in item), request)
        entries = tomllib.loads(text).get("packages", [])
        return tuple(sorted((_package(e, indexes) for e in entries), key=lambda p: p.name))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"uv wrote a pylock.toml that cannot be read: {names.said(error)}",
            hint="repro was tested with the versions of uv that it requires; reinstall it",
        ) from error


def _package(entry: Mapping[str, Any], indexes: Indexes) -> Package:
    name = canonicalize_name(entry["name"])
    if any(kind in entry for kind in ("vcs", "directory", "archive")):
        raise UsageError(
            f"{name}: is required by address, not from an index",
            hint=f"require a released version of {name}, or vendor it into the project",
        )
    return Package(
        name=name,
        version=entry["version"],
        files=tuple(_file(item, indexes) for item in _files(entry)),
    )


def _files(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]


def _address(item: Mapping[str, Any]) -> str:
    return item.get("url") or Path(item["path"]).absolute().as_uri()


def _name(item: Mapping[str, Any]) -> str:
    return item.get("name") or unquote(urlsplit(_address(item)).path.rpartition("/")[2])


def _file(item: Mapping[str, Any], indexes: Indexes) -> ListedFile:
    address = _address(item)
    return ListedFile(
        filename=_name(item),
        address=indexes.with_credentials(address),
        index=indexes.alias_of(address),
        sha256=item.get("hashes", {}).get("sha256"),
        size=item.get("size"),
    )


def failure(said: str, request: PipRequest) -> ReproError:
    """Turn uv's explanation into the error that a person can act on."""
    plain = redact(re.sub(r"\x1b\[[0-9;]*m", "", said)).strip()
    said = in_users_words(plain, request.environment.pip)
    where = input_names(request.environment.pip)
    if re.search(r"no usable wheels|building (from )?source( distributions)? is disabled", said):
        return NeedsBuildError(
            f"{where}: a package has no wheel for Python {request.interpreter.version}:\n"
            f"{_condensed(said)}",
            hint="allow another version of it that has one",
        )
    if _is_network(said):
        return NetworkError(
            f"{where}: an index cannot be read:\n{_condensed(said)}",
            hint="check the network and the indexes that uv or pip is configured with",
        )
    return UsageError(
        f"{where}: cannot be resolved for Python {request.interpreter.version}:\n"
        f"{_condensed(said)}",
        hint=f"change the requirements in {where}",
    )


def _is_network(said: str) -> bool:
    return "No solution found" not in said and bool(
        re.search(r"Failed to fetch|Request failed|error sending request|Network|offline", said)
    )


def _condensed(said: str, lines: int = 12) -> str:
    """Return uv's words without its labels, wrapped, at most `lines` of them."""
    kept: list[str] = []
    for line in _paragraphs(said.splitlines()):
        kept += textwrap.wrap(line, 96) or []
    more = [f"… {len(kept) - lines} more lines"] if len(kept) > lines else []
    return "\n".join(f"  {line}" for line in [*kept[:lines], *more])


def _paragraphs(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        text = re.sub(r"^\s*(error|cause|hint|warning|×|╰─▶|│)+:?\s*", "", line).strip()
        if text and not re.match(r"Resolved \d+ packages?|No solution found", text):
            yield text
