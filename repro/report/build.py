"""`repro build`: the image, and where it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.report.facts import facts
from repro.report.text import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from repro.models.outcome import BuildResult


def render(result: BuildResult) -> RenderableType:
    """Lay it out for a person."""
    image = result.image
    total = counted(len(image.layers), "layer")
    made = f"{result.layers_built} built" if result.layers_built else "all from the cache"
    size = sum(layer.size for layer in image.layers) / 1e6
    return facts(
        (
            ("image", f"{image.id}"),
            ("", _checked(result)),
            ("layers", f"{total}, {size:.0f} MB, {made}"),
            ("engines", ", ".join(result.loaded) or "none answers here; it is in the cache"),
            ("time", f"{result.seconds:.1f} s"),
        )
    )


def _checked(result: BuildResult) -> str:
    if result.recorded:
        said = "recorded in image.toml"
    elif result.record.image_id == result.image.id:
        said = "as image.toml records"
    else:
        said = f"not compared: image.toml is of recipe {result.record.recipe}"
    return said + ("; the same from two builds in empty caches" if result.checked else "")


def data(result: BuildResult) -> dict[str, object]:
    """Return the same as JSON values."""
    image = result.image
    return {
        "image_id": image.id,
        "manifest_digest": image.manifest_digest,
        "recipe": result.record.recipe,
        "layers": [
            {"name": layer.name, "digest": layer.digest, "size": layer.size}
            for layer in image.layers
        ],
        "layers_built": result.layers_built,
        "loaded": list(result.loaded),
        "recorded": result.recorded,
        "checked": result.checked,
        "seconds": round(result.seconds, 3),
    }
