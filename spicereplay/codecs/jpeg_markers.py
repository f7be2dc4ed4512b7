"""What the markers of a JPEG say, without decoding it: size, tables, quality.

Sources: ITU-T T.81 Annex B (markers) and Annex K (the standard tables); libjpeg jcparam.c, jpeg_set_quality
(how a quality scales the tables); spice-wire.md 10.2 (MJPEG frames without Huffman tables).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from spicereplay.codecs.base import Data
from spicereplay.defects import DefectKind
from spicereplay.errors import DecodeError

SOI: Final = 0xD8
EOI: Final = 0xD9
SOS: Final = 0xDA
DQT: Final = 0xDB
DHT: Final = 0xC4
STARTS_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
HUFFMAN_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3})
"""Baseline, extended, progressive and lossless frames: coded with Huffman tables, not arithmetic."""
BARE_MARKERS: Final = frozenset(range(0xD0, 0xD8)) | {0x01}
"""Markers without a length: RST0 to RST7 and TEM."""

_AC_LUMINANCE: Final = (
    "0002010303020403050504040000017d"
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a343536"
    "3738393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999a"
    "a2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7"
    "f8f9fa"
)
_AC_CHROMINANCE: Final = (
    "00020102040403040705040400010277"
    "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35"
    "363738393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798"
    "999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7"
    "f8f9fa"
)
_DC_LUMINANCE: Final = "00010501010101010100000000000000000102030405060708090a0b"
_DC_CHROMINANCE: Final = "00030101010101010101010000000000000102030405060708090a0b"


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2) + payload


STANDARD_HUFFMAN: Final = b"".join(
    _segment(DHT, bytes((place,)) + bytes.fromhex(table))
    for place, table in (
        (0x00, _DC_LUMINANCE),
        (0x10, _AC_LUMINANCE),
        (0x01, _DC_CHROMINANCE),
        (0x11, _AC_CHROMINANCE),
    )
)
"""The four DHT segments with the tables of ITU-T T.81 K.3 to K.6, which libjpeg's encoder uses."""

STANDARD_LUMINANCE: Final = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933383740485c4e404457453738506d51575f626768"
    "673e4d71797064785c656763"
)
"""Quantisation steps of ITU-T T.81 K.1 in zigzag order: quality 50."""

SPICE_QUALITIES: Final = (20, 30, 40, 50, 60, 70, 80)
"""What spice-server's MJPEG encoder uses. Source: spice server/mjpeg-encoder.c, mjpeg_quality_samples."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Everything before the first scan that matters here."""

    width: int
    height: int
    components: int
    frame: int
    """The start-of-frame marker, 0xC0 for baseline."""
    scan_at: int
    """Byte offset of the first start-of-scan marker."""
    huffman: bytes
    """All DHT segments before the first scan, markers included; empty if there are none."""
    quantisation: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Table number to its 64 steps in zigzag order."""

    @property
    def lacks_huffman(self) -> bool:
        """Whether it is coded with Huffman tables and holds none."""
        return self.frame in HUFFMAN_FRAMES and not self.huffman


def parse_jpeg(data: Data) -> JpegHeader:
    """Read the markers of a JPEG up to its first scan.

    Raises `DecodeError`: `codec_data` where it is no JPEG, has no frame header, or a segment contradicts
    itself; `codec_data_short` where it ends before the first scan.
    """
    data = bytes(data)
    if len(data) < 2 and b"\xff\xd8".startswith(data):
        raise _short(len(data))
    if data[:2] != b"\xff\xd8":
        raise DecodeError("jpeg: does not begin with the start-of-image marker", offset=0)
    size: tuple[int, int, int] | None = None
    frame = 0
    huffman: list[bytes] = []
    quantisation: dict[int, tuple[int, ...]] = {}
    at = 2
    while True:
        if at + 2 > len(data):
            raise _short(at)
        if data[at] != 0xFF:
            raise DecodeError(f"jpeg: byte {data[at]:#04x} where a marker should be, at byte {at}", offset=at)
        marker = data[at + 1]
        if marker == 0xFF:  # any number of fill bytes may precede a marker
            at += 1
            continue
        if marker in BARE_MARKERS:
            at += 2
            continue
        if marker in (EOI, SOI, 0x00):
            raise DecodeError(f"jpeg: marker {marker:#04x} before any scan, at byte {at}", offset=at)
        if at + 4 > len(data):
            raise _short(at)
        length = int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + length]
        if length < 2:
            raise DecodeError(f"jpeg: segment of {length} bytes at byte {at}", offset=at)
        if len(body) != length - 2:
            raise _short(at)
        if marker == SOS:
            break
        if marker == DQT:
            quantisation.update(_quantisation_tables(body, at))
        elif marker == DHT:
            huffman.append(data[at : at + 2 + length])
        elif marker in STARTS_OF_FRAME:
            if len(body) < 6:
                raise DecodeError(f"jpeg: frame header of {len(body)} bytes at byte {at}", offset=at)
            size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3]), body[5]
            frame = marker
        at += 2 + length
    if size is None:
        raise DecodeError("jpeg: a scan without a frame header", offset=at)
    return JpegHeader(*size, frame, at, b"".join(huffman), quantisation)


def with_huffman(data: Data, header: JpegHeader, tables: bytes = STANDARD_HUFFMAN) -> bytes:
    """Return the JPEG with `tables` (DHT segments) put before its first scan."""
    data = bytes(data)
    return data[: header.scan_at] + tables + data[header.scan_at :]


def jpeg_quality(data: Data | JpegHeader) -> int | None:
    """Return the libjpeg quality (1 to 100) its luminance quantisation table was made with.

    Exact for every encoder that scales the standard table as libjpeg does, spice-server's included; for other
    tables the quality whose table is nearest (least sum of differences). None without a table.
    """
    header = data if isinstance(data, JpegHeader) else parse_jpeg(data)
    table = header.quantisation.get(0)
    if table is None:
        return None
    exact = _qualities().get(table)
    if exact is not None:
        return exact
    return min(
        _qualities().items(),
        key=lambda item: sum(abs(a - b) for a, b in zip(item[0], table, strict=True)),
    )[1]


@cache
def _qualities() -> dict[tuple[int, ...], int]:
    """Luminance table in zigzag order to quality."""
    tables: dict[tuple[int, ...], int] = {}
    for quality in range(1, 101):
        percent = 5000 // quality if quality < 50 else 200 - 2 * quality
        tables[tuple(min(255, max(1, (step * percent + 50) // 100)) for step in STANDARD_LUMINANCE)] = quality
    return tables


def _quantisation_tables(body: bytes, at: int) -> dict[int, tuple[int, ...]]:
    tables: dict[int, tuple[int, ...]] = {}
    i = 0
    while i < len(body):
        wide, number = body[i] >> 4, body[i] & 15
        width = 2 if wide else 1
        steps = body[i + 1 : i + 1 + 64 * width]
        if wide > 1 or len(steps) != 64 * width:
            raise DecodeError(f"jpeg: malformed quantisation table at byte {at}", offset=at)
        tables[number] = struct.unpack(">64H" if wide else ">64B", steps)
        i += 1 + 64 * width
    return tables


def _short(at: int) -> DecodeError:
    return DecodeError(
        f"jpeg: compressed data ends early, at byte {at}", reason=DefectKind.CODEC_DATA_SHORT, offset=at
    )
