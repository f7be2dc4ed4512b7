"""Damaged streams: a `DecodeError` or a picture, never another exception, whatever the bytes are."""

from collections.abc import Callable
from pathlib import Path

import lz4.block
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from support.codec_vectors import GREYS, vectors_in
from support.lz_tokens import glz_header, glz_match, literals

from spicereplay.codecs.base import Data, Decoded
from spicereplay.codecs.glz import decode_glz, decode_zlib_glz
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.lz import LzType, decode_lz
from spicereplay.codecs.lz4 import decode_lz4
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.window import GlzWindow
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits

VECTORS = Path(__file__).parent.parent.parent / "fixtures" / "vectors"
SMALL = Limits(image_side_px=1024, image_pixels=256 * 1024)
"""A flipped bit in a header may ask for a large picture, which is not what is tried here."""
REASONS = {
    DefectKind.CODEC_DATA,
    DefectKind.CODEC_DATA_SHORT,
    DefectKind.CODEC_UNSUPPORTED,
    DefectKind.IMAGE_OVER_LIMIT,
    DefectKind.GLZ_REFERENCE_MISSING,
}
Decoder = Callable[[Data], Decoded]


def window() -> GlzWindow:
    """A dictionary of 60 images of 64 pixels, none of which needs another."""
    images = GlzWindow()
    for image_id in range(60):
        images.add(image_id, np.arange(64, dtype=np.uint32), 60)
    return images


def glz(data: Data) -> Decoded:
    return decode_glz(data, window(), limits=SMALL)


def glz_partial(data: Data) -> Decoded:
    return decode_glz(data, window(), limits=SMALL, partial=True)


def glz_stream(kind: LzType) -> bytes:
    tokens = literals(b"abc", b"def") + glz_match(20, 1, 0, 0) + glz_match(9, 50, 3, 0) + literals(b"xyz")
    tokens += glz_match(40, 17, 59, 0) + glz_match(8, 0, 0, 0)
    alpha = literals(b"\1") + glz_match(50, 3, 7, 2) + glz_match(29, 0, 0, 2)
    return glz_header(kind, 10, 8, 60, 60) + tokens + (alpha if kind == LzType.RGBA else b"")


def lz4_stream() -> bytes:
    out = b"\1\x08"
    raw = bytes(range(16)) * 16
    for at in (0, 100):
        part = raw[at : at + 100 if at == 0 else None]
        block = lz4.block.compress(part, store_size=False, dict=raw[:at])
        out += len(block).to_bytes(4) + block
    return out


def streams() -> list[tuple[str, Decoder, bytes]]:
    found: list[tuple[str, Decoder, bytes]] = []
    for vector in vectors_in(VECTORS):
        if len(vector.data) <= 1200:
            if vector.facts["codec"] == "lz":
                found.append((vector.name, lambda d: decode_lz(d, limits=SMALL, palette=GREYS), vector.data))
            elif vector.facts["codec"] == "quic":
                found.append((vector.name, lambda d: decode_quic(d, limits=SMALL), vector.data))
    for kind in (LzType.RGB32, LzType.RGBA):
        found.append((f"glz_{kind.name}", glz, glz_stream(kind)))
    found.append(("glz_partial", glz_partial, glz_stream(LzType.RGB32)))
    found.append(("lz4", lambda d: decode_lz4(d, size=(8, 8), limits=SMALL), lz4_stream()))
    scene = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    found.append(("jpeg", lambda d: decode_jpeg(d, limits=SMALL), simplejpeg.encode_jpeg(scene, quality=50)))
    return found


STREAMS = streams()
each_stream = pytest.mark.parametrize(
    ("decode", "data"), [pytest.param(decode, data, id=name) for name, decode, data in STREAMS]
)


def attempt(decode: Decoder, data: bytes) -> str | None:
    """Decode; return the reason of the error, if any."""
    try:
        picture = decode(data)
    except DecodeError as error:
        reason, offset = error.reason, error.offset
    else:
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.flags.c_contiguous
        return None
    assert reason in REASONS
    assert offset is None or 0 <= offset <= len(data)
    return reason


@each_stream
def test_the_whole_stream_decodes(decode: Decoder, data: bytes) -> None:
    assert attempt(decode, data) is None


@each_stream
def test_every_shorter_stream_is_refused_as_short(decode: Decoder, data: bytes) -> None:
    # QUIC ends in words of zero bits that a decoder need not look at.
    spare = 8 if data[:4] == b"QUIC" else 0
    for length in range(len(data)):
        reason = attempt(decode, data[:length])
        assert reason == "codec_data_short" or (reason is None and length >= len(data) - spare), length


@each_stream
def test_every_flipped_bit_is_survived(decode: Decoder, data: bytes) -> None:
    for at in range(min(len(data), 120)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            attempt(decode, bytes(changed))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_rubbish_behind_a_good_header_is_survived(data: st.DataObject) -> None:
    name, decode, stream = data.draw(st.sampled_from(STREAMS))
    kept = data.draw(st.integers(0, len(stream)), label=name)
    attempt(decode, stream[:kept] + data.draw(st.binary(max_size=300)))


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_rubbish_inside_zlib_is_survived(rubbish: bytes) -> None:
    attempt(lambda d: decode_zlib_glz(d, 100, window(), limits=SMALL), rubbish)
