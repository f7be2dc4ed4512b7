"""Writes the captures of `fixtures/made`: every drawing operation and every codec, which no recorded session has.

    PYTHONPATH=tests python -m support.made_captures fixtures/made

`every-draw.pcap` holds the random messages that `interop/test_canvas_against_spice_gtk.py` compares with the reference
canvas; `every-codec.pcap` the streams of `fixtures/vectors`, and those that our own test encoders and libraries write;
`every-composite.pcap.gz` each operator, mask, repeat and filter of DRAW_COMPOSITE, on pixels that tell one rounding
from another.
"""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import lz4.block
import numpy as np
import simplejpeg
from interop.canvas_server import surface
from interop.random_draws import KINDS, RandomDraws
from support.codec_vectors import Vector, vectors_in
from support.pcapfile import SYN, Frame, tcp_frame, write_pcap
from support.pictures import photo
from support.spicewire import link_stage, mini

from spicereplay.protocol.enums import (
    BitmapFlags,
    BitmapFormat,
    ChannelType,
    CompositeFlags,
    CursorFlags,
    CursorType,
    ImageFlags,
    ImageType,
    ServerCursor,
    SurfaceFormat,
    VideoCodec,
)
from spicereplay.protocol.messages import cursor as c
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import drawing as d
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.wire import build

VECTORS = Path(__file__).parents[2] / "fixtures" / "vectors"
ROUNDS = 3
"""How often each kind of message comes on each surface format."""
STEP_NS = 1_000_000
SEGMENT = 32_000


def connection(channel: ChannelType, session: int, port: int, start_ns: int, said: bytes) -> Iterator[Frame]:
    """Yield the packets of one connection on which the server says `said` after the link stage."""
    ours, theirs = link_stage(channel, connection_id=session, selection=False)
    client = ("192.0.2.1", port)
    yield tcp_frame(client=client, sequence=99, flags=SYN, time_ns=start_ns)
    yield tcp_frame(client=client, sequence=99, flags=SYN | 16, from_server=True, time_ns=start_ns)
    yield tcp_frame(ours, client=client, sequence=100, acknowledgement=100, time_ns=start_ns)
    data = theirs + said
    for n, at in enumerate(range(0, len(data), SEGMENT), 1):
        yield tcp_frame(
            data[at : at + SEGMENT],
            client=client,
            sequence=100 + at,
            acknowledgement=100 + len(ours),
            from_server=True,
            time_ns=start_ns + n * STEP_NS,
        )


def message(what: object) -> bytes:
    """Return a message with its header."""
    return mini(int(what.TYPES[0]), build(what))  # type: ignore[attr-defined]


# --- every drawing operation ------------------------------------------------------------------------------

SIZE, OTHER = (64, 48), (50, 40)
FORMATS = {
    SurfaceFormat.FMT_32_xRGB: SurfaceFormat.FMT_32_ARGB,
    SurfaceFormat.FMT_32_ARGB: SurfaceFormat.FMT_32_xRGB,
    SurfaceFormat.FMT_16_555: SurfaceFormat.FMT_16_555,
    SurfaceFormat.FMT_16_565: SurfaceFormat.FMT_16_565,
    SurfaceFormat.FMT_8_A: SurfaceFormat.FMT_8_A,
}
"""Surface formats, and that of an off-screen surface that is drawn from."""


def draws(format: SurfaceFormat, other: SurfaceFormat, seed: int) -> Iterator[object]:
    """Yield messages that create two surfaces and do everything to the first that can be done to it."""
    yield surface(0, *SIZE, format)
    yield surface(1, *OTHER, other)
    content = RandomDraws(seed + 1000, *OTHER, other, surface_id=1)
    yield from (content.message("copy") for _ in range(3))
    random = RandomDraws(seed, *SIZE, format, others={1: OTHER})
    yield random.message("copy")
    for _ in range(ROUNDS):
        yield from (random.message(kind) for kind in KINDS)
    yield m.SurfaceDestroy(surface_id=1)


def every_draw() -> list[Frame]:
    """Return one session for each surface format."""
    frames: list[Frame] = []
    for n, (format, other) in enumerate(FORMATS.items()):
        said = b"".join(map(message, draws(format, other, seed=n)))
        frames += connection(ChannelType.DISPLAY, n + 1, 40_000 + n, n * 10**9, said)
    return frames


# --- every composition ------------------------------------------------------------------------------------

PICTURE = (24, 20)
BACKGROUND, SOURCE, MASK = 1, 2, 3
"""Ids of cached images."""
WHOLE = g.Rect(top=0, left=0, bottom=PICTURE[1], right=PICTURE[0])
NEAREST, BILINEAR = 3, 4
"""Source: pixman.h, pixman_filter_t."""
OPERATORS = (*range(0x0E), *range(0x10, 0x1C), *range(0x20, 0x2C), *range(0x30, 0x3F))
"""Source: pixman.h, pixman_op_t. Those below 0x0E are the kernel's."""
TRANSFORMS = (
    (2.0, 0.0, -15.0, 0.0, 2.0, -12.0),  # whole pixels: what lies on the border of two counts
    (0.83, -0.61, -4.3, 0.57, 1.21, -11.7),
)
"""Both see the picture, and all that its repeat puts around it."""


def pixels(image_id: int) -> i.Image:
    """Return an image of random pixels, alpha and all, that goes into the cache."""
    width, height = PICTURE
    data = np.random.default_rng(image_id).integers(0, 256, width * height * 4, np.uint8).tobytes()
    raw = i.Bitmap(
        format=BitmapFormat.FMT_RGBA, flags=BitmapFlags.TOP_DOWN, x=width, y=height, stride=4 * width,
        palette_id=None, palette=None, data=data,
    )  # fmt: skip
    descriptor = i.ImageDescriptor(
        id=image_id, type=ImageType.BITMAP, flags=ImageFlags.CACHE_ME, width=width, height=height
    )
    return i.Image(descriptor=descriptor, data=raw)


def cached(image_id: int) -> i.Image:
    """Return one of these out of the cache."""
    width, height = PICTURE
    descriptor = i.ImageDescriptor(
        id=image_id, type=ImageType.FROM_CACHE, flags=0, width=width, height=height
    )
    return i.Image(descriptor=descriptor, data=None)


def painted(image: i.Image) -> m.DrawCopy:
    """Return the message that lets the surface show an image."""
    return m.DrawCopy(
        base=d.DisplayBase(surface_id=0, box=WHOLE, clip=g.Clip(type=0, rects=None)),
        src_bitmap=image,
        src_area=WHOLE,
        rop_descriptor=8,
        scale_mode=0,
        mask=d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None),
    )


def composed(
    flags: int, *, masked: bool, transform: tuple[float, ...] | None = None
) -> Iterator[m.DrawCopy | m.DrawComposite]:
    """Yield messages that combine the source with the background anew."""
    through = None
    if transform is not None:
        fixed = (round(value * 65536) % (1 << 32) for value in transform)
        through = g.Transform(**dict(zip(("t00", "t01", "t02", "t10", "t11", "t12"), fixed, strict=True)))
        flags |= CompositeFlags.HAS_SRC_TRANSFORM | (CompositeFlags.HAS_MASK_TRANSFORM if masked else 0)
    yield painted(cached(BACKGROUND))
    yield m.DrawComposite(
        base=d.DisplayBase(surface_id=0, box=WHOLE, clip=g.Clip(type=0, rects=None)),
        flags=int(flags | (CompositeFlags.HAS_MASK if masked else 0)),
        src_bitmap=cached(SOURCE),
        mask_bitmap=cached(MASK) if masked else None,
        src_transform=through,
        mask_transform=through if masked else None,
        src_origin=g.Point16(x=0, y=0),
        mask_origin=g.Point16(x=3, y=5),
    )


def composites() -> Iterator[object]:
    """Yield messages that combine three pictures in every way."""
    yield surface(0, *PICTURE, SurfaceFormat.FMT_32_ARGB)
    yield from (painted(pixels(image_id)) for image_id in (SOURCE, MASK, BACKGROUND))
    for operator in OPERATORS:
        yield from composed(operator, masked=False)
        if operator < 0x0E:
            yield from composed(operator, masked=True)
            yield from composed(operator | CompositeFlags.COMPONENT_ALPHA, masked=True)
    for repeat in range(4):
        for way in (NEAREST, BILINEAR):
            flags = 1 | way << 8 | way << 11 | repeat << 14 | repeat << 16
            for transform in TRANSFORMS:
                yield from composed(flags, masked=False, transform=transform)
                yield from composed(flags, masked=True, transform=transform)


def every_composite() -> list[Frame]:
    """Return one session."""
    return list(connection(ChannelType.DISPLAY, 1, 42_000, 0, b"".join(map(message, composites()))))


# --- every codec ------------------------------------------------------------------------------------------

ENCODERS = {
    VideoCodec.VP8: ("libvpx", {"deadline": "realtime", "lag-in-frames": "0"}),
    VideoCodec.H264: ("libx264", {"tune": "zerolatency", "preset": "ultrafast"}),
    VideoCodec.VP9: ("libvpx-vp9", {"deadline": "realtime", "lag-in-frames": "0"}),
    VideoCodec.H265: (
        "libx265",
        {"tune": "zerolatency", "preset": "ultrafast", "x265-params": "log-level=0"},
    ),
}
GREYS = i.Palette(unique=1, ents=tuple(n * 0x10101 for n in range(256)))


def image_of(
    kind: ImageType, data: object, width: int, height: int, image_id: int, surface_id: int = 0
) -> Iterator[object]:
    """Yield messages that make a surface as large as an image, draw it there, and destroy it again."""
    box = g.Rect(top=0, left=0, bottom=height, right=width)
    yield surface(1, width, height, SurfaceFormat.FMT_32_ARGB)
    yield m.DrawCopy(
        base=d.DisplayBase(surface_id=1, box=box, clip=g.Clip(type=0, rects=None)),
        src_bitmap=i.Image(
            descriptor=i.ImageDescriptor(id=image_id, type=kind, flags=0, width=width, height=height),
            data=data,
        ),
        src_area=box,
        rop_descriptor=8,
        scale_mode=0,
        mask=d.QMask(flags=0, pos=g.Point(x=0, y=0), bitmap=None),
    )
    yield m.SurfaceDestroy(surface_id=1)


def vector_image(vector: Vector, image_id: int) -> Iterator[object]:
    """Yield the messages for one of `fixtures/vectors`."""
    width, height = vector.size
    codec, binary = vector.facts["codec"], i.BinaryData(data=vector.data)
    if codec == "lz" and vector.facts["type"].startswith("PLT"):
        plt = i.LzPlt(flags=0, palette_id=None, palette=GREYS, data=vector.data)
        return image_of(ImageType.LZ_PLT, plt, width, height, image_id)
    kinds = {"quic": ImageType.QUIC, "lz": ImageType.LZ_RGB, "glz": ImageType.GLZ_RGB}
    return image_of(kinds[codec], binary, width, height, image_id)


def made_images() -> Iterator[object]:
    """Yield messages for what there are no vectors of: LZ4 in all its formats, JPEG, raw bitmaps."""
    width, height = 40, 30
    picture = photo(width, height)
    rgb = np.ascontiguousarray(picture[..., :3])
    sizes = {
        BitmapFormat.FMT_16BIT: 2,
        BitmapFormat.FMT_24BIT: 3,
        BitmapFormat.FMT_32BIT: 4,
        BitmapFormat.FMT_RGBA: 4,
    }
    for n, (format, size) in enumerate(sizes.items()):
        raw = np.resize(picture, width * height * size).astype(np.uint8).tobytes()
        if size == 2:
            raw = (np.frombuffer(raw, "<u2") & 0x7FFF).tobytes()
        block = lz4.block.compress(raw, store_size=False)
        data = bytes((1, format)) + struct.pack(">I", len(block)) + block
        yield from image_of(ImageType.LZ4, i.BinaryData(data=data), width, height, 100 + n)
        bitmap = i.Bitmap(
            format=format, flags=BitmapFlags.TOP_DOWN, x=width, y=height, stride=width * size, palette_id=None,
            palette=None, data=raw,
        )  # fmt: skip
        yield from image_of(ImageType.BITMAP, bitmap, width, height, 110 + n)
    for n, sampling in enumerate(("444", "422", "420", "Gray")):
        source = rgb if sampling != "Gray" else np.ascontiguousarray(rgb[..., :1])
        space = "RGB" if sampling != "Gray" else "GRAY"
        data = simplejpeg.encode_jpeg(source, quality=80, colorspace=space, colorsubsampling=sampling)
        yield from image_of(ImageType.JPEG, i.BinaryData(data=data), width, height, 120 + n)


def video() -> Iterator[object]:
    """Yield a short stream of each video codec."""
    width, height = 80, 60
    box = g.Rect(top=0, left=0, bottom=height, right=width)
    for codec in VideoCodec:
        yield m.StreamCreate(
            surface_id=0, id=int(codec), flags=1, codec_type=codec, stamp=0, stream_width=width,
            stream_height=height, src_width=width, src_height=height, dest=box,
            clip=g.Clip(type=0, rects=None),
        )  # fmt: skip
        for n, frame in enumerate(encoded(codec, width, height)):
            yield m.StreamData(base=m.StreamDataHeader(id=int(codec), multi_media_time=40 * n), data=frame)
        yield m.StreamDestroy(id=int(codec))


def encoded(codec: VideoCodec, width: int, height: int, count: int = 3) -> list[bytes]:
    """Return frames of a picture that moves, each as one packet."""
    rgb = np.ascontiguousarray(photo(width, height)[..., :3])
    scenes = [np.roll(rgb, 4 * n, axis=1).copy() for n in range(count)]
    if codec == VideoCodec.MJPEG:
        return [simplejpeg.encode_jpeg(scene, quality=70, colorspace="RGB") for scene in scenes]
    name, options = ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.options, encoder.thread_count = Fraction(1, 25), options, 1
    packets: list[bytes] = []
    for n, scene in enumerate(scenes):
        frame = av.VideoFrame.from_ndarray(scene, format="rgb24").reformat(format="yuv420p")
        frame.pts = n
        packets += map(bytes, encoder.encode(frame))
    return packets + [bytes(packet) for packet in encoder.encode(None)]


def shapes() -> Iterator[bytes]:
    """Yield a cursor of each type."""
    width, height = 12, 10
    rng = np.random.default_rng(5)
    sizes = {
        CursorType.ALPHA: width * height * 4,
        CursorType.MONO: (width + 7) // 8 * height * 2,
        CursorType.COLOR4: (width + 1) // 2 * height + 64 + (width + 7) // 8 * height,
        CursorType.COLOR8: width * height + 1024 + (width + 7) // 8 * height,
        CursorType.COLOR16: width * height * 2 + (width + 7) // 8 * height,
        CursorType.COLOR24: width * height * 3 + (width + 7) // 8 * height,
        CursorType.COLOR32: width * height * 4 + (width + 7) // 8 * height,
    }
    for n, (kind, size) in enumerate(sizes.items()):
        header = c.CursorHeader(
            unique=n + 1, type=kind, width=width, height=height, hot_spot_x=2, hot_spot_y=3
        )
        data = rng.integers(0, 256, size, np.uint8).tobytes()
        shape = c.Cursor(flags=CursorFlags.CACHE_ME, header=header, data=data)
        body = build(c.Set(position=g.Point16(x=5, y=5), visible=1, cursor=shape))
        yield mini(ServerCursor.SET, body)


def every_codec() -> list[Frame]:
    """Return a session for each sequence of GLZ images; the first has all other codecs and the cursors, too."""
    vectors = vectors_in(VECTORS)
    sequences = sorted({v.facts.get("sequence", "") for v in vectors if v.facts["codec"] == "glz"})
    frames: list[Frame] = []
    for n, sequence in enumerate(sequences):
        chosen = [v for v in vectors if v.facts["codec"] == "glz" and v.facts.get("sequence", "") == sequence]
        messages: list[object] = [surface(0, 80, 60, SurfaceFormat.FMT_32_xRGB)]
        if n == 0:
            others = (v for v in vectors if v.facts["codec"] != "glz")
            messages += (each for k, v in enumerate(others) for each in vector_image(v, 1000 + k))
            messages += made_images()
            messages += video()
        messages += (each for k, v in enumerate(chosen) for each in vector_image(v, 2000 + k))
        said = b"".join(map(message, messages))
        frames += connection(ChannelType.DISPLAY, n + 1, 41_000 + 10 * n, n * 10**9, said)
        if n == 0:
            frames += connection(ChannelType.CURSOR, n + 1, 41_001, 10**6, b"".join(shapes()))
    return sorted(frames, key=lambda frame: frame.time_ns)


def compressed(path: Path) -> Path:
    """Replace a file by one in gzip that is the same at every run."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()
    return packed


def write_all(folder: Path) -> Iterable[Path]:
    """Write the captures; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_pcap(folder / "every-draw.pcap", every_draw()),
        write_pcap(folder / "every-codec.pcap", every_codec()),
        compressed(write_pcap(folder / "every-composite.pcap", every_composite())),
    ]


if __name__ == "__main__":
    for path in write_all(Path(sys.argv[1])):
        print(path, path.stat().st_size)
