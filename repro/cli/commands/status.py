"""`repro status`."""

from __future__ import annotations

import click

from repro.cli.options import common
from repro.cli.session import Session


@click.command("status")
@common
@click.pass_context
def command(context: click.Context) -> None:
    """Say what is locked, built, accepted, and what to do next.

    Offline and quick, for a pre-commit hook: exits 3 when the lock is missing, stale (the inputs
    changed) or edited (the lock changed).
    """
    from repro.report.status import data, exit_code, render
    from repro.workflows.status import status

    session = context.find_object(Session) or Session()
    result = status(session.project(), session.tools().store)
    session.show(render(result), data(result))
    context.exit(exit_code(result))
