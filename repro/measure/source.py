"""What a run wrote, as text with positions: the one place where its bytes are decoded."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from repro.errors import AnalysisError

MAX_METRICS_BYTES = 4 << 20
"""Largest metrics file that is read, in bytes."""

MAX_TABLE_BYTES = 64 << 20
"""Largest table that is read, in bytes."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
    (codecs.BOM_UTF8, "UTF-8"),
)
_ENCODING_HINT = 'write it as UTF-8 without a byte-order mark: open(..., encoding="utf-8")'


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One decoded file; `file` is its path relative to the project."""

    file: str
    text: str

    def position(self, at: int) -> tuple[int, int]:
        """Line and column, both from 1, of the character at offset `at`."""
        line = self.text.count("\n", 0, at) + 1
        return line, at - self.text.rfind("\n", 0, at)

    def error(self, message: str, at: int, *, hint: str | None = None) -> AnalysisError:
        """An AnalysisError that names this file and the position of offset `at`."""
        line, column = self.position(at)
        return AnalysisError(f"{self.file}, line {line}, column {column}: {message}", hint=hint)

    def error_at_line(self, message: str, line: int, *, hint: str | None = None) -> AnalysisError:
        """An AnalysisError that names this file and a line (from 1)."""
        return AnalysisError(f"{self.file}, line {line}: {message}", hint=hint)


def decode(data: bytes, *, file: str, limit: int) -> Source:
    """Decode strict UTF-8 without a byte-order mark.

    Raises AnalysisError naming `file` when it is empty or larger than `limit` bytes, and the
    byte offset of what is not UTF-8.
    """
    if len(data) > limit:
        raise AnalysisError(
            f"{file} is larger than {limit >> 20} MiB",
            hint="write summary numbers to it, not data",
        )
    for mark, name in _MARKS:
        if data.startswith(mark):
            raise AnalysisError(
                f"{file}, byte 0: begins with a {name} byte-order mark", hint=_ENCODING_HINT
            )
    if not data.strip():
        raise AnalysisError(
            f"{file} is empty", hint="the analysis must write it; see its output for why it did not"
        )
    try:
        return Source(file=file, text=data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise AnalysisError(
            f"{file}, byte {error.start}: not UTF-8 (0x{data[error.start]:02x})",
            hint=_ENCODING_HINT,
        ) from None


def quoted(text: str, limit: int = 60) -> str:
    """A name out of a file for a message: quoted, cut, every control character escaped."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
