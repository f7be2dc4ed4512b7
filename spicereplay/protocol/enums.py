"""Every registry of the SPICE definition, in its order and with its names.

One `IntEnum` (or `IntFlag`) per registry. Names are SPICE's without the common prefix; where that would begin
with a digit, the last word of the prefix stays (`SPICE_BITMAP_FMT_1BIT_LE` is `BitmapFormat.FMT_1BIT_LE`). A
value that is not listed here stays a plain integer everywhere in the package.

Source: spice-common spice.proto and spice-protocol spice/{enums,protocol,vd_agent}.h, as named at each
registry.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum


class Side(StrEnum):
    """Who sent something."""

    SERVER = "server"
    CLIENT = "client"

    @property
    def other(self) -> Side:
        """The one it was sent to."""
        return Side.CLIENT if self is Side.SERVER else Side.SERVER


class ChannelType(IntEnum):
    """Kinds of channel. Source: spice.proto, protocol Spice."""

    MAIN = 1
    DISPLAY = 2
    INPUTS = 3
    CURSOR = 4
    PLAYBACK = 5
    RECORD = 6
    TUNNEL = 7
    """Dead: no server or client of the last ten years has it."""
    SMARTCARD = 8
    USBREDIR = 9
    PORT = 10
    WEBDAV = 11

    @property
    def label(self) -> str:
        """The name that tables and JSON show: `main`, `display`, …."""
        return self.name.lower()

    @classmethod
    def from_label(cls, label: str) -> ChannelType:
        """Return the channel type with that label. Raises `ValueError` when there is none."""
        for channel in cls:
            if channel.label == label:
                return channel
        raise ValueError(f"no SPICE channel is called {label!r}; they are {', '.join(c.label for c in cls)}")


class LinkError(IntEnum):
    """Why a link was refused, a channel or the agent disconnected. Source: spice.proto, link_err."""

    OK = 0
    ERROR = 1
    INVALID_MAGIC = 2
    INVALID_DATA = 3
    VERSION_MISMATCH = 4
    NEED_SECURED = 5
    NEED_UNSECURED = 6
    PERMISSION_DENIED = 7
    BAD_CONNECTION_ID = 8
    CHANNEL_NOT_AVAILABLE = 9


class AuthMechanism(IntEnum):
    """The mechanism word a client sends; the numbers are those of the capabilities.

    Source: spice-wire.md 2.5.
    """

    SPICE = 1
    SASL = 2


# --- message types ----------------------------------------------------------------------------------


class ServerCommon(IntEnum):
    """Messages a server sends on any channel. Source: spice.proto, BaseChannel."""

    MIGRATE = 1
    MIGRATE_DATA = 2
    SET_ACK = 3
    PING = 4
    WAIT_FOR_CHANNELS = 5
    DISCONNECTING = 6
    NOTIFY = 7
    LIST = 8
    BASE_LAST = 100
    """Marks the end of the common range; nobody sends it."""


class ClientCommon(IntEnum):
    """Messages a client sends on any channel. Source: spice.proto, BaseChannel."""

    ACK_SYNC = 1
    ACK = 2
    PONG = 3
    MIGRATE_FLUSH_MARK = 4
    MIGRATE_DATA = 5
    DISCONNECTING = 6


class ServerMain(IntEnum):
    """Messages of the main channel's server. Source: spice.proto, MainChannel."""

    MIGRATE_BEGIN = 101
    MIGRATE_CANCEL = 102
    INIT = 103
    CHANNELS_LIST = 104
    MOUSE_MODE = 105
    MULTI_MEDIA_TIME = 106
    AGENT_CONNECTED = 107
    AGENT_DISCONNECTED = 108
    AGENT_DATA = 109
    AGENT_TOKEN = 110
    MIGRATE_SWITCH_HOST = 111
    MIGRATE_END = 112
    NAME = 113
    UUID = 114
    AGENT_CONNECTED_TOKENS = 115
    MIGRATE_BEGIN_SEAMLESS = 116
    MIGRATE_DST_SEAMLESS_ACK = 117
    MIGRATE_DST_SEAMLESS_NACK = 118


class ClientMain(IntEnum):
    """Messages of the main channel's client. Source: spice.proto, MainChannel."""

    CLIENT_INFO = 101
    MIGRATE_CONNECTED = 102
    MIGRATE_CONNECT_ERROR = 103
    ATTACH_CHANNELS = 104
    MOUSE_MODE_REQUEST = 105
    AGENT_START = 106
    AGENT_DATA = 107
    AGENT_TOKEN = 108
    MIGRATE_END = 109
    MIGRATE_DST_DO_SEAMLESS = 110
    MIGRATE_CONNECTED_SEAMLESS = 111
    QUALITY_INDICATOR = 112


class ServerDisplay(IntEnum):
    """Messages of the display channel's server. Source: spice.proto, DisplayChannel."""

    MODE = 101
    MARK = 102
    RESET = 103
    COPY_BITS = 104
    INVAL_LIST = 105
    INVAL_ALL_PIXMAPS = 106
    INVAL_PALETTE = 107
    INVAL_ALL_PALETTES = 108
    STREAM_CREATE = 122
    STREAM_DATA = 123
    STREAM_CLIP = 124
    STREAM_DESTROY = 125
    STREAM_DESTROY_ALL = 126
    DRAW_FILL = 302
    DRAW_OPAQUE = 303
    DRAW_COPY = 304
    DRAW_BLEND = 305
    DRAW_BLACKNESS = 306
    DRAW_WHITENESS = 307
    DRAW_INVERS = 308
    DRAW_ROP3 = 309
    DRAW_STROKE = 310
    DRAW_TEXT = 311
    DRAW_TRANSPARENT = 312
    DRAW_ALPHA_BLEND = 313
    SURFACE_CREATE = 314
    SURFACE_DESTROY = 315
    STREAM_DATA_SIZED = 316
    MONITORS_CONFIG = 317
    DRAW_COMPOSITE = 318
    STREAM_ACTIVATE_REPORT = 319
    GL_SCANOUT_UNIX = 320
    GL_DRAW = 321
    QUALITY_INDICATOR = 322


class ClientDisplay(IntEnum):
    """Messages of the display channel's client. Source: spice.proto, DisplayChannel."""

    INIT = 101
    STREAM_REPORT = 102
    PREFERRED_COMPRESSION = 103
    GL_DRAW_DONE = 104
    PREFERRED_VIDEO_CODEC_TYPE = 105


class ServerInputs(IntEnum):
    """Messages of the inputs channel's server. Source: spice.proto, InputsChannel."""

    INIT = 101
    KEY_MODIFIERS = 102
    MOUSE_MOTION_ACK = 111


class ClientInputs(IntEnum):
    """Messages of the inputs channel's client. Source: spice.proto, InputsChannel."""

    KEY_DOWN = 101
    KEY_UP = 102
    KEY_MODIFIERS = 103
    KEY_SCANCODE = 104
    MOUSE_MOTION = 111
    MOUSE_POSITION = 112
    MOUSE_PRESS = 113
    MOUSE_RELEASE = 114


class ServerCursor(IntEnum):
    """Messages of the cursor channel's server. Source: spice.proto, CursorChannel."""

    INIT = 101
    RESET = 102
    SET = 103
    MOVE = 104
    HIDE = 105
    TRAIL = 106
    INVAL_ONE = 107
    INVAL_ALL = 108


class ServerPlayback(IntEnum):
    """Messages of the playback channel's server. Source: spice.proto, PlaybackChannel."""

    DATA = 101
    MODE = 102
    START = 103
    STOP = 104
    VOLUME = 105
    MUTE = 106
    LATENCY = 107


class ServerRecord(IntEnum):
    """Messages of the record channel's server. Source: spice.proto, RecordChannel."""

    START = 101
    STOP = 102
    VOLUME = 103
    MUTE = 104


class ClientRecord(IntEnum):
    """Messages of the record channel's client. Source: spice.proto, RecordChannel."""

    DATA = 101
    MODE = 102
    START_MARK = 103


class ServerSmartcard(IntEnum):
    """Messages of the smartcard channel's server. Source: spice.proto, SmartcardChannel."""

    DATA = 101


class ClientSmartcard(IntEnum):
    """Messages of the smartcard channel's client. Source: spice.proto, SmartcardChannel."""

    DATA = 101


class ServerSpicevmc(IntEnum):
    """Messages of the server on usbredir, port and webdav. Source: spice.proto, SpicevmcChannel."""

    DATA = 101
    COMPRESSED_DATA = 102


class ClientSpicevmc(IntEnum):
    """Messages of the client on usbredir, port and webdav. Source: spice.proto, SpicevmcChannel."""

    DATA = 101
    COMPRESSED_DATA = 102


class ServerPort(IntEnum):
    """Further messages of the server on port and webdav. Source: spice.proto, PortChannel."""

    INIT = 201
    EVENT = 202


class ClientPort(IntEnum):
    """Further messages of the client on port and webdav. Source: spice.proto, PortChannel."""

    EVENT = 201


# --- values, common -----------------------------------------------------------------------------------


class MigrateFlags(IntFlag):
    """What a migrating channel must do first. Source: spice.proto, migrate_flags."""

    NEED_FLUSH = 1
    NEED_DATA_TRANSFER = 2


class NotifySeverity(IntEnum):
    """How bad the thing notified is. Source: spice.proto, notify_severity."""

    INFO = 0
    WARN = 1
    ERROR = 2


class NotifyVisibility(IntEnum):
    """How much the user should see of a notification. Source: spice.proto, notify_visibility."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


class ResourceType(IntEnum):
    """What an INVAL_LIST entry is. Source: spice.proto, resource_type."""

    INVALID = 0
    PIXMAP = 1


# --- values, main -------------------------------------------------------------------------------------


class MouseMode(IntFlag):
    """Who owns the pointer: the guest (SERVER) or the client. Source: spice.proto, mouse_mode."""

    SERVER = 1
    CLIENT = 2


# --- values, display ----------------------------------------------------------------------------------


class ClipType(IntEnum):
    """What limits a drawing. RECTS with none draws nothing. Source: spice.proto, clip_type."""

    NONE = 0
    RECTS = 1


class PathFlags(IntFlag):
    """What a path segment does. Source: spice.proto, path_flags."""

    BEGIN = 1
    END = 2
    CLOSE = 8
    BEZIER = 16


class VideoCodec(IntEnum):
    """Codecs of video streams. Source: spice.proto, video_codec_type."""

    MJPEG = 1
    VP8 = 2
    H264 = 3
    VP9 = 4
    H265 = 5

    @property
    def label(self) -> str:
        """The name that tables and JSON show: `mjpeg`, `vp8`, …."""
        return self.name.lower()


class StreamFlags(IntFlag):
    """Without TOP_DOWN the first decoded row is the bottom one. Source: spice.proto, stream_flags."""

    TOP_DOWN = 1


class BrushType(IntEnum):
    """What a brush paints with. Source: spice.proto, brush_type."""

    NONE = 0
    SOLID = 1
    PATTERN = 2


class MaskFlags(IntFlag):
    """How a mask is read. Source: spice.proto, mask_flags."""

    INVERS = 1


class ImageType(IntEnum):
    """How an image is carried. Source: spice.proto, image_type."""

    BITMAP = 0
    QUIC = 1
    RESERVED = 2
    LZ_PLT = 100
    LZ_RGB = 101
    GLZ_RGB = 102
    FROM_CACHE = 103
    SURFACE = 104
    JPEG = 105
    FROM_CACHE_LOSSLESS = 106
    ZLIB_GLZ_RGB = 107
    JPEG_ALPHA = 108
    LZ4 = 109


class ImageCompression(IntEnum):
    """What a client prefers. Source: spice.proto, image_compression."""

    INVALID = 0
    OFF = 1
    AUTO_GLZ = 2
    AUTO_LZ = 3
    QUIC = 4
    GLZ = 5
    LZ = 6
    LZ4 = 7


class ImageFlags(IntFlag):
    """What becomes of a decoded image. Source: spice.proto, image_flags."""

    CACHE_ME = 1
    HIGH_BITS_SET = 2
    CACHE_REPLACE_ME = 4


class BitmapFormat(IntEnum):
    """Pixels of a raw bitmap. Source: spice.proto, bitmap_fmt; byte order: spice-wire.md 8.1."""

    INVALID = 0
    FMT_1BIT_LE = 1
    FMT_1BIT_BE = 2
    FMT_4BIT_LE = 3
    FMT_4BIT_BE = 4
    FMT_8BIT = 5
    """Palette index."""
    FMT_16BIT = 6
    """0555."""
    FMT_24BIT = 7
    """Bytes B, G, R."""
    FMT_32BIT = 8
    """Bytes B, G, R, pad."""
    FMT_RGBA = 9
    """Bytes B, G, R, A; premultiplied."""
    FMT_8BIT_A = 10
    """Alpha only."""


class BitmapFlags(IntFlag):
    """Palette and row order of a bitmap. Source: spice.proto, bitmap_flags."""

    PAL_CACHE_ME = 1
    PAL_FROM_CACHE = 2
    TOP_DOWN = 4


class JpegAlphaFlags(IntFlag):
    """Row order of the alpha part of a JPEG_ALPHA image. Source: spice.proto, jpeg_alpha_flags."""

    TOP_DOWN = 1


class ImageScaleMode(IntEnum):
    """How a source is scaled to its box. Source: spice.proto, image_scale_mode."""

    INTERPOLATE = 0
    NEAREST = 1


class RopDescriptor(IntFlag):
    """How source, brush and destination combine; meanings in spice-wire.md 7.5. Source: spice.proto, ropd."""

    INVERS_SRC = 1
    INVERS_BRUSH = 2
    INVERS_DEST = 4
    OP_PUT = 8
    OP_OR = 16
    OP_AND = 32
    OP_XOR = 64
    OP_BLACKNESS = 128
    OP_WHITENESS = 256
    OP_INVERS = 512
    INVERS_RES = 1024


class LineFlags(IntFlag):
    """Dashes of a stroke. Source: spice.proto, line_flags."""

    START_WITH_GAP = 4
    STYLED = 8


class StringFlags(IntFlag):
    """Depth and row order of glyphs; one of the first three. Source: spice.proto, string_flags."""

    RASTER_A1 = 1
    RASTER_A4 = 2
    RASTER_A8 = 4
    RASTER_TOP_DOWN = 8


class SurfaceFlags(IntFlag):
    """What a surface is for. Source: spice.proto, surface_flags."""

    PRIMARY = 1
    STREAMING_MODE = 2


class SurfaceFormat(IntEnum):
    """Pixels of a surface. Source: spice.proto, surface_fmt."""

    INVALID = 0
    FMT_1_A = 1
    FMT_8_A = 8
    FMT_16_555 = 16
    FMT_32_xRGB = 32
    FMT_16_565 = 80
    FMT_32_ARGB = 96


class AlphaFlags(IntFlag):
    """Which side of an alpha blend has an alpha channel. Source: spice.proto, alpha_flags."""

    DEST_HAS_ALPHA = 1
    SRC_SURFACE_HAS_ALPHA = 2


class CompositeFlags(IntFlag):
    """Bits 18 and up of a composite; below them lie operator, filters and repeats (spice-wire.md 7.4).

    Source: spice.proto, composite_flags.
    """

    COMPONENT_ALPHA = 1 << 18
    HAS_MASK = 1 << 19
    HAS_SRC_TRANSFORM = 1 << 20
    HAS_MASK_TRANSFORM = 1 << 21
    SOURCE_OPAQUE = 1 << 22
    MASK_OPAQUE = 1 << 23
    DEST_OPAQUE = 1 << 24


class GlScanoutFlags(IntFlag):
    """Row order of a shared scan-out. Source: spice.proto, gl_scanout_flags."""

    Y0TOP = 1


# --- values, inputs and cursor --------------------------------------------------------------------------


class KeyModifiers(IntFlag):
    """Keyboard locks. Source: spice.proto, keyboard_modifier_flags."""

    SCROLL_LOCK = 1
    NUM_LOCK = 2
    CAPS_LOCK = 4


class MouseButton(IntEnum):
    """One button; its mask bit is `1 << (button - 1)`. Source: spice.proto, mouse_button."""

    INVALID = 0
    LEFT = 1
    MIDDLE = 2
    RIGHT = 3
    UP = 4
    """Wheel up."""
    DOWN = 5
    """Wheel down."""
    SIDE = 6
    EXTRA = 7


class MouseButtonMask(IntFlag):
    """Buttons held down. Source: spice.proto, mouse_button_mask."""

    LEFT = 1
    MIDDLE = 2
    RIGHT = 4
    UP = 8
    DOWN = 16
    SIDE = 32
    EXTRA = 64


class CursorType(IntEnum):
    """How a cursor's pixels are carried; layouts in spice-wire.md 13. Source: spice.proto, cursor_type."""

    ALPHA = 0
    MONO = 1
    COLOR4 = 2
    COLOR8 = 3
    COLOR16 = 4
    COLOR24 = 5
    COLOR32 = 6


class CursorFlags(IntFlag):
    """NONE means that there is no cursor at all. Source: spice.proto, cursor_flags."""

    NONE = 1
    CACHE_ME = 2
    FROM_CACHE = 4


# --- values, sound ----------------------------------------------------------------------------------------


class AudioDataMode(IntEnum):
    """How sound is coded. Source: spice.proto, audio_data_mode."""

    INVALID = 0
    RAW = 1
    CELT_0_5_1 = 2
    """Builds older than spice-server 0.14 only."""
    OPUS = 3


class AudioFormat(IntEnum):
    """Samples of raw sound. Source: spice.proto, audio_fmt."""

    INVALID = 0
    S16 = 1
    """Signed 16-bit, little-endian, channels interleaved."""


# --- values, spicevmc family and smartcard ------------------------------------------------------------------


class DataCompressionType(IntEnum):
    """How COMPRESSED_DATA is compressed. Source: spice.proto, data_compression_type."""

    NONE = 0
    LZ4 = 1


class PortEvent(IntEnum):
    """What happened to a port. Source: spice-protocol spice/protocol.h."""

    OPENED = 0
    CLOSED = 1
    BREAK = 2


class VscMessageType(IntEnum):
    """Smart card messages. Source: spice.proto, vsc_message_type."""

    Init = 1
    Error = 2
    ReaderAdd = 3
    ReaderRemove = 4
    ATR = 5
    CardRemove = 6
    APDU = 7
    Flush = 8
    FlushComplete = 9


# --- values, guest agent --------------------------------------------------------------------------


class AgentType(IntEnum):
    """Records of the agent protocol. Source: spice-protocol spice/vd_agent.h."""

    MOUSE_STATE = 1
    MONITORS_CONFIG = 2
    REPLY = 3
    CLIPBOARD = 4
    DISPLAY_CONFIG = 5
    ANNOUNCE_CAPABILITIES = 6
    CLIPBOARD_GRAB = 7
    CLIPBOARD_REQUEST = 8
    CLIPBOARD_RELEASE = 9
    FILE_XFER_START = 10
    FILE_XFER_STATUS = 11
    FILE_XFER_DATA = 12
    CLIENT_DISCONNECTED = 13
    MAX_CLIPBOARD = 14
    AUDIO_VOLUME_SYNC = 15
    GRAPHICS_DEVICE_INFO = 16


class AgentResult(IntEnum):
    """Outcome in a REPLY record. Source: spice-protocol spice/vd_agent.h."""

    SUCCESS = 1
    ERROR = 2


class AgentMonitorsFlags(IntFlag):
    """What a MONITORS_CONFIG record carries. Source: spice-protocol spice/vd_agent.h."""

    USE_POS = 1
    PHYSICAL_SIZE = 2


class AgentDisplayFlags(IntFlag):
    """What a DISPLAY_CONFIG record asks for. Source: spice-protocol spice/vd_agent.h."""

    DISABLE_WALLPAPER = 1
    DISABLE_FONT_SMOOTH = 2
    DISABLE_ANIMATION = 4
    SET_COLOR_DEPTH = 8


class AgentMouseButtonMask(IntFlag):
    """Buttons of a MOUSE_STATE record, one bit higher than on the inputs channel.

    Source: spice/vd_agent.h.
    """

    LEFT = 1 << 1
    MIDDLE = 1 << 2
    RIGHT = 1 << 3
    UP = 1 << 4
    DOWN = 1 << 5
    SIDE = 1 << 6
    EXTRA = 1 << 7


class ClipboardSelection(IntEnum):
    """Which of X's clipboards. Source: spice-protocol spice/vd_agent.h."""

    CLIPBOARD = 0
    PRIMARY = 1
    SECONDARY = 2


class ClipboardType(IntEnum):
    """What a clipboard holds. Source: spice-protocol spice/vd_agent.h."""

    NONE = 0
    UTF8_TEXT = 1
    IMAGE_PNG = 2
    IMAGE_BMP = 3
    IMAGE_TIFF = 4
    IMAGE_JPG = 5
    FILE_LIST = 6


class FileXferResult(IntEnum):
    """How a file transfer stands. Source: spice-protocol spice/vd_agent.h."""

    CAN_SEND_DATA = 0
    CANCELLED = 1
    ERROR = 2
    SUCCESS = 3
    NOT_ENOUGH_SPACE = 4
    SESSION_LOCKED = 5
    VDAGENT_NOT_CONNECTED = 6
    DISABLED = 7
