"""Raster operations: two operands (rop descriptors) and three (ROP3), as truth tables.

A table holds one result bit for every combination of operand bits. For two operands the index is
source 2 + destination 1, for three pattern 4 + source 2 + destination 1, which is the Windows numbering.
Source: spice-wire.md 7.5; spice-common common/canvas_base.c, ropd_descriptor_to_rop; common/rop3.c.
"""

from __future__ import annotations

from typing import Final

from spicereplay.display.surfaces import Words
from spicereplay.protocol.enums import RopDescriptor

SOURCE: Final = 0b1100
"""The table of "the source as it is": its bits for source 1 and source 0."""
DESTINATION: Final = 0b1010
"""The table of "leave the destination as it is"."""
_ALL: Final = 0b1111

COPY: Final = SOURCE
INVERT: Final = _ALL ^ DESTINATION


def rop2(
    descriptor: int,
    source: RopDescriptor,
    destination: RopDescriptor = RopDescriptor.INVERS_DEST,
) -> int:
    """Return the truth table of a rop descriptor.

    `source` and `destination` are the descriptor's bits that invert the first and the second operand: for
    DRAW_FILL brush and destination, for DRAW_COPY source and destination, for DRAW_OPAQUE brush and source (the
    picture that was just copied). Of several operations the first of PUT, OR, AND, XOR, BLACKNESS, WHITENESS,
    INVERS counts; none at all means PUT without any inversion. INVERS_RES has no effect on the last three.
    """
    first = SOURCE ^ (_ALL if descriptor & source else 0)
    second = DESTINATION ^ (_ALL if descriptor & destination else 0)
    if descriptor & RopDescriptor.OP_PUT:
        table = first
    elif descriptor & RopDescriptor.OP_OR:
        table = first | second
    elif descriptor & RopDescriptor.OP_AND:
        table = first & second
    elif descriptor & RopDescriptor.OP_XOR:
        table = first ^ second
    elif descriptor & RopDescriptor.OP_BLACKNESS:
        return 0
    elif descriptor & RopDescriptor.OP_WHITENESS:
        return _ALL
    elif descriptor & RopDescriptor.OP_INVERS:
        return INVERT
    else:
        return COPY
    return table ^ (_ALL if descriptor & RopDescriptor.INVERS_RES else 0)


def reads(table: int, operand: int) -> bool:
    """Whether the result of a three-operand table depends on operand 0 destination, 1 source or 2 pattern."""
    step = 1 << operand
    return any((table >> index ^ table >> (index | step)) & 1 for index in range(8) if not index & step)


def reads_source(table: int) -> bool:
    """Whether the result of a two-operand table depends on the source."""
    return reads(table | table << 4, 1)


def reads_destination(table: int) -> bool:
    """Whether the result of a two-operand table depends on the destination."""
    return reads(table | table << 4, 0)


def apply2(table: int, source: Words | int, destination: Words, bits: int) -> Words:
    """Return `destination` combined with `source` (an array of its shape, or one word) by a two-operand table.

    `bits` masks the bits that a word has (`WordFormat.bits`).
    """
    return apply3(table | table << 4, 0, source, destination, bits)


def apply3(table: int, pattern: Words | int, source: Words | int, destination: Words, bits: int) -> Words:
    """Return pattern, source and destination combined by any of the 256 ROP3 codes.

    Works on the table's algebraic normal form: the result is the exclusive or of those products of operands
    whose coefficient is 1, at most eight of them.
    """
    kind = destination.dtype.type
    operands = [
        kind(operand & bits) if isinstance(operand, int) else operand
        for operand in (destination, source, pattern)
    ]
    result = destination ^ destination
    for term in _normal_form(table):
        if term == 0:
            result = result ^ kind(bits)
            continue
        chosen = [operands[at] for at in range(3) if term >> at & 1]
        product = chosen[0]
        for operand in chosen[1:]:
            product = product & operand
        result = result ^ product
    return result


def _normal_form(table: int) -> list[int]:
    """Return the products, as sets of operand bits, whose exclusive or gives `table` (Möbius transform)."""
    values = [table >> index & 1 for index in range(8)]
    for step in (1, 2, 4):
        for index in range(8):
            if index & step:
                values[index] ^= values[index ^ step]
    return [index for index in range(8) if values[index]]


def inverts_destination(table: int) -> bool:
    """Whether a two-operand table inverts the destination for some source, so that drawing twice undoes it."""
    return table & 3 == 1 or table >> 2 == 1
