"""Images in the daemon: found by ID, loaded without the layers that it already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repro.engines.docker.api import NO_SPACE, Daemon, refusal
from repro.errors import EngineError
from repro.image.archive import archive_chunks
from repro.models.image import Image
from repro.progress import Progress, counted
from repro.store.artifacts import Store

if TYPE_CHECKING:
    from docker import APIClient


def find(daemon: Daemon, image: Image) -> str | None:
    """Return the ID under which the daemon holds exactly this image, None when it does not.

    That is the configuration's digest, or the manifest's where it keeps images in containerd.
    The name is never asked. Raises EngineError.
    """
    wanted = [layer.digest for layer in image.layers]
    for identity in (image.id, image.manifest_digest):
        with daemon.doing(f"looking for image {image.tag}"):
            held = inspect(daemon.client, identity)
        if held is not None and held["Id"] == identity and _layers(held) == wanted:
            return identity
    return None


def ensure(daemon: Daemon, image: Image, store: Store, progress: Progress) -> str:
    """Have the image in the daemon, tagged; return its ID. Raises EngineError, LockError."""
    identity = find(daemon, image) or _load(daemon, image, store, progress)
    repository, _, tag = image.tag.partition(":")
    with daemon.doing(f"naming image {image.tag}"):
        held = inspect(daemon.client, image.tag)
        if held is None or held["Id"] != identity:
            daemon.client.tag(identity, repository, tag, force=True)
    return identity


def _load(daemon: Daemon, image: Image, store: Store, progress: Progress) -> str:
    with daemon.doing("listing its images"):
        omit = _held_layers(daemon.client, image)
    if omit:
        try:
            _send(daemon, image, store, progress, omit)
        except EngineError as error:
            if NO_SPACE in error.message:
                raise  # more layers do not help
            # an engine that does not know layers by their chain (containerd) wants them all
            progress.note(f"sending all layers: {error.message}")
        if (identity := find(daemon, image)) is not None:
            return identity
    _send(daemon, image, store, progress, frozenset())
    if (identity := find(daemon, image)) is None:
        raise EngineError(
            f"docker: after loading {image.tag} the daemon at {daemon.address} holds no image "
            f"{image.id} with these layers",
            hint="it changed what it was sent; another version of the engine, or --engine sandbox",
        )
    return identity


def _held_layers(client: APIClient, image: Image) -> frozenset[str]:
    """Diff IDs of the longest run of first layers that some image of the daemon has too."""
    wanted = [layer.digest for layer in image.layers]
    longest = 0
    for identity in client.images(quiet=True):
        held = inspect(client, identity)
        if held is None:  # removed meanwhile
            continue
        same = 0
        for ours, theirs in zip(wanted, _layers(held), strict=False):
            if ours != theirs:
                break
            same += 1
        longest = max(longest, same)
    # a layer that occurs again further up is under another chain there, so it must be sent
    return frozenset(wanted[:longest]) - frozenset(wanted[longest:])


def _send(
    daemon: Daemon, image: Image, store: Store, progress: Progress, omit: frozenset[str]
) -> None:
    """Stream the archive into `docker load`."""
    size = sum(layer.size for layer in set(image.layers) if layer.digest not in omit)
    with (
        progress.task(f"sending {image.tag} to docker", size) as task,
        daemon.doing(f"loading {image.tag}"),
    ):
        client = daemon.patient()
        try:
            chunks = counted(archive_chunks(image, store, omit=omit), task)
            replies = client.load_image(chunks, quiet=True)  # type: ignore[no-untyped-call]
            for line in replies:
                if isinstance(line, dict) and line.get("error"):
                    raise refusal(f"loading {image.tag}", str(line["error"]))
        finally:
            client.close()


def inspect(client: APIClient, name: str) -> dict[str, Any] | None:
    """Return what the daemon says of an image, None where it has none of that name."""
    from docker.errors import NotFound

    try:
        held = client.inspect_image(name)  # type: ignore[no-untyped-call]
    except NotFound:
        return None
    assert isinstance(held, dict)
    return held


def _layers(held: dict[str, Any]) -> list[str]:
    return list((held.get("RootFS") or {}).get("Layers") or [])
