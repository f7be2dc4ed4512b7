"""What becomes unknown on a screen because a display message cannot be read."""

from __future__ import annotations

import struct
from typing import Final

from spicereplay.display.model import DisplayModel
from spicereplay.display.region import Box
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerDisplay, Side
from spicereplay.protocol.messages.drawing import DRAW_TYPES

_FRAME_TYPES: Final = (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED)
_HARMLESS: Final = (
    ServerDisplay.MARK,
    ServerDisplay.INVAL_LIST,
    ServerDisplay.INVAL_ALL_PIXMAPS,
    ServerDisplay.INVAL_PALETTE,
    ServerDisplay.INVAL_ALL_PALETTES,
    ServerDisplay.MONITORS_CONFIG,
)
"""Damaged ones change no pixel that is there."""
_DRAW_HEAD: Final = struct.Struct("<Iiiii")
"""surface_id, then top, left, bottom, right. Source: spice-wire.md 7.1 and 7.3, DisplayBase."""
HEAD_BYTES: Final = _DRAW_HEAD.size
"""As much of a message's body is needed to tell what it would have changed."""


def damage(model: DisplayModel, channel_id: int, kind: int, head: bytes) -> str | None:
    """Make unknown what a display message may have changed; return that in words, None where it changes nothing.

    `head` is the beginning of its body, as far as that is there.
    """
    if kind in _HARMLESS:
        return None
    name = registry.message_name(ChannelType.DISPLAY, Side.SERVER, kind)
    if kind in DRAW_TYPES and len(head) >= HEAD_BYTES:
        surface_id, top, left, bottom, right = _DRAW_HEAD.unpack(head[:HEAD_BYTES])
        model.lost(channel_id, box=Box(left, top, right, bottom), surface_id=surface_id)
        return f"{name} cannot be read: ({left}, {top}) to ({right}, {bottom}) of surface {surface_id} is unknown"
    stream = None
    if kind in _FRAME_TYPES and len(head) >= 4:
        stream = model.channel(channel_id).streams.get(int.from_bytes(head[:4], "little"))
    if stream is None:
        model.lost(channel_id)
        return f"{name} cannot be read: what it changed is unknown"
    model.lost(channel_id, box=stream.dest, surface_id=stream.surface_id)
    if stream.decoder is not None:
        stream.decoder.lost()
    return f"a frame of stream {stream.stream_id} cannot be read"
