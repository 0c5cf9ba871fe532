"""`repro shell`."""

from __future__ import annotations

import sys

import click

from repro.cli.options import common, engine
from repro.cli.session import Session
from repro.errors import UsageError


@click.command("shell")
@engine
@common
@click.pass_obj
def command(session: Session) -> None:
    """Open a shell in the pinned image.

    The project is there as a private copy: nothing that you do to it reaches your files.
    """
    from repro.workflows.run import shell

    if session.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("repro shell needs a terminal", hint="repro run -- COMMAND needs none")
    shell(session.project(), session.tools())  # its status is that of the last thing typed
