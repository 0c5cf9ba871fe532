"""Fixtures that these tests share."""

from tests.conda_channel import conda_channel
from tests.faults.sources import locked_project, world
from tests.support import cache, tiny, tiny_template

__all__ = ["cache", "conda_channel", "locked_project", "tiny", "tiny_template", "world"]
