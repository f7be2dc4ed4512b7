"""Messages and their bytes, worked out by hand from the wire reference; both ways."""

import pytest

from spicereplay.protocol import agent, enums
from spicereplay.protocol.messages import (
    common,
    cursor,
    display,
    drawing,
    geometry,
    headers,
    images,
    inputs,
    link,
    main,
    playback,
    port,
    record,
    smartcard,
)
from spicereplay.protocol.wire import Structure, build, parse

BASE = "05000000 01000000 02000000 03000000 04000000 00"
base = drawing.DisplayBase(5, geometry.Rect(1, 2, 3, 4), geometry.Clip(enums.ClipType.NONE, None))
NO_MASK = "00 00000000 00000000 00000000"
no_mask = drawing.QMask(enums.MaskFlags(0), geometry.Point(0, 0), None)
area = geometry.Rect(0, 0, 2, 2)
AREA = "00000000 00000000 02000000 02000000"
SOLID = "01 33221100"
solid = drawing.Brush(enums.BrushType.SOLID, 0x112233, None)
nothing = drawing.Brush(enums.BrushType.NONE, None, None)
PUT = enums.RopDescriptor.OP_PUT
SMOOTH = enums.ImageScaleMode.INTERPOLATE
TOP_DOWN = enums.BitmapFlags.TOP_DOWN


def descriptor(kind: enums.ImageType, flags: int = 0) -> images.ImageDescriptor:
    return images.ImageDescriptor(9, kind, enums.ImageFlags(flags), 2, 2)


def image(kind: enums.ImageType, data: object = None) -> images.Image:
    return images.Image(descriptor(kind), data)


cached = image(enums.ImageType.FROM_CACHE)
CACHED = "0900000000000000 67 00 02000000 02000000"

VECTORS: list[tuple[Structure, str]] = [
    # link and headers
    (link.LinkHeader(b"REDQ", 2, 2, 26), "52454451 02000000 02000000 1a000000"),
    (
        link.LinkMess(0x11223344, enums.ChannelType.DISPLAY, 1, 1, 1, (9, 0x1052)),
        "44332211 02 01 01000000 01000000 12000000 09000000 52100000",
    ),
    (link.LinkMess(0, enums.ChannelType.MAIN, 0, 0, 0, ()), "00000000 01 00 00000000 00000000 12000000"),
    (
        link.LinkReply(enums.LinkError.OK, b"k" * 162, 1, 1, (0x0B, 0xF)),
        "00000000" + "6b" * 162 + "01000000 01000000 b2000000 0b000000 0f000000",
    ),
    (
        link.LinkReply(enums.LinkError.NEED_SECURED, bytes(162), 0, 0, None),
        "05000000" + "00" * 174,
    ),
    (link.LinkAuthMechanism(enums.AuthMechanism.SPICE), "01000000"),
    (link.LinkEncryptedTicket(b"t" * 128), "74" * 128),
    (link.LinkResult(enums.LinkError.PERMISSION_DENIED), "07000000"),
    (headers.DataHeader(1, 103, 32, 0), "0100000000000000 6700 20000000 00000000"),
    (headers.MiniDataHeader(103, 32), "6700 20000000"),
    # every channel
    (common.Migrate(enums.MigrateFlags(3)), "03000000"),
    (common.MigrateData(b"state"), "7374617465"),
    (common.SetAck(1, 20), "01000000 14000000"),
    (common.Ping(1, 2), "01000000 0200000000000000"),
    (common.Ping(1, 2, b"\0\0\0"), "01000000 0200000000000000 000000"),
    (
        common.WaitForChannels((common.ChannelWait(2, 0, 77), common.ChannelWait(2, 1, 5))),
        "02 02 00 4d00000000000000 02 01 0500000000000000",
    ),
    (common.Disconnecting(3, enums.LinkError.ERROR), "0300000000000000 01000000"),
    (
        common.Notify(1, enums.NotifySeverity.WARN, enums.NotifyVisibility.HIGH, 0, b"hi", b"\0"),
        "0100000000000000 01000000 02000000 00000000 02000000 6869 00",
    ),
    (common.List((6,), b"\x04\0\0\0\0\0"), "0100 06000000 040000000000"),
    (common.AckSync(1), "01000000"),
    (common.Ack(), ""),
    (common.Pong(1, 2), "01000000 0200000000000000"),
    # main
    (
        main.MigrateBegin(main.DstInfo(5900, 5901, b"host\0", b"CN=x\0")),
        "0c17 0d17 05000000 14000000 05000000 19000000 686f737400 434e3d7800",
    ),
    (
        main.MigrateBeginSeamless(main.DstInfo(5900, 0, b"h\0", None), 7),
        "0c17 0000 02000000 18000000 00000000 00000000 07000000 6800",
    ),
    (
        main.MigrateSwitchHost(1, 2, b"h\0", b"\0"),
        "0100 0200 02000000 14000000 01000000 16000000 6800 00",
    ),
    (
        main.Init(7, 1, enums.MouseMode(3), enums.MouseMode.SERVER, 1, 10, 1000, 0),
        "07000000 01000000 03000000 01000000 01000000 0a000000 e8030000 00000000",
    ),
    (main.ChannelsList((main.ChannelId(2, 0), main.ChannelId(9, 3))), "02000000 0200 0903"),
    (main.MouseModeChange(enums.MouseMode(3), enums.MouseMode.CLIENT), "0300 0200"),
    (main.AgentDisconnected(enums.LinkError.OK), "00000000"),
    (main.AgentData(b"\x01"), "01"),
    (main.Name(b"vm\0"), "03000000 766d00"),
    (main.Uuid(bytes(range(16))), "000102030405060708090a0b0c0d0e0f"),
    (main.ClientInfo(1), "0100000000000000"),
    (main.MouseModeRequest(enums.MouseMode.CLIENT), "0200"),
    (main.AgentStart(0xFFFFFFFF), "ffffffff"),
    # display: everything but drawing
    (display.Mode(640, 480, 32), "80020000 e0010000 20000000"),
    (display.InvalList((display.ResourceID(enums.ResourceType.PIXMAP, 9),)), "0100 01 0900000000000000"),
    (display.InvalAllPixmaps((common.ChannelWait(2, 1, 3),)), "01 02 01 0300000000000000"),
    (
        display.StreamCreate(
            0,
            3,
            enums.StreamFlags.TOP_DOWN,
            enums.VideoCodec.H264,
            0,
            4,
            5,
            6,
            7,
            geometry.Rect(1, 2, 3, 4),
            geometry.Clip(enums.ClipType.RECTS, (area,)),
        ),
        "00000000 03000000 01 03 0000000000000000 04000000 05000000 06000000 07000000"
        "01000000 02000000 03000000 04000000 01 01000000" + AREA,
    ),
    (
        display.StreamData(display.StreamDataHeader(3, 1000), b"jpeg"),
        "03000000 e8030000 04000000 6a706567",
    ),
    (
        display.StreamDataSized(display.StreamDataHeader(3, 1000), 8, 9, area, b"!"),
        "03000000 e8030000 08000000 09000000" + AREA + "01000000 21",
    ),
    (display.StreamClip(3, geometry.Clip(enums.ClipType.RECTS, ())), "03000000 01 00000000"),
    (display.StreamActivateReport(3, 4, 5, 1000), "03000000 04000000 05000000 e8030000"),
    (
        display.SurfaceCreate(0, 640, 480, enums.SurfaceFormat.FMT_32_xRGB, enums.SurfaceFlags.PRIMARY),
        "00000000 80020000 e0010000 20000000 01000000",
    ),
    (
        display.MonitorsConfig(4, (display.Head(0, 0, 640, 480, 0, 0, 0),)),
        "0100 0400 00000000 00000000 80020000 e0010000 00000000 00000000 00000000",
    ),
    (
        display.GlScanoutUnix(1, 2, 3, 4, enums.GlScanoutFlags.Y0TOP),
        "01000000 02000000 03000000 04000000 01000000",
    ),
    (display.Init(1, 20971520, 1, 4194304), "01 0000400100000000 01 00004000"),
    (
        display.StreamReport(1, 2, 3, 4, 5, 1, -20, 0xFFFFFFFF),
        "01000000 02000000 03000000 04000000 05000000 01000000 ecffffff ffffffff",
    ),
    (display.PreferredCompression(enums.ImageCompression.LZ4), "07"),
    (
        display.PreferredVideoCodecType((enums.VideoCodec.VP9, enums.VideoCodec.MJPEG)),
        "02 04 01",
    ),
    # display: drawing; offsets count from the first byte of the body
    (display.CopyBits(base, geometry.Point(-1, 9)), BASE + "ffffffff 09000000"),
    (display.DrawFill(base, solid, PUT, no_mask), BASE + SOLID + "0800" + NO_MASK),
    (
        display.DrawFill(
            base,
            drawing.Brush(enums.BrushType.PATTERN, None, drawing.Pattern(cached, geometry.Point(1, 2))),
            PUT,
            no_mask,
        ),
        BASE + "02 31000000 01000000 02000000 0800" + NO_MASK + CACHED,
    ),
    (
        display.DrawCopy(base, cached, area, PUT, SMOOTH, no_mask),
        BASE + "39000000" + AREA + "0800 00" + NO_MASK + CACHED,
    ),
    (
        display.DrawCopy(
            base,
            image(
                enums.ImageType.BITMAP,
                images.Bitmap(
                    enums.BitmapFormat.FMT_8BIT,
                    TOP_DOWN,
                    2,
                    2,
                    2,
                    None,
                    images.Palette(6, (0xFFFFFF,)),
                    b"\0\0\0\0",
                ),
            ),
            area,
            PUT,
            SMOOTH,
            no_mask,
        ),
        BASE
        + "39000000"
        + AREA
        + "0800 00"
        + NO_MASK
        # the image at 57, its palette field at 89, its pixels, then the palette at 97
        + "0900000000000000 00 00 02000000 02000000 05 04 02000000 02000000 02000000 61000000 00000000"
        + "0600000000000000 0100 ffffff00",
    ),
    (
        display.DrawCopy(
            base,
            image(
                enums.ImageType.LZ_PLT,
                images.LzPlt(enums.BitmapFlags.PAL_FROM_CACHE, 6, None, b"lz"),
            ),
            area,
            PUT,
            SMOOTH,
            no_mask,
        ),
        BASE
        + "39000000"
        + AREA
        + "0800 00"
        + NO_MASK
        # the palette's id takes eight bytes instead of four
        + "0900000000000000 64 00 02000000 02000000 02 02000000 0600000000000000 6c7a",
    ),
    (
        display.DrawBlend(
            base, image(enums.ImageType.QUIC, images.BinaryData(b"QUIC")), area, PUT, SMOOTH, no_mask
        ),
        BASE
        + "39000000"
        + AREA
        + "0800 00"
        + NO_MASK
        + "0900000000000000 01 00 02000000 02000000 04000000 51554943",
    ),
    (
        display.DrawOpaque(
            base,
            image(enums.ImageType.ZLIB_GLZ_RGB, images.ZlibGlz(99, b"z")),
            area,
            nothing,
            PUT,
            enums.ImageScaleMode.NEAREST,
            drawing.QMask(enums.MaskFlags.INVERS, geometry.Point(1, 2), cached),
        ),
        BASE
        + "3a000000"
        + AREA
        + "00 0800 01 01 01000000 02000000 55000000"
        + "0900000000000000 6b 00 02000000 02000000 63000000 01000000 7a"
        + CACHED,
    ),
    (
        display.DrawRop3(
            base,
            image(enums.ImageType.SURFACE, images.SurfaceImage(4)),
            area,
            solid,
            0xF0,
            SMOOTH,
            no_mask,
        ),
        BASE
        + "3d000000"
        + AREA
        + SOLID
        + "f0 00"
        + NO_MASK
        + "0900000000000000 68 00 02000000 02000000 04000000",
    ),
    (display.DrawBlackness(base, no_mask), BASE + NO_MASK),
    (
        display.DrawStroke(
            base,
            drawing.Path(
                (
                    drawing.PathSegment(
                        enums.PathFlags(3), (geometry.PointFix(16, 32), geometry.PointFix(0, -16))
                    ),
                )
            ),
            drawing.LineAttr(enums.LineFlags.STYLED, (64, 32)),
            solid,
            PUT,
            PUT,
        ),
        BASE
        + "28000000 08 02 41000000"
        + SOLID
        + "0800 0800"
        + "01000000 03 02000000 10000000 20000000 00000000 f0ffffff"
        + "40000000 20000000",
    ),
    (
        display.DrawText(
            base,
            drawing.String(
                enums.StringFlags.RASTER_A1,
                (
                    drawing.RasterGlyphA1(geometry.Point(1, 2), geometry.Point(3, 4), 9, 1, b"\xff\x80"),
                    drawing.RasterGlyphA1(geometry.Point(1, 2), geometry.Point(3, 4), 0, 1, b""),
                ),
                None,
                None,
            ),
            area,
            solid,
            nothing,
            PUT,
            PUT,
        ),
        BASE
        + "33000000"
        + AREA
        + SOLID
        + "00 0800 0800"
        + "0200 01"
        + "01000000 02000000 03000000 04000000 0900 0100 ff80"
        + "01000000 02000000 03000000 04000000 0000 0100",
    ),
    (
        display.DrawTransparent(base, cached, area, 1, 2),
        BASE + "31000000" + AREA + "01000000 02000000" + CACHED,
    ),
    (
        display.DrawAlphaBlend(
            base,
            enums.AlphaFlags.DEST_HAS_ALPHA,
            128,
            image(
                enums.ImageType.JPEG_ALPHA,
                images.JpegAlpha(enums.JpegAlphaFlags.TOP_DOWN, 1, b"jA"),
            ),
            area,
        ),
        BASE + "01 80 2b000000" + AREA + "0900000000000000 6c 00 02000000 02000000 01 01000000 02000000 6a41",
    ),
    (
        display.DrawComposite(
            base,
            3 | enums.CompositeFlags.HAS_MASK | enums.CompositeFlags.HAS_MASK_TRANSFORM,
            cached,
            cached,
            None,
            geometry.Transform(0x10000, 0, 0, 0, 0x10000, 0),
            geometry.Point16(1, 2),
            geometry.Point16(-1, 0),
        ),
        BASE
        + "03002800 41000000 53000000 00000100 00000000 00000000 00000000 00000100 00000000"
        + "01000200 ffff0000"
        + CACHED
        + CACHED,
    ),
    # inputs, cursor
    (inputs.Init(enums.KeyModifiers(6)), "0600"),
    (inputs.KeyDown(0x000048E0), "e0480000"),
    (inputs.MouseMotion(-1, 2, enums.MouseButtonMask.LEFT), "ffffffff 02000000 0100"),
    (inputs.MousePosition(1, 2, enums.MouseButtonMask(0), 3), "01000000 02000000 0000 03"),
    (inputs.MousePress(enums.MouseButton.RIGHT, enums.MouseButtonMask.RIGHT), "03 0400"),
    (
        cursor.Init(geometry.Point16(1, 2), 0, 0, 1, cursor.Cursor(enums.CursorFlags.NONE, None)),
        "01000200 0000 0000 01 0100",
    ),
    (
        cursor.Set(
            geometry.Point16(1, -2),
            1,
            cursor.Cursor(
                enums.CursorFlags.CACHE_ME,
                cursor.CursorHeader(8, enums.CursorType.MONO, 8, 1, 3, 0),
                b"\x0f\xf0",
            ),
        ),
        "0100feff 01 0200 0800000000000000 01 0800 0100 0300 0000 0ff0",
    ),
    # sound
    (playback.Data(5, b"pcm"), "05000000 70636d"),
    (playback.Mode(5, enums.AudioDataMode.OPUS), "05000000 0300"),
    (playback.Start(2, enums.AudioFormat.S16, 48000, 5), "02000000 0100 80bb0000 05000000"),
    (playback.Volume((65535, 1)), "02 ffff 0100"),
    (record.Start(2, enums.AudioFormat.S16, 44100), "02000000 0100 44ac0000"),
    # pipes and cards
    (port.CompressedData(enums.DataCompressionType.NONE, None, b"raw"), "00 726177"),
    (port.CompressedData(enums.DataCompressionType.LZ4, 9, b"lz4"), "01 09000000 6c7a34"),
    (port.Init(b"org.x\0", 1), "06000000 09000000 01 6f72672e7800"),
    (port.Event(enums.PortEvent.BREAK), "02"),
    (smartcard.Data(enums.VscMessageType.APDU, 1, b"\x90\0"), "07000000 01000000 02000000 9000"),
    # agent
    (agent.AgentHeader(1, 2, 0, 28), "01000000 02000000 0000000000000000 1c000000"),
    (
        agent.MonitorsConfig(enums.AgentMonitorsFlags.USE_POS, (agent.MonitorConfig(768, 1024, 32, -5, 0),)),
        "01000000 01000000 00030000 00040000 20000000 fbffffff 00000000",
    ),
    (
        agent.MonitorsConfig(
            enums.AgentMonitorsFlags.PHYSICAL_SIZE,
            (agent.MonitorConfig(1, 2, 3, 4, 5),),
            (agent.MonitorSize(300, 400),),
        ),
        "01000000 02000000 01000000 02000000 03000000 04000000 05000000 2c01 9001",
    ),
    (agent.Reply(enums.AgentType.MONITORS_CONFIG, enums.AgentResult.SUCCESS), "02000000 01000000"),
    (agent.AnnounceCapabilities(1, (0x1F, 2)), "01000000 1f000000 02000000"),
    (agent.AudioVolumeSync(1, 0, (7, 8)), "01 00 02 0700 0800"),
    (
        agent.GraphicsDeviceInfo((agent.DeviceDisplayInfo(0, 1, 2, b"pci/0\0"),)),
        "01000000 00000000 01000000 02000000 06000000 7063692f3000",
    ),
]


@pytest.mark.parametrize(("message", "body"), VECTORS, ids=lambda v: getattr(type(v), "__name__", ""))
def test_message_and_bytes(message: Structure, body: str) -> None:
    data = bytes.fromhex(body)
    assert build(message).hex(" ") == data.hex(" ")
    parsed = parse(type(message), data)
    assert parsed.problems == ()
    assert parsed.message == message


def test_capability_words_of_a_link_are_told_apart() -> None:
    mess = link.LinkMess(0, enums.ChannelType.MAIN, 0, 1, 2, (1, 2, 3))
    assert (mess.common_caps, mess.channel_caps) == ((1,), (2, 3))
    refused = link.LinkReply(enums.LinkError.ERROR, bytes(162), 0, 0, None)
    assert (refused.common_caps, refused.channel_caps) == ((), ())


def test_a_string_has_the_glyphs_of_its_first_depth() -> None:
    both = drawing.String(enums.StringFlags(1 | 4), (), None, None)
    assert parse(drawing.String, build(both)).message == both
    deep = drawing.RasterGlyphA4(geometry.Point(0, 0), geometry.Point(0, 0), 3, 2, b"abcd")
    string = drawing.String(enums.StringFlags.RASTER_A4, None, (deep,), None)
    assert string.glyphs == (deep,)
    assert string.length == 1
