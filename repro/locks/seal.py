"""The seal `repro.lock`: binds the parsed inputs to the locks (DESIGN.md §5)."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from repro.errors import LockError
from repro.locks import names, toml
from repro.models.lock import (
    BaseImage,
    CondaPackage,
    Deb,
    Lock,
    LockState,
    PipArtifact,
    Provenance,
    Seal,
    SourceBuild,
)

APT_LOCK = "apt.lock"
PIP_LOCK = "requirements.txt"
CONDA_LOCK = "conda-lock.yml"
"""One for all platforms: it lies above their folders (DESIGN.md §5)."""
SEAL = "repro.lock"
IMAGE_RECORD = "image.toml"


def digest(data: bytes) -> str:
    """sha256 hex."""
    return hashlib.sha256(data).hexdigest()


def environment_key(debs: tuple[Deb, ...], seal: Seal, conda: tuple[CondaPackage, ...] = ()) -> str:
    """`sha256:<hex>` of everything that decides the environment, and of nothing else.

    Provenance, inputs and the day are left out: the same packages are the same environment.
    """
    parts: dict[str, Any] = {
        "platform": seal.platform,
        "suite": seal.suite,
        "python": seal.python,
        "system-site-packages": seal.system_site_packages,
        "allow-overlap": sorted(seal.allow_overlap),
        "apt": sorted(deb.sha256 for deb in debs),
        "pip": sorted((a.name, a.build.sha256 if a.build else a.sha256) for a in seal.pip),
    }
    if conda:  # absent otherwise: what has no conda keeps the key that it had before
        parts["conda"] = sorted(package.sha256 for package in conda)
    if seal.base is not None:
        parts["base"] = {"id": seal.base.id, "interpreter": seal.base.interpreter}
    return "sha256:" + digest(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode())


def make_lock(debs: tuple[Deb, ...], seal: Seal, conda: tuple[CondaPackage, ...] = ()) -> Lock:
    """Join the parts of a lock under its environment key."""
    key = environment_key(debs, seal, conda)
    return Lock(debs=debs, pip=seal.pip, seal=seal, key=key, conda=conda)


def check(
    seal: Seal, inputs: tuple[tuple[str, str], ...], files: Mapping[str, bytes | None]
) -> LockState:
    """Compare a seal with the inputs of now and with the lock files' bytes (None: absent)."""
    sealed, now = dict(seal.inputs), dict(inputs)
    stale = tuple(name for name in sorted({*sealed, *now}) if sealed.get(name) != now.get(name))
    edited = []
    for name, expected in seal.locks:
        data = files.get(name)
        if data is None:
            edited.append(f"{name} (missing)")
        elif digest(data) != expected:
            edited.append(f"{name} (sha256 {digest(data)}, sealed {expected})")
    return LockState(stale=stale, edited=tuple(edited))


def render(seal: Seal) -> bytes:
    """Canonical bytes of `repro.lock`."""
    return toml.render(
        {
            "platform": seal.platform,
            **({"suite": seal.suite} if seal.base is None else {"base": _base(seal.base)}),
            "python": seal.python,
            **({"as-of": seal.as_of} if seal.as_of else {}),
            "system-site-packages": seal.system_site_packages,
            "allow-overlap": sorted(seal.allow_overlap),
            "inputs": dict(sorted(seal.inputs)),
            "locks": dict(sorted(seal.locks)),
            "pip": [_artifact(item) for item in sorted(seal.pip, key=lambda a: a.name)],
            "provenance": [
                {"source": item.source, **dict(sorted(item.facts))}
                for item in sorted(seal.provenance, key=lambda p: p.source)
            ],
        }
    )


def _base(base: BaseImage) -> dict[str, Any]:
    return {
        "reference": base.reference,
        "digest": base.digest,
        "id": base.id,
        "layers": list(base.layers),
        "env": dict(sorted(base.env)),
        "suite": base.suite,
        "interpreter": base.interpreter,
        "glibc": base.glibc,
    }


def _artifact(artifact: PipArtifact) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": artifact.name,
        "version": artifact.version,
        "filename": artifact.filename,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "index": artifact.index,
    }
    if artifact.build is not None:
        values["build"] = {
            "wheel": artifact.build.wheel,
            "sha256": artifact.build.sha256,
            # absent otherwise: what builds the same twice keeps the bytes that it had before
            **({} if artifact.build.reproducible else {"reproducible": False}),
            "requires": [_artifact(item) for item in artifact.build.requires],
        }
    return values


def parse(data: bytes, *, where: str) -> Seal:
    """Read `repro.lock`. Raises LockError naming the value."""
    table = toml.read(data, where=where)
    table.only(
        "schema", "needs", "platform", "suite", "base", "python", "as-of",
        "system-site-packages", "allow-overlap", "inputs", "locks", "pip", "provenance",
    )  # fmt: skip
    pip = tuple(_read_artifact(item) for item in table.tables("pip"))
    for name, count in Counter(item.name for item in pip).items():
        if count > 1:
            raise LockError(f"{where}: pip: {name} is listed twice", hint=toml.HINT)
    locks = table.pairs("locks")
    if {name for name, _ in locks} - {CONDA_LOCK} != {APT_LOCK, PIP_LOCK}:
        # else one would go unchecked
        raise LockError(f"{where}: locks must name {APT_LOCK} and {PIP_LOCK}", hint=toml.HINT)
    if ("suite" in table.values) == ("base" in table.values):
        raise LockError(f"{where}: must have either suite or base", hint=toml.HINT)
    base = _read_base(table.table("base")) if "base" in table.values else None
    return Seal(
        platform=table.text("platform"),
        suite="" if base is not None else table.named("suite", names.suite),
        base=base,
        python=table.named("python", names.interpreter) if table.text("python") else "",
        as_of=table.named("as-of", names.moment) if "as-of" in table.values else "",
        system_site_packages=table.flag("system-site-packages"),
        allow_overlap=table.texts("allow-overlap"),
        inputs=table.pairs("inputs"),
        locks=locks,
        pip=pip,
        provenance=tuple(
            Provenance(
                source=item.text("source"),
                facts=tuple((k, item.text(k)) for k in sorted(item.values) if k != "source"),
            )
            for item in table.tables("provenance")
        ),
    )


def _read_base(table: toml.Table) -> BaseImage:
    table.only("reference", "digest", "id", "layers", "env", "suite", "interpreter", "glibc")
    layers = table.texts("layers")
    if not layers or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", layer) for layer in layers):
        raise table.refuse("layers", "must be digests, at least one")
    return BaseImage(
        reference=table.named("reference", names.single_line),
        digest=table.digest("digest"),
        id=table.digest("id"),
        layers=layers,
        env=table.pairs("env"),
        suite=table.named("suite", names.suite) if table.text("suite") else "",
        interpreter=table.named("interpreter", names.absolute_path)
        if table.text("interpreter")
        else "",
        glibc=table.named("glibc", names.glibc) if table.text("glibc") else "",
    )


def _read_artifact(table: toml.Table) -> PipArtifact:
    build = None
    if "build" in table.values:
        inner = table.table("build")
        build = SourceBuild(
            wheel=inner.named("wheel", names.file_name),
            sha256=inner.sha256("sha256"),
            reproducible=inner.flag("reproducible") if "reproducible" in inner.values else True,
            requires=tuple(_read_artifact(item) for item in inner.tables("requires")),
        )
    return PipArtifact(
        name=table.named("name", names.python_name),
        version=table.named("version", names.python_version),
        filename=table.named("filename", names.file_name),
        size=table.number("size"),
        sha256=table.sha256("sha256"),
        index=table.named("index", names.single_line),
        build=build,
    )
