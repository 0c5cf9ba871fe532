"""Where conda's packages live in an image."""

from __future__ import annotations

from repro.models.lock import CONDA_PREFIX

PREFIX = CONDA_PREFIX

META = "conda-meta"
"""The folder of the prefix in which conda keeps its records."""


def channel_name(address: str) -> str:
    """Return a channel's name, which does not change with the mirror: the last of its path."""
    return address.rstrip("/").rpartition("/")[2]
