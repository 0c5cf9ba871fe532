"""Resolving with the real uv against indexes of our own, and wheels into layers for real."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repro.download import Http
from repro.ecosystems.pip.builder import Builder
from repro.ecosystems.pip.resolve import PipRequest, PipResolution, resolve
from repro.engines.base import Engine
from repro.errors import NetworkError, UsageError
from repro.models.image import Image
from repro.models.lock import Interpreter, Upgrade
from repro.models.project import Environment, RequirementSet, Sources
from repro.progress import Silent
from repro.store.artifacts import Store
from repro.store.fetch import Fetcher
from tests.faults.server import Reply, Server, serving
from tests.wheelhouse import Recipe, make_wheel


def no_engine() -> Engine:
    raise AssertionError("wheels alone need no engine")


def no_image() -> Image:
    raise AssertionError("wheels alone need no image")


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep this machine's own indexes and uv's cache of other tests out."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "5")


def wheels(*recipes: Recipe) -> dict[str, bytes]:
    return {recipe.filename: make_wheel(recipe) for recipe in recipes}


@pytest.fixture
def server() -> Iterator[Server]:
    """An index: app needs lib<3; lib has four versions, of which one fits no Linux."""
    with serving() as server:
        server.add_index(
            wheels(
                Recipe(name="app", requires=["lib<3", 'winonly; sys_platform == "win32"']),
                Recipe(name="app", version="2.0rc1"),
            ),
            project="app",
        )
        server.add_index(
            wheels(
                Recipe(name="lib", version="1.0"),
                Recipe(name="lib", version="2.0"),
                Recipe(name="lib", version="2.0", tag="cp311-cp311-manylinux_2_17_x86_64"),
                Recipe(name="lib", version="2.0", tag="cp311-cp311-manylinux_2_39_x86_64"),
                Recipe(name="lib", version="2.1", tag="cp311-cp311-win_amd64"),
                Recipe(name="lib", version="3.0"),
            ),
            project="lib",
        )
        yield server


def lock(server: Server, folder: Path, *lines: str, **more: object) -> PipResolution:
    request = PipRequest(
        environment=Environment(
            suite="bookworm",
            python="3.11",
            pip=(RequirementSet(path="requirements.in", lines=lines),),
        ),
        interpreter=Interpreter.of_debian("3.11"),
        glibc="2.36",
        sources=Sources(indexes=(("default", f"{server.address}/simple"),)),
    )
    request = replace(request, **more)  # type: ignore[arg-type]
    store, http = Store(folder / "store"), Http()
    return resolve(
        request,
        store=store,
        fetcher=Fetcher(store=store, http=http, progress=Silent()),
        http=http,
        builder=Builder(engine=no_engine, image=no_image),
    )


def pins(resolution: PipResolution) -> list[str]:
    return [f"{item.name}=={item.version}" for item in resolution.artifacts]


def test_one_file_each_the_best_for_the_target(server: Server, tmp_path: Path) -> None:
    found = lock(server, tmp_path, "app")
    assert pins(found) == ["app==1.0", "lib==2.0"]
    lib = found.artifacts[1]
    best = Recipe(name="lib", version="2.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    assert lib.filename == best.filename
    assert lib.size == len(make_wheel(best))
    assert lib.index == "default"
    [provenance] = found.provenance
    assert dict(provenance.facts)["resolver"] == "uv"


def test_the_target_decides_not_the_host(server: Server, tmp_path: Path) -> None:
    environment = Environment(
        suite="trixie",
        python="3.13",
        pip=(RequirementSet(path="requirements.in", lines=("app",)),),
    )
    newer = Interpreter.of_debian("3.13")
    found = lock(server, tmp_path, "app", environment=environment, interpreter=newer, glibc="2.41")
    assert found.artifacts[1].filename == "lib-2.0-py3-none-any.whl"


def test_the_size_of_a_file_in_the_store_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    """This index's pages do not say it; uv has read the metadata, in a cache of its own."""
    lib = make_wheel(Recipe(name="lib", version="2.0"))
    sha256 = hashlib.sha256(lib).hexdigest()
    path = f"/files/{Recipe(name='lib', version='2.0').filename}"
    lock(server, tmp_path, f"lib==2.0 --hash=sha256:{sha256}")
    asked = server.count(path)
    Store(tmp_path / "store").put([lib], sha256, label="lib")
    found = lock(server, tmp_path, f"lib==2.0 --hash=sha256:{sha256}")
    assert [item.size for item in found.artifacts] == [len(lib)]
    assert server.count(path) == asked


def test_pins_stay_until_they_are_upgraded(server: Server, tmp_path: Path) -> None:
    old = lock(server, tmp_path, "app", "lib==1.0").artifacts
    assert [item.version for item in old] == ["1.0", "1.0"]
    for upgrade, version in (
        (Upgrade(), "1.0"),
        (Upgrade(names=("app",)), "1.0"),
        (Upgrade(names=("lib",)), "2.0"),
        (Upgrade(everything=True), "2.0"),
    ):
        found = lock(server, tmp_path, "app", previous=old, upgrade=upgrade)
        assert pins(found) == ["app==1.0", f"lib=={version}"]


def test_a_pin_that_the_requirements_forbid_moves(server: Server, tmp_path: Path) -> None:
    old = lock(server, tmp_path, "app", "lib==1.0").artifacts
    assert "lib==2.0" in pins(lock(server, tmp_path, "app", "lib>1", previous=old))


def test_constraints_constrain_and_require_nothing(server: Server, tmp_path: Path) -> None:
    environment = Environment(
        suite="bookworm",
        python="3.11",
        pip=(
            RequirementSet(path="requirements.in", lines=("app",)),
            RequirementSet(path="limits.txt", lines=("lib<2", "other==1"), constraint=True),
        ),
    )
    assert pins(lock(server, tmp_path, environment=environment)) == ["app==1.0", "lib==1.0"]


def test_a_required_hash_chooses_the_file(server: Server, tmp_path: Path) -> None:
    from tests.wheelhouse import artifact

    pure = artifact(Recipe(name="lib", version="2.0"))
    found = lock(server, tmp_path, f"lib==2.0 --hash=sha256:{pure.sha256}")
    assert [item.filename for item in found.artifacts] == [pure.filename]
    with pytest.raises(UsageError, match=r"requirements\.in: lib 2\.0 .*hashes"):
        lock(server, tmp_path, f"lib==2.0 --hash=sha256:{'0' * 64}")


def test_nothing_required_asks_nobody(server: Server, tmp_path: Path) -> None:
    assert lock(server, tmp_path).artifacts == ()
    assert server.asked == []


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("nosuch",), "nosuch"),
        (("lib==9",), "lib==9"),
        (("app==1.0", "lib>=3"), "lib"),
    ],
)
def test_what_cannot_be_resolved_names_the_input(
    server: Server, tmp_path: Path, lines: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        lock(server, tmp_path, *lines)
    assert caught.value.exit_code == 2
    assert "requirements.in" in caught.value.message
    assert says in caught.value.message
    assert caught.value.hint


def test_an_index_that_is_down_is_a_network_error(server: Server, tmp_path: Path) -> None:
    server.replies["/simple/app/"] = Reply(status=403)
    with pytest.raises((NetworkError, UsageError), match="app"):
        lock(server, tmp_path, "app")
    sources = Sources(indexes=(("default", "http://me:hunter2@127.0.0.1:9/simple"),))
    with pytest.raises(NetworkError) as caught:
        lock(server, tmp_path, "app", sources=sources)
    assert caught.value.exit_code == 6
    assert "hunter2" not in str(caught.value)


def test_an_index_in_a_folder_and_find_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    recipe = Recipe(name="lib", version="2.5")
    (links / recipe.filename).write_bytes(make_wheel(recipe))
    page = tmp_path / "index/simple/extra/index.html"
    page.parent.mkdir(parents=True)
    extra = Recipe(name="extra", requires=["lib"])
    (tmp_path / "index/files").mkdir()
    (tmp_path / "index/files" / extra.filename).write_bytes(make_wheel(extra))
    page.write_text(f'<a href="../../files/{extra.filename}">x</a>')
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (tmp_path / "index/simple").as_uri())
    found = lock(server, tmp_path, "extra", "lib<3")
    assert pins(found) == ["extra==1.0", "lib==2.5"]
    one, two = found.artifacts
    assert (one.index, one.size) == ("extra-1", len(make_wheel(extra)))
    assert two.size == len(make_wheel(recipe))


def test_the_same_request_is_the_same_answer(server: Server, tmp_path: Path) -> None:
    assert lock(server, tmp_path / "a", "app") == lock(server, tmp_path / "b", "app")


def test_a_login_is_in_no_result(server: Server, tmp_path: Path) -> None:
    address = server.address.replace("://", "://me:hunter2@")
    sources = Sources(indexes=(("default", f"{address}/simple"),))
    found = lock(server, tmp_path, "app", sources=sources)
    assert "hunter2" not in repr(found)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
