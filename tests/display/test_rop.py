from __future__ import annotations

import numpy as np
import pytest

from spicereplay.display import rop
from spicereplay.protocol.enums import RopDescriptor as R

OPERATIONS = {
    R.OP_PUT: lambda s, d: s,
    R.OP_OR: lambda s, d: s | d,
    R.OP_AND: lambda s, d: s & d,
    R.OP_XOR: lambda s, d: s ^ d,
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("inverted", range(8))
def test_a_descriptor_inverts_operands_and_result_as_its_bits_say(operation: R, inverted: int) -> None:
    descriptor = operation
    descriptor |= R.INVERS_SRC if inverted & 1 else 0
    descriptor |= R.INVERS_DEST if inverted & 2 else 0
    descriptor |= R.INVERS_RES if inverted & 4 else 0
    source = np.array([0x0F0F00FF], np.uint32)
    destination = np.array([0x333355AA], np.uint32)
    s = ~source if inverted & 1 else source
    d = ~destination if inverted & 2 else destination
    want = OPERATIONS[operation](s, d)
    want = ~want if inverted & 4 else want
    table = rop.rop2(descriptor, R.INVERS_SRC)
    assert rop.apply2(table, source, destination, 0xFFFFFFFF) == want


def test_each_message_has_inversions_of_its_own() -> None:
    brush_inverted = R.OP_PUT | R.INVERS_BRUSH
    assert rop.rop2(brush_inverted, R.INVERS_BRUSH) == rop.COPY ^ 0b1111
    assert rop.rop2(brush_inverted, R.INVERS_SRC) == rop.COPY
    # DRAW_OPAQUE: the picture below the brush is the source, just copied.
    xor = rop.rop2(R.OP_XOR | R.INVERS_SRC, R.INVERS_BRUSH, R.INVERS_SRC)
    assert xor == 0b1001


@pytest.mark.parametrize(
    ("descriptor", "table"),
    [
        (R.OP_BLACKNESS, 0b0000),
        (R.OP_WHITENESS, 0b1111),
        (R.OP_INVERS, 0b0101),
        (R.OP_BLACKNESS | R.INVERS_RES, 0b0000),
        (0, rop.COPY),
        (R.INVERS_SRC | R.INVERS_RES, rop.COPY),
        (R.OP_AND | R.OP_XOR, rop.SOURCE & rop.DESTINATION),
        (R.OP_PUT | R.OP_WHITENESS, rop.COPY),
    ],
)
def test_constants_and_combinations(descriptor: int, table: int) -> None:
    assert rop.rop2(descriptor, R.INVERS_SRC) == table


@pytest.mark.parametrize("code", range(256))
def test_every_rop3_code_is_its_truth_table(code: int) -> None:
    pattern, source, destination = (
        np.array([word], np.uint32) for word in (0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA)
    )
    result = int(rop.apply3(code, pattern, source, destination, 0xFFFFFFFF)[0])
    assert result == code * 0x01010101


@pytest.mark.parametrize("code", [0x00, 0x5A, 0xCC, 0xE2, 0xF0, 0xFF, 0xCA])
def test_what_a_code_depends_on(code: int) -> None:
    for operand, word in enumerate((0xAA, 0xCC, 0xF0)):
        here = bool((code ^ (code >> (1 << operand))) & ~word & 0xFF)
        assert rop.reads(code, operand) == here


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_words_of_any_size_and_a_constant_brush(dtype: type) -> None:
    bits = int(np.iinfo(dtype).max)
    destination = np.array([[1, 2], [3, bits]], dtype)
    result = rop.apply2(rop.rop2(R.OP_XOR, R.INVERS_BRUSH), bits, destination, bits)
    assert result.dtype == dtype
    assert (result == destination ^ dtype(bits)).all()
    assert (rop.apply2(rop.rop2(R.OP_WHITENESS, R.INVERS_BRUSH), 0, destination, bits) == bits).all()


def test_operations_that_undo_themselves_are_known() -> None:
    undoing = {table for table in range(16) if rop.inverts_destination(table)}
    xor, invert, nand = 0b0110, 0b0101, 0b0111
    assert {xor, invert, nand} <= undoing
    assert not undoing & {rop.COPY, rop.SOURCE | rop.DESTINATION, rop.SOURCE & rop.DESTINATION, 0, 0b1111}
