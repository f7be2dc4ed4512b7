import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

def quic_image(
    src: Buffer, dst: npt.NDArray[np.uint32], symbols: npt.NDArray[np.uint8], length: int, channels: int
) -> tuple[int, int]: ...
