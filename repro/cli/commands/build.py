"""`repro build`."""

from __future__ import annotations

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("build")
@click.option(
    "--check",
    is_flag=True,
    help="Hash all again; build twice more, in empty caches, and name any file that differs.",
)
@click.option("--record", is_flag=True, help="Write image.toml anew, for a newer recipe.")
@engine
@common
@click.pass_obj
def command(session: Session, check: bool, record: bool) -> None:
    """Build the pinned image from the lock, bit for bit.

    The first build records the image ID in lockfiles/linux-amd64/image.toml; every later one
    must give the same, else it exits 3 and names the first file that differs.
    """
    from repro.report.build import data, render
    from repro.workflows.build import BuildOptions, build

    project, tools = session.project(), session.tools()
    if session.engine != "auto":
        tools.engine()  # an engine that was asked for and cannot be had is an error, here too
    result = build(project, tools, BuildOptions(check=check, record=record))
    session.show(render(result), data(result))
