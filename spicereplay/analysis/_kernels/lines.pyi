import numpy as np
import numpy.typing as npt

TIME_BYTES: int
NUMBER_BYTES: int

def fill(
    text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    templates: npt.NDArray[np.int32],
    time_ns: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint8],
) -> int: ...
