"""Changing an image through a Docker daemon: its container's file system is the result."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.engines.docker import images
from repro.engines.docker.api import Daemon
from repro.engines.docker.container import in_background, kept, labels
from repro.engines.docker.engine import Docker
from repro.engines.docker.orphans import remove_orphans
from repro.engines.docker.streams import Echo, attached, pump
from repro.engines.docker.transfer import folder_chunks
from repro.engines.log import opened
from repro.engines.workshop import CAPABILITIES, FILES, HOSTNAME, Work, Worked
from repro.errors import EngineError
from repro.files import local_errors
from repro.image.layer import DAMAGED, entries_of
from repro.image.merged import Merged
from repro.progress import Progress, Silent
from repro.store.artifacts import Store

_LOG = 16 << 20
"""Bytes of what a work prints that are kept."""

_DRAIN = 60.0
_REMOVED = 2
"""The kind of a path that is gone, in the Engine API's list of changes."""


class DockerWorkshop:
    """See Workshop: nothing of the machine is shared with the daemon, which may be elsewhere."""

    name = "docker"

    def __init__(self, engine: Docker, store: Store, progress: Progress | None = None) -> None:
        self._engine = engine
        self._store = store
        self._progress = progress or Silent()

    def unable(self) -> str | None:
        """See Workshop.unable."""
        return self._engine.probe()

    @contextmanager
    def worked(self, work: Work, before: Merged) -> Iterator[Worked]:
        """See Workshop.worked."""
        daemon = self._engine.connected()
        for name in remove_orphans(daemon):
            self._progress.note(f"docker: removed {name}, which a killed repro left behind")
        identity = images.ensure(daemon, work.image, self._store, self._progress)
        with self._store.scratch() as folder:
            tar = folder / "export.tar"
            with kept(daemon, lambda name: _create(daemon, name, identity, work)) as name:
                _send(daemon, name, work.files)
                code = _run(daemon, name, work)
                touched = _touched(daemon, name)
                _export(daemon, name, tar)
            with local_errors(tar), tar.open("rb") as file:
                try:
                    with tarfile.open(fileobj=file, mode="r:") as archive:
                        yield Worked(code=code, after=entries_of(archive), touched=touched)
                except DAMAGED as error:
                    raise EngineError(
                        f"docker: the container's export is damaged: {error}", hint="run it again"
                    ) from error


def _create(daemon: Daemon, name: str, identity: str, work: Work) -> None:
    daemon.client.create_container(
        identity,
        command=list(work.argv),
        entrypoint=[],
        name=name,
        hostname=HOSTNAME,
        user="0:0",
        working_dir="/",
        environment=[f"{key}={value}" for key, value in work.env],
        labels=labels(),
        host_config=daemon.client.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=list(CAPABILITIES),
            security_opt=["no-new-privileges:true"],
            ipc_mode="private",
        ),
        use_config_proxy=False,
    )


def _send(daemon: Daemon, name: str, files: Path) -> None:
    with daemon.doing("sending the packages"):
        chunks = folder_chunks(files, FILES.lstrip("/"), owner=0)
        daemon.client.put_archive(name, "/", chunks)


def _run(daemon: Daemon, name: str, work: Work) -> int:
    """Start the container and wait for its end; return its exit status. Raises EngineError."""
    with opened(work.log, _LOG) as log, attached(daemon, name, stdin=False) as line:
        printing = in_background(lambda: pump(line, log, Echo(enabled=False), terminal=False))
        with daemon.doing("starting the installation"):
            daemon.client.start(name)
        ended = in_background(lambda: daemon.client.wait(name))
        deadline = time.monotonic() + work.timeout
        with daemon.doing("waiting for the installation"):
            try:
                answer = dict(ended.result(max(0.0, deadline - time.monotonic())))
            except TimeoutError as error:
                raise EngineError(
                    f"docker: the installation did not end within {work.timeout:g} s",
                    hint="a maintainer script may wait for something; see its package",
                ) from error
            printing.result(_DRAIN)
    code = answer.get("StatusCode")
    if answer.get("Error") or not isinstance(code, int):
        raise EngineError(
            f"docker: waiting for the installation: {answer!r}", hint="see the daemon's log"
        )
    return code


def _touched(daemon: Daemon, name: str) -> set[str]:
    with daemon.doing("asking what changed"):
        changes = daemon.client.diff(name) or []
        return {str(one["Path"]).lstrip("/") for one in changes if one["Kind"] != _REMOVED}


def _export(daemon: Daemon, name: str, target: Path) -> None:
    client = daemon.patient()
    with local_errors(target):
        file = target.open("wb")
    try:
        with daemon.doing("exporting the files"):
            for chunk in client.export(name):
                with local_errors(target):
                    file.write(chunk)
    finally:
        file.close()
        client.close()
