"""Which of the files that a run sees look like keys and passwords."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from repro.files import open_regular

_NAMES = frozenset(
    {".git-credentials", ".htpasswd", ".netrc", "_netrc", ".npmrc", ".pgpass", ".pypirc", ".s3cfg",
     ".boto", ".dockercfg", ".vault-token", "credentials.json", "client_secret.json",
     "service_account.json", "service-account.json", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"}
)  # fmt: skip
_PATHS = ("/.aws/credentials", "/.docker/config.json", "/.kube/config")
_ENV = re.compile(r"\.env(?:rc|\..+)?|.+\.env")
_SAMPLE = re.compile(r"\.(?:example|sample|template|dist|defaults?)$")
_STORES = frozenset({".jks", ".kdbx", ".keystore", ".p12", ".pfx", ".ppk"})
_MAYBE = frozenset({".asc", ".gpg", ".key", ".p8", ".pem"})
"""Suffixes of what may as well be public: what is in it decides."""

_BEGINS = b"PRIVATE KEY"
_LOOK = 4096  # bytes of a file in which its first key begins


def secret_files(root: Path, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of the paths below `root` that by custom hold keys or passwords.

    By name; where that does not decide it, by the first 4 KiB. A file that cannot be read is
    left out: whoever copies it will say so.
    """
    return tuple(path for path in paths if _is_secret(root, PurePosixPath(path)))


def _is_secret(root: Path, path: PurePosixPath) -> bool:
    name = path.name.lower()
    if name in _NAMES or name.endswith(tuple(_STORES)) or _is_environment(name):
        return True
    if f"/{path}".lower().endswith(_PATHS):
        return True
    return name.endswith(tuple(_MAYBE)) and _holds_key(root / path)


def _is_environment(name: str) -> bool:
    """Whether it is `.env`, `.env.production`, `prod.env` or `.envrc`, and no sample of one."""
    return bool(_ENV.fullmatch(name)) and not _SAMPLE.search(name)


def _holds_key(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return _BEGINS in file.read(_LOOK)
    except OSError:
        return False
