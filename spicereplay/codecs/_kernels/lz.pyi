import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

def lz_pixels(src: Buffer, start: int, dst: npt.NDArray[np.uint32], rgb16: bool) -> tuple[int, int]: ...
def lz_bytes(src: Buffer, start: int, dst: npt.NDArray[np.uint8], step: int) -> tuple[int, int]: ...
