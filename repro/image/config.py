"""From layers to an image: the canonical OCI configuration and manifest."""

from __future__ import annotations

import hashlib
import json
import time

from repro.errors import LockError
from repro.models.execution import PROJECT, UID
from repro.models.image import EPOCH, Image, Layer
from repro.models.project import PLATFORM

MAX_LAYERS = 60
"""Layers of one image: below every engine's limit, also with a base image under them."""

MAX_BASE_LAYERS = 60
"""Layers of that base image: docker's overlays end at 128 in all."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are, of Debian and of an image that does not say."""

CREATED = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
"""Uncompressed: a digest must not depend on the version of a compressor."""


def compose(
    layers: tuple[Layer, ...],
    *,
    env: tuple[tuple[str, str], ...],
    command: tuple[str, ...] = ("python3",),
    labels: tuple[tuple[str, str], ...] = (),
    below: int = 0,
) -> Image:
    """Return the image of these layers, base first: the same arguments are the same bytes.

    `env` and `labels` are sorted; the first `below` layers are those of a base image. Format: OCI
    image-spec v1, config.md and manifest.md. Raises LockError for more than 60 layers above
    them, for none at all, and for a name that is set twice.
    """
    if not 0 < len(layers) <= MAX_LAYERS + below:
        raise LockError(
            f"an image has 1 to {MAX_LAYERS} layers, this one would have {len(layers) - below}",
            hint="this is a fault in how repro groups packages into layers; please report it",
        )
    for what, pairs in (("environment variable", env), ("label", labels)):
        names = [name for name, _ in pairs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise LockError(f"the {what} {twice[0]} is set twice", hint="set it in one place")
    system, _, architecture = PLATFORM.partition("-")
    config = canonical_json(
        {
            "architecture": architecture,
            "config": {
                "Cmd": list(command),
                "Env": [f"{name}={value}" for name, value in sorted(env)],
                "Labels": dict(labels),
                "User": f"{UID}:{UID}",
                "WorkingDir": PROJECT,
            },
            "created": CREATED,
            "history": [
                {"created": CREATED, "created_by": f"repro: layer {layer.name}"} for layer in layers
            ],
            "os": system,
            "rootfs": {"diff_ids": [layer.digest for layer in layers], "type": "layers"},
        }
    )
    return Image(
        layers=layers,
        config=config,
        manifest=_manifest(config, layers),
        env=tuple(sorted(env)),
    )


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces, ASCII: the same value is the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _manifest(config: bytes, layers: tuple[Layer, ...]) -> bytes:
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": "sha256:" + hashlib.sha256(config).hexdigest(),
                "size": len(config),
            },
            "layers": [
                {"mediaType": LAYER_TYPE, "digest": layer.digest, "size": layer.size}
                for layer in layers
            ],
        }
    )
