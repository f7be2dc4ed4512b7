"""Writes many lines of text that differ in a time and a number alone."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

# Longest time with its sign and nine decimals, and longest 32-bit number.
TIME_BYTES = 21
NUMBER_BYTES = 10

cdef inline Py_ssize_t digits(uint64_t value, uint8_t *out) noexcept nogil:
    """Write `value` in decimal; how many digits that took."""
    cdef uint8_t reverse[20]
    cdef Py_ssize_t n = 0, i
    while True:
        reverse[n] = <uint8_t>(48 + value % 10)
        value //= 10
        n += 1
        if value == 0:
            break
    for i in range(n):
        out[i] = reverse[n - 1 - i]
    return n


cdef inline Py_ssize_t seconds(int64_t time_ns, uint8_t *out) noexcept nogil:
    """Write nanoseconds as seconds with nine decimals; how many bytes that took."""
    cdef Py_ssize_t n = 0, i
    cdef uint64_t value, part
    if time_ns < 0:
        out[0] = 45
        n = 1
        value = <uint64_t>0 - <uint64_t>time_ns
    else:
        value = <uint64_t>time_ns
    n += digits(value // 1000000000, out + n)
    out[n] = 46
    part = value % 1000000000
    for i in range(9):
        out[n + 9 - i] = <uint8_t>(48 + part % 10)
        part //= 10
    return n + 10


def fill(const uint8_t[::1] text, const int64_t[:, ::1] bounds, const int32_t[::1] templates,
         const int64_t[::1] time_ns, const uint32_t[::1] numbers, uint8_t[::1] out):
    """Write one line per row into `out` and return how many bytes that took.

    Template t is `text[bounds[t, 0]:bounds[t, 1]]`, the time, `text[bounds[t, 1]:bounds[t, 2]]`, the number and
    `text[bounds[t, 2]:bounds[t, 3]]`. `out` must have room for every line at its longest.
    """
    cdef Py_ssize_t rows = templates.shape[0], i, n = 0, t, size, widest = 0
    if time_ns.shape[0] != rows or numbers.shape[0] != rows or bounds.shape[1] != 4:
        raise ValueError("columns differ in length")
    for t in range(bounds.shape[0]):
        if not 0 <= bounds[t, 0] <= bounds[t, 1] <= bounds[t, 2] <= bounds[t, 3] <= text.shape[0]:
            raise ValueError("template outside its text")
        widest = max(widest, bounds[t, 3] - bounds[t, 0])
    for i in range(rows):
        if not 0 <= templates[i] < bounds.shape[0]:
            raise ValueError("no such template")
    if out.shape[0] < rows * (widest + 31):
        raise ValueError("the output has no room for the longest lines")
    if rows == 0:
        return 0
    with nogil:
        for i in range(rows):
            t = templates[i]
            size = bounds[t, 1] - bounds[t, 0]
            memcpy(&out[n], &text[0] + bounds[t, 0], size)
            n += size
            n += seconds(time_ns[i], &out[n])
            size = bounds[t, 2] - bounds[t, 1]
            memcpy(&out[n], &text[0] + bounds[t, 1], size)
            n += size
            n += digits(numbers[i], &out[n])
            size = bounds[t, 3] - bounds[t, 2]
            memcpy(&out[n], &text[0] + bounds[t, 2], size)
            n += size
    return n
