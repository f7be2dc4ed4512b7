"""Reads a picture through an affine transform: the nearest pixel, or four of them interpolated.

Source: pixman pixman-inlines.h (bilinear_interpolation, repeat), pixman-fast-path.c.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    REPEAT_NONE = 0
    REPEAT_NORMAL = 1
    REPEAT_PAD = 2
    REPEAT_REFLECT = 3


cdef inline int64_t wrap(int64_t at, int64_t size, int repeat) noexcept nogil:
    """The index inside 0..size-1 that `at` stands for, or -1: nothing is there."""
    if 0 <= at < size:
        return at
    if repeat == REPEAT_PAD:
        return 0 if at < 0 else size - 1
    if repeat == REPEAT_NORMAL:
        at %= size
        return at + size if at < 0 else at
    if repeat == REPEAT_REFLECT:
        at %= 2 * size
        if at < 0:
            at += 2 * size
        return at if at < size else 2 * size - 1 - at
    return -1


cdef inline uint32_t pixel(const uint32_t[:, ::1] src, int64_t x, int64_t y, int repeat) noexcept nogil:
    x = wrap(x, src.shape[1], repeat)
    y = wrap(y, src.shape[0], repeat)
    return 0 if x < 0 or y < 0 else src[y, x]


cdef inline uint32_t mix(uint32_t tl, uint32_t tr, uint32_t bl, uint32_t br, uint32_t dx, uint32_t dy) noexcept nogil:
    """Weigh four pixels; `dx` and `dy` are 7-bit fractions."""
    cdef uint32_t right = dx << 1, low = dy << 1
    cdef uint32_t wbr = right * low
    cdef uint32_t wtr = (right << 8) - wbr
    cdef uint32_t wbl = (low << 8) - wbr
    cdef uint32_t wtl = 65536 - (low << 8) - (right << 8) + wbr
    cdef uint32_t result = 0
    cdef int shift
    for shift in range(0, 32, 8):
        result |= (
            ((tl >> shift & 255) * wtl + (tr >> shift & 255) * wtr
             + (bl >> shift & 255) * wbl + (br >> shift & 255) * wbr) >> 16
        ) << shift
    return result


def sample(
    const uint32_t[:, ::1] src,
    uint32_t[:, ::1] out,
    const int64_t[::1] transform,
    int64_t left,
    int64_t top,
    int repeat,
    bint bilinear,
):
    """Fill `out` with `src` seen through `transform`, six 16.16 numbers; its first pixel stands at (left, top)."""
    cdef Py_ssize_t row, column
    cdef int64_t x, y, cx, cy, fx, fy
    cdef int64_t step_x = transform[0], step_y = transform[3]
    if src.shape[0] == 0 or src.shape[1] == 0 or transform.shape[0] != 6:
        raise ValueError("a picture with pixels and a transform of six numbers")
    with nogil:
        cx = left * 65536 + 32768
        for row in range(out.shape[0]):
            cy = (top + row) * 65536 + 32768
            x = (transform[0] * cx + transform[1] * cy + transform[2] * 65536 + 32768) >> 16
            y = (transform[3] * cx + transform[4] * cy + transform[5] * 65536 + 32768) >> 16
            for column in range(out.shape[1]):
                if bilinear:
                    fx = x - 32768
                    fy = y - 32768
                    out[row, column] = mix(
                        pixel(src, fx >> 16, fy >> 16, repeat),
                        pixel(src, (fx >> 16) + 1, fy >> 16, repeat),
                        pixel(src, fx >> 16, (fy >> 16) + 1, repeat),
                        pixel(src, (fx >> 16) + 1, (fy >> 16) + 1, repeat),
                        <uint32_t> (fx >> 9 & 127),
                        <uint32_t> (fy >> 9 & 127),
                    )
                else:
                    out[row, column] = pixel(src, (x - 1) >> 16, (y - 1) >> 16, repeat)
                x += step_x
                y += step_y
