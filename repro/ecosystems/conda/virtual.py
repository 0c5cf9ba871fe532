"""Virtual packages: what an image offers that no channel has. Never what this host has."""

from __future__ import annotations

from repro.locks.conda_names import SUBDIRS

LINUX = "5.10"
"""The kernel that is assumed, as conda-lock does: an image has none."""

_PROCESSORS = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
"""The oldest processor of each platform: a lock is for all of them."""


def virtual_packages(platform: str, glibc: str) -> tuple[tuple[str, str, str], ...]:
    """Return (name, version, build) of each, for a lock's platform and the image's C library.

    There is no `__cuda`: a run sees no such device.
    """
    found = [
        ("__archspec", "1", _PROCESSORS[SUBDIRS[platform]]),
        ("__linux", LINUX, "0"),
        ("__unix", "0", "0"),
    ]
    if glibc:
        found.append(("__glibc", glibc, "0"))
    return tuple(sorted(found))
