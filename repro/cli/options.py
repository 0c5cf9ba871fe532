"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from repro.cli.session import ENGINES, Session

F = TypeVar("F", bound=Callable[..., Any])


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep a given option in the session; one that was not given changes nothing."""
    if value:
        assert param.name is not None
        changes: dict[str, Any] = {param.name: value}
        ctx.obj = replace(ctx.ensure_object(Session), **changes)


def _option(*declarations: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*declarations, expose_value=False, callback=_remember, **settings)


def common(function: F) -> F:
    """-C, --json and --quiet; accepted before and after the command's name."""
    for decorate in (
        _option("-q", "--quiet", is_flag=True, help="No progress display."),
        _option("--json", is_flag=True, help="Write one JSON object to stdout."),
        _option(
            "-C",
            "--project",
            "folder",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="The project's folder.  [default: .]",
        ),
    ):
        function = decorate(function)
    return function


def engine(function: F) -> F:
    """--engine and --offline, for the commands that build or run."""
    for decorate in (
        _option("--offline", is_flag=True, help="Fetch nothing; use what the store has."),
        _option(
            "--engine",
            type=click.Choice(ENGINES),
            help="What runs the image: docker where a daemon answers, else the sandbox."
            "  [default: auto]",
        ),
    ):
        function = decorate(function)
    return function
