"""What every engine is: it takes an image, and runs jobs in it."""

from __future__ import annotations

from typing import Protocol

from repro.models.execution import Execution, Job
from repro.models.image import Image


class Engine(Protocol):
    """Runs commands inside images (DESIGN.md §7); one contract suite covers all."""

    @property
    def name(self) -> str:
        """`docker` or `sandbox`."""

    def probe(self) -> str | None:
        """Why it cannot be used on this host, with the remedy; None when it can."""

    def load(self, image: Image) -> None:
        """Make the image runnable; a look-up when it already is. Raises EngineError."""

    def run(self, job: Job) -> Execution:
        """Run a job of a loaded image to its end.

        A failing analysis is a value, not an exception. Raises EngineError when the engine
        itself fails; nothing of the job stays behind, also after KeyboardInterrupt.
        """
