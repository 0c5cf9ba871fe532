"""Rendered reports that are kept as files; REPRO_REFRESH_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("REPRO_REFRESH_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"no {path}: run with REPRO_REFRESH_GOLDEN=1"
    assert text == path.read_text(encoding="utf-8")
