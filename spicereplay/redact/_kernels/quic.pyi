import numpy as np
import numpy.typing as npt

def quic_codes(
    src: npt.NDArray[np.uint32],
    symbols: npt.NDArray[np.uint8],
    dst: npt.NDArray[np.uint8],
    channels: int,
) -> int: ...
