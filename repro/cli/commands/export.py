"""`repro export`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from repro.cli.options import common, engine
from repro.cli.session import Session
from repro.errors import UsageError

FORMATS = ("dockerfile", "oci", "pylock", "sbom", "devcontainer", "binder", "explicit")


@click.command("export")
@click.argument("name", metavar="FORMAT", type=click.Choice(FORMATS))
@click.option(
    "--output",
    metavar="PATH",
    help="Where to write; - is standard output.  [default: its usual place in the project]",
)
@click.option("--force", is_flag=True, help="Replace files that repro export did not write.")
@engine
@common
@click.pass_obj
def command(session: Session, name: str, output: str | None, force: bool) -> None:
    """Write the lock in another tool's format.

    \b
    dockerfile    a comparable environment without repro
    oci           the pinned image: an OCI layout, as a tar or a folder
    pylock        pylock.toml (PEP 751), for pip, uv and others
    sbom          a bill of materials: CycloneDX of pip, conda and apt
    devcontainer  .devcontainer/, for editors
    binder        repro2docker's files
    explicit      conda's list of exact packages
    """  # noqa: D301 - the backspace is click's mark for lines that stay as they are
    from repro.report import console
    from repro.report.export import data, render
    from repro.workflows.export import STDOUT, ExportOptions, export

    to_stdout = output == STDOUT
    if to_stdout and session.json:
        raise UsageError("--output - and --json both want standard output", hint="leave out one")
    result = export(
        session.project(),
        session.tools(),
        ExportOptions(
            format=name,
            output=None if output is None or to_stdout else Path(output),
            force=force,
            stream=sys.stdout.buffer if to_stdout else None,
        ),
    )
    if not to_stdout:
        session.show(render(result), data(result))
        return
    for note in result.notes:
        session.progress().note(f"note: {note}")
    console.flush()
