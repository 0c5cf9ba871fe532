"""Where root changes an image's files without network: an installation on top of a base image."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from repro.image.layer import Entry
from repro.image.merged import Merged
from repro.models.image import Image

FILES = "/run/repro"
"""Where the files of a work lie inside; no layer ever holds what is below /run."""

CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETFCAP", "SETGID", "SETUID",
)  # fmt: skip
"""What a package's scripts need of root's rights: owners, modes, other users; no devices."""

HOSTNAME = "repro"
BOTH_WAYS = (
    "as root with bubblewrap (sudo repro build; apt-get install bubblewrap), or with a Docker "
    "daemon that this user may use"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """One program that runs as root in an image and may change its files, without network.

    `files` is a folder of this host that it finds at FILES; `env` its whole environment; `log`
    gets what it prints; `timeout` seconds.
    """

    image: Image
    argv: tuple[str, ...]
    files: Path
    log: Path
    env: tuple[tuple[str, str], ...] = ()
    timeout: float = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Worked:
    """How a work ended, and the image's files after it: all of them, as a tar or folder has them.

    Paths that are not among `touched` are what they were.
    """

    code: int
    after: Iterable[Entry] = field(repr=False)
    touched: Collection[str] = field(repr=False)


class Workshop(Protocol):
    """Changes images; what comes out does not depend on which one it is."""

    @property
    def name(self) -> str:
        """`docker` or `sandbox`."""

    def unable(self) -> str | None:
        """Why it cannot work on this host, with the remedy; None when it can."""

    def worked(self, work: Work, before: Merged) -> AbstractContextManager[Worked]:
        """Do the work; what it made can be read in the block. `before` are the image's files.

        A program that fails is a value. Raises EngineError when the workshop itself fails, and
        leaves nothing behind.
        """
