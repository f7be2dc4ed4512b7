from enum import IntEnum

import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

class Verdict(IntEnum):
    OTHER = 0
    SEGMENT = 1
    FRAGMENT = 2
    MALFORMED = 3
    EMPTY = 4
    FLOW_REFUSED = 5
    LINK_UNKNOWN = 6

def index_flows(keys: U8, count: int, slots: I32, seed: int) -> None: ...
def tcp_segments(
    memory: Buffer,
    count: int,
    offset: I64,
    captured: I64,
    wire: I64,
    link: I32,
    flow_keys: U8,
    flow_slots: I32,
    flow_count: int,
    flow_limit: int,
    flow_seed: int,
    ethertypes: I64,
    protocols: I64,
    udp_ports: I64,
    verdict: U8,
    fragment_at: I64,
    record: I32,
    flow: I32,
    side: U8,
    sequence: U32,
    acknowledgement: U32,
    flags: U8,
    window: U16,
    options: U8,
    payload: I64,
    length: I32,
    wire_length: I32,
) -> tuple[int, int]: ...
