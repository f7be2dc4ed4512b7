"""When a report about a video stream is due, and what it says.

Source: spice-wire.md 11.1 and 11.2; spice-gtk src/channel-display.c, display_update_stream_report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.protocol.messages.display import StreamReport
from spicereplay.units import NS_PER_MS

LATE_IN_A_ROW: Final = 3
"""Late frames in a row that make a report due at once. Source: STREAM_REPORT_DROP_SEQ_LEN_LIMIT."""
NOTHING_PLAYS: Final = 0xFFFFFFFF
"""`audio_delay` where no sound is played."""
CANNOT_PLAY: Final = 0xFFFFFFFF
"""`num_drops` of a report that says so."""


def cannot_play(stream_id: int) -> StreamReport:
    """Return the report about a stream that is not there or that nothing here decodes. Source: spice-wire.md 10.4."""
    return StreamReport(stream_id, 0, 0, 0, 0, CANNOT_PLAY, 0, 0)


@dataclass(slots=True)
class ReportWindow:
    """The frames of one stream since the last report. It is looked at when a frame arrives, and at no other time."""

    stream_id: int
    unique_id: int
    max_window: int
    """Frames."""
    timeout_ms: int
    _start_ns: int = 0
    _start_time_ms: int = 0
    _frames: int = 0
    _late: int = 0
    _late_in_a_row: int = 0

    def frame(
        self, time_ms: int, margin_ms: int, audio_delay_ms: int | None, now_ns: int
    ) -> StreamReport | None:
        """Count a frame stamped `time_ms` that came `margin_ms` early; return the report if one is due."""
        if not self._frames:
            self._start_time_ms, self._start_ns = time_ms, now_ns
        self._frames += 1
        if margin_ms < 0:
            self._late += 1
            self._late_in_a_row += 1
        else:
            self._late_in_a_row = 0
        if (
            self._frames < self.max_window
            and now_ns - self._start_ns < self.timeout_ms * NS_PER_MS
            and self._late_in_a_row < LATE_IN_A_ROW
        ):
            return None
        report = StreamReport(
            stream_id=self.stream_id,
            unique_id=self.unique_id,
            start_frame_mm_time=self._start_time_ms,
            end_frame_mm_time=time_ms,
            num_frames=self._frames,
            num_drops=self._late,
            last_frame_delay=margin_ms,
            audio_delay=NOTHING_PLAYS if audio_delay_ms is None else audio_delay_ms,
        )
        self._frames = self._late = self._late_in_a_row = 0
        return report
