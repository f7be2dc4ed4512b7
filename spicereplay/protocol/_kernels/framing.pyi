import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]
_Int64 = npt.NDArray[np.int64]

MORE: int
FULL: int
HOLE: int
IMPLAUSIBLE: int
PARTIAL: int
SUB_LIST: int

def scan(
    file: _Bytes,
    spill: _Bytes,
    position: _Int64,
    offset: _Int64,
    length: _Int64,
    time_ns: _Int64,
    chunk: int,
    start: int,
    stop: int,
    header_bytes: int,
    most_bytes: int,
    least: _Int64,
    most: _Int64,
    strict: bool,
    units: bool,
    out_time: _Int64,
    out_type: npt.NDArray[np.uint16],
    out_size: npt.NDArray[np.uint32],
    out_position: _Int64,
    out_serial: _Int64,
    out_flags: _Bytes,
) -> tuple[int, int, int, int, int]: ...
def find_boundary(
    file: _Bytes,
    spill: _Bytes,
    position: _Int64,
    offset: _Int64,
    length: _Int64,
    chunk: int,
    start: int,
    stop: int,
    header_bytes: int,
    least: _Int64,
    most: _Int64,
    want: int,
    final: bool,
) -> tuple[int, int, int, int]: ...
def count_chain(
    file: _Bytes,
    spill: _Bytes,
    position: _Int64,
    offset: _Int64,
    length: _Int64,
    chunk: int,
    start: int,
    header_bytes: int,
    least: _Int64,
    most: _Int64,
    want: int,
    final: bool,
) -> tuple[int, int, int]: ...
def gather(
    file: _Bytes,
    spill: _Bytes,
    position: _Int64,
    offset: _Int64,
    length: _Int64,
    starts: _Int64,
    sizes: _Int64,
    out: _Bytes,
) -> None: ...
