import numpy as np
import numpy.typing as npt

def sample(
    src: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
    transform: npt.NDArray[np.int64],
    left: int,
    top: int,
    repeat: int,
    bilinear: bool,
) -> None: ...
