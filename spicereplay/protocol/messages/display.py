"""Messages of the display channel. Source: spice-wire.md 7, 10, 11; spice.proto, DisplayChannel.

The definition wraps the fields of most draw messages in a structure called `data`, for the sake of its C
types; here they stand in the message itself.
"""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import (
    AlphaFlags,
    ClientDisplay,
    CompositeFlags,
    GlScanoutFlags,
    ImageCompression,
    ImageScaleMode,
    ResourceType,
    RopDescriptor,
    ServerDisplay,
    StreamFlags,
    SurfaceFlags,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.messages.common import ChannelWait
from spicereplay.protocol.messages.drawing import Brush, DisplayBase, LineAttr, Path, QMask, String
from spicereplay.protocol.messages.geometry import Clip, Point, Point16, Rect, Transform
from spicereplay.protocol.messages.images import Image
from spicereplay.protocol.wire import (
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Counted,
    Enum8,
    Enum16,
    Enum32,
    Message,
    Pointer,
    Rest,
    Structure,
    When,
    derived,
    message,
    structure,
)

# --- from the server: the channel and its caches --------------------------------------------------------


@message(ServerDisplay.MODE)
class Mode(Message):
    """Legacy: an implicit primary surface."""

    x_res: U32
    y_res: U32
    bits: U32


@message(ServerDisplay.MARK)
class Mark(Message):
    """The picture is complete and may be shown."""


@message(ServerDisplay.RESET)
class Reset(Message):
    """Clear the primary surface, forget the palettes, show nothing until the next MARK."""


@structure
class ResourceID(Structure):
    """One thing in a cache."""

    type: Enum8[ResourceType]
    id: U64


@message(ServerDisplay.INVAL_LIST, slack=True)
class InvalList(Message):
    """Forget these images. As a sub-message its stated size is too large (spice-wire.md 3)."""

    count: U16 = derived()
    resources: Annotated[tuple[ResourceID, ...], Counted("count")]


@message(ServerDisplay.INVAL_ALL_PIXMAPS)
class InvalAllPixmaps(Message):
    """Wait for those channels, then forget all images."""

    wait_count: U8 = derived()
    wait_list: Annotated[tuple[ChannelWait, ...], Counted("wait_count")]


@message(ServerDisplay.INVAL_PALETTE)
class InvalPalette(Message):
    """Forget this palette."""

    id: U64


@message(ServerDisplay.INVAL_ALL_PALETTES)
class InvalAllPalettes(Message):
    """Forget all palettes; sent when a display connection begins."""


# --- from the server: video streams ---------------------------------------------------------------------


@message(ServerDisplay.STREAM_CREATE)
class StreamCreate(Message):
    """A video stream begins."""

    surface_id: U32
    id: U32
    """Numbers are used again (spice-wire.md 10.1)."""
    flags: Enum8[StreamFlags]
    codec_type: Enum8[VideoCodec]
    stamp: U64
    stream_width: U32
    stream_height: U32
    src_width: U32
    src_height: U32
    dest: Rect
    clip: Clip


@structure
class StreamDataHeader(Structure):
    """What begins every frame."""

    id: U32
    multi_media_time: U32
    """ms of the server's clock when the frame was drawn; wraps."""


@message(ServerDisplay.STREAM_DATA)
class StreamData(Message):
    """One frame."""

    base: StreamDataHeader
    data_size: U32 = derived()
    data: Annotated[bytes, Counted("data_size")]


@message(ServerDisplay.STREAM_CLIP)
class StreamClip(Message):
    """From the next frame on, draw the stream only there."""

    id: U32
    clip: Clip


@message(ServerDisplay.STREAM_DESTROY)
class StreamDestroy(Message):
    """The stream ends; its number is free."""

    id: U32


@message(ServerDisplay.STREAM_DESTROY_ALL)
class StreamDestroyAll(Message):
    """All streams end."""


@message(ServerDisplay.STREAM_DATA_SIZED)
class StreamDataSized(Message):
    """One frame of another size than its stream's; `dest` holds for this frame only."""

    base: StreamDataHeader
    width: U32
    height: U32
    dest: Rect
    data_size: U32 = derived()
    data: Annotated[bytes, Counted("data_size")]


@message(ServerDisplay.STREAM_ACTIVATE_REPORT)
class StreamActivateReport(Message):
    """Report on this stream from now on."""

    stream_id: U32
    unique_id: U32
    """What reports must carry to count."""
    max_window_size: U32
    """Frames."""
    timeout_ms: U32


# --- from the server: drawing -----------------------------------------------------------------------------


@message(ServerDisplay.COPY_BITS)
class CopyBits(Message):
    """Copy a part of the surface to `base.box`; the two may overlap."""

    base: DisplayBase
    src_pos: Point


@message(ServerDisplay.DRAW_FILL)
class DrawFill(Message):
    """Fill the box with a brush."""

    base: DisplayBase
    brush: Brush
    rop_descriptor: Enum16[RopDescriptor]
    mask: QMask


@message(ServerDisplay.DRAW_OPAQUE)
class DrawOpaque(Message):
    """Copy an image, then combine a brush with it."""

    base: DisplayBase
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect
    brush: Brush
    rop_descriptor: Enum16[RopDescriptor]
    scale_mode: Enum8[ImageScaleMode]
    mask: QMask


@message(ServerDisplay.DRAW_COPY)
class DrawCopy(Message):
    """Copy an image."""

    base: DisplayBase
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect
    rop_descriptor: Enum16[RopDescriptor]
    scale_mode: Enum8[ImageScaleMode]
    mask: QMask


@message(ServerDisplay.DRAW_BLEND)
class DrawBlend(Message):
    """Drawn like DRAW_COPY."""

    base: DisplayBase
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect
    rop_descriptor: Enum16[RopDescriptor]
    scale_mode: Enum8[ImageScaleMode]
    mask: QMask


@message(ServerDisplay.DRAW_BLACKNESS)
class DrawBlackness(Message):
    """Make the box black."""

    base: DisplayBase
    mask: QMask


@message(ServerDisplay.DRAW_WHITENESS)
class DrawWhiteness(Message):
    """Make the box white."""

    base: DisplayBase
    mask: QMask


@message(ServerDisplay.DRAW_INVERS)
class DrawInvers(Message):
    """Invert the box."""

    base: DisplayBase
    mask: QMask


@message(ServerDisplay.DRAW_ROP3)
class DrawRop3(Message):
    """Combine brush, image and box by a Windows raster operation."""

    base: DisplayBase
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect
    brush: Brush
    rop3: U8
    """Truth table; index bits are pattern 4, source 2, destination 1."""
    scale_mode: Enum8[ImageScaleMode]
    mask: QMask


@message(ServerDisplay.DRAW_STROKE)
class DrawStroke(Message):
    """Draw along a path."""

    base: DisplayBase
    path: Annotated[Path | None, Pointer(required=True)]
    attr: LineAttr
    brush: Brush
    fore_mode: Enum16[RopDescriptor]
    back_mode: Enum16[RopDescriptor]


@message(ServerDisplay.DRAW_TEXT)
class DrawText(Message):
    """Draw glyphs."""

    base: DisplayBase
    str: Annotated[String | None, Pointer(required=True)]
    back_area: Rect
    fore_brush: Brush
    back_brush: Brush
    fore_mode: Enum16[RopDescriptor]
    back_mode: Enum16[RopDescriptor]


@message(ServerDisplay.DRAW_TRANSPARENT)
class DrawTransparent(Message):
    """Copy an image except for the pixels of one colour."""

    base: DisplayBase
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect
    src_color: U32
    """The colour as the guest had it; not used."""
    true_color: U32
    """The colour to leave out, 0x00RRGGBB."""


@message(ServerDisplay.DRAW_ALPHA_BLEND)
class DrawAlphaBlend(Message):
    """Blend a premultiplied image over the box with a constant alpha."""

    base: DisplayBase
    alpha_flags: Enum8[AlphaFlags]
    alpha: U8
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    src_area: Rect


@message(ServerDisplay.DRAW_COMPOSITE)
class DrawComposite(Message):
    """Combine image, mask and box by one of pixman's operators."""

    base: DisplayBase
    flags: U32
    """Operator (bits 0-7), filters (8-10, 11-13), repeats (14-15, 16-17), then `CompositeFlags`."""
    src_bitmap: Annotated[Image | None, Pointer(required=True)]
    mask_bitmap: Annotated[Image | None, When("flags", CompositeFlags.HAS_MASK), Pointer()]
    src_transform: Annotated[Transform | None, When("flags", CompositeFlags.HAS_SRC_TRANSFORM)]
    mask_transform: Annotated[Transform | None, When("flags", CompositeFlags.HAS_MASK_TRANSFORM)]
    src_origin: Point16
    mask_origin: Point16


# --- from the server: surfaces and monitors -------------------------------------------------------


@message(ServerDisplay.SURFACE_CREATE)
class SurfaceCreate(Message):
    """A drawing surface begins."""

    surface_id: U32
    width: U32
    """px"""
    height: U32
    """px"""
    format: Enum32[SurfaceFormat]
    flags: Enum32[SurfaceFlags]


@message(ServerDisplay.SURFACE_DESTROY)
class SurfaceDestroy(Message):
    """The surface ends."""

    surface_id: U32


@structure
class Head(Structure):
    """One monitor: a part of a surface."""

    monitor_id: U32
    surface_id: U32
    width: U32
    height: U32
    x: U32
    y: U32
    flags: U32


@message(ServerDisplay.MONITORS_CONFIG)
class MonitorsConfig(Message):
    """The monitors of this channel."""

    count: U16 = derived()
    max_allowed: U16
    heads: Annotated[tuple[Head, ...], Counted("count")]


@message(ServerDisplay.GL_SCANOUT_UNIX)
class GlScanoutUnix(Message):
    """The picture is in a DMA buffer, whose descriptor travels beside the message (spice-wire.md 7.1)."""

    width: U32
    height: U32
    stride: U32
    drm_fourcc_format: U32
    flags: Enum32[GlScanoutFlags]


@message(ServerDisplay.GL_DRAW)
class GlDraw(Message):
    """A part of that buffer has changed."""

    x: U32
    y: U32
    w: U32
    h: U32


@message(ServerDisplay.QUALITY_INDICATOR)
class QualityIndicator(Message):
    """Unused."""

    data: Rest


# --- from the client ------------------------------------------------------------------------------


@message(ClientDisplay.INIT)
class Init(Message):
    """The first message of a display client: which caches it brings, and how large."""

    pixmap_cache_id: U8
    pixmap_cache_size: I64
    """px"""
    glz_dictionary_id: U8
    glz_dictionary_window_size: I32
    """px"""


@message(ClientDisplay.STREAM_REPORT)
class StreamReport(Message):
    """How the last frames of a stream came through. 0 frames and 0xffffffff drops: it cannot be played."""

    stream_id: U32
    unique_id: U32
    start_frame_mm_time: U32
    end_frame_mm_time: U32
    num_frames: U32
    num_drops: U32
    last_frame_delay: I32
    """ms that the last frame came early; negative when late."""
    audio_delay: U32
    """ms of playback latency; 0xffffffff when nothing plays."""


@message(ClientDisplay.PREFERRED_COMPRESSION)
class PreferredCompression(Message):
    """Please compress images like this."""

    image_compression: Enum8[ImageCompression]


@message(ClientDisplay.GL_DRAW_DONE)
class GlDrawDone(Message):
    """The answer to GL_DRAW."""


@message(ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE)
class PreferredVideoCodecType(Message):
    """Please code video with these, best first."""

    num_of_codecs: U8 = derived()
    codecs: Annotated[tuple[Enum8[VideoCodec], ...], Counted("num_of_codecs")]
