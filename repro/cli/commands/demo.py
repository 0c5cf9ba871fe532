"""`repro demo`."""

from __future__ import annotations

from pathlib import Path

import click

from repro.cli.options import common, engine
from repro.cli.session import Session


@click.command("demo")
@click.argument(
    "target", metavar="[FOLDER]", required=False, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
@engine
@common
@click.pass_obj
def command(session: Session, target: Path | None, svg: Path | None) -> None:
    """Show a real drift: pandas 0.20.3 against 0.21.0.

    Locks, builds and accepts a small analysis on pandas 0.20.3, moves it to 0.21.0, and shows
    which numbers changed. FOLDER (default: a temporary one) must be new or empty; it is yours
    to look at afterwards.
    """
    from repro.files import write_atomic
    from repro.report.demo import data, render
    from repro.report.demo import svg as draw
    from repro.workflows.demo import demo

    tools = session.tools()
    result = demo(target, tools, tools.progress.note)
    if svg is not None:
        write_atomic(svg, draw(result).encode())
    session.show(render(result), data(result))
