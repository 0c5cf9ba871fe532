"""The store as a state machine: whatever was put, damaged or broken off, no answer is wrong."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from repro.errors import LockError
from repro.files import remove_tree, scratch
from repro.models.image import Layer
from repro.store.artifacts import Store

TICK = 0.011
"""Seconds of the coarsest clock that stamps files here: a change within one is not seen.

An object counts as at rest after one of these, not after two seconds: what a process remembers
for later ones is put to the test too.
"""

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where nothing waits for a disk: a thousand objects are made durable here."""

contents = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"a", b"artifact" * 300]))
keys = st.sampled_from(["k1", "k2", "k3"])
harms = st.sampled_from(["flip", "cut", "empty", "grow", "delete", "replace"])


class BrokenOffError(Exception):
    """What ends a write in its middle."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class StoreMachine(RuleBasedStateMachine):
    """`whole` are the objects that must be found, by digest; `kept` the layers by key.

    The record of an `uncertain` key was damaged: it may count for nothing, but not for a lie.
    """

    objects: Bundle[bytes] = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-", dir=MEMORY))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("repro.store.stamps.AT_REST", int(TICK * 1e9))
        self.store = Store(self.folder / "store")
        self.whole: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.uncertain: set[str] = set()
        self.leftovers = 0

    def teardown(self) -> None:
        self.patch.undo()
        remove_tree(self.folder)

    @initialize()
    def made(self) -> None:
        self.store.put([b"first"], digest(b"first"), label="first")
        self.whole[digest(b"first")] = b"first"

    # ---------------------------------------------------------------- writing

    @rule(target=objects, data=contents, pieces=st.integers(1, 5), sized=st.booleans())
    def put(self, data: bytes, pieces: int, sized: bool) -> bytes:
        step = max(1, len(data) // pieces)
        chunks = [data[n : n + step] for n in range(0, len(data), step)]
        size = len(data) if sized else None
        path = self.store.put(chunks, digest(data), label="x", size=size)
        assert path.read_bytes() == data
        self.whole[digest(data)] = data
        return data

    @rule(data=contents, wrong=st.sampled_from(["other", "short", "long"]), sized=st.booleans())
    def put_wrong(self, data: bytes, wrong: str, sized: bool) -> None:
        sent = {"other": data + b"!", "short": data[:-1], "long": data + data + b"."}[wrong]
        if sent == data:
            return
        before = self.store.path(digest(data)).exists()
        with pytest.raises(LockError):
            self.store.put([sent], digest(data), label="x", size=len(data) if sized else None)
        assert self.store.path(digest(data)).exists() == before
        assert digest(sent) in self.whole or not self.store.has(digest(sent))

    @rule(target=objects, data=contents)
    def add(self, data: bytes) -> bytes:
        assert self.store.add(lambda file: _write(file, data)) == (digest(data), len(data))
        self.whole[digest(data)] = data
        return data

    @rule(data=contents, how=st.sampled_from(["put", "add", "layer"]), key=keys)
    def broken_off(self, data: bytes, how: str, key: str) -> None:
        """An exception in the middle of a write: as if it had never begun."""
        before = self.store.path(digest(data)).exists()

        def write(file: BinaryIO) -> None:
            file.write(data)
            raise BrokenOffError

        calls: dict[str, Callable[[], object]] = {
            "put": lambda: self.store.put(_broken([data]), digest(data), label="x"),
            "add": lambda: self.store.add(write),
            "layer": lambda: self.store.keep_layer("layer", key, write),
        }
        with pytest.raises(BrokenOffError):
            calls[how]()
        assert self.store.path(digest(data)).exists() == before

    @rule(data=contents)
    def killed(self, data: bytes) -> None:
        """A process that died in a write: its temporary stays, and no lock on it."""
        self.store.staging.mkdir(exist_ok=True)
        left = self.store.staging / f".repro-tmp-{self.leftovers:08}"
        left.write_bytes(data)
        self.leftovers += 1

    @rule(target=objects, data=contents, key=keys)
    def keep_layer(self, data: bytes, key: str) -> bytes:
        layer = self.store.keep_layer(f"layer {key}", key, lambda file: _write(file, data))
        assert layer == Layer(
            name=f"layer {key}", key=key, digest=f"sha256:{digest(data)}", size=len(data)
        )
        self.whole[digest(data)] = data
        self.kept[key] = data
        self.uncertain.discard(key)
        return data

    # --------------------------------------------------------------- damaging

    @rule(data=objects, harm=harms, quiet=st.booleans(), known=st.sampled_from(["", "us", "all"]))
    def damage(self, data: bytes, harm: str, quiet: bool, known: str) -> None:
        """Change an object behind the store's back; `quiet` puts the time of its content back.

        It was hashed before, and is known by its stamp, to this process or to a later one.
        """
        path = self.store.path(digest(data))
        if not path.is_file() or path.is_symlink():
            return
        time.sleep(TICK)
        if known:
            self.has(data, sized=False)
        if known == "all":
            self.store = Store(self.folder / "store")
        if not path.is_file():
            return
        state = path.stat()
        found = path.read_bytes()
        changed = _harmed(found, harm)
        if changed is None:
            path.unlink()
        elif harm == "replace":
            path.unlink()
            path.write_bytes(changed)
        else:
            path.chmod(0o644)
            path.write_bytes(changed)
        if quiet and path.exists():
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        if changed is None or digest(changed) != digest(data):
            self.whole.pop(digest(data), None)
        else:
            self.whole[digest(data)] = data
        if known:
            self.has(data, sized=False)

    @rule(data=consumes(objects))
    def linked(self, data: bytes) -> None:
        """A link in an object's place is an error until it is gone, whatever it shows."""
        path = self.store.path(digest(data))
        aside = self.folder / "aside"
        aside.write_bytes(data)
        path.unlink(missing_ok=True)
        path.symlink_to(aside)
        for ask in (
            lambda: self.store.has(digest(data)),
            lambda: self.store.read(digest(data), label="x"),
            lambda: self.store.checked(digest(data), label="x"),
        ):
            with pytest.raises(LockError, match="is a link"):
                ask()
        path.unlink()
        self.whole.pop(digest(data), None)

    @rule(key=keys, harm=harms)
    def damage_record(self, key: str, harm: str) -> None:
        path = self.store.root / "layers" / f"{key}.json"
        if not path.is_file():
            return
        changed = _harmed(path.read_bytes(), harm)
        path.unlink()
        if changed is not None:
            path.write_bytes(changed)
        self.uncertain.add(key)

    @rule(key=keys, other=keys)
    def mix_up_records(self, key: str, other: str) -> None:
        """A whole record, of another key."""
        folder = self.store.root / "layers"
        if key != other and (folder / f"{other}.json").is_file():
            (folder / f"{key}.json").write_bytes((folder / f"{other}.json").read_bytes())
            self.uncertain.add(key)

    # ----------------------------------------------------------------- asking

    @rule(data=objects, sized=st.booleans())
    def has(self, data: bytes, sized: bool) -> None:
        """Every whole object is found, and no other; a damaged one is kept aside."""
        path = self.store.path(digest(data))
        there = path.exists()
        found = self.store.has(digest(data), len(data) if sized else None)
        assert found == (digest(data) in self.whole)
        assert not self.store.has(digest(data), len(data) + 1)
        if there and not found:
            assert self.store.kept_aside(digest(data)) is not None
            assert not path.exists()

    @rule(data=objects)
    def read(self, data: bytes) -> None:
        if digest(data) in self.whole:
            assert self.store.read(digest(data), label="x") == data
            assert self.store.checked(digest(data), label="x").read_bytes() == data
        else:
            with pytest.raises(LockError, match="x: "):
                self.store.read(digest(data), label="x")

    @rule(key=keys)
    def layer(self, key: str) -> None:
        """A layer that is answered is the last one kept under that key, and whole."""
        found, expected = self.store.layer(key), self.kept.get(key)
        if found is not None:
            assert expected is not None
            assert (found.key, found.digest) == (key, f"sha256:{digest(expected)}")
            assert self.store.layer_path(found).read_bytes() == expected
        else:
            assert key in self.uncertain or expected is None or digest(expected) not in self.whole

    @rule(thorough=st.sampled_from([False, False, False, True]))
    def another_process(self, thorough: bool) -> None:
        """A new process knows only what lies on the disk; this one hashed all that is there."""
        time.sleep(TICK)
        for sha256 in self.whole:
            assert self.store.has(sha256)
        self.store = Store(self.folder / "store")
        self.store.thorough = thorough

    # ------------------------------------------------------------- invariants

    @invariant()
    def nothing_whole_is_lost(self) -> None:
        for sha256, data in self.whole.items():
            assert self.store.path(sha256).read_bytes() == data

    @invariant()
    def no_temporary_outlives_a_write(self) -> None:
        """Whoever writes next also sweeps what a killed process left."""
        left = list(self.folder.rglob(".repro-tmp-*"))
        assert len(left) <= self.leftovers
        with scratch(self.store.staging):
            pass
        assert list(self.folder.rglob(".repro-tmp-*")) == []
        self.leftovers = 0


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _broken(chunks: Iterable[bytes]) -> Iterable[bytes]:
    yield from chunks
    raise BrokenOffError


def _harmed(data: bytes, harm: str) -> bytes | None:
    """The bytes after that harm: always others, except that nothing is left of nothing."""
    if harm == "delete":
        return None
    if harm == "empty" or (harm in ("flip", "cut") and not data):
        return b"" if data else b"?"
    if harm == "flip":
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    return {"cut": data[:-1], "grow": data + b"\0", "replace": data[::-1] + b"~"}[harm]


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
