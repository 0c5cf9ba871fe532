"""From requirements to locked files: one chosen file for each package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from repro.download import Body, Http
from repro.ecosystems.pip import bootstrap, piptools, sdist, uv, uv_in_image
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.fetch import built, label, want
from repro.ecosystems.pip.indexes import DEFAULT, effective, with_folder
from repro.ecosystems.pip.pages import Catalogue, ListedFile, is_absent
from repro.ecosystems.pip.provided import among, without
from repro.ecosystems.pip.request import (
    Package,
    PipRequest,
    PipResolution,
    allowed_hashes,
    input_names,
)
from repro.ecosystems.pip.select import best, is_wheel
from repro.ecosystems.pip.tags import supported
from repro.errors import NetworkError, UsageError
from repro.models.lock import PipArtifact, Provenance, SourceBuild
from repro.models.project import PLATFORM, RequirementSet
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher

__all__ = ["PipRequest", "PipResolution", "resolve"]

_WORKERS = 8
_NOT_FOUND = re.compile(r"([A-Za-z0-9._-]+) was not found in the package registry")


def resolve(
    request: PipRequest,
    *,
    store: Store,
    fetcher: Fetcher,
    http: Http,
    builder: Builder,
) -> PipResolution:
    """Choose one file for every package that the requirements need, and that is not there yet.

    uv resolves on the host, with wheels alone: a version without a wheel is taken only where no
    version with one fits. Where that leaves nothing, uv resolves inside the image, where builds
    may run; pip-tools resolves there for interpreters that uv refuses and where the environment
    asks for it. Raises UsageError naming the input files when nothing fits, NetworkError when
    an index cannot be read, LockError when a source distribution does not build.
    """
    request = among(request)
    if not any(one.lines for one in request.environment.pip if not one.constraint):
        return PipResolution(artifacts=(), provenance=())
    resolver = _Resolver(
        request=request,
        catalogue=Catalogue(with_folder(effective(request.sources), request.wheels), http),
        store=store,
        fetcher=fetcher,
        http=http,
        builder=builder,
    )
    try:
        packages, name, version = resolver.packages()
    except uv.UndatedError as error:
        raise resolver.naming_the_index(error) from error
    artifacts = resolver.artifacts(without(packages, request.provided))
    return PipResolution(artifacts=artifacts, provenance=_provenance(name, version))


def _provenance(name: str, version: str) -> tuple[Provenance, ...]:
    return (Provenance(source="pip", facts=(("resolver", name), ("version", version))),)


def _refuse_as_of(request: PipRequest) -> None:
    """Refuse the past where nothing can look at upload times: pip-tools and old pips do not."""
    if request.environment.as_of:
        why = f"Python {request.target.python}"
        if request.target.version >= uv.OLDEST:
            why = 'resolver = "pip-tools"'
        raise UsageError(
            f"as-of {request.environment.as_of}: {why}: pip-tools cannot leave out what was "
            "uploaded later",
            hint='take as-of away; or let uv resolve, for Python 3.6 and later: resolver = "uv"',
        )


def _refuse_foreign(request: PipRequest, why: str) -> None:
    """Refuse what has to run on another platform than this host's own."""
    if request.platform != PLATFORM:
        raise UsageError(
            f"{request.platform}: nothing can be built for it on {PLATFORM}: {why}",
            hint=f"lock it on a host of {request.platform}; or require versions that have wheels",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Resolver:
    """One resolution and its collaborators."""

    request: PipRequest
    catalogue: Catalogue
    store: Store
    fetcher: Fetcher
    http: Http
    builder: Builder

    def packages(self) -> tuple[tuple[Package, ...], str, str]:
        """Return the packages, and the resolver's name and version."""
        request, indexes = self.request, self.catalogue.indexes
        folder = self.store.root / "tmp"
        if request.target.version < uv.OLDEST or request.environment.resolver == "pip-tools":
            _refuse_as_of(request)
            _refuse_foreign(request, "pip-tools resolves inside the image")
            found = piptools.compile_in_image(
                request,
                self.catalogue,
                builder=self.builder,
                fetcher=self.fetcher,
                folder=folder,
            )
            [tool] = bootstrap.some(request.interpreter.version, "pip-tools")
            return found, tool.name, tool.version
        if not any(item.build for item in request.kept):
            try:
                return uv.compile_on_host(request, indexes, folder), "uv", uv.version()
            except uv.NeedsBuildError as error:
                _refuse_foreign(request, error.message)
                self.fetcher.progress.note(
                    "a package has no wheel: resolving again inside the image, with builds"
                )
            except UsageError as error:
                self._check_withheld(error)
                raise
        built = ", ".join(item.name for item in request.kept if item.build)
        _refuse_foreign(request, f"{built}: built from source")
        found = uv_in_image.compile_in_image(request, indexes, builder=self.builder, folder=folder)
        return found, "uv in the image", uv.version()

    def naming_the_index(self, error: uv.UndatedError) -> UsageError:
        """Return the error with the index that does not date its files."""
        for filename in error.files:
            if (address := self.catalogue.undated(filename)) is not None:
                return UsageError(
                    f"{error.message}; {address} does not say it",
                    hint="take as-of away, or use an index that says upload times (PEP 700) in "
                    "its place",
                )
        return error

    def _check_withheld(self, error: UsageError) -> None:
        """Raise NetworkError where uv did not find what an index does not let us see.

        Looking at all indexes at once, uv takes one that answers 401 or 403 for an empty one.
        """
        said = " ".join(error.message.split())
        for name in _NOT_FOUND.findall(said):
            try:
                next(self.catalogue.files(canonicalize_name(name), DEFAULT), None)
            except NetworkError as unread:
                if not is_absent(unread):
                    raise

    def artifacts(self, packages: Sequence[Package]) -> tuple[PipArtifact, ...]:
        """Return the chosen file of every package, sorted by name, source builds done."""
        chosen = [self._choose(package) for package in packages]
        with self.http.workers(_WORKERS) as pool:
            found = list(pool.map(self._complete, packages, chosen))
        return tuple(
            item if is_wheel(item.filename) else self._built(item)
            for item in sorted(found, key=lambda item: item.name)
        )

    def _choose(self, package: Package) -> ListedFile:
        sets = self.request.environment.pip
        allowed = allowed_hashes(sets).get(package.name)
        files = [f for f in package.files if allowed is None or f.sha256 in allowed]
        kept = {old.sha256 for old in self.request.kept if old.name == package.name}
        # a pin is a file: an index may have another one of the same name
        same = [file for file in files if file.sha256 in kept]
        tags = supported(self.request.target)
        file = best(same, tags) or best(files, tags)
        if file is None:
            hashed = " with one of the hashes that are required" if allowed is not None else ""
            raise UsageError(
                f"{input_names(sets)}: {package.name} {package.version} has no file{hashed} "
                f"for Python {self.request.target.python}, glibc {self.request.target.glibc}",
                hint=f"allow another version of {package.name}",
            )
        return file

    def _complete(self, package: Package, file: ListedFile) -> PipArtifact:
        """Find out what the index left open: the hash by reading the file, the size by asking."""
        for old in self.request.previous:
            if (old.name, old.sha256) == (package.name, file.sha256) and old.size:
                build = old.build if self._still_fits(old) and not self._is_lost(old) else None
                return replace(old, version=package.version, filename=file.filename, build=build)
        sha256, size = file.sha256, file.size
        if sha256 is None:
            sha256, size = self._read(file)
        elif size is None:
            size = self._size(sha256, file.address)
        return PipArtifact(
            name=package.name,
            version=package.version,
            filename=file.filename,
            size=size,
            sha256=sha256,
            index=file.index,
        )

    def _size(self, sha256: str, address: str) -> int:
        """The size of a file in bytes: the store may have it, else its index is asked."""
        if self.store.has(sha256):
            return self.store.path(sha256).stat().st_size
        return self.http.size(address)

    def _still_fits(self, old: PipArtifact) -> bool:
        """Whether the wheel that was built for the old lock is one for this target."""
        if old.build is None:
            return False
        wheel = ListedFile(filename=old.build.wheel, address="", index=old.index)
        return best([wheel], supported(self.request.target)) is not None

    def _is_lost(self, old: PipArtifact) -> bool:
        """Whether a wheel that cannot be built again is gone, and its package may move."""
        if old.build is None or old.build.reproducible or not self.request.upgrade.covers(old.name):
            return False
        self.fetcher.take(built([old]))
        return not self.store.has(old.build.sha256, label=label(old))

    def _read(self, file: ListedFile) -> tuple[str, int]:
        """Read a file that its index gives no hash for; it is in the store afterwards."""

        def keep(body: Body) -> tuple[str, int]:
            return self.store.add(lambda target: target.writelines(body))

        return self.http.read(file.address, keep)

    def _built(self, artifact: PipArtifact) -> PipArtifact:
        """Build a source distribution, twice, and record what it needed and what came out."""
        if artifact.build is not None:  # a kept pin
            return artifact
        _refuse_foreign(self.request, f"{label(artifact)} has no wheel, only {artifact.filename}")
        self.fetcher.fetch([want(artifact, self.catalogue)], what="source distribution")
        requires = self._build_requirements(artifact)
        self.fetcher.fetch([want(item, self.catalogue) for item in requires], what="build tool")
        with self.fetcher.progress.task(f"building {artifact.name} {artifact.version}"):
            first, second = (
                sdist.build(
                    artifact,
                    requires,
                    interpreter=self.request.interpreter,
                    builder=self.builder,
                    store=self.store,
                )
                for _ in range(2)
            )
        if first != second:
            self.fetcher.progress.note(
                f"warning: {label(artifact)}: two builds of {artifact.filename} gave two wheels "
                f"(sha256 {first.sha256} and {second.sha256}); the lock keeps the first, which "
                "only this store has: repro vendor keeps it with the project"
            )
        build = SourceBuild(
            requires=requires,
            wheel=first.filename,
            sha256=first.sha256,
            reproducible=first == second,
        )
        return replace(artifact, build=build)

    def _build_requirements(self, artifact: PipArtifact) -> tuple[PipArtifact, ...]:
        """Return the hashed wheels that build a source distribution, pip among them."""
        python = self.request.interpreter.version
        wanted = sdist.build_requirements(artifact, self.store)
        if wanted is None and self.request.target.is_two:
            # setuptools and wheel of today do not run there; these are the last that do
            return bootstrap.some(python, "pip", "setuptools", "wheel")
        lines = sdist.LEGACY if wanted is None else wanted
        where = f"{label(artifact)} (build requirements)"
        environment = replace(
            self.request.environment, pip=(RequirementSet(path=where, lines=lines),)
        )
        inner = replace(self, request=replace(self.request, environment=environment, previous=()))
        packages, _, _ = inner.packages()
        files = [inner._complete(package, inner._choose(package)) for package in packages]
        if sources := [item.name for item in files if not is_wheel(item.filename)]:
            raise UsageError(
                f"{label(artifact)}: builds with {', '.join(sources)}, which has no wheel",
                hint=f"require a version of {artifact.name} that has a wheel",
            )
        have = {item.name for item in files}
        files += [tool for tool in bootstrap.some(python, "pip") if tool.name not in have]
        return tuple(sorted(files, key=lambda item: item.name))
