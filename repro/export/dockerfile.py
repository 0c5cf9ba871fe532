"""A Dockerfile that gives a comparable environment without repro.

It needs no build context and no BuildKit. Every name and version in it went through the grammars
of `repro.locks.names`, so none can end a line or a quote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from repro.errors import LockError
from repro.export.facts import distribution, family, head, states
from repro.models.execution import PROJECT, UID
from repro.models.lock import CONDA_PREFIX, VENV, Interpreter, Lock

_LINES = 200  # of a file that one RUN writes: a shell takes arguments of 128 KiB
_PLAIN = re.compile(r"[A-Za-z0-9.+:~_=@%/ !#&?,*()\[\]-]*")
_INTRO = """\
# {head}.
# A comparable environment: the same packages by version, pip's and conda's by hash too. What is
# the same bit for bit is the image of `repro build`.
#
#   docker build --tag {tag} - < Dockerfile
#
"""
_SNAPSHOT = """\
# Debian packages come from where the base image has them from. Once those versions are gone there,
# name a snapshot archive: --build-arg APT_SNAPSHOT=ADDRESS
"""


def render(lock: Lock, *, name: str, env: Sequence[tuple[str, str]], explicit: str = "") -> str:
    """Return the Dockerfile of a lock; `env` is what the pinned image sets.

    `explicit` is conda's list of the lock's conda packages. Raises LockError for a value that no
    Dockerfile can hold.
    """
    tag = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-._") or "environment"
    parts = [_INTRO.format(head=head("dockerfile", lock), tag=tag)]
    if lock.debs:
        parts[0] += _SNAPSHOT
    parts.append("".join(_arguments(lock)))
    if lock.conda:
        parts.append(_conda_stage(explicit))
    parts.append("FROM ${BASE}\nUSER root\n")
    if lock.debs:
        parts.append(_apt(lock))
    if lock.seal.base is not None and lock.prefixes:
        parts.append(_run(["rm -rf " + " ".join(lock.prefixes)]))
    if lock.conda:
        parts.append(f"COPY --from=conda {CONDA_PREFIX} {CONDA_PREFIX}\n")
    if lock.interpreter is not None:
        parts.append(_pip(lock, lock.interpreter))
    parts.append("".join(_end(lock, env)))
    return "\n".join(parts)


def _arguments(lock: Lock) -> Iterator[str]:
    """Yield what may be chosen before the first stage: only there every FROM sees it."""
    base = lock.seal.base
    if base is None:
        slim = "-slim" if distribution(lock) == "debian" else ""
        yield f"ARG BASE={distribution(lock)}:{lock.seal.suite}{slim}\n"
    else:
        pinned = "" if base.digest == base.id else f"@{base.digest}"
        yield f"ARG BASE={base.reference}{pinned}\n"
    if lock.conda:
        yield "ARG MICROMAMBA=mambaorg/micromamba\n"


def _apt(lock: Lock) -> str:
    lines = [
        "set -eu",
        *_snapshot(lock),
        "apt-get update",
        _list(
            "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "
            "--allow-downgrades",
            [f"{deb.name}={deb.version}" for deb in sorted(lock.debs, key=lambda deb: deb.name)],
        ),
        "rm -rf /var/lib/apt/lists/*",
    ]
    return f'ARG APT_SNAPSHOT=""\n{_run(lines)}'


def _snapshot(lock: Lock) -> Iterator[str]:
    """Yield the commands that have apt read the archive as it was when it was resolved."""
    found = states(lock)
    if not found:
        return
    parts, address = family(lock).components, "[check-valid-until=no] ${APT_SNAPSHOT}/archive"
    lines = [
        f'"deb {address}/{archive}/{moment}/ {suite} {parts}"' for archive, suite, moment in found
    ]
    replace = [
        "> /etc/apt/sources.repro",
        "&& rm -rf /etc/apt/sources.list /etc/apt/sources.list.d",
        "&& mv /etc/apt/sources.repro /etc/apt/sources.list; fi",
    ]
    yield _list('if [ -n "${APT_SNAPSHOT}" ]; then printf "%s\\n"', [*lines, *replace])


def _conda_stage(explicit: str) -> str:
    """Return a stage of its own, in which conda's packages are installed."""
    lines = [line for line in explicit.splitlines() if line and not line.startswith("#")]
    return (
        "FROM ${MICROMAMBA} AS conda\n"
        "USER root\n"
        + "".join(_written(lines, "/root/explicit.txt"))
        + f"RUN micromamba create --yes --prefix {CONDA_PREFIX} --file /root/explicit.txt\n"
    )


def _pip(lock: Lock, interpreter: Interpreter) -> str:
    """Install pip's packages by hash, with a pip that does not stay."""
    prepare, pip = _with_pip(lock, interpreter)
    if not lock.pip:
        return _run(["set -eu", *prepare]) if prepare else ""
    pins = [
        f"{item.name}=={item.version} --hash=sha256:{item.sha256}"
        for item in sorted(lock.pip, key=lambda item: item.name)
    ]
    install = (
        f"{pip} install --no-cache-dir --no-deps --ignore-installed --require-hashes "
        "--requirement /root/requirements.txt"
    )
    fetched = _wheel_package(lock) if _is_debians(lock, interpreter) else None
    lines = [
        "set -eu",
        *((_fetch_wheels(fetched),) if fetched is not None else ()),
        *prepare,
        install,
        "rm -rf /root/pip /root/requirements.txt /var/lib/apt/lists/*",
    ]
    written = "".join(_written(pins, "/root/requirements.txt"))
    return f"ARG PIP_INDEX_URL\nARG PIP_EXTRA_INDEX_URL\n{written}{_run(lines)}"


def _with_pip(lock: Lock, interpreter: Interpreter) -> tuple[list[str], str]:
    """Return the commands that make the environment, and how pip is called for it."""
    wheels = 'PYTHONPATH="$(printf %s: /root/pip/usr/share/python-wheels/*.whl)" '
    if interpreter.conda:
        python = interpreter.path
        return [f"{python} -m pip --version || {python} -m ensurepip"], f"{python} -m pip"
    if interpreter.version.startswith("2."):
        return [], f"{wheels}{interpreter.path} -m pip"
    system = " --system-site-packages" if lock.seal.system_site_packages else ""
    made = f"{interpreter.path} -m venv --without-pip{system} {VENV}"
    if _is_debians(lock, interpreter):
        return [made], f"{wheels}{VENV}/bin/python -m pip"
    return [made], f"{interpreter.path} -m pip --python {VENV}/bin/python"


def _is_debians(lock: Lock, interpreter: Interpreter) -> bool:
    """Whether the interpreter comes from apt, and so a pip of its age does too."""
    return not interpreter.conda and interpreter.path == f"/usr/bin/python{interpreter.version}"


def _wheel_package(lock: Lock) -> str:
    return "python-pip-whl" if lock.seal.suite == "bullseye" else "python3-pip-whl"


def _fetch_wheels(package: str) -> str:
    return (
        f"mkdir /root/pip; cd /root/pip; apt-get update; apt-get download {package}; "
        f"dpkg-deb --extract {package}_*.deb /root/pip"
    )


def _end(lock: Lock, env: Sequence[tuple[str, str]]) -> Iterator[str]:
    inherited = dict(lock.seal.base.env) if lock.seal.base is not None else {}
    for name, value in env:
        if inherited.get(name) != value:
            yield f'ENV {name}="{_plain(name, value)}"\n'
    yield f"USER {UID}:{UID}\nWORKDIR {PROJECT}\n"
    command = [f"python{lock.seal.python}"] if lock.seal.python else ["/bin/sh"]
    yield f"CMD {json.dumps(command)}\n"


def _plain(name: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise LockError(
            f"{name}: the base image sets it to a value that no Dockerfile can hold as it is",
            hint="use another base image, or export another format",
        )
    return value


def _written(lines: Iterable[str], path: str) -> Iterator[str]:
    """Yield the steps that write these lines, which hold no quote, to a file."""
    rest = list(lines)
    sign = ">"
    while rest:
        part, rest = rest[:_LINES], rest[_LINES:]
        if wrong := next((line for line in part if not _PLAIN.fullmatch(line)), None):
            raise LockError(f"{wrong!r} cannot stand in a Dockerfile", hint="lock another package")
        quoted = _list("printf '%s\\n'", [f"'{line}'" for line in part])
        yield f"RUN {quoted} \\\n      {sign} {path}\n"
        sign = ">>"


def _list(command: str, words: Iterable[str]) -> str:
    return " \\\n      ".join([command, *words])


def _run(commands: Iterable[str]) -> str:
    return "RUN " + "; \\\n    ".join(commands) + "\n"
