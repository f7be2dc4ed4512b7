"""How channels, codecs and severities look: one place for legend, chart and style sheet.

Colour never stands alone: every channel has a dash pattern, every codec a point shape and a fill pattern,
every severity a sign and a word. The colours themselves are in `assets/page.css` under the names made here.
"""

from __future__ import annotations

from typing import Final

CHANNEL_DASH: Final = {
    "main": (8, 2, 2, 2, 2, 2),
    "display": (),
    "inputs": (3, 2),
    "cursor": (6, 3),
    "playback": (10, 3),
    "record": (10, 3, 2, 3),
    "usbredir": (5, 2, 1, 2),
    "port": (3, 5),
    "webdav": (14, 4, 4, 4),
    "smartcard": (4, 2, 4, 6),
    "other": (1, 6),
}
"""Dashes (drawn, skipped, in px) of a channel's line."""

CODEC_SHAPE: Final = {
    "mjpeg": "M-3 0A3 3 0 1 1 3 0A3 3 0 1 1 -3 0Z",
    "vp8": "M-3 -3H3V3H-3Z",
    "h264": "M0 -4L4 3H-4Z",
    "vp9": "M0 -4L4 0L0 4L-4 0Z",
    "h265": "M-1 -4H1V-1H4V1H1V4H-1V1H-4V-1H-1Z",
    "unknown": "M-4 -3L-3 -4L0 -1L3 -4L4 -3L1 0L4 3L3 4L0 1L-3 4L-4 3L-1 0Z",
}
"""Point of a codec as an SVG path about (0, 0)."""

CODEC_FILL: Final = {
    "mjpeg": "plain",
    "vp8": "dots",
    "h264": "slant",
    "vp9": "upright",
    "h265": "cross",
    "unknown": "level",
}
"""Pattern that fills the bar of a stream; `timeline.js` draws each of these names."""

MARK_SHAPE: Final = {
    "critical": "M-2.5 -6H2.5L6 -2.5V2.5L2.5 6H-2.5L-6 2.5V-2.5Z",
    "warn": "M0 -6L6.5 5.5H-6.5Z",
    "info": "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z",
    "ok": "M-5 -5H5V5H-5Z",
    "flap": "M-6 -5L0 0L-6 5ZM6 -5L0 0L6 5Z",
    "lost": "M-5 -4L-4 -5L0 -1L4 -5L5 -4L1 0L5 4L4 5L0 1L-4 5L-5 4L-1 0Z",
}
"""Mark of an event as an SVG path about (0, 0)."""


def codec_look(codec: str) -> str:
    """Return the name under which `codec` is drawn: its own, or `unknown`."""
    return codec if codec in CODEC_SHAPE else "unknown"


def channel_look(channel: str) -> str:
    """Return the name under which `channel` is drawn: its own, or `other`."""
    return channel if channel in CHANNEL_DASH else "other"
