"""Resolving with pip-tools inside the image: interpreters that uv refuses, and who wants it."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from repro.addresses import redact
from repro.ecosystems.pip import bootstrap
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.indexes import pip_environment
from repro.ecosystems.pip.jobs import Step, network_environment, read_result, run_step, show_local
from repro.ecosystems.pip.pages import Catalogue, ListedFile, project_of
from repro.ecosystems.pip.request import (
    Package,
    PipRequest,
    in_users_words,
    input_names,
    write_inputs,
)
from repro.errors import NetworkError, ReproError, UsageError
from repro.files import make_folder, scratch, write_atomic
from repro.locks.names import shown
from repro.models.execution import PROJECT
from repro.store.fetch import Fetcher

OUTPUT = "requirements.txt"
_CONSTRAINTS = "constraints.in"
_COMMAND = (
    "-m", "piptools", "compile", "--quiet", "--allow-unsafe", "--no-header", "--no-annotate",
    "--no-emit-index-url", "--no-emit-trusted-host", "--output-file", OUTPUT,
)  # fmt: skip

_SILENT = re.compile(r"Were |During handling of|The above exception|\s*\[end of output|\s*note: ")
_NETWORK = re.compile(
    r"Could not fetch URL|Max retries exceeded|connection error|Connection refused|"
    r"NewConnectionError|ReadTimeout|50[0-4] (Server|Service)|HTTP error"
)


def compile_in_image(
    request: PipRequest,
    catalogue: Catalogue,
    *,
    builder: Builder,
    fetcher: Fetcher,
    folder: Path,
) -> tuple[Package, ...]:
    """Resolve with `pip-compile` under the target's own interpreter.

    It finds the versions; the files and their hashes come from the same indexes' pages, because
    pip-tools' own `--generate-hashes` downloads every file of a package where an index has no
    JSON interface. Raises UsageError when the requirements cannot be met, NetworkError when an
    index cannot be read.
    """
    with scratch(folder) as work:
        stage = make_folder(work / "stage")
        for name in ("scratch", "cache"):
            make_folder(stage / name)
        tools = bootstrap.put_tools(
            request.interpreter, stage, fetcher=fetcher, catalogue=catalogue
        )
        inputs = write_inputs(request.environment.pip, stage)
        write_atomic(
            stage / _CONSTRAINTS, "".join(f"-c {name}\n" for name in inputs.constraints).encode()
        )
        if pins := "".join(f"{item.name}=={item.version}\n" for item in request.kept):
            write_atomic(stage / OUTPUT, pins.encode())
        shown = show_local(catalogue.indexes, stage)
        done = run_step(
            builder,
            Step(
                argv=(tools.python, *_COMMAND, *inputs.requirements, _CONSTRAINTS),
                stage=stage,
                env=(
                    *network_environment(stage),
                    *pip_environment(shown.indexes).items(),
                    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
                    ("PIP_TOOLS_CACHE_DIR", f"{PROJECT}/cache"),
                    *tools.env,
                ),
                mounts=shown.mounts,
                network=True,
            ),
            work / "log",
        )
        if not done.execution.succeeded:
            raise failure(done.log, request)
        pins = read_result(stage / OUTPUT)
    return tuple(
        Package(name=name, version=version, files=files_of(name, version, catalogue))
        for name, version in parse(pins)
    )


def parse(text: str) -> tuple[tuple[str, str], ...]:
    """Read pip-compile's output: (normalised name, version), sorted. Raises UsageError."""
    found: dict[str, str] = {}
    for raw in text.splitlines():
        line = raw.partition(" #")[0].strip()
        if not line or line.startswith(("#", "--")):
            continue
        try:
            requirement = Requirement(line.rstrip("\\"))
            [pin] = requirement.specifier
            version = str(Version(pin.version))
        except (InvalidRequirement, InvalidVersion, ValueError):
            pin = None
        if pin is None or pin.operator != "==":
            raise UsageError(
                f"{shown(line)} is not a pinned release of an index",
                hint="require a released version, or vendor it into the project",
            )
        found[canonicalize_name(requirement.name)] = version
    return tuple(sorted(found.items()))


def files_of(name: str, version: str, catalogue: Catalogue) -> tuple[ListedFile, ...]:
    """Return the files of one release that the indexes list. Raises NetworkError."""
    return tuple(
        file
        for file in catalogue.files(name, "default")
        if project_of(file.filename) == (name, version)
    )


def failure(said: str, request: PipRequest) -> ReproError:
    """Turn pip-tools' last words into the error that a person can act on."""
    said = in_users_words(redact(said), request.environment.pip).strip()
    where = input_names(request.environment.pip)
    tail = "\n".join(f"  {line.strip()[:200]}" for line in _telling(said)[-12:])
    if _NETWORK.search(said):
        return NetworkError(
            f"{where}: an index cannot be read:\n{tail}",
            hint="check the network and the indexes that pip or uv is configured with",
        )
    return UsageError(
        f"{where}: cannot be resolved for Python {request.interpreter.version}:\n{tail}",
        hint=f"change the requirements in {where}",
    )


def _telling(said: str) -> list[str]:
    """Return the lines that say something, once each: no tracebacks, nothing that they quote."""
    found: dict[str, None] = {}
    quoting = False
    for line in said.splitlines():
        quoting = line.startswith("Traceback") or (quoting and line.startswith(" "))
        if not quoting and line.strip() and not _SILENT.match(line):
            found[line] = None
    return list(found)
