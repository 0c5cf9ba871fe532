"""Where conda's packages live in an image."""

from __future__ import annotations

from urllib.parse import unquote

from repro.models.lock import CONDA_PREFIX, CondaPackage

PREFIX = CONDA_PREFIX

META = "conda-meta"
"""The folder of the prefix in which conda keeps its records."""


def channel_name(address: str) -> str:
    """Return a channel's name, which does not change with the mirror: the last of its path."""
    return address.rstrip("/").rpartition("/")[2]


def archive_name(package: CondaPackage) -> str:
    """Return an archive's name; in a lock it is part of an address: `x264-1%21164-h0.conda`."""
    return unquote(package.filename)
