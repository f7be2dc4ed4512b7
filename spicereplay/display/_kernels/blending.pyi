import numpy as np
import numpy.typing as npt

def combine(
    dst: npt.NDArray[np.uint32],
    src: npt.NDArray[np.uint32],
    mask: npt.NDArray[np.uint32],
    component_alpha: bool,
    src_factor: int,
    dst_factor: int,
) -> None: ...
