"""What lies in a folder of outputs, measured as the project declares it."""

from __future__ import annotations

from pathlib import Path

from repro.errors import AnalysisError
from repro.files import open_regular
from repro.measure.measure import measure
from repro.measure.source import MAX_TABLE_BYTES
from repro.models.measurement import Measurement
from repro.models.project import Project


def measure_folder(project: Project, folder: Path) -> Measurement:
    """Measure the outputs in `folder`. Raises AnalysisError naming file and position."""

    def read(path: str) -> bytes:
        try:
            with open_regular(folder / path) as file:
                return file.read(MAX_TABLE_BYTES + 1)
        except NotADirectoryError as error:
            raise FileNotFoundError(path) from error
        except FileNotFoundError:
            raise
        except OSError as error:
            raise AnalysisError(
                f"{path} is no file that can be read: {error.strerror}",
                hint="let the analysis write a plain file there",
            ) from error

    return measure(read, project.metrics, project.tables)
