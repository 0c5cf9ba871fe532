"""One tar that is an OCI layout and a docker-archive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from repro.errors import LocalError, LockError
from repro.image.archive import archive_chunks, write_archive
from repro.image.config import compose
from repro.image.layer import Entry, write_layer
from repro.models.image import Image, Layer
from repro.store.artifacts import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def a_layer(store: Store, name: str, size: int = 10) -> Layer:
    entry = Entry(path=name, mode=0o644, kind="file", data=name.encode() * size)
    return store.keep_layer(name, f"key-{name}", lambda file: write_layer(file, [entry]))


@pytest.fixture
def image(store: Store) -> Image:
    base, pip = a_layer(store, "base"), a_layer(store, "pip", 1_000_000)
    return compose((base, pip, base), env=(("A", "b"),))


def archive(image: Image, store: Store, *omit: str) -> dict[str, bytes]:
    file = io.BytesIO()
    write_archive(file, image, store, omit=frozenset(omit))
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        found = {}
        for member in tar:
            assert member.name not in found
            stream = tar.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read()
    return found


def blob(digest: str) -> str:
    return f"blobs/sha256/{digest[7:]}"


def test_every_blob_is_what_its_name_says(image: Image, store: Store) -> None:
    found = archive(image, store)
    blobs = {name: data for name, data in found.items() if name.startswith("blobs/")}
    assert len(blobs) == 4  # configuration, manifest, two different layers
    for name, data in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def test_oci_layout_leads_to_the_image(image: Image, store: Store) -> None:
    found = archive(image, store)
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads(found["index.json"])["manifests"]
    assert described["digest"] == image.manifest_digest
    assert described["size"] == len(image.manifest)
    assert described["platform"] == {"architecture": "amd64", "os": "linux"}
    assert found[blob(described["digest"])] == image.manifest
    manifest = json.loads(image.manifest)
    assert found[blob(manifest["config"]["digest"])] == image.config
    for layer in manifest["layers"]:
        assert len(found[blob(layer["digest"])]) == layer["size"]


def test_docker_archive_leads_to_the_image(image: Image, store: Store) -> None:
    found = archive(image, store)
    (described,) = json.loads(found["manifest.json"])
    assert found[described["Config"]] == image.config
    assert described["Layers"] == [blob(layer.digest) for layer in image.layers]
    assert described["RepoTags"] == [image.tag]


def test_omitted_layers_are_named_but_not_sent(image: Image, store: Store) -> None:
    base, pip, _ = image.layers
    whole, part = archive(image, store), archive(image, store, base.digest)
    assert whole.keys() - part.keys() == {blob(base.digest)}
    assert part["manifest.json"] == whole["manifest.json"]
    assert part["index.json"] == whole["index.json"]
    assert blob(pip.digest) in part


def test_same_image_is_the_same_archive(image: Image, store: Store) -> None:
    first, second = (b"".join(archive_chunks(image, store, omit=frozenset())) for _ in range(2))
    assert first == second


def test_layers_pass_in_pieces(image: Image, store: Store) -> None:
    chunks = list(archive_chunks(image, store, omit=frozenset()))
    assert max(map(len, chunks)) <= 1 << 20
    assert sum(map(len, chunks)) > 3_000_000


def test_shortened_layer_is_refused(image: Image, store: Store) -> None:
    path = store.layer_path(image.layers[1])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(LockError, match=r"layer pip: the store's copy .* is damaged") as caught:
        archive(image, store)
    assert store.kept_aside(path.name) is not None
    assert "run it again" in str(caught.value)


def test_missing_layer_is_named(image: Image, store: Store) -> None:
    path = store.layer_path(image.layers[1])
    path.unlink()
    with pytest.raises(LocalError, match=str(path)):
        archive(image, store)
