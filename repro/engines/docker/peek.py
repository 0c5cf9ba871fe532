"""The two questions of a build that has nothing to do, asked without the SDK.

Importing the SDK takes longer than all the rest of such a build. Only a daemon on a unix socket
is asked, and only a full answer counts: whatever else comes is left to the SDK, and to its words.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from repro.engines.docker.address import Address
from repro.models.image import Image
from repro.models.project import PLATFORM

PATIENCE = 1.0
"""Seconds for one answer; after that the SDK asks again, with more patience."""

OLDEST, OLDEST_DOCKER = (1, 30), "17.06"
"""The first API in which a container's mounts are made as here, and the Docker that has it."""

MOST = 4 << 20
"""Bytes of an answer: a longer one is none."""


def answers(address: Address) -> bool:
    """Whether a daemon of the lock's platform answers there, recent enough."""
    said = _asked(address, "/version")
    if said is None:
        return False
    version = parsed(said.get("ApiVersion"))
    platform = f"{said.get('Os')}-{said.get('Arch')}"
    return platform == PLATFORM and version is not None and version >= OLDEST


def parsed(version: object) -> tuple[int, int] | None:
    """The numbers of an API version, None where it is none."""
    found = (
        re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", version) if isinstance(version, str) else None
    )
    return (int(found[1]), int(found[2])) if found else None


def holds(address: Address, image: Image) -> bool:
    """Whether the daemon holds exactly this image, and under its name.

    By ID: the configuration's digest, or the manifest's where images are kept in containerd.
    """
    named = _asked(address, f"/images/{image.tag}/json")
    if named is None or named.get("Id") not in (image.id, image.manifest_digest):
        return False
    layers = (named.get("RootFS") or {}).get("Layers")
    return bool(layers == [layer.digest for layer in image.layers])


def _asked(address: Address, question: str) -> dict[str, Any] | None:
    """Return the answer to a GET, None where there is none that can be used.

    HTTP/1.0: the answer comes in one piece, and ends with the connection.
    """
    if address.socket is None:
        return None
    data = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(PATIENCE)
            line.connect(str(address.socket))
            line.sendall(f"GET {question} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            while len(data) < MOST and (piece := line.recv(1 << 16)):
                data += piece
    except OSError:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    if head.split(b"\r\n")[0].split(b" ")[1:2] != [b"200"]:
        return None
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
