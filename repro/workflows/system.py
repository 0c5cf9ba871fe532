"""The system packages that building and running need: found, installed, or named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from repro import process
from repro.errors import EngineError, NetworkError

NEEDED: tuple[tuple[str, str], ...] = (
    ("mmdebstrap", "mmdebstrap"),
    ("bwrap", "bubblewrap"),
    ("newuidmap", "uidmap"),
    ("gpgv", "gpgv"),
)
"""(executable, Debian package)."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing_packages() -> tuple[str, ...]:
    """Debian packages that must be installed before anything can be built here."""
    missing = [package for executable, package in NEEDED if process.which(executable) is None]
    if not KEYRING.exists():
        missing.append("debian-archive-keyring")
    return tuple(missing)


def require_system(say: Callable[[str], None]) -> None:
    """Install what is missing when root; else raise EngineError with the exact command."""
    missing = missing_packages()
    if not missing:
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if process.which("apt-get") is None:
        raise EngineError(
            f"not installed here: {', '.join(missing)}", hint="install them with your system's tool"
        )
    if os.geteuid() != 0:
        raise EngineError(f"not installed here: {', '.join(missing)}", hint=f"run as root: {line}")
    say(f"$ {line}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], line.split()):
        done = process.run(command, env=environment)
        if done.code:
            raise NetworkError(f"{' '.join(command)} failed:\n{done.tail(5)}")
