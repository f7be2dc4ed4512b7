from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

class Fact(IntEnum):
    SEGMENTS = 0
    PAYLOAD_BYTES = 1
    FIRST_SEQUENCE = 2
    SYN = 3
    HIGH = 4
    ACKED = 5
    FIN = 6
    CLOSED = 7
    CLOSED_AT = 8
    LATE = 9
    FACTS = 10

NOWHERE: Final[int]
WILD: Final[int]

def group_by_flow(flow: I32, starts: I64, order: I64) -> None: ...
def follow(
    order: I64,
    starts: I64,
    side: U8,
    sequence: U32,
    acknowledgement: U32,
    flags: U8,
    length: I32,
    wire_length: I32,
    connection_starts: I64,
    position: I64,
    facts: I64,
) -> int: ...
def overlay(
    start: I64, stop: I64, rank: I64, heap: I64, owner: I64, piece_start: I64, piece_stop: I64
) -> int: ...
def compare(
    file: Buffer,
    spill: Buffer,
    start: I64,
    stop: I64,
    offset: I64,
    pieces: int,
    owner: I64,
    piece_start: I64,
    piece_stop: I64,
    first: int,
    last: int,
    piece: int,
    own_bytes: I64,
    differs_at: I64,
) -> int: ...
