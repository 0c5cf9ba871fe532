"""Where a resolution or a build runs what must run in the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from repro.engines.base import Engine
from repro.models.image import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """An engine, and an image with the target's interpreter that it has loaded.

    Both are made on demand and remembered by who gives them: most resolutions need neither.
    `compiler` is an image with no more than the interpreter, where that is there sooner.
    """

    engine: Callable[[], Engine]
    image: Callable[[], Image]
    compiler: Callable[[], Image] | None = None
