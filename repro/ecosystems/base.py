"""What the build needs of every ecosystem: layers that know their key before they exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRecipe:
    """A layer to be: `key` is a pure function of recipe version and lock part (sha256 hex).

    `write` makes its canonical tar; it may use the layers before it.
    """

    name: str
    key: str
    write: Callable[[BinaryIO], None]
