"""Output of others in a CI log, where some lines are commands to the CI."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def stopped(environment: Mapping[str, str]) -> Iterator[None]:
    """Let the CI execute nothing of what is printed within the block.

    GitHub's runner obeys lines of both streams until it reads `::stop-commands::TOKEN`, and again
    after `::TOKEN::`, which nobody inside can guess
    (https://docs.github.com/actions/reference/workflow-commands-for-github-actions). On stderr:
    stdout may be somebody's data. Elsewhere nothing is printed.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)
    _say(f"::stop-commands::{token}")
    try:
        yield
    finally:
        _say(f"::{token}::")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
