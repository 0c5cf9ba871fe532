"""Why a sandbox could not be set up on this host, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from repro.errors import EngineError

INSTALL = "bubblewrap is not installed: apt-get install bubblewrap"

# Kernel settings that forbid user namespaces: (name, value that forbids, remedy).
_SETTINGS = (
    ("kernel.unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user.max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
        "or give bwrap and python an AppArmor profile that allows userns",
    ),
)
_REFUSALS = ("Operation not permitted", "Permission denied", "No permissions", "No space left")
_CONTAINER = (
    "this looks like a container that forbids it; "
    "start that with --privileged, or use the docker engine"
)


def setting(name: str) -> str | None:
    """Value of a kernel setting, None where this kernel has none of that name."""
    try:
        return Path("/proc/sys", *name.split(".")).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def failure(
    status: Mapping[str, object], head: str, look: Callable[[str], str | None] = setting
) -> EngineError:
    """Return the error for a step that never started its program.

    `status` is what launcher and bwrap reported, `head` what they wrote, `look` reads a kernel
    setting.
    """
    if "failed" in status:
        number = status.get("errno")
        reason = os.strerror(number) if isinstance(number, int) else "unknown"
        what = f"{status['failed']} {status.get('why', '')}".strip()
        message = f"the sandbox could not be prepared: {what}: {reason}"
        return EngineError(message, hint=_hint(str(status["failed"]), number, look))
    said = head.strip().splitlines()
    message = f"bwrap failed: {said[-1] if said else 'it said nothing'}"
    refused = any(word in message for word in _REFUSALS)
    if "Unknown option" in message:
        return EngineError(message, hint="bubblewrap 0.6 or newer is needed")
    return EngineError(message, hint=_forbidding(look) or _CONTAINER if refused else None)


def _hint(step: str, number: object, look: Callable[[str], str | None]) -> str | None:
    if step == "overlay" and number != errno.ENOENT:
        return "overlay mounts in user namespaces need Linux 5.11 or newer; use the docker engine"
    if number in (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EUSERS):
        return _forbidding(look) or _CONTAINER
    return None


def _forbidding(look: Callable[[str], str | None]) -> str | None:
    """The settings of this kernel that forbid user namespaces, with the remedy of each."""
    found = [f"{name} = {bad}: {remedy}" for name, bad, remedy in _SETTINGS if look(name) == bad]
    return "; ".join(found) or None
