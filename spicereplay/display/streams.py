"""Video streams painted on a surface, frame by frame as they arrive.

Source: spice-wire.md 10; spice-gtk src/channel-display.c, stream_display_frame; spice-common
common/sw_canvas.c, canvas_put_image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spicereplay.codecs.base import Decoded
from spicereplay.codecs.video import VideoDecoder
from spicereplay.display.region import Box, Region, clipped
from spicereplay.display.scaling import scaled
from spicereplay.display.surfaces import Picture, Surface, WordFormat

_COLOURS = np.uint32(0x00FFFFFF)


@dataclass(slots=True, eq=False)
class Stream:
    """One stream of a display channel."""

    stream_id: int
    surface_id: int
    codec: int
    """A number of `VideoCodec`."""
    top_down: bool
    dest: Box
    clip: tuple[Box, ...] | None
    """Where it shows; None: all of `dest`. Empty: nowhere."""
    decoder: VideoDecoder | None
    """None: nothing here decodes this codec."""

    @property
    def codec_name(self) -> str:
        """The codec's SPICE name in lower case."""
        return video_name(self.codec)


def video_name(codec: int) -> str:
    """Return a video codec's SPICE name in lower case."""
    from spicereplay.protocol.enums import VideoCodec

    return VideoCodec(codec).name.lower() if codec in VideoCodec.__members__.values() else f"codec_{codec}"


def frame_region(surface: Surface, dest: Box, clip: tuple[Box, ...] | None) -> Region:
    """Return where a frame for `dest` shows."""
    return clipped(dest, surface.box, clip)


def frame_picture(decoded: Decoded, *, top_down: bool) -> Picture:
    """Return a decoded frame as xRGB, top row first; without `top_down` its first row is the bottom one."""
    height, width = decoded.pixels.shape[:2]
    words = np.ascontiguousarray(decoded.pixels).view(np.uint32).reshape(height, width)
    return Picture((words if top_down else words[::-1]) & _COLOURS, WordFormat.X888)


def paint_frame(surface: Surface, region: Region, frame: Picture, dest: Box) -> None:
    """Put a frame over `dest`, its nearest pixels where the sizes differ, and write what the region lets through."""
    if region.empty:
        return
    inside = region.box.shift(-dest.left, -dest.top)
    if (frame.box.width, frame.box.height) == (dest.width, dest.height):
        # The ordinary case: nothing is scaled, and a look through the sampler would take as long as decoding.
        same = frame if surface.format is frame.format else frame.converted(surface.format)
        surface.put(region, same.words[inside.slices])
        return
    part = scaled(frame, frame.box, dest, region.box, interpolate=False, format=surface.format)
    surface.put(region, part.words)
