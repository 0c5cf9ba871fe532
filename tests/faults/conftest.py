"""Fixtures that these tests share."""

from tests.based import based, tools_layer
from tests.conda_channel import conda_channel
from tests.faults.conda_sources import pin_conda
from tests.faults.private_daemon import own_daemon
from tests.faults.sources import locked_project, pin, world
from tests.faults.stores import stock, stocked
from tests.faults.three import three, three_template
from tests.support import cache, tiny, tiny_template

__all__ = [
    "based",
    "cache",
    "conda_channel",
    "locked_project",
    "own_daemon",
    "pin",
    "pin_conda",
    "stock",
    "stocked",
    "three",
    "three_template",
    "tiny",
    "tiny_template",
    "tools_layer",
    "world",
]
