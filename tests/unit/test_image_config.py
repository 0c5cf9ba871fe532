"""Image configuration and manifest: canonical bytes, one identity."""

from __future__ import annotations

import hashlib
import json

import pytest

from repro.errors import LockError
from repro.image.config import MAX_LAYERS, compose
from repro.models.image import Image, Layer


def a_layer(name: str, size: int = 1024) -> Layer:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Layer(name=name, key="k" + name, digest=f"sha256:{digest}", size=size)


ENV = (("PATH", "/opt/venv/bin:/usr/bin"), ("LANG", "C.UTF-8"))


def an_image(
    env: tuple[tuple[str, str], ...] = ENV, labels: tuple[tuple[str, str], ...] = ()
) -> Image:
    return compose((a_layer("base"), a_layer("pip")), env=env, labels=labels)


def test_configuration_says_what_a_run_needs() -> None:
    image = an_image(labels=(("org.example.key", "value"),))
    assert json.loads(image.config) == {
        "architecture": "amd64",
        "os": "linux",
        "created": "2000-01-01T00:00:00Z",
        "config": {
            "Cmd": ["python3"],
            "Env": ["LANG=C.UTF-8", "PATH=/opt/venv/bin:/usr/bin"],
            "Labels": {"org.example.key": "value"},
            "User": "1000:1000",
            "WorkingDir": "/project",
        },
        "history": [
            {"created": "2000-01-01T00:00:00Z", "created_by": "repro: layer base"},
            {"created": "2000-01-01T00:00:00Z", "created_by": "repro: layer pip"},
        ],
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
    }


def test_manifest_points_at_configuration_and_layers() -> None:
    image = an_image()
    assert json.loads(image.manifest) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": image.id,
            "size": len(image.config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.digest,
                "size": layer.size,
            }
            for layer in image.layers
        ],
    }


def test_bytes_are_pinned() -> None:
    """Every recorded image ID hangs on these bytes: change them only with the recipe's number."""
    image = an_image()
    assert (image.id[7:19], image.manifest_digest[7:19]) == ("c43ce6b4c8e3", "cf01c0fea704")
    assert image.tag == f"repro:{image.id[7:19]}"


def test_order_of_variables_and_labels_does_not_matter() -> None:
    env, labels = (("A", "1"), ("B", "2")), (("x", "1"), ("y", "2"))
    assert an_image(env=env, labels=labels) == an_image(env=env[::-1], labels=labels[::-1])
    assert an_image(env=env[::-1]).env == env


def test_order_of_layers_matters() -> None:
    layers = (a_layer("base"), a_layer("pip"))
    assert compose(layers, env=()).id != compose(layers[::-1], env=()).id


@pytest.mark.parametrize("count", [0, MAX_LAYERS + 1])
def test_number_of_layers_is_bounded(count: int) -> None:
    layers = tuple(a_layer(str(number)) for number in range(count))
    with pytest.raises(LockError, match=f"1 to 60 layers, this one would have {count}"):
        compose(layers, env=())


def test_sixty_layers_are_an_image() -> None:
    layers = tuple(a_layer(str(number)) for number in range(MAX_LAYERS))
    assert len(json.loads(compose(layers, env=()).config)["rootfs"]["diff_ids"]) == 60


def test_name_set_twice_is_refused() -> None:
    with pytest.raises(LockError, match="environment variable A is set twice"):
        an_image(env=(("A", "1"), ("A", "2")))
    with pytest.raises(LockError, match="label x is set twice"):
        an_image(labels=(("x", "1"), ("x", "1")))
