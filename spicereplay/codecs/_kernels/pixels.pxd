# What the LZ and GLZ kernels share: pixels as little-endian words B, G, R, A.

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef enum:
    OPAQUE = 0xFF000000


cdef inline uint32_t widen(uint32_t value) noexcept nogil:
    """Return a pixel of x1r5g5b5 as B, G, R, 255: v8 = v5 << 3 | v5 >> 2 (spice-wire.md 8.1)."""
    cdef uint32_t r = (value >> 10) & 31, g = (value >> 5) & 31, b = value & 31
    return <uint32_t>OPAQUE | (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2)


cdef inline void read_rgb(const uint8_t* src, Py_ssize_t n, bint followed, uint32_t* dst) noexcept nogil:
    """Write `n` pixels of three bytes B, G, R, opaque; `followed`: one more byte can be read behind them."""
    cdef Py_ssize_t i
    cdef uint32_t pixel = 0
    if followed:
        # Every pixel is fetched as a word.
        for i in range(n):
            memcpy(&pixel, src + 3 * i, 4)
            dst[i] = pixel | <uint32_t>OPAQUE
    else:
        for i in range(n):
            dst[i] = src[3 * i] | src[3 * i + 1] << 8 | src[3 * i + 2] << 16 | <uint32_t>OPAQUE


cdef inline void read_rgb16(const uint8_t* src, Py_ssize_t n, uint32_t* dst) noexcept nogil:
    """Write `n` pixels of x1r5g5b5, high byte first, opaque."""
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = widen(src[2 * i] << 8 | src[2 * i + 1])


cdef inline void copy_back(uint32_t* dst, Py_ssize_t distance, Py_ssize_t n, Py_ssize_t room) noexcept nogil:
    """Copy `n` pixels from `distance` back, one after the other; `room` is how many fit at `dst`."""
    cdef const uint32_t* src = dst - distance
    cdef Py_ssize_t i = 0
    cdef uint32_t one
    if distance >= 4 and n + 4 <= room:
        # Blocks of four: up to three pixels too many are written, and the next tokens write over them.
        while i < n:
            memcpy(dst + i, src + i, 16)
            i += 4
    elif distance == 1:
        one = src[0]
        for i in range(n):
            dst[i] = one
    else:
        for i in range(n):
            dst[i] = src[i]
