"""Fixtures that these tests share."""

from tests.support import cache, tiny, tiny_template

__all__ = ["cache", "tiny", "tiny_template"]
