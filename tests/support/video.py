"""Messages of video streams, written out by hand."""

from __future__ import annotations

import numpy as np
from support.observed import Said

from spicereplay.protocol.enums import ServerDisplay
from spicereplay.protocol.messages import display as d
from spicereplay.protocol.messages.geometry import Clip, Rect

BOX = Rect(top=10, left=20, bottom=130, right=180)


def create(at, stream_id, codec=1, size=(160, 120)):
    body = d.StreamCreate(
        surface_id=0,
        id=stream_id,
        flags=1,
        codec_type=codec,
        stamp=0,
        stream_width=size[0],
        stream_height=size[1],
        src_width=size[0],
        src_height=size[1],
        dest=BOX,
        clip=Clip(type=0, rects=None),
    )
    return Said(at, ServerDisplay.STREAM_CREATE, body)


def data(at, stream_id, mm_time=0, payload=b"x" * 10, **more):
    head = np.array([stream_id, mm_time, len(payload)], "<u4").tobytes()
    return Said(at, ServerDisplay.STREAM_DATA, head + payload, **more)


def sized(at, stream_id, width, height, payload=b"y" * 6):
    head = np.array([stream_id, 0, width, height, 0, 0, 5, 5, len(payload)], "<u4").tobytes()
    return Said(at, ServerDisplay.STREAM_DATA_SIZED, head + payload)


def clip(at, stream_id, rects):
    head = np.array([stream_id], "<u4").tobytes() + b"\1" + np.array([rects], "<u4").tobytes()
    return Said(at, ServerDisplay.STREAM_CLIP, head + bytes(16 * rects))


def destroy(at, stream_id):
    return Said(at, ServerDisplay.STREAM_DESTROY, np.array([stream_id], "<u4").tobytes())


def u32(at, kind, value):
    return Said(at, kind, np.array([value], "<u4").tobytes())
