"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from repro.cli.session import ENGINES, Session

F = TypeVar("F", bound=Callable[..., Any])


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep a given option in the session; one that was not given changes nothing."""
    assert param.name is not None
    source = ctx.get_parameter_source(param.name)
    if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
        if source is ParameterSource.ENVIRONMENT and ctx.parent is not None:
            return  # the group has read it; what was given there counts more
        changes: dict[str, Any] = {param.name: value}
        ctx.obj = replace(ctx.ensure_object(Session), **changes)


def _option(*declarations: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*declarations, expose_value=False, callback=_remember, **settings)


def common(function: F) -> F:
    """-C, --json and --quiet; accepted before and after the command's name."""
    for decorate in (
        _option("-q", "--quiet", is_flag=True, help="Show no progress and no notes."),
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
    """--engine, --offline and --lock-timeout, for the commands that build or run."""
    for decorate in (
        _option(
            "--lock-timeout",
            type=click.IntRange(min=0),
            metavar="SECONDS",
            envvar="REPRO_LOCK_TIMEOUT",
            help="How long to wait for another repro that works on the same; 0: not at all."
            "  [default: 600; env: REPRO_LOCK_TIMEOUT]",
        ),
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
