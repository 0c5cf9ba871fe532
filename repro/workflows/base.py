"""The image that an environment stands on: pinned by digest, and looked into."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from repro.ecosystems.base_image import recipes
from repro.engines.docker.address import current_address
from repro.errors import EngineError, LockError, NetworkError, UsageError
from repro.image.config import MAX_BASE_LAYERS, SYSTEM_PATH, compose
from repro.locks.names import said
from repro.locks.reference import Reference
from repro.models.execution import Job
from repro.models.image import Image, Layer
from repro.models.lock import CONDA_PREFIX, VENV, BaseImage
from repro.models.project import Environment, Limits
from repro.progress import Progress
from repro.workflows.tools import Tools

if TYPE_CHECKING:
    from repro.image.merged import Merged
    from repro.image.pull import RemoteImage
    from repro.image.registry import Repository

_GLIBC = re.compile(r"(2\.[0-9]{1,3})(?:[^0-9].*)?", re.DOTALL)
_BANNER = re.compile(rb"GNU C Library [^\n]{0,200}release version (2\.[0-9]{1,3})[.,]")
_LIBRARIES = (
    "lib64",
    "lib",
    "lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
)
"""Where distributions have the C library."""
_SUITE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LIMITS = Limits(timeout=120.0, memory=1 << 30, best_effort=True)
# Nothing that python3-minimal lacks, json among it.
_ASK = """
import os, sys
try:
    library = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (OSError, ValueError):
    library = ""
lacking = "-"
try:
    import compileall, json, zipfile
except ImportError as error:
    lacking = error.name or "?"
print(sys.implementation.name, "%d.%d.%d" % sys.version_info[:3], lacking, library)
"""
_ANSWER = re.compile(
    r"(?P<kind>[a-z]{1,20}) (?P<version>3\.[0-9]{1,2}\.[0-9]{1,3}) "
    r"(?P<lacking>\S+) ?(?P<library>.*)"
)


def pin_base(
    reference: str, platform: str, tools: Tools, *, keep: BaseImage | None, upgrade: bool
) -> BaseImage:
    """Return the image of that name, pinned; an older pin of the name is kept unless `upgrade`.

    `reference` is as the user wrote it. The registry is asked first, then the docker engine.
    Raises UsageError for an image that cannot be a base, NetworkError where nobody has it,
    LockError where a registry serves something else than the digests say.
    """
    from repro.image.registry import reference_of

    whole = reference_of(reference, "image")
    if keep is not None and keep.reference == str(whole) and not upgrade:
        return keep
    with tools.progress.task(f"asking for {whole}"):
        base, known = _found(whole, platform, tools)
    if len(base.layers) > MAX_BASE_LAYERS:
        raise UsageError(
            f"{whole}: has {len(base.layers)} layers, and at most {MAX_BASE_LAYERS} can be a base",
            hint="flatten it: docker export CONTAINER | docker import - NAME",
        )
    return _looked_into(base, tools, base_layers(base, tools, known=known))


def base_layers(
    base: BaseImage,
    tools: Tools,
    *,
    vendor: Path | None = None,
    known: tuple[Repository, RemoteImage] | None = None,
) -> tuple[Layer, ...]:
    """Return the image's own layers, fetched where the store lacks them: first from `vendor`.

    `known` is what its registry said of it just now. Raises what writing the recipes of
    `repro.ecosystems.base_image` does.
    """
    store = tools.store
    found = []
    for recipe in recipes(
        base,
        store=store,
        http=tools.http,
        progress=tools.progress,
        vendor=vendor,
        offline=tools.offline,
        known=known,
    ):
        layer = store.layer(recipe.key)
        found.append(layer or store.keep_layer(recipe.name, recipe.key, recipe.write))
    return tuple(found)


def image_of(base: BaseImage, tools: Tools) -> Image:
    """Return the image of the base alone, as the builds and the interpreter are run in it."""
    return compose(base_layers(base, tools), env=base.env, command=("sh",), below=len(base.layers))


def dpkg_status(base: BaseImage, tools: Tools) -> bytes | None:
    """Return dpkg's record of what is installed in the image, None for one without dpkg."""
    from repro.ecosystems.apt import status
    from repro.image.merged import merged

    with merged(tools.store.layer_path(layer) for layer in base_layers(base, tools)) as files:
        return files.read(status.PATH)


def require_python(
    base: BaseImage, full: str, environment: Environment, *, conda: bool = False
) -> None:
    """Hold the environment's Python (`3.12.4`, "" for none) against what is asked for.

    It is the image's own, or, `conda`, one of the conda packages.

    Raises UsageError.
    """
    if environment.python and not f"{full}.".startswith(f"{environment.python}."):
        raise UsageError(
            f"{base.reference}: has {f'Python {full}' if full else 'no python3'}, and Python "
            f"{environment.python} is asked for",
            hint="take an image that has it, or leave out python under [environment]",
        )
    ours = (VENV, *((CONDA_PREFIX,) if environment.conda is not None else ()))
    hidden = next((one for one in ours if base.interpreter.startswith(f"{one}/")), None)
    if full and not conda and hidden is not None:
        raise UsageError(
            f"{base.reference}: its Python is {base.interpreter}, and {hidden} is where the locked "
            "packages go, in place of what an image has there",
            hint="take an image that has its Python elsewhere",
        )
    if environment.pip and not full:
        raise UsageError(
            f"{base.reference}: has no python3 in its PATH, and Python packages are asked for",
            hint="take an image with Python, or leave them out: pip = [] under [environment]",
        )
    require_glibc(base, environment)


def require_glibc(base: BaseImage, environment: Environment) -> None:
    """Refuse packages of pip or conda on an image that no such are built for: UsageError."""
    if (environment.pip or environment.conda is not None) and not base.glibc:
        kind = "conda" if environment.conda is not None else "Python"
        raise UsageError(
            f"{base.reference}: its C library is not glibc, and {kind} packages are for that",
            hint="take an image of Debian, Ubuntu or another system with glibc",
        )


def python_of(base: BaseImage, tools: Tools, *, whole: bool = False) -> str:
    """Return the version of the image's Python (`3.12.4`), "" for none.

    `whole`: it must have what packages of Python need. Raises EngineError, UsageError for an
    interpreter that is no CPython, does not run or is not whole.
    """
    if not base.interpreter:
        return ""
    answer = _asked(base, tools)
    if whole and answer["lacking"] != "-":
        raise UsageError(
            f"{base.reference}: its {base.interpreter} lacks the module {answer['lacking']}, and "
            "Python packages are asked for",
            hint="take an image with a whole Python: Debian's python3-minimal is none",
        )
    return answer["version"]


def _asked(base: BaseImage, tools: Tools) -> re.Match[str]:
    """Ask the image's Python what it is, in the build engine. Raises UsageError, EngineError."""
    image = image_of(base, tools)
    engine = tools.build_engine()
    engine.load(image)
    with tools.store.scratch() as folder:
        stage = folder / "stage"
        stage.mkdir()
        job = Job(
            image=image,
            steps=((base.interpreter, "-I", "-S", "-c", _ASK),),
            stage=stage,
            env=image.env,
            limits=_LIMITS,
            log=folder / "log",
        )
        execution = engine.run(job)
        log = job.log.read_text(encoding="utf-8", errors="replace")
    answer = _ANSWER.fullmatch(log.rstrip("\n").rpartition("\n")[2])
    if not execution.succeeded or answer is None:
        raise UsageError(
            f"{base.reference}: its {base.interpreter} does not run: {said(log[-300:])}",
            hint="choose an image whose python3 works",
        )
    if answer["kind"] != "cpython":
        raise UsageError(
            f"{base.reference}: its {base.interpreter} is {answer['kind']}, no CPython",
            hint="choose an image with CPython",
        )
    return answer


def _found(
    reference: Reference, platform: str, tools: Tools
) -> tuple[BaseImage, tuple[Repository, RemoteImage] | None]:
    """Ask the registry, then the engine; what the registry said comes with it."""
    from repro.image.pull import find
    from repro.image.registry import Repository

    repository = Repository(reference, tools.http, environ=os.environ, progress=tools.progress)
    try:
        remote = find(repository, reference.version, platform)
    except NetworkError as error:
        held = _held(reference, tools)
        if held is None:
            raise
        tools.progress.note(
            f"{reference}: pinned from the docker engine: {error.message}"
            + ("" if held.digest != held.id else f"; {_unpushed(error)}, so it is {held.id}")
        )
        return held, None
    base = BaseImage(
        reference=str(reference),
        digest=remote.digest,
        id=remote.id,
        layers=remote.configuration.layers,
        env=remote.configuration.env,
    )
    return base, (repository, remote)


def _unpushed(error: NetworkError) -> str:
    """Say why an image has no digest; only a registry that answered knows that it has it not."""
    return "no registry has it" if error.status == 404 else "no digest of it is known here"


def _held(reference: Reference, tools: Tools) -> BaseImage | None:
    """The image as a docker engine has it, its layers in the store; None where none has it.

    Its digest there may be that of an index; an image that was built there has none, and is
    pinned by its ID.
    """
    from repro.engines.docker.api import connect
    from repro.engines.docker.export import export, find_held
    from repro.image.manifests import digest_of, read_configuration
    from repro.image.registry import reference_of

    try:
        daemon = connect(current_address(os.environ))
        held = find_held(daemon, str(reference))
    except EngineError:
        return None
    if held is None:
        return None
    data = export(daemon, held, tools.store, tools.progress)
    label = f"{reference} in the docker engine"
    configuration = read_configuration(data, label=label)
    if configuration.layers != held.layers:
        raise LockError(f"{label}: was saved with other layers than it has", hint="pull it again")
    known = {
        digest
        for name, digest in held.digests
        if digest and reference_of(name, label).repository == reference.repository
    }
    return BaseImage(
        reference=str(reference),
        digest=reference.digest or next(iter(sorted(known)), digest_of(data)),
        id=digest_of(data),
        layers=configuration.layers,
        env=configuration.env,
    )


def _looked_into(base: BaseImage, tools: Tools, layers: Sequence[Layer]) -> BaseImage:
    """Fill in what the image's own files say: suite, interpreter, glibc."""
    from repro.ecosystems.apt import status
    from repro.image.merged import merged

    with merged(tools.store.layer_path(layer) for layer in layers) as files:
        record = files.read(status.PATH)
        found = replace(
            base,
            suite=_code_name(files.read("etc/os-release") or b""),
            interpreter=_interpreter(files, base, tools.progress),
        )
        libc = status.versions(record).get("libc6", "") if record else ""
        libc = libc or glibc_of(files)
    if not libc and found.interpreter:  # of another distribution
        libc = _asked(found, tools)["library"].removeprefix("glibc ")
    glibc = _GLIBC.fullmatch(libc)
    return replace(found, glibc=glibc[1] if glibc else "")


def _interpreter(files: Merged, base: BaseImage, progress: Progress) -> str:
    """The absolute path of the image's Python, its links followed; "" for none."""
    path = dict(base.env).get("PATH") or SYSTEM_PATH
    for folder in path.split(":"):
        found = files.find(f"{folder}/python3") if folder.startswith("/") else None
        if found is not None and found[1].kind == "file" and found[1].mode & 0o111:
            if files.find(f"{folder}/../pyvenv.cfg") is not None:
                progress.note(
                    f"{base.reference}: its python3 is of the virtual environment "
                    f"{folder.removesuffix('/bin')}, whose packages will not be seen: "
                    "ask for those that are needed"
                )
            return f"/{found[0]}"
    return ""


def glibc_of(files: Merged) -> str:
    """The version of the image's C library as glibc itself says it, "" for none."""
    for folder in _LIBRARIES:
        library = files.read(f"{folder}/libc.so.6") or b""
        if (said := _BANNER.search(library)) is not None:
            return said[1].decode()
    return ""


def _code_name(release: bytes) -> str:
    """The release's code name (os-release(5)), "" where it says none."""
    for line in release.decode(errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            name = value.strip().strip("\"'")
            return name if _SUITE.fullmatch(name) else ""
    return ""
