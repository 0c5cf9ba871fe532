"""conda's own list of exact packages: `conda create --name NAME --file FILE`.

Format: "Building identical conda environments" in conda's manual. Each address ends in `#` and
the md5, which every conda reads, or `sha256:` and the sha256, which those from 24.9 on do.
"""

from __future__ import annotations

from collections.abc import Iterable

from repro.models.lock import CondaPackage

_HEAD = "# This file may be used to create an environment using:\n"
_HEAD += "# $ conda create --name <env> --file <this file>\n"


def render(packages: Iterable[CondaPackage], platform: str, *, sha256: bool = False) -> str:
    """Return the list of one platform's packages, sorted by name.

    `platform` is conda's name (linux-64). With `sha256` every package has that; without, only
    those whose md5 no channel has said.
    """
    lines = [
        f"{package.address}#{_digest(package, sha256=sha256)}\n"
        for package in sorted(packages, key=lambda package: package.name)
    ]
    return f"{_HEAD}# platform: {platform}\n@EXPLICIT\n{''.join(lines)}"


def _digest(package: CondaPackage, *, sha256: bool) -> str:
    return f"sha256:{package.sha256}" if sha256 or not package.md5 else package.md5
