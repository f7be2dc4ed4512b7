"""SPICE GLZ: LZ with copies out of earlier images.

Source: spice-wire.md 9.2. The window is a ring of four arrays indexed by `image id & (capacity - 1)`: the id that
lies there, the address of its first pixel, its number of pixels (0: the place is free), the address of its marks (0:
all of it is known). Every token is checked against the input, the output and the referenced image before it is
carried out.

Marks are one byte a pixel beside the pixels: which of them were copied from an image that is not there. They follow
every copy, the colours' mark in the pass of the colours, the alpha's in the other.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from spicereplay.codecs._kernels.pixels cimport OPAQUE, copy_back, read_rgb, read_rgb16
from spicereplay.codecs._kernels.status cimport BAD_REFERENCE, MISSING, OK, OVERRUN, SHORT


cdef enum:
    COLOURS_UNKNOWN = 1
    ALPHA_UNKNOWN = 2


cdef struct Token:
    Py_ssize_t length       # pixels to copy
    Py_ssize_t offset       # pixels: back from here less one, or from the start of the other image
    uint64_t images         # how many image ids back; 0 is this image


cdef struct Window:
    const uint64_t* ids
    const uint64_t* addresses
    const int64_t* units
    const uint64_t* marks
    uint64_t mask
    uint64_t image_id
    bint partial            # mark what is missing, and go on
    bint incomplete         # something was missing
    uint64_t missing        # id of the first image that was


cdef inline Py_ssize_t read_match(
    const uint8_t* src, Py_ssize_t at, Py_ssize_t end, int first, Py_ssize_t bias, Token* token
) noexcept nogil:
    """Read the rest of a match token whose first byte was `first`; return the next offset, or -1 at the end."""
    cdef Py_ssize_t length = first >> 5, offset = first & 15
    cdef uint64_t images
    cdef int byte, more, i
    if length == 7:
        byte = 255
        while byte == 255:
            if at >= end:
                return -1
            byte = src[at]
            at += 1
            length += byte
    if end - at < 2:
        return -1
    offset |= <Py_ssize_t>src[at] << 4
    byte = src[at + 1]
    at += 2
    more = byte >> 6
    if first & 16:
        offset += (byte & 31) << 12
        images = 0
        if end - at < more + ((byte >> 5) & 1):
            return -1
        for i in range(more):
            images += <uint64_t>src[at + i] << (8 * i)
        at += more
        if byte & 32:
            offset += <Py_ssize_t>src[at] << 17
            at += 1
    else:
        images = byte & 63
        if end - at < more:
            return -1
        for i in range(more):
            images += <uint64_t>src[at + i] << (6 + 8 * i)
        at += more
    token.length = length + bias
    token.offset = offset
    token.images = images
    return at


cdef inline const uint32_t* find(Window* window, const Token* token, int* status) noexcept nogil:
    """Return the first pixel a token copies from another image; NULL with a status where there is none."""
    cdef uint64_t wanted = window.image_id - token.images
    cdef uint64_t slot = wanted & window.mask
    if token.images > window.image_id:
        status[0] = BAD_REFERENCE
        return NULL
    if window.units[slot] == 0 or window.ids[slot] != wanted:
        if not window.incomplete:
            window.missing = wanted
        window.incomplete = True
        status[0] = MISSING
        return NULL
    if token.offset + token.length > window.units[slot]:
        status[0] = BAD_REFERENCE
        return NULL
    return <const uint32_t*><uintptr_t>window.addresses[slot] + token.offset


cdef inline const uint8_t* marks_of(Window* window, const Token* token) noexcept nogil:
    """Return the marks of what `find` returned; NULL where all of that image is known."""
    cdef uint64_t address = window.marks[(window.image_id - token.images) & window.mask]
    if address == 0:
        return NULL
    return <const uint8_t*><uintptr_t>address + token.offset


cdef void copy_marks(uint8_t* to, const uint8_t* source, Py_ssize_t length, uint8_t which) noexcept nogil:
    """Add one kind of mark, byte by byte from the first: `source` may overlap `to` from before."""
    cdef Py_ssize_t i
    for i in range(length):
        to[i] |= source[i] & which


cdef inline int decode_pixels(
    const uint8_t* src, Py_ssize_t* where, Py_ssize_t end, uint32_t* dst, uint8_t* marks, Py_ssize_t total,
    bint rgb16, Window* window
) noexcept nogil:
    cdef Py_ssize_t at = where[0], done = 0, run, i, size = 2 if rgb16 else 3, bias = 1 if rgb16 else 0
    cdef Token token
    cdef const uint32_t* other
    cdef const uint8_t* other_marks
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
            continue
        i = read_match(src, at + 1, end, first, bias, &token)
        if i < 0:
            status = SHORT
            break
        if token.length > total - done:
            status = OVERRUN
            break
        if token.images == 0:
            if token.offset + 1 > done:
                status = BAD_REFERENCE
                break
            copy_back(dst + done, token.offset + 1, token.length, total - done)
            if marks != NULL:
                copy_marks(marks + done, marks + done - token.offset - 1, token.length, COLOURS_UNKNOWN)
        else:
            other = find(window, &token, &status)
            if other != NULL:
                memcpy(dst + done, other, 4 * token.length)
                if marks != NULL:
                    other_marks = marks_of(window, &token)
                    if other_marks != NULL:
                        copy_marks(marks + done, other_marks, token.length, COLOURS_UNKNOWN)
            elif status == MISSING and window.partial:
                status = OK
                for run in range(token.length):
                    dst[done + run] = <uint32_t>OPAQUE
                    marks[done + run] |= COLOURS_UNKNOWN
            else:
                break
        at = i
        done += token.length
    where[0] = at
    return status


cdef int decode_alpha(
    const uint8_t* src, Py_ssize_t* where, Py_ssize_t end, uint8_t* dst, uint8_t* marks, Py_ssize_t total,
    Window* window
) noexcept nogil:
    """Decode into the fourth byte of each pixel; `dst` is the first byte of the first pixel."""
    cdef Py_ssize_t at = where[0], done = 0, run, i
    cdef Token token
    cdef const uint8_t* other
    cdef const uint8_t* other_marks = NULL
    cdef int status = OK, first
    dst += 3
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
            for i in range(run):
                dst[4 * (done + i)] = src[at + i]
            at += run
            done += run
            continue
        i = read_match(src, at + 1, end, first, 2, &token)
        if i < 0:
            status = SHORT
            break
        if token.length > total - done:
            status = OVERRUN
            break
        if token.images == 0:
            if token.offset + 1 > done:
                status = BAD_REFERENCE
                break
            other = dst + 4 * (done - token.offset - 1)
            if marks != NULL:
                other_marks = marks + done - token.offset - 1
        else:
            other = <const uint8_t*>find(window, &token, &status)
            if other == NULL:
                if status != MISSING or not window.partial:
                    break
                status = OK
                for run in range(token.length):
                    dst[4 * (done + run)] = 0
                    marks[done + run] |= ALPHA_UNKNOWN
                at = i
                done += token.length
                continue
            other += 3
            if marks != NULL:
                other_marks = marks_of(window, &token)
        for run in range(token.length):
            dst[4 * (done + run)] = other[4 * run]
        if other_marks != NULL:
            copy_marks(marks + done, other_marks, token.length, ALPHA_UNKNOWN)
        at = i
        done += token.length
    where[0] = at
    return status


def glz_image(
    const uint8_t[::1] src not None,
    Py_ssize_t start,
    uint32_t[::1] dst not None,
    uint8_t[::1] marks,
    bint colours,
    bint rgb16,
    bint alpha,
    bint partial,
    uint64_t image_id,
    const uint64_t[::1] ids not None,
    const uint64_t[::1] addresses not None,
    const int64_t[::1] units not None,
    const uint64_t[::1] marks_addresses not None,
):
    """Decode `src[start:]` into all of `dst`, in the order it is encoded: the colours, then the alpha plane.

    `marks`: zeros, as many as pixels, to be marked where a pixel is unknown; None where nothing can be.
    `colours`, `alpha`: which of the two passes there are; `rgb16`: colours are x1r5g5b5. The last four arrays are
    the window's ring and have one length, a power of two; the memory they point to must not be freed meanwhile.
    With `partial`, which needs `marks`, what is copied from an image that is not there becomes black, its alpha 0,
    and is marked; otherwise decoding stops there.

    Return (status, offset where decoding stopped, id of the first missing image).
    """
    cdef Py_ssize_t at = start, end = src.shape[0], total = dst.shape[0], places = ids.shape[0]
    cdef int status = OK
    cdef uint8_t* first_mark = NULL
    cdef Window window
    if places == 0 or places & (places - 1):
        raise ValueError("the length of the ring must be a power of two")
    if places != addresses.shape[0] or places != units.shape[0] or places != marks_addresses.shape[0]:
        raise ValueError("the arrays of the ring must have one length")
    if marks is not None and marks.shape[0] != total:
        raise ValueError("there must be as many marks as pixels")
    if partial and marks is None:
        raise ValueError("a partial image needs marks")
    window.ids = &ids[0]
    window.addresses = &addresses[0]
    window.units = &units[0]
    window.marks = &marks_addresses[0]
    window.mask = places - 1
    window.image_id = image_id
    window.partial = partial
    window.incomplete = False
    window.missing = 0
    if total and end == 0:
        status = SHORT
    elif total:
        if marks is not None:
            first_mark = &marks[0]
        with nogil:
            if colours and rgb16:
                status = decode_pixels(&src[0], &at, end, &dst[0], first_mark, total, True, &window)
            elif colours:
                status = decode_pixels(&src[0], &at, end, &dst[0], first_mark, total, False, &window)
            if alpha and status == OK:
                status = decode_alpha(&src[0], &at, end, <uint8_t*>&dst[0], first_mark, total, &window)
    return status, at, window.missing
