"""The tables of an input, and what it shows and sounds like, in the formats of other tools.

A module per format; `formats.write` writes any of them by name.
"""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """What an input can be written as; the values are the names on the command line."""

    PARQUET = "parquet"
    """A folder with a Parquet file per table."""
    CSV = "csv"
    """A folder with a CSV file per table."""
    JSON = "json"
    """A folder with a file of JSON Lines per table."""
    PERFETTO = "perfetto"
    """A timeline for ui.perfetto.dev."""
    PCAPNG = "pcapng"
    """A capture of the sessions in the clear."""
    WAV = "wav"
    """What one session played."""
    MP4 = "mp4"
    """What one display channel showed."""

    @property
    def ending(self) -> str:
        """What a file of this format is called; of tables, a file of one of them."""
        return {"json": ".jsonl", "perfetto": ".pftrace"}.get(self.value, f".{self.value}")

    @property
    def of_tables(self) -> bool:
        """Whether it holds tables that can be chosen."""
        return self in (ExportFormat.PARQUET, ExportFormat.CSV, ExportFormat.JSON)

    @property
    def rendered(self) -> bool:
        """Whether it holds one session and channel, as a client would have shown or played it."""
        return self in (ExportFormat.WAV, ExportFormat.MP4)
