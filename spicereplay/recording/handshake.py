"""The link stage of a channel as it is written: its own, or one made up around what is known.

Authentication is always written anew: the mechanism is the ticket, the ticket is zero bytes. A real one is the
password under a 1024-bit RSA key, and a SASL exchange may hold the password itself; neither belongs into a recording.
Source: spice-wire.md 2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from spicereplay.protocol import caps, registry
from spicereplay.protocol.caps import CommonCap, DisplayCap, MainCap, PlaybackCap, RecordCap
from spicereplay.protocol.enums import (
    AudioDataMode,
    ChannelType,
    ClientDisplay,
    ClientMain,
    ImageType,
    ServerDisplay,
    ServerMain,
    ServerPlayback,
    ServerRecord,
    Side,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.link import (
    CAP_AUTH_SELECTION,
    HEADER_BYTES,
    LINK_MESS_BYTES,
    LINK_REPLY_BYTES,
    MAGIC,
    MECHANISM_SPICE,
    TICKET_BYTES,
    LinkStatus,
)
from spicereplay.session.log import ChannelLog

_VERSION: Final = (2, 2)
KEY_BYTES: Final = 162
FILLER_KEY: Final = (
    bytes.fromhex("30819f300d06092a864886f70d010101050003818d0030818902818100")
    + b"\xff" * 128
    + bytes.fromhex("0203010001")
)
"""Has the form of a server's RSA key (DER, 1024 bits, exponent 65537), and is none."""
_LOOKED_AT: Final = 400
"""Draw messages looked at to learn which images the client takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one side sends at once."""

    side: Side
    time_ns: int
    data: bytes
    made_up: bool


def opening_of(log: ChannelLog, session_id: int | None) -> list[Step]:
    """Return what both sides send before the first message of a channel, with its times.

    Link message and link reply are those of the capture where it has them. All that is not gets the capabilities that
    the channel's messages prove.
    """
    found = log.link
    message = None if found is None else _captured(log, Side.CLIENT)
    reply = None if found is None else _captured(log, Side.SERVER)
    steps = [
        _step(log, Side.CLIENT, message, lambda: _link_message(log, session_id)),
        _step(log, Side.SERVER, reply, lambda: _link_reply(log)),
    ]
    if found is not None and found.status is LinkStatus.INCOMPLETE:
        # As far as it got; what of the authentication there was is not told.
        return [step for step in steps if not step.made_up]
    if found is not None and found.reply_error:
        return steps
    made_up = steps[0].made_up or steps[1].made_up
    selection = all(caps.has(_common(step), CAP_AUTH_SELECTION) for step in steps)
    result = 0 if found is None or found.result is None else found.result
    client_ns, server_ns = (_end_ns(log, side, steps[i].time_ns) for i, side in enumerate(_SPEAKERS))
    client_ns = max(steps[1].time_ns, client_ns)
    if selection:
        # In a packet of its own, as clients send it: Wireshark 4.0 loses its way when the ticket is in the same one.
        steps.append(Step(Side.CLIENT, client_ns, struct.pack("<I", MECHANISM_SPICE), made_up))
    steps.append(Step(Side.CLIENT, client_ns, bytes(TICKET_BYTES), made_up))
    steps.append(Step(Side.SERVER, max(client_ns, server_ns), struct.pack("<I", result), made_up))
    return steps


_SPEAKERS: Final = (Side.CLIENT, Side.SERVER)


def _captured(log: ChannelLog, side: Side) -> bytes | None:
    """Return the link message or reply of one side; None where not all of it is in the capture."""
    stream = log.index(side).stream
    head = stream.read(0, HEADER_BYTES)
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        return None
    stop = HEADER_BYTES + int.from_bytes(head[12:], "little")
    data = stream.read(0, stop)
    return data if len(data) == stop else None


def _step(log: ChannelLog, side: Side, captured: bytes | None, make: Callable[[], bytes]) -> Step:
    if captured is None:
        # Of a connection without messages the bytes are not kept; what they said is.
        return Step(side, log.start_time_ns, make(), _announced(log, side) is None)
    return Step(side, log.index(side).stream.time_at(len(captured) - 1), captured, False)


def _end_ns(log: ChannelLog, side: Side, otherwise: int) -> int:
    """Return when one side had sent the last byte of its link stage."""
    if log.link is None:
        return otherwise
    length = log.link.client_bytes if side is Side.CLIENT else log.link.server_bytes
    stream = log.index(side).stream
    return stream.time_at(length - 1) if length and len(stream.time_ns) else otherwise


def _common(step: Step) -> tuple[int, ...]:
    """Return the common capability words of a link message or reply; one that lies about itself has none."""
    body = step.data[HEADER_BYTES:]
    count, _, offset = struct.unpack_from("<III", body, 6 if step.side is Side.CLIENT else 166)
    if offset + 4 * count > len(body):
        return ()
    return struct.unpack_from(f"<{count}I", body, offset)


def _headed(body: bytes) -> bytes:
    return MAGIC + struct.pack("<III", *_VERSION, len(body)) + body


def _link_message(log: ChannelLog, session_id: int | None) -> bytes:
    common, own = _words(log, Side.CLIENT)
    connection_id = 0 if log.channel is ChannelType.MAIN or session_id is None else session_id
    if log.link is not None and log.link.connection_id is not None:
        connection_id = log.link.connection_id
    body = struct.pack(
        "<IBBIII", connection_id, log.channel, log.channel_id, len(common), len(own), LINK_MESS_BYTES
    )
    return _headed(body + struct.pack(f"<{len(common) + len(own)}I", *common, *own))


def _link_reply(log: ChannelLog) -> bytes:
    if log.link is not None and log.link.reply_error:
        return _headed(struct.pack("<I", log.link.reply_error) + bytes(LINK_REPLY_BYTES - 4))
    common, own = _words(log, Side.SERVER)
    body = struct.pack("<I162sIII", 0, FILLER_KEY, len(common), len(own), LINK_REPLY_BYTES)
    return _headed(body + struct.pack(f"<{len(common) + len(own)}I", *common, *own))


def _announced(log: ChannelLog, side: Side) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return the common and channel capabilities that a side announced; None where that was not seen.

    A refusal announces none.
    """
    link = log.link
    if link is None:
        return None
    if side is Side.CLIENT:
        common, own = link.client_common_caps, link.client_channel_caps
    elif link.reply_error:
        common, own = (), ()
    else:
        common, own = link.server_common_caps, link.server_channel_caps
    return None if common is None or own is None else (common, own)


def _words(log: ChannelLog, side: Side) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the common and channel capabilities of a side: announced, or else as the messages show them."""
    if (announced := _announced(log, side)) is not None:
        return announced
    common = {CommonCap.AUTH_SELECTION}
    if side is Side.SERVER:
        common.add(CommonCap.AUTH_SPICE)
    if log.mini_header:
        common.add(CommonCap.MINI_HEADER)
    return _as_words(common), _as_words(proven(log, side))


def _as_words(wanted: Iterable[int]) -> tuple[int, ...]:
    word = 0
    for bit in wanted:
        word |= 1 << bit
    return (word,)


_PROOFS: Final[dict[tuple[ChannelType, Side, int], tuple[tuple[Side, IntEnum], ...]]] = {
    (ChannelType.MAIN, Side.SERVER, ServerMain.NAME): ((Side.CLIENT, MainCap.NAME_AND_UUID),),
    (ChannelType.MAIN, Side.SERVER, ServerMain.UUID): ((Side.CLIENT, MainCap.NAME_AND_UUID),),
    (ChannelType.MAIN, Side.SERVER, ServerMain.AGENT_CONNECTED_TOKENS): (
        (Side.CLIENT, MainCap.AGENT_CONNECTED_TOKENS),
    ),
    (ChannelType.MAIN, Side.SERVER, ServerMain.MIGRATE_BEGIN_SEAMLESS): (
        (Side.CLIENT, MainCap.SEAMLESS_MIGRATE),
    ),
    (ChannelType.MAIN, Side.CLIENT, ClientMain.MIGRATE_END): ((Side.SERVER, MainCap.SEMI_SEAMLESS_MIGRATE),),
    (ChannelType.DISPLAY, Side.SERVER, ServerDisplay.STREAM_DATA_SIZED): (
        (Side.CLIENT, DisplayCap.SIZED_STREAM),
    ),
    (ChannelType.DISPLAY, Side.SERVER, ServerDisplay.MONITORS_CONFIG): (
        (Side.CLIENT, DisplayCap.MONITORS_CONFIG),
        (Side.SERVER, DisplayCap.MONITORS_CONFIG),
    ),
    (ChannelType.DISPLAY, Side.SERVER, ServerDisplay.DRAW_COMPOSITE): ((Side.CLIENT, DisplayCap.COMPOSITE),),
    (ChannelType.DISPLAY, Side.SERVER, ServerDisplay.STREAM_ACTIVATE_REPORT): (
        (Side.CLIENT, DisplayCap.STREAM_REPORT),
        (Side.SERVER, DisplayCap.STREAM_REPORT),
    ),
    (ChannelType.DISPLAY, Side.SERVER, ServerDisplay.GL_SCANOUT_UNIX): (
        (Side.CLIENT, DisplayCap.GL_SCANOUT),
    ),
    (ChannelType.DISPLAY, Side.CLIENT, ClientDisplay.STREAM_REPORT): (
        (Side.CLIENT, DisplayCap.STREAM_REPORT),
        (Side.SERVER, DisplayCap.STREAM_REPORT),
    ),
    (ChannelType.DISPLAY, Side.CLIENT, ClientDisplay.PREFERRED_COMPRESSION): (
        (Side.SERVER, DisplayCap.PREF_COMPRESSION),
    ),
    (ChannelType.DISPLAY, Side.CLIENT, ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE): (
        (Side.SERVER, DisplayCap.PREF_VIDEO_CODEC_TYPE),
    ),
    (ChannelType.PLAYBACK, Side.SERVER, ServerPlayback.VOLUME): ((Side.CLIENT, PlaybackCap.VOLUME),),
    (ChannelType.PLAYBACK, Side.SERVER, ServerPlayback.MUTE): ((Side.CLIENT, PlaybackCap.VOLUME),),
    (ChannelType.PLAYBACK, Side.SERVER, ServerPlayback.LATENCY): ((Side.CLIENT, PlaybackCap.LATENCY),),
    (ChannelType.RECORD, Side.SERVER, ServerRecord.VOLUME): ((Side.CLIENT, RecordCap.VOLUME),),
    (ChannelType.RECORD, Side.SERVER, ServerRecord.MUTE): ((Side.CLIENT, RecordCap.VOLUME),),
}
"""A message that is sent only where a side has announced a capability, by channel, sender and type.

Source: spice-wire.md 2.4, 5, 7, 11, 14; spice server/dcc.cpp and dcc-send.cpp, server/sound.cpp.
"""
_CODECS: Final = {
    VideoCodec.MJPEG: DisplayCap.CODEC_MJPEG,
    VideoCodec.VP8: DisplayCap.CODEC_VP8,
    VideoCodec.H264: DisplayCap.CODEC_H264,
    VideoCodec.VP9: DisplayCap.CODEC_VP9,
    VideoCodec.H265: DisplayCap.CODEC_H265,
}
_STREAM_HEAD: Final = np.dtype([("surface_id", "<u4"), ("id", "<u4"), ("flags", "u1"), ("codec", "u1")])
_SURFACE_HEAD: Final = np.dtype([("id", "<u4"), ("width", "<u4"), ("height", "<u4"), ("format", "<u4")])
_MODE_HEAD: Final = np.dtype([("time", "<u4"), ("mode", "<u2")])


def proven(log: ChannelLog, side: Side) -> set[int]:
    """Return the capabilities of a channel that `side` must have announced, as its messages show."""
    found: set[int] = set()
    for (channel, sender, kind), told in _PROOFS.items():
        if channel is log.channel and len(log.index(sender).rows(kind)):
            found.update(int(bit) for who, bit in told if who is side)
    if side is Side.CLIENT and log.channel is ChannelType.DISPLAY:
        found |= _display_formats(log)
    if side is Side.CLIENT and log.channel is ChannelType.PLAYBACK:
        modes = log.server.prefixes(log.server.rows(ServerPlayback.MODE), _MODE_HEAD)["mode"]
        found |= {int(PlaybackCap.OPUS)} if (modes == AudioDataMode.OPUS).any() else set()
        found |= {int(PlaybackCap.CELT_0_5_1)} if (modes == AudioDataMode.CELT_0_5_1).any() else set()
    return found


def _display_formats(log: ChannelLog) -> set[int]:
    """Return what a display client takes, by what was sent to it: video codecs, alpha surfaces, LZ4 images."""
    server = log.server
    found: set[int] = set()
    codecs = server.prefixes(server.rows(ServerDisplay.STREAM_CREATE), _STREAM_HEAD)["codec"]
    for codec, cap in _CODECS.items():
        # Every client takes MJPEG; only beside another codec is it announced at all.
        if codec is not VideoCodec.MJPEG and (codecs == codec).any():
            found |= {int(cap), int(DisplayCap.MULTI_CODEC)}
    formats = server.prefixes(server.rows(ServerDisplay.SURFACE_CREATE), _SURFACE_HEAD)["format"]
    if (formats == SurfaceFormat.FMT_8_A).any():
        found.add(int(DisplayCap.A8_SURFACE))
    rows = server.rows(ServerDisplay.DRAW_COPY)
    for row in rows[:: max(1, len(rows) // _LOOKED_AT)].tolist():
        kind = ServerDisplay.DRAW_COPY
        drawn = registry.parse_message(log.channel, Side.SERVER, kind, server.body(row)).message
        image = getattr(drawn, "src_bitmap", None)
        if image is not None and image.descriptor.type == ImageType.LZ4:
            found.add(int(DisplayCap.LZ4_COMPRESSION))
            break
    return found
