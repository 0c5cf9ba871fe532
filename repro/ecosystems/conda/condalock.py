"""Resolve with conda-lock, for whoever wants conda's own solver: `conda-resolver = "conda-lock"`.

conda-lock (an extra) has conda, mamba or micromamba choose; which of them is this host's business.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from repro.ecosystems.conda.channels import addressed
from repro.ecosystems.conda.request import CondaQuery, CondaResolution
from repro.ecosystems.conda.settings import Settings
from repro.ecosystems.conda.virtual import virtual_packages
from repro.ecosystems.conda.words import inert
from repro.errors import EngineError, NetworkError, ReproError, UsageError
from repro.files import scratch, write_atomic
from repro.locks import conda, conda_names
from repro.models.lock import CondaPackage, Provenance
from repro.patience import Patience
from repro.process import Done, run
from repro.progress import Progress

_SOLVERS = ("conda", "mamba", "micromamba")
_INPUT, _VIRTUAL, _OUTPUT = "environment.yml", "virtual-packages.yml", "conda-lock.yml"
_NETWORK = re.compile(
    r"CondaHTTPError|ConnectionFailed|ConnectTimeout|HTTP 000|UnavailableInvalidChannel|"
    r"ProxyError|CondaSSLError|Could not connect|Download error"
)
_UNSATISFIABLE = re.compile(
    r"Unsatisfiable|PackagesNotFound|ResolvePackageNotFound|not available from current channels|"
    r"incompatible with|conflicts with|[Nn]othing provides|does not exist|Could not solve|"
    r"SpecsConfigurationConflict|can.t be satisfied|could not find",
    re.IGNORECASE,
)
_NOISE = re.compile(r"^(Traceback|  File |    |INFO:|WARNING:|subprocess\.)")


def resolve_with_conda_lock(
    query: CondaQuery,
    settings: Settings,
    *,
    folder: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> CondaResolution:
    """Choose the packages for one platform with conda-lock; temporary files go below `folder`.

    The pins that stand are conda's `pinned_packages`; where they do not fit any more, all is
    chosen anew, and said. Raises EngineError with the next step where a program is missing,
    UsageError in the solver's words, NetworkError, LockError.
    """
    if query.as_of:
        raise UsageError(
            'conda-resolver = "conda-lock" knows no day: conda cannot leave out newer packages',
            hint='leave it out with as-of: conda-resolver = "rattler"',
        )
    command, solver = _conda_lock(environ), _solver(environ)
    pins = [one for one in query.previous if not query.upgrade.covers(one.name)]
    with scratch(folder) as work:
        _write_inputs(query, settings, work)
        argv = [*command, "lock", "--conda", solver, "--file", _INPUT, "--lockfile", _OUTPUT]
        argv += ["--platform", conda_names.SUBDIRS[query.platform], "--log-level", "ERROR"]
        argv += ["--virtual-package-spec", _VIRTUAL]
        done = _run(argv, work, environ, pins)
        if done.code and pins and _UNSATISFIABLE.search(_words(done)):
            progress.note("the pins of the conda packages do not fit any more: all chosen anew")
            done = _run(argv, work, environ, ())
        if done.code:
            raise _error(done, query)
        text = (work / _OUTPUT).read_text(encoding="utf-8")
    found = conda.parse(text, where="what conda-lock wrote", foreign=True)
    facts = {
        "resolver": "conda-lock",
        "version": _version(),
        "solver": Path(solver).name,
        "virtual": " ".join("=".join(one) for one in _virtual(query)),
    }
    return CondaResolution(
        packages=found.of(query.platform),
        provenance=(Provenance(source="conda", facts=tuple(sorted(facts.items()))),),
    )


def _conda_lock(environ: Mapping[str, str]) -> Sequence[str]:
    """The command of conda-lock: beside this interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("conda-lock")
    found = (
        str(beside) if beside.is_file() else shutil.which("conda-lock", path=environ.get("PATH"))
    )
    if found is None:
        raise EngineError(
            'conda-resolver = "conda-lock": conda-lock is not installed',
            hint="pip install 'repro-gate[conda-lock]'; or leave the key out: rattler, which "
            "comes with repro, chooses then",
        )
    return (found,)


def _solver(environ: Mapping[str, str]) -> str:
    """The program that conda-lock has choose: never one that it would download."""
    named = environ.get("CONDA_EXE") or environ.get("MAMBA_EXE")
    if named and Path(named).is_file():
        return named
    places = (shutil.which(name, path=environ.get("PATH")) for name in _SOLVERS)
    found = next((path for path in places if path), None)
    if found is None:
        raise EngineError(
            'conda-resolver = "conda-lock": neither conda nor mamba nor micromamba is on PATH',
            hint="install one of them, or name it: CONDA_EXE=/path/to/conda; or leave the key "
            "out: rattler, which comes with repro, chooses then",
        )
    return found


def _virtual(query: CondaQuery) -> tuple[tuple[str, str, str], ...]:
    return virtual_packages(query.platform, query.glibc)


def _write_inputs(query: CondaQuery, settings: Settings, work: Path) -> None:
    """Write what conda-lock reads; JSON is YAML. The addresses may hold logins: it is private."""
    channels, specs = addressed(query.request, settings)
    asked = {"channels": channels, "dependencies": specs}
    virtual = {
        name: f"{number} {build}" if name == "__archspec" else number
        for name, number, build in _virtual(query)
    }
    subdirs = {conda_names.SUBDIRS[query.platform]: {"packages": virtual}}
    write_atomic(work / _INPUT, json.dumps(asked).encode())
    write_atomic(work / _VIRTUAL, json.dumps({"subdirs": subdirs}).encode())


def _run(
    argv: Sequence[str], work: Path, environ: Mapping[str, str], pins: Sequence[CondaPackage]
) -> Done:
    pinned = "&".join(f"{one.name}=={one.version}={one.build}" for one in pins)
    env = {
        **{name: value for name, value in environ.items() if name != "PYTHONPATH"},
        "CONDA_CHANNEL_PRIORITY": "strict",
        "CONDA_PINNED_PACKAGES": pinned,
        "TMPDIR": str(work),
    }
    try:
        return run(argv, env=env, cwd=work, timeout=Patience.of(environ).total)
    except EngineError as error:
        hint = "allow more time: REPRO_HTTP_DEADLINE=SECONDS; rattler is faster"
        raise EngineError(error.message, hint=hint) from error


def _words(done: Done) -> str:
    lines = [*done.text.splitlines(), *done.stderr.decode(errors="replace").splitlines()]
    return "\n".join(line for line in lines if line.strip() and not _NOISE.match(line))


def _error(done: Done, query: CondaQuery) -> ReproError:
    words = _words(done)
    said, where = inert(words), query.request.path
    if _NETWORK.search(words):
        return NetworkError(
            f"{where}: its channels cannot be read:\n{said}",
            hint="check their names and addresses, the network, and the logins in .condarc or "
            "netrc",
        )
    if _UNSATISFIABLE.search(words):
        return UsageError(
            f"{where}: its conda packages do not fit together on {query.platform}:\n{said}",
            hint="ask for other versions, or list the channel that has them",
        )
    return EngineError(
        f"conda-lock ended with {done.code}:\n{said}",
        hint='see whether it works by itself; rattler needs no conda: conda-resolver = "rattler"',
    )


def _version() -> str:
    try:
        return version("conda-lock")
    except PackageNotFoundError:  # one on PATH, in an environment of its own
        return "unknown"
