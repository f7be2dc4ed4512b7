from enum import IntEnum

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

class Walk(IntEnum):
    MORE = 0
    FILE_END = 1
    CUT_OFF = 2
    DAMAGED = 3
    OTHER_BLOCK = 4

def pcap_records(
    memory: Buffer,
    position: int,
    window_end: int,
    big: bool,
    fraction_ns: int,
    header_bytes: int,
    packet_limit: int,
    time_ns: I64,
    offset: I64,
    captured: I64,
    wire: I64,
) -> tuple[int, int, int]: ...
def pcapng_records(
    memory: Buffer,
    position: int,
    window_end: int,
    big: bool,
    block_limit: int,
    packet_limit: int,
    interface_link: I32,
    interface_units: U64,
    interface_offset_s: I64,
    interface_snaplen: I64,
    last_time_ns: int,
    time_ns: I64,
    offset: I64,
    captured: I64,
    wire: I64,
    link: I32,
) -> tuple[int, int, int]: ...
