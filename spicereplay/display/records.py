"""What the display reports about each image and frame that it decoded or found in a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from spicereplay.codecs.base import Data, Decoded
from spicereplay.display.region import Box
from spicereplay.protocol.messages.images import Image

NOT_DECODED: Final = "cache"
"""`ImageRecord.backend` of an image that was taken from the image cache."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image or video frame that a message brought or referred to."""

    time_ns: int
    """Capture time of the message."""
    channel_id: int
    codec: str
    """The image type's or video codec's SPICE name in lower case: `quic`, `glz_rgb`, `from_cache`, `h264`."""
    width: int
    height: int
    size_bytes: int
    """Compressed bytes in the message; 0 from the cache."""
    decode_ns: int
    """How long decoding took by the clock handed in; 0 from the cache."""
    backend: str
    """What decoded it; `cache`; empty where decoding failed."""
    cache_hit: bool
    surface_id: int
    box: Box
    """Where on the surface the message draws."""
    image_id: int | None = None
    """Of an image."""
    stream_id: int | None = None
    """Of a video frame."""
    decoded: bool = True
    """False where it could not be decoded or is not in the cache: there is a defect that says why."""


RecordSink = Callable[[ImageRecord], None]
PictureSink = Callable[[ImageRecord, Decoded, Image | Data], None]
"""Gets each picture that was decoded, after its record, with the image or the bytes of the frame it was made from."""
Clock = Callable[[], int]
"""Returns nanoseconds; only differences count."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is wanted: what records and defects say about it."""

    time_ns: int
    channel_id: int
    surface_id: int
    box: Box

    @property
    def where(self) -> str:
        """The channel in words."""
        return f"display/{self.channel_id}"
