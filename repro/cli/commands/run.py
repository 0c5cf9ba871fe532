"""`repro run`."""

from __future__ import annotations

import os
import sys

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARGUMENT]...]")
@click.option("--no-copy", is_flag=True, help="Leave the outputs below .repro/runs.")
@engine
@common
@click.pass_obj
def command(session: Session, words: tuple[str, ...], no_copy: bool) -> None:
    """Run the analysis, or any command, in the pinned image.

    No network, read-only root and data; the project is a private copy. The declared outputs of
    the analysis are copied into the project; those of a COMMAND of your own are not. COMMAND
    has this command's standard input, and the terminal if there is one. Exits 4 when it fails.
    """
    from repro.report import workflow_commands
    from repro.report.run import data, render
    from repro.workflows.run import RunOptions, run

    has_input = bool(words) and sys.stdin is not None  # None: it was closed
    options = RunOptions(
        command=words or None,
        interactive=has_input and not session.json and sys.stdin.isatty() and sys.stdout.isatty(),
        stdin=has_input,
        publish=not words and not no_copy,
        echo=not session.json,
    )
    with workflow_commands.stopped(os.environ if options.echo else {}):
        result = run(session.project(), session.tools(), options)
    if not words or session.json:  # a command's own output is the whole answer
        session.show(render(result), data(result))
