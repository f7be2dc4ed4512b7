import numpy as np
import numpy.typing as npt

from spicereplay.bytestream import Buffer

def glz_image(
    src: Buffer,
    start: int,
    dst: npt.NDArray[np.uint32],
    marks: npt.NDArray[np.uint8] | None,
    colours: bool,
    rgb16: bool,
    alpha: bool,
    partial: bool,
    image_id: int,
    ids: npt.NDArray[np.uint64],
    addresses: npt.NDArray[np.uint64],
    units: npt.NDArray[np.int64],
    marks_addresses: npt.NDArray[np.uint64],
) -> tuple[int, int, int]: ...
