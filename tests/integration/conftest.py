"""Fixtures that these tests share."""

from tests.based import based, tools_layer
from tests.conda_channel import conda_channel
from tests.faults.sources import locked_project, world
from tests.support import cache, tiny, tiny_template

__all__ = [
    "based",
    "cache",
    "conda_channel",
    "locked_project",
    "tiny",
    "tiny_template",
    "tools_layer",
    "world",
]
