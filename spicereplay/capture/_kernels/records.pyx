"""The records of capture files, as columns."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from spicereplay.capture._kernels.byteorder cimport be16, u32

cdef extern from *:
    """
    typedef unsigned __int128 spicereplay_uint128;
    """
    ctypedef unsigned long long uint128 "spicereplay_uint128"

cpdef enum Walk:
    """Why a walk over the records of a file came back."""

    MORE = 0
    FILE_END = 1
    CUT_OFF = 2
    DAMAGED = 3
    OTHER_BLOCK = 4


cdef enum:
    NO_LINK = -1


cdef inline int64_t nanoseconds(uint64_t value, uint64_t units_per_s, int64_t offset_s) noexcept nogil:
    """A time stamp in nanoseconds, held within int64 whatever the file claims."""
    cdef uint64_t whole = value // units_per_s
    cdef uint64_t rest = value % units_per_s
    cdef int64_t seconds
    if whole > 9_000_000_000ULL:
        whole = 9_000_000_000ULL
    seconds = <int64_t>whole
    if offset_s > 9_000_000_000LL or offset_s < -9_000_000_000LL:
        offset_s = 0
    seconds += offset_s
    if seconds > 9_000_000_000LL:
        seconds = 9_000_000_000LL
    return seconds * 1_000_000_000LL + <int64_t>((<uint128>rest * 1_000_000_000ULL) // units_per_s)


def pcap_records(
    const uint8_t[::1] memory,
    int64_t position,
    int64_t window_end,
    bint big,
    int64_t fraction_ns,
    int64_t header_bytes,
    int64_t packet_limit,
    int64_t[::1] time_ns,
    int64_t[::1] offset,
    int64_t[::1] captured,
    int64_t[::1] wire,
):
    """Walk the records of a classic pcap file.

    Begins at `position` and goes on until the columns are full, a record begins at or past `window_end`, or
    the file ends or makes no sense. Returns `(why, position, count)`.
    """
    cdef int64_t size = memory.shape[0], room = time_ns.shape[0], count = 0, length, original
    cdef const uint8_t *p
    cdef int why = MORE
    if offset.shape[0] < room or captured.shape[0] < room or wire.shape[0] < room:
        raise ValueError("columns of different length")
    if position < 0 or header_bytes < 16:
        raise ValueError("position or header size out of range")
    if size == 0 or position >= size:
        return FILE_END, position, 0
    p = &memory[0]
    with nogil:
        while count < room:
            if position >= size:
                why = FILE_END
                break
            if position >= window_end:
                break
            if size - position < header_bytes:
                why = CUT_OFF
                break
            length = u32(p + position + 8, big)
            original = u32(p + position + 12, big)
            if length > packet_limit:
                why = DAMAGED
                break
            if size - position - header_bytes < length:
                why = CUT_OFF
                break
            time_ns[count] = (
                <int64_t>u32(p + position, big) * 1_000_000_000LL
                + <int64_t>u32(p + position + 4, big) * fraction_ns
            )
            offset[count] = position + header_bytes
            captured[count] = length
            wire[count] = length if original < length else min(original, packet_limit)
            count += 1
            position += header_bytes + length
    return why, position, count


def pcapng_records(
    const uint8_t[::1] memory,
    int64_t position,
    int64_t window_end,
    bint big,
    int64_t block_limit,
    int64_t packet_limit,
    const int32_t[::1] interface_link,
    const uint64_t[::1] interface_units,
    const int64_t[::1] interface_offset_s,
    const int64_t[::1] interface_snaplen,
    int64_t last_time_ns,
    int64_t[::1] time_ns,
    int64_t[::1] offset,
    int64_t[::1] captured,
    int64_t[::1] wire,
    int32_t[::1] link,
):
    """Walk the packet blocks of a pcapng section; blocks that carry no packet are stepped over.

    Comes back with `OTHER_BLOCK` at a section header, interface description or decryption secrets block. A
    packet whose block contradicts itself or names no interface gets link type -1. A simple packet block has no
    time and takes that of the packet before it. Returns `(why, position, count)`.
    """
    cdef int64_t size = memory.shape[0], room = time_ns.shape[0], count = 0
    cdef int64_t interfaces = interface_link.shape[0], total, head, length, original, interface
    cdef uint32_t kind
    cdef uint64_t stamp = 0
    cdef const uint8_t *p
    cdef const uint8_t *block
    cdef int why = MORE
    if offset.shape[0] < room or captured.shape[0] < room or wire.shape[0] < room or link.shape[0] < room:
        raise ValueError("columns of different length")
    if (
        interface_units.shape[0] < interfaces
        or interface_offset_s.shape[0] < interfaces
        or interface_snaplen.shape[0] < interfaces
    ):
        raise ValueError("interface columns of different length")
    if position < 0:
        raise ValueError("position out of range")
    if size == 0 or position >= size:
        return FILE_END, position, 0
    p = &memory[0]
    with nogil:
        while count < room:
            if position >= size:
                why = FILE_END
                break
            if position >= window_end:
                break
            if size - position < 12:
                why = CUT_OFF
                break
            block = p + position
            kind = u32(block, big)
            if kind == 0x0A0D0D0A or kind == 1 or kind == 10:
                why = OTHER_BLOCK
                break
            total = u32(block + 4, big)
            if total < 12 or total & 3 or total > block_limit:
                why = DAMAGED
                break
            if size - position < total:
                why = CUT_OFF
                break
            if u32(block + total - 4, big) != total:
                why = DAMAGED
                break
            position += total
            if kind == 6 or kind == 2:
                head = 28
                if total < 32:
                    interface = length = original = -1
                else:
                    if kind == 6:
                        interface = u32(block + 8, big)
                    elif big:
                        interface = be16(block + 8)
                    else:
                        interface = block[8] | (block[9] << 8)
                    stamp = (<uint64_t>u32(block + 12, big) << 32) | u32(block + 16, big)
                    length = u32(block + 20, big)
                    original = u32(block + 24, big)
            elif kind == 3:
                head = 12
                interface = 0
                if total < 16:
                    length = original = -1
                else:
                    original = u32(block + 8, big)
                    length = min(original, total - 16)
                    if interfaces > 0 and interface_snaplen[0] > 0:
                        length = min(length, interface_snaplen[0])
            else:
                continue
            if length < 0 or interface >= interfaces or length > total - head - 4 or length > packet_limit:
                offset[count] = position - total
                captured[count] = 0
                wire[count] = 0
                link[count] = NO_LINK
            else:
                if kind != 3:
                    last_time_ns = nanoseconds(
                        stamp, interface_units[interface], interface_offset_s[interface]
                    )
                offset[count] = position - total + head
                captured[count] = length
                wire[count] = length if original < length else min(original, packet_limit)
                link[count] = interface_link[interface]
            time_ns[count] = last_time_ns
            count += 1
    return why, position, count
