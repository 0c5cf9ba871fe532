"""`.devcontainer/`: the environment as an editor's container (containers.dev)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from repro.export.facts import head
from repro.models.execution import PROJECT, UID
from repro.models.lock import Lock

_IMAGES = frozenset({"HOME", "MPLCONFIGDIR", "PATH", "PWD"})
"""What a run sets for its own file system."""


def render(
    lock: Lock, *, name: str, dockerfile: str, env: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """Return {file name: text} of the folder; `env` is the environment of a run."""
    settings = {
        "name": name,
        "build": {"dockerfile": "Dockerfile"},
        "workspaceFolder": PROJECT,
        "workspaceMount": f"source=${{localWorkspaceFolder}},target={PROJECT},type=bind",
        "containerEnv": {key: value for key, value in env if key not in _IMAGES},
        "remoteUser": str(UID),
        "updateRemoteUserUID": False,
    }
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    return {
        "devcontainer.json": f"// {head('devcontainer', lock)}.\n{text}\n",
        "Dockerfile": f"{dockerfile}{_user()}",
    }


def _user() -> str:
    """Give the user that an editor's server runs as a name and a home."""
    return (
        "\n# An editor's server wants a user with a home.\n"
        "USER root\n"
        f"RUN getent passwd {UID} || useradd --uid {UID} --create-home --shell /bin/sh analyst\n"
        f"USER {UID}:{UID}\n"
    )
