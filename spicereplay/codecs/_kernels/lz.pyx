"""SPICE LZ: the token loop, once for pixels, once for an alpha plane, once for bytes.

Source: spice-wire.md 9.1. Every token is checked against both buffers before it is carried out.
"""

from libc.stdint cimport uint8_t, uint32_t

from spicereplay.codecs._kernels.pixels cimport copy_back, read_rgb, read_rgb16
from spicereplay.codecs._kernels.status cimport BAD_REFERENCE, OK, OVERRUN, SHORT

cdef struct Token:
    Py_ssize_t length       # units to copy
    Py_ssize_t distance     # units back, at least 1


cdef inline Py_ssize_t read_match(
    const uint8_t* src, Py_ssize_t at, Py_ssize_t end, int first, Py_ssize_t bias, Token* token
) noexcept nogil:
    """Read the rest of a match token whose first byte was `first`; return the next offset, or -1 at the end."""
    cdef Py_ssize_t length = (first >> 5) - 1, distance
    cdef int byte
    if length == 6:
        byte = 255
        while byte == 255:
            if at >= end:
                return -1
            byte = src[at]
            at += 1
            length += byte
    if at >= end:
        return -1
    byte = src[at]
    at += 1
    distance = ((first & 31) << 8) + byte
    if byte == 255 and (first & 31) == 31:
        if end - at < 2:
            return -1
        distance = (src[at] << 8) + src[at + 1] + 8191
        at += 2
    token.length = length + bias
    token.distance = distance + 1
    return at


def lz_pixels(const uint8_t[::1] src not None, Py_ssize_t start, uint32_t[::1] dst not None, bint rgb16):
    """Decode pixels from `src[start:]` into all of `dst`; return (status, offset where decoding stopped).

    `rgb16`: literals are two bytes of x1r5g5b5, high byte first; otherwise three: B, G, R. The fourth byte of
    each pixel becomes 255.
    """
    cdef Py_ssize_t at = start, end = src.shape[0], total = dst.shape[0]
    cdef int status = OK
    if total and end:
        with nogil:
            if rgb16:
                status = decode_pixels(&src[0], &at, end, &dst[0], total, True)
            else:
                status = decode_pixels(&src[0], &at, end, &dst[0], total, False)
    elif total:
        status = SHORT
    return status, at


cdef inline int decode_pixels(
    const uint8_t* src, Py_ssize_t* where, Py_ssize_t end, uint32_t* dst, Py_ssize_t total, bint rgb16
) noexcept nogil:
    cdef Py_ssize_t at = where[0], done = 0, run, i, size = 2 if rgb16 else 3, bias = 2 if rgb16 else 1
    cdef Token token
    cdef int status = OK, first
    while done < total:
        if at >= end:
            status = SHORT
            break
        first = src[at]
        if first < 32:
            run = first + 1
            if run > total - done:
                status = OVERRUN
                break
            if size * run > end - at - 1:
                status = SHORT
                break
            at += 1
            if rgb16:
                read_rgb16(src + at, run, dst + done)
            else:
                read_rgb(src + at, run, 3 * run < end - at, dst + done)
            at += size * run
            done += run
        else:
            i = read_match(src, at + 1, end, first, bias, &token)
            if i < 0:
                status = SHORT
                break
            if token.length > total - done:
                status = OVERRUN
                break
            if token.distance > done:
                status = BAD_REFERENCE
                break
            at = i
            copy_back(dst + done, token.distance, token.length, total - done)
            done += token.length
    where[0] = at
    return status


def lz_bytes(const uint8_t[::1] src not None, Py_ssize_t start, uint8_t[::1] dst not None, Py_ssize_t step):
    """Decode single bytes from `src[start:]` into `dst[0]`, `dst[step]`, `dst[2 * step]` … to its end.

    Palette rows and alpha masks have step 1. An alpha plane is written into pixels with step 4 and `dst`
    beginning at the first pixel's alpha byte. Return (status, offset where decoding stopped).
    """
    cdef Py_ssize_t at = start, end = src.shape[0], total
    cdef int status = OK
    if step < 1:
        raise ValueError("step must be at least 1")
    total = (dst.shape[0] + step - 1) // step
    if total and end:
        with nogil:
            if step == 1:
                status = decode_bytes(&src[0], &at, end, &dst[0], total, 1)
            else:
                status = decode_bytes(&src[0], &at, end, &dst[0], total, step)
    elif total:
        status = SHORT
    return status, at


cdef inline int decode_bytes(
    const uint8_t* src, Py_ssize_t* where, Py_ssize_t end, uint8_t* dst, Py_ssize_t total, Py_ssize_t step
) noexcept nogil:
    cdef Py_ssize_t at = where[0], done = 0, run, i
    cdef Token token
    cdef int status = OK, first
    cdef uint8_t* out
    cdef uint8_t* back
    while done < total:
        if at >= end:
            status = SHORT
            break
        first = src[at]
        if first < 32:
            run = first + 1
            if run > total - done:
                status = OVERRUN
                break
            if run > end - at - 1:
                status = SHORT
                break
            at += 1
            out = dst + done * step
            for i in range(run):
                out[i * step] = src[at + i]
            at += run
            done += run
        else:
            i = read_match(src, at + 1, end, first, 3, &token)
            if i < 0:
                status = SHORT
                break
            if token.length > total - done:
                status = OVERRUN
                break
            if token.distance > done:
                status = BAD_REFERENCE
                break
            at = i
            out = dst + done * step
            back = out - token.distance * step
            for i in range(token.length):
                out[i * step] = back[i * step]
            done += token.length
    where[0] = at
    return status
