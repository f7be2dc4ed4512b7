"""The Porter and Duff operators on ARGB words, rounded exactly as pixman rounds.

Source: pixman pixman-combine32.h (MUL_UN8), pixman-combine32.c.
"""

from libc.stdint cimport uint32_t

cdef enum:
    ZERO = 0
    ONE = 1
    SRC_ALPHA = 2
    DEST_ALPHA = 3
    INV_SRC_ALPHA = 4
    INV_DEST_ALPHA = 5


cdef inline uint32_t mul(uint32_t a, uint32_t b) noexcept nogil:
    """a * b / 255, rounded."""
    cdef uint32_t product = a * b + 128
    return (product + (product >> 8)) >> 8


cdef inline uint32_t weight(int factor, uint32_t sa, uint32_t da) noexcept nogil:
    if factor == ONE:
        return 255
    if factor == SRC_ALPHA:
        return sa
    if factor == DEST_ALPHA:
        return da
    if factor == INV_SRC_ALPHA:
        return 255 - sa
    if factor == INV_DEST_ALPHA:
        return 255 - da
    return 0


def combine(
    uint32_t[::1] dst,
    const uint32_t[::1] src,
    const uint32_t[::1] mask,
    bint component_alpha,
    int src_factor,
    int dst_factor,
):
    """dst = src * src_factor + dst * dst_factor, each channel saturating.

    `mask` has the length of the others or 0: first the source is multiplied by the mask's alpha, with
    `component_alpha` channel by channel.
    """
    cdef Py_ssize_t at, count = dst.shape[0]
    cdef uint32_t s, d, m, channel, sa, da, sum, result
    cdef bint has_mask = mask.shape[0] != 0
    cdef int shift
    if src.shape[0] != count or (has_mask and mask.shape[0] != count):
        raise ValueError("source, mask and destination of one length")
    with nogil:
        for at in range(count):
            s = src[at]
            d = dst[at]
            m = mask[at] if has_mask else 0xFFFFFFFF
            if not component_alpha:
                m = (m >> 24) * 0x01010101
            da = d >> 24
            result = 0
            for shift in range(0, 32, 8):
                channel = mul(s >> shift & 255, m >> shift & 255)
                sa = mul(s >> 24, m >> shift & 255)
                sum = mul(channel, weight(src_factor, sa, da)) + mul(d >> shift & 255, weight(dst_factor, sa, da))
                result |= (sum if sum < 255 else 255) << shift
            dst[at] = result
