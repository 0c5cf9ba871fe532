"""The pip part of an image: layers straight from hashed wheels (DESIGN.md §6)."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from repro.ecosystems.base import LayerRecipe
from repro.ecosystems.pip.layout import Layout, of, skeleton
from repro.ecosystems.pip.wheel import Wheel, wheel_of
from repro.errors import LockError
from repro.models.image import RECIPE
from repro.models.lock import Interpreter, Lock, PipArtifact
from repro.store.artifacts import Store

if TYPE_CHECKING:  # a build in which every layer is cached makes keys, and opens no wheel
    from repro.ecosystems.pip.builder import Builder
    from repro.ecosystems.pip.wheels import Planned
    from repro.image.layer import Entry

LARGE = 4 << 20
"""Bytes of a wheel from which on it has a layer of its own."""

MOST = 40
"""Wheels with a layer of their own; an image has at most 60 layers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerTarget:
    """What of a lock, beside the artifacts, decides the layers.

    `identity` identifies the interpreter that compiles: a sha256 of what it is made of.
    """

    interpreter: Interpreter
    identity: str
    system_site_packages: bool = False
    allow_overlap: tuple[str, ...] = ()

    @classmethod
    def of(cls, lock: Lock) -> LayerTarget:
        """Return what this lock says. Raises LockError when it has no such interpreter."""
        interpreter = lock.interpreter
        if interpreter is None:
            raise LockError(
                "the environment has packages of pip, and no Python",
                hint="ask for python in environment.yml, or take an image that has one",
            )
        found = _made_of(lock, interpreter)
        if not found:
            raise LockError(
                f"apt.lock: python{interpreter.version} is missing", hint="run: repro snapshot"
            )
        return cls(
            interpreter=interpreter,
            identity=hashlib.sha256("\n".join(found).encode()).hexdigest(),
            system_site_packages=lock.seal.system_site_packages,
            allow_overlap=lock.seal.allow_overlap,
        )


def _made_of(lock: Lock, interpreter: Interpreter) -> list[str]:
    """What decides the interpreter's behaviour: digests of its packages, or of its image."""
    if interpreter.conda:
        return [package.sha256 for package in lock.conda if package.name == "python"]
    if lock.seal.base is not None:  # apt may have laid another libc below it
        return [lock.seal.base.id, interpreter.path, *sorted(deb.sha256 for deb in lock.debs)]
    parts = re.compile(rf"(lib)?python{re.escape(interpreter.version)}(-minimal|-stdlib)?")
    return sorted(deb.sha256 for deb in lock.debs if parts.fullmatch(deb.name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Occupied:
    """What lies in the prefix before pip's packages: `key` identifies it.

    `owners` returns {path without a slash before: package and version}.
    """

    key: str
    owners: Callable[[], Mapping[str, str]]


def recipes(
    artifacts: Sequence[PipArtifact],
    *,
    target: LayerTarget,
    store: Store,
    builder: Builder,
    occupied: Occupied | None = None,
) -> tuple[LayerRecipe, ...]:
    """Return the layers of these artifacts: large wheels first, one each, then all the others.

    `builder` runs the base layers. Writing a layer needs the artifacts in the store, and raises
    LockError where two wheels write one path differently, or one over a file of what is
    `occupied`; several may be written at once. The last layer's key covers every wheel and that,
    so that a clash is noticed even where all other layers were built before.
    """
    layout = of(target.interpreter)
    build = _Build(
        artifacts=tuple(sorted(artifacts, key=lambda item: item.name)),
        layout=layout,
        target=target,
        store=store,
        builder=builder,
        occupied=occupied,
    )
    large = sorted(
        (item for item in artifacts if item.build is None and item.size > LARGE),
        key=lambda item: (-item.size, item.name),
    )[:MOST]
    names = [item.name for item in large]
    groups: list[tuple[str, tuple[str, ...]]] = [
        (f"pip {item.name} {item.version}", (item.name,)) for item in large
    ]
    rest = tuple(wheel.name for wheel in build.wheels if wheel.name not in names)
    if rest or names or layout.virtual:
        groups.append((f"pip: {len(rest)} small packages", rest))
    writers = [
        _Writer(build=build, group=group, last=number == len(large))
        for number, (_, group) in enumerate(groups)
    ]
    build.writers.extend(writers)
    return tuple(
        LayerRecipe(name=name, key=writer.key, write=writer)
        for (name, _), writer in zip(groups, writers, strict=True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Writer:
    """One layer: the packages in it; the last one has the environment itself too."""

    build: _Build
    group: tuple[str, ...]
    last: bool

    @property
    def key(self) -> str:
        return self.build.key(self.group, last=self.last)

    def __call__(self, file: BinaryIO) -> None:
        self.build.write(file, self.group, last=self.last)


@dataclass(kw_only=True)
class _Build:
    """What the layers of one lock share: the wheels' plans, read once, and their bytecode."""

    artifacts: tuple[PipArtifact, ...]
    layout: Layout
    target: LayerTarget
    store: Store
    builder: Builder
    occupied: Occupied | None
    ready: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    writers: list[_Writer] = field(default_factory=list)
    whole: dict[str, tuple[Planned, ...]] = field(default_factory=dict)
    """Every file of each wheel."""
    plans: dict[str, tuple[Planned, ...]] = field(default_factory=dict)
    """Those that it keeps."""

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """All wheels, sorted by package."""
        return tuple(wheel_of(item, self.store) for item in self.artifacts)

    def key(self, group: tuple[str, ...], *, last: bool) -> str:
        """Return the key of the layer of these packages."""
        target = self.target
        # What a wheel loses to another one depends on all wheels: only where that is allowed.
        whole = last or bool(target.allow_overlap)
        parts = [
            "pip",
            RECIPE,
            self.layout.python,
            self.layout.prefix,
            self.target.identity,
            target.system_site_packages if last else None,
            sorted(target.allow_overlap),
            group,
            [[w.name, w.sha256] for w in self.wheels if whole or w.name in group],
            *([self.occupied.key] if whole and self.occupied is not None else []),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def write(self, file: BinaryIO, group: tuple[str, ...], *, last: bool) -> None:
        """Write the layer of these packages."""
        from repro.ecosystems.pip.wheels import DAMAGED, opened
        from repro.image.layer import unmarked, write_layer

        with self.lock:
            self._prepare()
        chosen = [wheel for wheel in self.wheels if wheel.name in group]
        try:
            with ExitStack() as stack:
                entries = list(self._skeleton()) if last else []
                bytecode: dict[str, Entry] = {}
                for wheel in chosen:
                    self.store.checked(wheel.sha256, label=wheel.label)
                    entries += stack.enter_context(opened(wheel, self.plans[wheel.name]))
                    # Two wheels may hold the same source, and compile it to other bytes.
                    bytecode |= {e.path: e for e in self._bytecode(wheel, stack)}
                write_layer(file, unmarked([*entries, *bytecode.values()]))
        except DAMAGED as error:
            named = ", ".join(wheel.filename for wheel in chosen)
            raise LockError(
                f"{named}: {error}", hint="the wheel is damaged; lock another version of it"
            ) from error

    def _skeleton(self) -> tuple[Entry, ...]:
        return skeleton(self.layout, system_site_packages=self.target.system_site_packages)

    def _bytecode(self, wheel: Wheel, stack: ExitStack) -> tuple[Entry, ...]:
        from repro.ecosystems.pip.bytecode import opened_bytecode

        return stack.enter_context(
            opened_bytecode(
                wheel,
                self.plans[wheel.name],
                self.layout,
                interpreter_id=self.target.identity,
                store=self.store,
            )
        )

    def _prepare(self) -> None:
        """Build what is a source, plan every wheel, compile: once for all layers."""
        from repro.ecosystems.pip.sdist import have_built
        from repro.ecosystems.pip.wheels import plan

        if self.ready:
            return
        have_built(
            self.artifacts,
            interpreter=self.target.interpreter,
            builder=self.builder,
            store=self.store,
        )
        self.whole = {wheel.name: plan(wheel, self.layout) for wheel in self.wheels}
        if self.occupied is not None:
            require_free(self.whole.values(), self.wheels, self.occupied.owners())
        self.plans = without_overlap(
            [(wheel, self.whole[wheel.name]) for wheel in self.wheels],
            reserved=frozenset(e.path for e in self._skeleton() if e.kind != "dir"),
            allowed=self.target.allow_overlap,
        )
        self._compile_missing()
        self.ready = True

    def _compile_missing(self) -> None:
        """Compile for every layer that is not built yet, in one job."""
        from repro.ecosystems.pip.bytecode import have_bytecode

        due = {
            name
            for writer in self.writers
            if self.store.layer(writer.key) is None
            for name in writer.group
        }
        have_bytecode(
            [(wheel, self.whole[wheel.name]) for wheel in self.wheels if wheel.name in due],
            self.layout,
            interpreter_id=self.target.identity,
            store=self.store,
            builder=self.builder,
        )


def require_free(
    plans: Iterable[tuple[Planned, ...]], wheels: Iterable[Wheel], owners: Mapping[str, str]
) -> None:
    """Raise LockError for a wheel that writes over a conda file, or where conda has a folder.

    The message names both packages and the path.
    """
    folders: dict[str, str] = {}
    for path, package in owners.items():
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            folders[parent] = package
            parent = parent.rpartition("/")[0]
    for wheel, planned in zip(wheels, plans, strict=True):
        for item in planned:
            parts = item.path.split("/")
            above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
            found = [folders.get(item.path), *(owners.get(path) for path in above)]
            if (other := next(filter(None, found), None)) is not None:
                raise LockError(
                    f"{wheel.label}: writes /{item.path}, which conda {other} has already",
                    hint=f"leave {wheel.name} to one of them: drop it from pip's requirements, or "
                    "its like from environment.yml",
                )


def without_overlap(
    plans: Sequence[tuple[Wheel, tuple[Planned, ...]]],
    *,
    reserved: frozenset[str],
    allowed: Sequence[str],
) -> dict[str, tuple[Planned, ...]]:
    """Return the plans by package, each path in one of them only, unless it is the same file.

    `allowed` are paths or package names: there the last package in sorted order wins. Raises
    LockError naming both packages and the path, also where a package writes below another's
    file or over the environment's own.
    """
    owner: dict[str, tuple[Wheel, Planned]] = {}
    lost: set[tuple[str, str]] = set()
    for wheel, planned in plans:
        for item in planned:
            if item.path in reserved:
                raise LockError(
                    f"{wheel.label}: writes {item.path}, which belongs to the environment itself",
                    hint=f"lock another version of {wheel.name}",
                )
            other = owner.get(item.path)
            if other is not None and not _same(other, (wheel, item)):
                if not _is_allowed(item.path, (other[0], wheel), allowed):
                    raise _clash(other[0], wheel, item.path)
                lost.add((other[0].name, item.path))
            owner[item.path] = (wheel, item)
    _check_folders(owner)
    return {
        wheel.name: tuple(item for item in planned if (wheel.name, item.path) not in lost)
        for wheel, planned in plans
    }


def _same(one: tuple[Wheel, Planned], other: tuple[Wheel, Planned]) -> bool:
    """Whether two planned files are one: mode and bytes."""
    from repro.ecosystems.pip.wheels import content_digest

    if (one[1].mode, one[1].size) != (other[1].mode, other[1].size):
        return False
    return content_digest(*one) == content_digest(*other)


def _is_allowed(path: str, wheels: tuple[Wheel, Wheel], allowed: Sequence[str]) -> bool:
    return path in allowed or f"/{path}" in allowed or any(w.name in allowed for w in wheels)


def _check_folders(owner: dict[str, tuple[Wheel, Planned]]) -> None:
    """Refuse a file where another package needs a folder."""
    for path, (wheel, _) in owner.items():
        parent = path.rpartition("/")[0]
        while parent:
            if parent in owner:
                raise _clash(owner[parent][0], wheel, parent)
            parent = parent.rpartition("/")[0]


def _clash(one: Wheel, other: Wheel, path: str) -> LockError:
    return LockError(
        f"pip {one.name} {one.version} and {other.name} {other.version} "
        f"both write {path}, differently",
        hint="drop one of the two, or say that the later may win: "
        f'[environment] allow-overlap = ["{other.name}"]',
    )
