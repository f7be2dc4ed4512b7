"""Places on the screen that look like video and were sent as pictures, with the condition that failed.

The server makes a stream of DRAW_COPYs with the very same box that follow one another within 200 ms, once it has
counted 20 successors. What a capture shows of its other conditions is tested here in the order of
server-heuristics.md B5; whether the content is picture-like takes decoded pixels and is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import IndexArray, Record, records, second
from spicereplay.analysis.draws import base_ends
from spicereplay.analysis.fields import Fields, fields, fields_at
from spicereplay.bytestream import Int64Array
from spicereplay.protocol.enums import ChannelType, ImageType, RopDescriptor, ServerDisplay
from spicereplay.protocol.messages.images import ImageDescriptor
from spicereplay.session.log import ChannelLog, SessionLog
from spicereplay.units import NS_PER_MS

if TYPE_CHECKING:
    import pandas as pd

RUN_GAP_NS: Final = 200 * NS_PER_MS
"""Source: server-heuristics.md A1, RED_STREAM_DETECTION_MAX_DELTA."""
START_SUCCESSORS: Final = 20
"""Source: A1, RED_STREAM_FRAMES_START_CONDITION: the 21st picture starts the stream."""
MIN_PIXELS: Final = 96 * 96
"""Source: A1, RED_STREAM_MIN_SIZE; holds in filter mode."""
LEAST_PICTURES: Final = 10
"""Fewer pictures of one box make no region."""
MOST_REGIONS: Final = 1000
"""Regions kept per channel, those with the most pictures."""
_GROUP_DEVICE, _GROUP_SERVER = 1, 2
"""Low word of an image id. Source: spice-wire.md 8.1."""

_AFTER_CLIP: Final = np.dtype(
    [
        ("src_bitmap", "<u4"),
        ("src_top", "<i4"),
        ("src_left", "<i4"),
        ("src_bottom", "<i4"),
        ("src_right", "<i4"),
        ("rop", "<u2"),
        ("scale_mode", "u1"),
        ("mask_flags", "u1"),
        ("mask_x", "<i4"),
        ("mask_y", "<i4"),
        ("mask_bitmap", "<u4"),
    ]
)
"""The rest of DRAW_COPY, which begins where its clip ends. Source: spice-wire.md 7.1 and 7.3."""


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """The DRAW_COPYs of one channel as columns of one length; pictures of the server's own making left out."""

    time_ns: Int64Array
    size: npt.NDArray[np.uint32]
    base: Fields
    rest: Fields
    image: Fields

    def src_pixels(self, which: IndexArray) -> Int64Array:
        """Return the area of the source of some of them."""
        rest = self.rest[which]
        width = rest["src_right"].astype(np.int64) - rest["src_left"]
        height = rest["src_bottom"].astype(np.int64) - rest["src_top"]
        return np.asarray(np.maximum(width, 0) * np.maximum(height, 0), np.int64)


def copies(log: ChannelLog) -> Copies:
    """Read the fixed fields of all DRAW_COPYs; a screenshot or upgrade by the server is no candidate (B2)."""
    index = log.server
    rows, base = fields(index, ServerDisplay.DRAW_COPY)
    _, after = base_ends(index, rows, base)
    rest = fields_at(index, rows, after, _AFTER_CLIP)
    image = fields_at(index, rows, rest["src_bitmap"].astype(np.int64), ImageDescriptor.prefix_dtype())
    kept = (image["id"] & np.uint64(0xFFFFFFFF)) != _GROUP_SERVER
    return Copies(index.time_ns[rows][kept], index.size[rows][kept], base[kept], rest[kept], image[kept])


def regions(sessions: Sequence[SessionLog], streams: pd.DataFrame, origin_ns: int) -> pd.DataFrame:
    """Return the table `regions`; `streams` is the table of that name."""
    rows: list[Record] = []
    for session in sessions:
        for log in session.of(ChannelType.DISPLAY):
            mine = (streams["session"] == session.number) & (streams["channel_id"] == log.channel_id)
            rows += _regions(session.number, log, streams[mine], origin_ns)
    return records("regions", rows)


_BOX: Final = ("base_surface_id", "base_box_left", "base_box_top", "base_box_right", "base_box_bottom")


def _regions(session: int, log: ChannelLog, streams: pd.DataFrame, origin_ns: int) -> list[Record]:
    drawn = copies(log)
    if not len(drawn.time_ns):
        return []
    box = np.stack([drawn.base[name].astype(np.int64) for name in _BOX], axis=1)
    boxes, region, pictures = np.unique(box, axis=0, return_inverse=True, return_counts=True)
    often = np.flatnonzero(pictures >= LEAST_PICTURES)
    often = often[np.argsort(-pictures[often], kind="stable")][:MOST_REGIONS]
    order = np.argsort(region.ravel(), kind="stable")
    begins = np.concatenate(([0], np.cumsum(pictures)))
    dests = streams[["dest_left", "dest_top", "dest_right", "dest_bottom"]].to_numpy(np.int64)
    found: list[Record] = []
    for which in often.tolist():
        mine = order[begins[which] : begins[which + 1]]
        surface, left, top, right, bottom = boxes[which].tolist()
        first, last = longest_run(drawn.time_ns[mine])
        streamed = bool((dests == (left, top, right, bottom)).all(axis=1).any()) if len(dests) else False
        found.append(
            {
                "session": session,
                "channel_id": log.channel_id,
                "surface_id": surface,
                "left": left,
                "top": top,
                "right": right,
                "bottom": bottom,
                "pictures": len(mine),
                "bytes": int(drawn.size[mine].sum()),
                "start_s": second(int(drawn.time_ns[mine[0]]), origin_ns),
                "end_s": second(int(drawn.time_ns[mine[-1]]), origin_ns),
                "longest_run": last - first,
                "run_start_s": second(int(drawn.time_ns[mine[first]]), origin_ns),
                "run_end_s": second(int(drawn.time_ns[mine[last - 1]]), origin_ns),
                "src_pixels": int(drawn.src_pixels(mine).min()),
                "reason": "streamed" if streamed else _reason(drawn, mine[first:last], surface),
            }
        )
    return found


def longest_run(time_ns: Int64Array) -> tuple[int, int]:
    """Return `[first, last)` of the longest run of pictures at most `RUN_GAP_NS` apart."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(time_ns) > RUN_GAP_NS) + 1, [len(time_ns)]))
    longest = int(np.argmax(np.diff(edges)))
    return int(edges[longest]), int(edges[longest + 1])


def _reason(drawn: Copies, run: IndexArray, surface: int) -> str:
    """Return the first condition of B5 that the longest run of a region fails; most pictures decide."""

    def mostly(hits: npt.NDArray[np.bool_]) -> bool:
        return 2 * int(hits.sum()) > len(run)

    rest, image = drawn.rest[run], drawn.image[run]
    if surface != 0:
        return "off_screen"
    if mostly((rest["rop"] != RopDescriptor.OP_PUT) | (rest["mask_bitmap"] != 0)):
        return "not_plain_copy"
    if mostly(image["type"] == ImageType.SURFACE):
        return "from_surface"
    if mostly((image["id"] & np.uint64(0xFFFFFFFF)) == _GROUP_DEVICE):
        return "device_picture"
    if mostly(drawn.src_pixels(run) < MIN_PIXELS):
        return "too_small"
    wide, high = rest["src_right"] - rest["src_left"], rest["src_bottom"] - rest["src_top"]
    if (wide != wide[0]).any() or (high != high[0]).any():
        return "source_size_varies"
    if len(run) <= START_SUCCESSORS:
        return "too_slow_or_short"
    return "eligible"
