from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

class Measure(IntEnum):
    RETRANSMITTED = 0
    FAST = 1
    SPURIOUS = 2
    OUT_OF_ORDER = 3
    KEEP_ALIVES = 4
    PROBES = 5
    DUPLICATE_ACKS = 6
    WINDOW_UPDATES = 7
    ZERO_WINDOWS = 8
    WINDOW_FULL = 9
    RESETS = 10
    STALLS = 11
    STALLED_NS = 12
    ROUND_TRIPS = 13
    MSS = 14
    SHIFT = 15
    SYN_RTT_NS = 16
    MEASURES = 17

class Event(IntEnum):
    RETRANSMISSION = 0
    FAST_RETRANSMISSION = 1
    SPURIOUS_RETRANSMISSION = 2
    REORDERED = 3
    DUPLICATE_ACK = 4
    ZERO_WINDOW = 5
    FULL_WINDOW = 6
    ZERO_WINDOW_PROBE = 7
    KEEP_ALIVE = 8
    RESET = 9

WAITING: Final[int]

def analyse(
    file: Buffer,
    spill: Buffer,
    order: I64,
    connection_starts: I64,
    time_ns: I64,
    side: U8,
    sequence: U32,
    acknowledgement: U32,
    flags: U8,
    window: U16,
    options: U8,
    offset: I64,
    wire_length: I32,
    position: I64,
    first_sequence: I64,
    waiting_end: I64,
    waiting_ns: I64,
    most: int,
    measures: I64,
    round_trips: F32,
    event_starts: I64,
    events: tuple[npt.NDArray[Any], ...],
    stall_starts: I64,
    stalls: tuple[npt.NDArray[Any], ...],
) -> int: ...
