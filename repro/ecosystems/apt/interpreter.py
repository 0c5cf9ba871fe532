"""An interpreter from its locked packages alone: unpacked and never configured.

It can compile while the base is still being made, which takes one processor a quarter of a minute.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import BytesIO
from typing import BinaryIO

from repro.ecosystems.base import LayerRecipe
from repro.errors import EngineError
from repro.image.layer import Entry, entries_of, unmarked, write_layer
from repro.models.image import RECIPE
from repro.models.lock import Deb
from repro.process import run
from repro.store.artifacts import Store

MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders that a merged /usr has as links into it."""

_SHELL = "dash"  # an engine may start a step through it
_RELATIONS = ("Pre-Depends", "Depends")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


def recipe(debs: Iterable[Deb], *, python: str, store: Store) -> LayerRecipe:
    """Return a layer that holds this interpreter and what it is linked with.

    Writing it needs those packages in the store, and raises LockError for a damaged one.
    """
    chosen = needed(debs, (f"python{python}", _SHELL))
    parts = ["interpreter", RECIPE, sorted(deb.sha256 for deb in chosen)]

    def write(file: BinaryIO) -> None:
        links = [
            Entry(path=name, mode=0o777, kind="symlink", link=f"usr/{name}") for name in MERGED
        ]
        with ExitStack() as stack:
            held = [entry for deb in chosen for entry in _entries(deb, store, stack)]
            write_layer(file, unmarked([*links, *held]))

    return LayerRecipe(
        name=f"interpreter {python}",
        key=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
        write=write,
    )


def needed(debs: Iterable[Deb], roots: Iterable[str]) -> tuple[Deb, ...]:
    """Return these packages and all that they depend on, sorted by name.

    Of alternatives, every one that is there: the lock is what apt chose.
    """
    known = {deb.name: deb for deb in debs}
    found: dict[str, Deb] = {}
    todo = [name for name in roots if name in known]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = known[name]
        fields = dict(known[name].fields)
        for relation in _RELATIONS:
            for part in re.split(r"[,|]", fields.get(relation, "")):
                match = _NAME.match(part.strip())
                if match and match[0] in known:
                    todo.append(match[0])
    return tuple(found[name] for name in sorted(found))


def _entries(deb: Deb, store: Store, stack: ExitStack) -> Iterator[Entry]:
    """A package's files where they lie on a merged /usr, readable as long as the stack."""
    path = store.checked(deb.sha256, label=f"apt {deb.name} {deb.version}")
    done = run(["dpkg-deb", "--fsys-tarfile", path])
    if done.code:
        raise EngineError(f"apt {deb.name} {deb.version}: dpkg-deb failed\n{done.tail()}")
    tar = tarfile.open(fileobj=BytesIO(done.stdout))  # noqa: SIM115 - closed with the stack
    stack.callback(tar.close)
    for entry in entries_of(tar):
        if entry.kind != "dir":
            yield replace(entry, path=_merged(entry.path), link=_linked(entry))


def _linked(entry: Entry) -> str:
    return _merged(entry.link) if entry.kind == "hardlink" else entry.link


def _merged(path: str) -> str:
    bare = path.removeprefix("./")
    return f"usr/{bare}" if bare.split("/")[0] in MERGED else bare
