"""From the inputs to what one platform's lock holds: base, apt, conda and pip, in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from repro.ecosystems.apt.resolve import AptIndex, AptResolution
from repro.ecosystems.conda.request import CondaQuery, CondaResolution
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.request import PipRequest, PipResolution, Provided
from repro.ecosystems.pip.resolve import resolve
from repro.errors import UsageError
from repro.models.foreign import ForeignLock
from repro.models.image import Image
from repro.models.lock import CondaPackage, Interpreter, Lock, Upgrade
from repro.models.project import AptRequest, Environment, Project
from repro.workflows.assemble import environment_below_pip
from repro.workflows.base import require_glibc, require_python
from repro.workflows.bases import BaseRequest, opened
from repro.workflows.locking import Resolution, sealed
from repro.workflows.tools import Tools

_NOTHING: tuple[PipResolution, tuple[str, ...]] = (PipResolution(artifacts=(), provenance=()), ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """What is installed somewhere, in place of what would be resolved.

    `requests` is asked for apt's part once the index is there, `conda` and
    `pip` for their packages.
    """

    requests: Callable[[AptIndex], tuple[AptRequest, ...]]
    conda: Callable[[], CondaResolution]
    pip: Callable[[PipRequest], PipResolution]


def resolve_environment(
    project: Project,
    tools: Tools,
    old: Lock | None,
    upgrade: Upgrade,
    *,
    adopted: ForeignLock | None = None,
    installed: Installed | None = None,
) -> Resolution:
    """Resolve all that the project's environment asks for; what `old` pins is kept.

    apt and pip are resolved side by side: pip starts as soon as the image's glibc is known.
    `adopted`: Python packages are those of that lock, or none; `installed`: all is as there.
    Raises UsageError for inputs that cannot be met, LockError, NetworkError.
    """
    environment = project.environment
    old = _of_that_day(old, environment.as_of)
    requests = installed.requests if installed is not None else lambda _: environment.apt
    asked = BaseRequest(project=project, tools=tools, old=old, upgrade=upgrade, requests=requests)
    with opened(asked) as base:
        if base.image is not None and environment.conda is not None:
            require_glibc(base.image, environment)  # before any channel is asked
        conda = (
            installed.conda()
            if installed is not None
            else _conda(project, tools, base.glibc, old, upgrade, adopted)
        )
        brought = _of_conda(conda.packages)
        python, full = brought or (base.python, base.python_full)
        if base.image is not None:
            require_python(base.image, full or "", environment, conda=brought is not None)
        found = Resolution(
            platform=project.platform,
            python=python,
            base=base.image,
            as_of=environment.as_of,
            debs=AptResolution(debs=(), provenance=()),
            conda=conda.packages,
            provenance=conda.provenance,
        )
        # what pip resolves for: all of the lock but apt's part, which may be resolved still
        [below] = sealed(environment, [found])

        @cache
        def image() -> Image:
            [lock] = sealed(environment, [replace(found, debs=base.debs())])
            return environment_below_pip(project, lock, tools)

        pip, notes = _NOTHING
        if (interpreter := _interpreter(below, environment)) is not None:
            request = PipRequest(
                environment=environment,
                interpreter=interpreter,
                glibc=base.glibc,
                python_full=full,
                previous=old.pip if old else (),
                upgrade=upgrade,
                sources=project.sources,
                wheels=project.vendor_folder,
                platform=project.platform,
                provided=_provided(below),
            )
            pip, notes = (
                (installed.pip(request), ())
                if installed is not None
                else _pip(project, tools, request, image, adopted)
            )
        debs = base.debs()
    if debs.moved:
        tools.progress.note("moved too, because an upgrade needs it: " + ", ".join(debs.moved))
    return replace(found, debs=debs, pip=pip, notes=notes)


def _of_that_day(old: Lock | None, as_of: str) -> Lock | None:
    """The old lock with its pins where it is of the same day; they say nothing of another one."""
    if old is None or old.seal.as_of == as_of:
        return old
    return replace(old, debs=(), pip=(), conda=(), seal=replace(old.seal, provenance=()))


def _conda(
    project: Project,
    tools: Tools,
    glibc: str,
    old: Lock | None,
    upgrade: Upgrade,
    adopted: ForeignLock | None,
) -> CondaResolution:
    """Resolve the conda packages, if any are asked for, against the image's C library.

    Where the lock that is adopted has any, they are those or none.
    """
    environment = project.environment
    if environment.conda is None:
        return CondaResolution(packages=(), provenance=())
    from repro.ecosystems.conda import resolve as conda
    from repro.ecosystems.conda.adopt import require_taken

    taken = adopted.conda if adopted is not None else ()
    query = CondaQuery(
        request=environment.conda,
        platform=project.platform,
        glibc=glibc,
        previous=taken or (old.conda if old is not None else ()),
        upgrade=Upgrade() if taken else upgrade,
        as_of=environment.as_of,
        resolver=environment.conda_resolver,
    )
    found = conda.resolve(query, cache=tools.store.root / "conda", progress=tools.progress)
    if adopted is not None and taken:
        require_taken(adopted, found.packages, environment.conda.path)
    return found


def _of_conda(packages: Sequence[CondaPackage]) -> tuple[str, str] | None:
    """The version of conda's Python, `major.minor` and whole; None where conda brings none."""
    full = next((one.version for one in packages if one.name == "python"), None)
    return (".".join(full.split(".")[:2]), full) if full is not None else None


def _provided(lock: Lock) -> tuple[Provided, ...]:
    """What the conda packages hold for pip: known by name, their archives may be elsewhere yet."""
    if lock.interpreter is None or not lock.interpreter.conda:
        return ()
    from repro.ecosystems.conda.overlap import distributions

    return tuple(
        Provided(name=one.name, version=one.version, by=f"conda {package.name} {package.version}")
        for package in lock.conda
        for one in distributions(package)
    )


def _interpreter(below: Lock, environment: Environment) -> Interpreter | None:
    """The Python that pip's packages are for; None where there is none, and none is asked for."""
    asked = [one.path for one in environment.pip if one.lines and not one.constraint]
    if below.interpreter is None and asked:
        raise UsageError(
            f"{', '.join(asked)}: asks for packages of Python, and the environment has none",
            hint="add python to the dependencies in environment.yml",
        )
    return below.interpreter


def _pip(
    project: Project,
    tools: Tools,
    request: PipRequest,
    image: Callable[[], Image],
    adopted: ForeignLock | None,
) -> tuple[PipResolution, tuple[str, ...]]:
    """Return the Python packages, resolved or taken over, and what to say of them."""

    def resolved(asked: PipRequest) -> PipResolution:
        return resolve(
            asked,
            store=tools.store,
            fetcher=tools.fetcher(project.vendor_folder),
            http=tools.http,
            builder=Builder(engine=tools.build_engine, image=image),
        )

    if adopted is None:
        with tools.progress.task("resolving Python packages"):
            return resolved(request), ()
    from repro.ecosystems.pip.adopt import adopt  # most snapshots adopt nothing

    with tools.progress.task(f"taking over {adopted.path}"):
        found = adopt(adopted, request, resolved)
    return found.resolution, (*adopted.notes, *found.notes)
