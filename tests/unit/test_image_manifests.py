"""What registries say: read strictly, refused with a reason, never guessed at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repro.errors import LockError, UsageError
from repro.image.manifests import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    check_digest,
    choose,
    digest_of,
    read_configuration,
    read_manifest,
    require_platform,
)

DIGEST = "sha256:" + "ab" * 32
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(kind: str, **more: object) -> dict[str, Any]:
    return {"mediaType": kind, "digest": DIGEST, "size": 10, **more}


def manifest(*layers: dict[str, Any], **more: object) -> bytes:
    config = descriptor("application/vnd.oci.image.config.v1+json")
    return json.dumps({"schemaVersion": 2, "config": config, "layers": layers, **more}).encode()


def index(*entries: tuple[str, str, str], **more: object) -> bytes:
    manifests = [
        descriptor(
            MANIFEST_TYPES[0],
            digest="sha256:" + f"{number:064x}",
            platform={"os": system, "architecture": architecture, "variant": variant},
        )
        for number, (system, architecture, variant) in enumerate(entries)
    ]
    return json.dumps({"mediaType": INDEX_TYPES[0], "manifests": manifests, **more}).encode()


def test_an_index_has_one_for_the_platform() -> None:
    data = index(
        ("windows", "amd64", ""), ("unknown", "unknown", ""), ("linux", "arm64", "v8"),
        ("linux", "amd64", "v3"), ("linux", "amd64", ""),
    )  # fmt: skip
    chosen = choose(data, "linux-amd64", label="x")
    assert chosen is not None
    assert chosen.digest.endswith("4")
    arm = choose(data, "linux-arm64", label="x")
    assert arm is not None
    assert arm.digest.endswith("2")
    with pytest.raises(UsageError, match="windows-amd64, not for linux-s390x") as caught:
        choose(data, "linux-s390x", label="x")
    assert "unknown" not in caught.value.message
    assert choose(manifest(), "linux-amd64", label="x") is None


ODD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: choose(index(("linux", "amd64", ""), layers=[]), "linux-amd64", label="x"),
     LockError, "an index and a manifest at once"),
    (lambda: choose(b'{"manifests": 1}', "linux-amd64", label="x"), LockError, "no list"),
    (lambda: read_manifest(b"{", label="x"), LockError, "is no JSON"),
    (lambda: read_manifest(b"[" * 100_000, label="x"), LockError, "is no JSON"),
    (lambda: read_manifest(b'{"a": ' + b"1" * 5000 + b"}", label="x"), LockError, "is no JSON"),
    (lambda: read_manifest(b"\xff", label="x"), LockError, "is no JSON"),
    (lambda: read_manifest(b"[]", label="x"), LockError, "is no JSON object"),
    (lambda: read_manifest(b'{"schemaVersion": 1, "fsLayers": []}', label="x"),
     UsageError, "of schema 1"),
    (lambda: read_manifest(index(), label="x"), LockError, "an index inside an index"),
    (lambda: read_manifest(b'{"layers": []}', label="x"), LockError, "names no configuration"),
    (lambda: read_manifest(manifest(descriptor("application/json")), label="x"),
     UsageError, "of the unknown type 'application/json'"),
    (lambda: read_manifest(
        manifest(descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")),
        label="x"), UsageError, "does not hold"),
    (lambda: read_manifest(
        manifest(descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar")),
        label="x"), UsageError, "does not hold"),
    (lambda: read_manifest(manifest(descriptor(LAYER, digest="md5:1")), label="x"),
     LockError, "which is no sha256"),
    (lambda: read_manifest(manifest(descriptor(LAYER, digest=DIGEST + "/../x")), label="x"),
     LockError, "which is no sha256"),
    (lambda: read_manifest(manifest(descriptor(LAYER, size=-1)), label="x"), LockError, "size"),
    (lambda: read_manifest(manifest(descriptor(LAYER, size=True)), label="x"), LockError, "size"),
    (lambda: read_manifest(manifest(descriptor(LAYER, size=1 << 60)), label="x"),
     LockError, "size"),
    (lambda: read_configuration(b'{"rootfs": {"diff_ids": ["x"]}}', label="x"),
     LockError, "names no layers"),
    (lambda: read_configuration(
        json.dumps({"rootfs": {"diff_ids": [DIGEST]}, "config": {"Env": [1]}}).encode(),
        label="x"), LockError, "no list of texts"),
    (lambda: check_digest(b"x", DIGEST, label="x"), LockError, f"as {DIGEST}"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "kind", "says"), ODD)
def test_what_is_odd_is_refused(
    read: Callable[[], object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read()


def test_a_configuration() -> None:
    data = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["B=1", "A=x=y", "B=2", "nothing", "=x"]},
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    }
    found = read_configuration(json.dumps(data).encode(), label="x")
    assert (found.platform, found.layers) == ("linux-amd64", (DIGEST,))
    assert found.env == (("A", "x=y"), ("B", "2"))
    require_platform(found, "linux-amd64", label="x")
    bare = json.dumps({**data, "config": None}).encode()
    assert read_configuration(bare, label="x").env == ()
    assert check_digest(b"x", digest_of(b"x"), label="x") == b"x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(DIGEST),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["manifests", "layers", "config", "mediaType", "digest", "size", "platform", "rootfs",
             "diff_ids", "Env", "os", "architecture", "schemaVersion"]
        ), inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
@example(b'{"config": {}, "layers": [{"mediaType": []}]}')
@example(b'{"manifests": [{"mediaType": {}, "platform": 1}]}')
def test_anything_is_read_or_refused(data: bytes) -> None:
    for read in (
        lambda: choose(data, "linux-amd64", label="x"),
        lambda: read_manifest(data, label="x"),
        lambda: read_configuration(data, label="x"),
    ):
        try:
            read()
        except (LockError, UsageError) as error:
            assert error.message.startswith("x: ")  # noqa: PT017
