"""Finds SPICE messages in a stream of chunks without copying the stream.

A stream is four parallel arrays (position, offset, length, time_ns) as in `spicereplay.bytestream.ByteStream`.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

# What stopped a scan.
MORE = 0          # the message at `position` needs bytes the stream does not have (yet)
FULL = 1          # the output arrays are full
HOLE = 2          # the header at `position` lies in, or reaches into, a hole
IMPLAUSIBLE = 3   # the header at `position` does not look like one, or its message does not end with a unit

# Row flags.
PARTIAL = 1
SUB_LIST = 2

cdef struct Chunks:
    const uint8_t *file
    int64_t file_bytes
    const uint8_t *spill
    int64_t spill_bytes
    const int64_t *position
    const int64_t *offset
    const int64_t *length
    Py_ssize_t count


cdef inline const uint8_t *memory_of(Chunks *s, Py_ssize_t i) noexcept nogil:
    """First byte of chunk i, NULL when the chunk does not lie inside its memory."""
    cdef int64_t o = s.offset[i]
    cdef int64_t n = s.length[i]
    if o >= 0:
        if n < 0 or o > s.file_bytes - n:
            return NULL
        return s.file + o
    o = -1 - o
    if n < 0 or o > s.spill_bytes - n:
        return NULL
    return s.spill + o


cdef inline Py_ssize_t chunk_at(Chunks *s, Py_ssize_t i, int64_t p) noexcept nogil:
    """First chunk from i on that ends after stream position p."""
    while i < s.count and s.position[i] + s.length[i] <= p:
        i += 1
    return i


cdef int copy(Chunks *s, Py_ssize_t i, int64_t p, uint8_t *out, int n) noexcept nogil:
    """Copy n bytes from stream position p, chunk i or later; how many lie there without a hole."""
    cdef int done = 0
    cdef int64_t at
    cdef int take, k
    cdef const uint8_t *m
    while done < n:
        i = chunk_at(s, i, p + done)
        if i >= s.count or s.position[i] > p + done:
            break
        m = memory_of(s, i)
        if m == NULL:
            break
        at = p + done - s.position[i]
        take = <int>min(<int64_t>(n - done), s.length[i] - at)
        for k in range(take):
            out[done + k] = m[at + k]
        done += take
    return done


cdef inline uint16_t u16(const uint8_t *b) noexcept nogil:
    return <uint16_t>(b[0] | (b[1] << 8))


cdef inline uint32_t u32(const uint8_t *b) noexcept nogil:
    return <uint32_t>b[0] | (<uint32_t>b[1] << 8) | (<uint32_t>b[2] << 16) | (<uint32_t>b[3] << 24)


cdef inline uint64_t u64(const uint8_t *b) noexcept nogil:
    return <uint64_t>u32(b) | (<uint64_t>u32(b + 4) << 32)


cdef inline bint known(uint32_t kind, uint32_t size, const int64_t *least, const int64_t *most, Py_ssize_t kinds) noexcept nogil:
    return kind < kinds and least[kind] >= 0 and size >= least[kind] and size <= most[kind]


cdef Chunks chunks(const uint8_t[::1] file, const uint8_t[::1] spill, const int64_t[::1] position,
                   const int64_t[::1] offset, const int64_t[::1] length):
    cdef Chunks s
    s.file = &file[0] if file.shape[0] else NULL
    s.file_bytes = file.shape[0]
    s.spill = &spill[0] if spill.shape[0] else NULL
    s.spill_bytes = spill.shape[0]
    s.count = position.shape[0]
    if offset.shape[0] != s.count or length.shape[0] != s.count:
        raise ValueError("chunk arrays differ in length")
    s.position = &position[0] if s.count else NULL
    s.offset = &offset[0] if s.count else NULL
    s.length = &length[0] if s.count else NULL
    return s


cdef inline bint plausible(const uint8_t *head, int header_bytes, uint32_t *kind, uint32_t *size, uint32_t *sub_list,
                           const int64_t *least, const int64_t *most, Py_ssize_t kinds) noexcept nogil:
    """Take a header apart; whether it could be one: a known type, a size that type can have, a list inside the body."""
    cdef const uint8_t *h = head + (header_bytes - 10 if header_bytes == 18 else 0)
    kind[0] = u16(h)
    size[0] = u32(h + 2)
    sub_list[0] = u32(head + 14) if header_bytes == 18 else 0
    return known(kind[0], size[0], least, most, kinds) and (sub_list[0] == 0 or sub_list[0] < size[0])


cdef int check_bounds(const int64_t[::1] least, const int64_t[::1] most, int header_bytes) except -1:
    if most.shape[0] != least.shape[0] or least.shape[0] == 0 or header_bytes not in (6, 18):
        raise ValueError("bounds differ in length or are empty, or the header is neither 6 nor 18 bytes")
    return 0


def scan(const uint8_t[::1] file, const uint8_t[::1] spill, const int64_t[::1] position,
         const int64_t[::1] offset, const int64_t[::1] length, const int64_t[::1] time_ns,
         Py_ssize_t chunk, int64_t start, int64_t stop, int header_bytes, int64_t most_bytes,
         const int64_t[::1] least, const int64_t[::1] most, bint strict, bint units,
         int64_t[::1] out_time, uint16_t[::1] out_type, uint32_t[::1] out_size, int64_t[::1] out_position,
         int64_t[::1] out_serial, uint8_t[::1] out_flags):
    """Walk message headers from stream position `start`, a message start, in chunk `chunk` or later.

    The walk ends as if the output were full at the first message that begins at `stop` or later. `least[t]` and
    `most[t]` bound the body of message type t (-1: type not known); they are held against every header when
    `strict`, and against those that follow a message with a hole in it. With `units` every message must end where
    a chunk ends, or in a hole. Returns (rows, status, chunk, position, needed) where `needed` is the stream end
    that a message cut off by the end of the stream wants.
    """
    cdef Chunks s = chunks(file, spill, position, offset, length)
    cdef Py_ssize_t rows = 0, capacity = out_type.shape[0], kinds = least.shape[0], c = chunk, d
    cdef int status = 0, got
    cdef int64_t p = start, e, needed = 0
    cdef uint32_t kind, size, sub_list
    cdef uint8_t head[18]
    cdef uint8_t flags
    cdef bint likely, in_hole
    check_bounds(least, most, header_bytes)
    if time_ns.shape[0] != s.count or c < 0:
        raise ValueError("chunk arrays differ in length, or the first chunk is negative")
    if min(out_time.shape[0], out_size.shape[0], out_position.shape[0], out_serial.shape[0],
           out_flags.shape[0]) < capacity:
        raise ValueError("output arrays differ in length")
    with nogil:
        while True:
            if rows == capacity or p >= stop:
                status = 1
                break
            c = chunk_at(&s, c, p)
            got = copy(&s, c, p, head, header_bytes)
            if got < header_bytes:
                # Out of bytes, or a hole: a hole has a chunk behind it.
                status = 2 if chunk_at(&s, c, p + got) < s.count else 0
                needed = p + header_bytes
                break
            likely = plausible(head, header_bytes, &kind, &size, &sub_list, &least[0], &most[0], kinds)
            if size > most_bytes or (strict and not likely):
                status = 3
                break
            flags = 2 if sub_list else 0
            e = p + header_bytes + size
            # Walk to the chunk that holds the last byte.
            d = c
            in_hole = False
            while s.position[d] + s.length[d] < e and d + 1 < s.count:
                if s.position[d + 1] != s.position[d] + s.length[d]:
                    flags |= 1
                    if s.position[d + 1] >= e:
                        in_hole = True
                        break
                d += 1
            if s.position[d] + s.length[d] < e and not in_hole:
                status = 0
                needed = e
                break
            if units and not in_hole and s.position[d] + s.length[d] != e:
                status = 3
                break
            out_time[rows] = time_ns[d]
            out_type[rows] = <uint16_t>kind
            out_size[rows] = size
            out_position[rows] = p + header_bytes
            out_serial[rows] = <int64_t>u64(head) if header_bytes == 18 else 0
            out_flags[rows] = flags
            rows += 1
            c = d
            p = e
            if flags & 1:
                # Where that message ends is only as sure as the length of the hole in it.
                strict = not units
    return rows, status, c, p, needed


cdef int chain(Chunks *s, Py_ssize_t c, int64_t p, int header_bytes, const int64_t *least, const int64_t *most,
               Py_ssize_t kinds, int want, bint final, int *headers, int64_t *needed) noexcept nogil:
    """Follow headers from p. 1: `want` of them, or enough until the bytes end; 0: no; 2: more bytes decide.

    Bytes that end (or a hole that begins) exactly behind a message of at least 4 bytes are as good as a header. With
    2, `needed` is the stream end that is wanted.
    """
    cdef uint8_t head[18]
    cdef int64_t e, q = p
    cdef uint32_t kind, size = 0, sub_list
    cdef int got
    cdef Py_ssize_t d
    headers[0] = 0
    while headers[0] < want:
        c = chunk_at(s, c, q)
        got = copy(s, c, q, head, header_bytes)
        if got < header_bytes:
            if chunk_at(s, c, q + got) >= s.count and not final:
                needed[0] = q + header_bytes
                return 2
            return 1 if got == 0 and (headers[0] >= 2 or (headers[0] == 1 and size >= 4)) else 0
        if not plausible(head, header_bytes, &kind, &size, &sub_list, least, most, kinds):
            return 0
        headers[0] += 1
        e = q + header_bytes + size
        d = c
        while s.position[d] + s.length[d] < e and d + 1 < s.count and s.position[d + 1] == s.position[d] + s.length[d]:
            d += 1
        if s.position[d] + s.length[d] < e:
            # The body runs past the contiguous bytes: the headers so far must do.
            if d + 1 >= s.count and not final and headers[0] < want:
                needed[0] = e
                return 2
            return 1 if headers[0] >= 2 else 0
        c = d
        q = e
    return 1


def find_boundary(const uint8_t[::1] file, const uint8_t[::1] spill, const int64_t[::1] position,
                  const int64_t[::1] offset, const int64_t[::1] length, Py_ssize_t chunk, int64_t start,
                  int64_t stop, int header_bytes, const int64_t[::1] least, const int64_t[::1] most, int want,
                  bint final):
    """Find the first position in [start, stop) from which `want` known headers follow each other.

    Returns (answer, chunk, position, needed): 1 found, 0 not there, 2 a stream end of `needed` is wanted to tell
    about `position`.
    """
    cdef Chunks s = chunks(file, spill, position, offset, length)
    cdef Py_ssize_t c = chunk, kinds = least.shape[0]
    cdef int64_t p = start, needed = 0
    cdef int answer = 0, headers = 0
    check_bounds(least, most, header_bytes)
    if c < 0:
        raise ValueError("the first chunk is negative")
    with nogil:
        while p < stop:
            c = chunk_at(&s, c, p)
            if c >= s.count:
                break
            if s.position[c] > p:
                p = s.position[c]
                continue
            answer = chain(&s, c, p, header_bytes, &least[0], &most[0], kinds, want, final, &headers, &needed)
            if answer != 0:
                break
            p += 1
    return answer, c, min(p, stop), needed


def count_chain(const uint8_t[::1] file, const uint8_t[::1] spill, const int64_t[::1] position,
                const int64_t[::1] offset, const int64_t[::1] length, Py_ssize_t chunk, int64_t start,
                int header_bytes, const int64_t[::1] least, const int64_t[::1] most, int want, bint final):
    """Return (answer, headers, needed) of following headers from `start`; answers as in `find_boundary`."""
    cdef Chunks s = chunks(file, spill, position, offset, length)
    cdef int headers = 0, answer
    cdef int64_t needed = 0
    check_bounds(least, most, header_bytes)
    if chunk < 0:
        raise ValueError("the first chunk is negative")
    with nogil:
        answer = chain(&s, chunk, start, header_bytes, &least[0], &most[0], least.shape[0], want, final, &headers,
                       &needed)
    return answer, headers, needed


def gather(const uint8_t[::1] file, const uint8_t[::1] spill, const int64_t[::1] position,
           const int64_t[::1] offset, const int64_t[::1] length, const int64_t[::1] starts,
           const int64_t[::1] sizes, uint8_t[:, ::1] out):
    """Copy the first `out.shape[1]` bytes (at most sizes[i]) from each of `starts` into the rows of `out`.

    `starts` may be in any order; ascending is fastest.
    """
    cdef Chunks s = chunks(file, spill, position, offset, length)
    cdef Py_ssize_t i, c = 0, lo, hi, mid
    cdef int width = <int>out.shape[1], n
    if sizes.shape[0] != starts.shape[0] or out.shape[0] < starts.shape[0]:
        raise ValueError("arrays differ in length")
    with nogil:
        for i in range(starts.shape[0]):
            if i == 0 or starts[i] < starts[i - 1] or starts[i] - starts[i - 1] > 1 << 20:
                lo = 0
                hi = s.count
                while lo < hi:
                    mid = (lo + hi) >> 1
                    if s.position[mid] + s.length[mid] <= starts[i]:
                        lo = mid + 1
                    else:
                        hi = mid
                c = lo
            else:
                c = chunk_at(&s, c, starts[i])
            n = width if sizes[i] > width else <int>sizes[i]
            if n > 0:
                copy(&s, c, starts[i], &out[i, 0], n)
