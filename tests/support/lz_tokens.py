"""LZ and GLZ streams written token by token."""

import struct

from spicereplay.codecs.lz import LzType


def lz_header(kind: LzType, width: int, height: int, stride: int = 0, *, top_down: bool = True) -> bytes:
    return struct.pack(">7I", 0x20205A4C, 0x00010001, kind, width, height, stride, top_down)


def glz_header(
    kind: LzType, width: int, height: int, image_id: int, head: int = 0, *, top_down: bool = True
) -> bytes:
    first = kind | (16 if top_down else 0)
    return struct.pack(">2IB3IQI", 0x20205A4C, 0x00010001, first, width, height, 4 * width, image_id, head)


def literals(*units: bytes) -> bytes:
    """One run of 1 to 32 units."""
    return bytes((len(units) - 1,)) + b"".join(units)


def lz_match(length: int, distance: int, bias: int) -> bytes:
    """Copy `length` units from `distance` back; `bias` as the type has it."""
    coded, offset = length - bias, distance - 1
    high = min(offset, 8191) >> 8 if offset < 8191 else 31
    out = bytearray()
    if coded + 1 < 7:
        out.append((coded + 1) << 5 | high)
    else:
        out.append(7 << 5 | high)
        rest = coded - 6
        out += b"\xff" * (rest // 255) + bytes((rest % 255,))
    if offset < 8191:
        out.append(offset & 255)
    else:
        out += b"\xff" + struct.pack(">H", offset - 8191)
    return bytes(out)


def glz_match(length: int, offset: int, images: int, bias: int) -> bytes:
    """Copy `length` units, `images` ids back, from absolute offset `offset`; 0 images: `offset` + 1 back."""
    coded = length - bias
    far = offset > 0xFFF
    out = bytearray()
    out.append(min(coded, 7) << 5 | far << 4 | offset & 15)
    if coded >= 7:
        rest = coded - 7
        out += b"\xff" * (rest // 255) + bytes((rest % 255,))
    out.append(offset >> 4 & 255)
    if not far:
        more = max(0, (images.bit_length() - 6 + 7) // 8)
        out.append(more << 6 | images & 63)
        out += bytes(images >> (6 + 8 * i) & 255 for i in range(more))
    else:
        more = (images.bit_length() + 7) // 8
        farther = offset >> 17 > 0
        out.append(more << 6 | farther << 5 | offset >> 12 & 31)
        out += bytes(images >> 8 * i & 255 for i in range(more))
        if farther:
            out.append(offset >> 17)
    return bytes(out)
