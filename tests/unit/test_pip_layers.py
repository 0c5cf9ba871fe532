"""Layer recipes: keys, grouping, overlaps; wheels without sources need no interpreter."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from repro.ecosystems.base import LayerRecipe
from repro.ecosystems.pip import layers
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.layers import LayerTarget, recipes
from repro.engines.base import Engine
from repro.errors import LockError
from repro.models.image import EPOCH, Image
from repro.models.lock import Deb, Interpreter, Lock, PipArtifact, Seal
from repro.store.artifacts import Store
from tests.wheelhouse import Recipe, artifact, make_wheel

TARGET = LayerTarget(interpreter=Interpreter.of_debian("3.11"), identity="i")
SITE = "opt/venv/lib/python3.11/site-packages"


def no_engine() -> Engine:
    raise AssertionError("wheels without sources need no engine")


def no_image() -> Image:
    raise AssertionError("wheels without sources need no image")


BENCH = Builder(engine=no_engine, image=no_image)


def data_wheel(name: str, files: dict[str, bytes], version: str = "1.0") -> tuple[Recipe, bytes]:
    recipe = Recipe(name=name, version=version, files=files)
    return recipe, make_wheel(recipe)


def put(store: Store, *wheels: tuple[Recipe, bytes]) -> list[PipArtifact]:
    found = [artifact(recipe, data) for recipe, data in wheels]
    for item, (_, data) in zip(found, wheels, strict=True):
        store.put([data], item.sha256, label=item.name)
    return found


def of(
    store: Store, artifacts: Sequence[PipArtifact], target: LayerTarget = TARGET
) -> tuple[LayerRecipe, ...]:
    return recipes(artifacts, target=target, store=store, builder=BENCH)


def written(recipe: LayerRecipe) -> tarfile.TarFile:
    buffer = io.BytesIO()
    recipe.write(buffer)
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


def read(tar: tarfile.TarFile, name: str) -> bytes:
    stream = tar.extractfile(name)
    assert stream is not None
    return stream.read()


def test_small_wheels_share_the_last_layer_with_the_environment(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = put(store, data_wheel("a", {"a.txt": b"a"}), data_wheel("b", {"b.txt": b"b"}))
    [recipe] = of(store, items)
    with written(recipe) as tar:
        names = tar.getnames()
        assert {f"{SITE}/a.txt", f"{SITE}/b.txt", "opt/venv/pyvenv.cfg"} <= set(names)
        assert tar.getmember("opt/venv/bin/python").linkname == "/usr/bin/python3.11"
        assert b"include-system-site-packages = false" in read(tar, "opt/venv/pyvenv.cfg")
        assert {member.mtime for member in tar} == {EPOCH}
        assert {(member.uid, member.gid) for member in tar} == {(0, 0)}


def test_an_empty_lock_still_has_the_environment(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [recipe] = of(store, [])
    with written(recipe) as tar:
        assert SITE in tar.getnames()
    assert of(store, [], replace(TARGET, interpreter=Interpreter.of_debian("2.7"))) == ()


def test_large_wheels_have_a_layer_each_largest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LARGE", 1000)
    import random

    noise = random.Random(0)
    store = Store(tmp_path)
    items = put(
        store,
        data_wheel("small", {"s.txt": b"s"}),
        data_wheel("big", {"b.bin": noise.randbytes(2000)}),
        data_wheel("huge", {"h.bin": noise.randbytes(9000)}),
    )
    found = of(store, items)
    assert [recipe.name.split()[1] for recipe in found[:2]] == ["huge", "big"]
    assert len(found) == 3
    with written(found[0]) as tar:
        assert f"{SITE}/h.bin" in tar.getnames()
        assert "opt/venv/pyvenv.cfg" not in tar.getnames()


def test_the_number_of_layers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LARGE", 0)
    items = [artifact(*data_wheel(f"p{n}", {f"p{n}.txt": b""})) for n in range(60)]
    assert len(of(Store(tmp_path), items)) == layers.MOST + 1


def test_keys_need_no_wheel_and_change_with_what_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LARGE", 0)
    store = Store(tmp_path)
    one = replace(artifact(*data_wheel("a", {"a": b""})), size=9000)
    two = replace(artifact(*data_wheel("b", {"b": b""})), size=8000)

    def keys(items: Sequence[PipArtifact], target: LayerTarget = TARGET) -> list[str]:
        return [recipe.key for recipe in of(store, items, target)]

    base = keys([one, two])
    assert base == keys([two, one])
    other = replace(two, sha256="0" * 64)
    changed = keys([one, other])
    assert [a == b for a, b in zip(base, changed, strict=True)] == [True, False, False]
    for target in (
        replace(TARGET, identity="other"),
        replace(TARGET, interpreter=Interpreter.of_debian("3.13")),
        replace(TARGET, allow_overlap=("a",)),
    ):
        assert not set(base) & set(keys([one, two], target))
    system = keys([one, two], replace(TARGET, system_site_packages=True))
    assert [a == b for a, b in zip(base, system, strict=True)] == [True, True, False]


def test_a_clash_names_both_packages_and_the_path(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = put(
        store,
        data_wheel("a", {"pkg/x.txt": b"1"}),
        data_wheel("b", {"pkg/x.txt": b"2"}, version="3.0"),
    )
    [recipe] = of(store, items)
    with pytest.raises(
        LockError, match=rf"a 1\.0 and b 3\.0 both write {SITE}/pkg/x\.txt"
    ) as caught:
        written(recipe)
    assert "allow-overlap" in (caught.value.hint or "")


@pytest.mark.parametrize("allowed", ["a", "b", f"{SITE}/pkg/x.txt", f"/{SITE}/pkg/x.txt"])
def test_an_allowed_clash_is_won_by_the_later_package(tmp_path: Path, allowed: str) -> None:
    store = Store(tmp_path)
    items = put(store, data_wheel("b", {"pkg/x.txt": b"2"}), data_wheel("a", {"pkg/x.txt": b"1"}))
    [recipe] = of(store, items, replace(TARGET, allow_overlap=(allowed,)))
    with written(recipe) as tar:
        assert read(tar, f"{SITE}/pkg/x.txt") == b"2"


def test_the_same_file_in_two_wheels_is_no_clash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = put(store, data_wheel("a", {"pkg/x.txt": b"1"}), data_wheel("b", {"pkg/x.txt": b"1"}))
    with written(of(store, items)[0]) as tar:
        assert tar.getnames().count(f"{SITE}/pkg/x.txt") == 1


def test_a_file_where_another_wheel_needs_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = put(store, data_wheel("a", {"pkg": b"1"}), data_wheel("b", {"pkg/x.txt": b"1"}))
    with pytest.raises(LockError, match=r"a 1\.0 and b 1\.0 both write .*pkg, differently"):
        written(of(store, items)[0])


def test_a_wheel_may_not_replace_the_environments_python(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = put(store, data_wheel("a", {"a-1.0.data/scripts/python": b"#!/bin/sh\n"}))
    with pytest.raises(LockError, match=r"a 1\.0: writes opt/venv/bin/python"):
        written(of(store, items)[0])


def test_a_file_that_would_hide_others_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    artifacts = put(store, data_wheel("one", {"one/.wh.data": b""}))
    [recipe] = of(store, artifacts)
    with pytest.raises(LockError, match=r"one/\.wh\.data'?: no layer can hold"):
        written(recipe)


def test_a_damaged_store_copy_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [item] = put(store, data_wheel("a", {"a.txt": b"a" * 50}))
    path = store.path(item.sha256)
    data = bytearray(path.read_bytes())
    data[data.index(b"a.txt") + 6] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(LockError, match=r"pip a 1\.0: ") as caught:
        written(of(store, [item])[0])
    assert caught.value.exit_code == 3


def test_the_interpreter_is_identified_by_its_packages() -> None:
    def lock(*debs: tuple[str, str]) -> Lock:
        seal = Seal(
            platform="linux-amd64", suite="bookworm", python="3.11", inputs=(), locks=(), pip=()
        )
        return Lock(
            debs=tuple(
                Deb(
                    name=name, version="1", architecture="amd64", filename="x", size=1,
                    sha256=sha256, archive="debian",
                )
                for name, sha256 in debs
            ),
            pip=(), seal=seal, key="",
        )  # fmt: skip

    one = LayerTarget.of(
        lock(("python3.11-minimal", "a"), ("libpython3.11-stdlib", "b"), ("x", "c"))
    )
    same = LayerTarget.of(lock(("libpython3.11-stdlib", "b"), ("python3.11-minimal", "a")))
    other = LayerTarget.of(lock(("python3.11-minimal", "z"), ("libpython3.11-stdlib", "b")))
    assert one == same != other
    with pytest.raises(LockError, match=r"python3\.11"):
        LayerTarget.of(lock(("python3.12", "a")))
