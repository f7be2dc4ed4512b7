"""Packets to TCP segments, as columns."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from spicereplay.capture._kernels.byteorder cimport be16, be32, le32

cpdef enum Verdict:
    """What a record turned out to be."""

    OTHER = 0
    SEGMENT = 1
    FRAGMENT = 2
    MALFORMED = 3
    EMPTY = 4
    FLOW_REFUSED = 5
    LINK_UNKNOWN = 6


cdef enum:
    NO_LINK = -1

    # EtherTypes. Source: IEEE 802 numbers (IANA registry); 0x6558 is an Ethernet frame inside something else.
    TYPE_IPV4 = 0x0800
    TYPE_IPV6 = 0x86DD
    TYPE_ETHERNET = 0x6558
    TYPE_VLAN = 0x8100
    TYPE_QINQ = 0x88A8
    TYPE_QINQ_OLD = 0x9100
    TYPE_MPLS = 0x8847
    TYPE_MPLS_MULTICAST = 0x8848
    TYPE_PPPOE = 0x8864
    TYPE_ERSPAN = 0x88BE
    TYPE_LLC = 0  # counted under 0, which is no EtherType

    OPTIONS_CUT = 255

    KEY_BYTES = 40
    KEY_COMPARED = 37
    KEY_FIRST_IS_LOWER = 37

cdef struct Segment:
    uint8_t source[18]
    uint8_t destination[18]
    uint8_t version
    uint32_t sequence
    uint32_t acknowledgement
    uint8_t flags
    uint16_t window
    uint8_t options
    int64_t at
    int64_t length
    int64_t wire_length

cdef struct Tally:
    int64_t *ethertypes
    int64_t *protocols
    int64_t *udp_ports


cdef int radio_frame(const uint8_t *p, int64_t n, int64_t *at, int32_t link) noexcept nogil:
    """Step over radiotap and 802.11 headers up to the LLC header; a verdict if there is no data to see."""
    cdef int64_t i = 0
    if link == 127:
        if n < 8:
            return MALFORMED
        i = p[2] | (p[3] << 8)
        if i < 8:
            return MALFORMED
    if n < i + 24:
        return MALFORMED
    # Frame control: type in bits 2-3, subtype in bits 4-7. Source: IEEE 802.11-2020, 9.2.4.1.
    if p[i] & 0x0C != 0x08 or p[i] & 0x40 or p[i + 1] & 0x40:
        return OTHER  # not data, data without a body, or encrypted
    at[0] = i + 24
    if p[i + 1] & 3 == 3:
        at[0] += 6  # fourth address
    if p[i] & 0x80:
        at[0] += 2  # quality of service
        if p[i + 1] & 0x80:
            at[0] += 4  # HT control
    return SEGMENT


cdef int decode(
    const uint8_t *p, int64_t n, int64_t wire, int32_t link, Segment *s, Tally tally
) noexcept nogil:
    """Find the TCP segment in one packet: `n` captured bytes at `p`, of `wire`.

    Goes through links, VLANs, MPLS, PPPoE and tunnels in one loop over EtherTypes, so that they nest in any
    order. `s.at` counts from `p`; for a fragment it is where the IP header lies.
    """
    cdef int64_t at = 0, end = wire, header, total
    cdef uint32_t family
    cdef int kind, protocol, verdict, depth, fragment
    cdef bint snap = False

    if link == 1:
        kind = TYPE_ETHERNET
    elif link == 113:  # Linux cooked: 16 bytes, the protocol last
        if n < 16:
            return MALFORMED
        kind = be16(p + 14)
        at = 16
        snap = kind == 4
    elif link == 276:  # Linux cooked, second version: 20 bytes, the protocol first
        if n < 20:
            return MALFORMED
        kind = be16(p)
        at = 20
        snap = kind == 4
    elif link == 101 or link == 12 or link == 14 or link == 228 or link == 229:
        if n < 1:
            return MALFORMED
        kind = TYPE_IPV4 if p[0] >> 4 == 4 else TYPE_IPV6
    elif link == 0 or link == 108:  # an address family in the byte order of whoever captured
        if n < 4:
            return MALFORMED
        family = le32(p)
        if family > 0xFFFF:
            family = be32(p)
        at = 4
        if family == 2:
            kind = TYPE_IPV4
        elif family == 10 or family == 24 or family == 28 or family == 30:
            kind = TYPE_IPV6
        else:
            tally.ethertypes[TYPE_LLC] += 1
            return OTHER
    elif link == 9 or link == 50:  # PPP, with or without its HDLC bytes
        if n >= 2 and p[0] == 0xFF and p[1] == 3:
            at = 2
        if n < at + 2:
            return MALFORMED
        kind = be16(p + at)
        at += 2
        kind = TYPE_IPV4 if kind == 0x21 else TYPE_IPV6 if kind == 0x57 else TYPE_LLC
    elif link == 51:
        kind = TYPE_PPPOE
    elif link == 105 or link == 127:
        verdict = radio_frame(p, n, &at, link)
        if verdict == OTHER:
            tally.ethertypes[TYPE_LLC] += 1
        if verdict != SEGMENT:
            return verdict
        kind = TYPE_LLC
        snap = True
    else:
        return LINK_UNKNOWN

    for depth in range(32):
        if snap:
            # LLC with SNAP in front of an EtherType. Source: RFC 1042.
            snap = False
            if n < at + 8:
                return MALFORMED
            if p[at] == 0xAA and p[at + 1] == 0xAA and p[at + 2] == 3:
                kind = be16(p + at + 6)
                at += 8
            else:
                kind = TYPE_LLC
        if kind == TYPE_ETHERNET:
            if n < at + 14:
                return MALFORMED
            kind = be16(p + at + 12)
            at += 14
            if kind < 1536:
                kind = TYPE_LLC
                snap = n >= at + 8 and p[at] == 0xAA
                if not snap:
                    tally.ethertypes[TYPE_LLC] += 1
                    return OTHER
            continue
        if kind == TYPE_VLAN or kind == TYPE_QINQ or kind == TYPE_QINQ_OLD:
            if n < at + 4:
                return MALFORMED
            kind = be16(p + at + 2)
            at += 4
            continue
        if kind == TYPE_MPLS or kind == TYPE_MPLS_MULTICAST:
            # Labels up to the one marked as the last; what follows is told by its first four bits, 0 being
            # the control word of an Ethernet pseudowire. Source: RFC 3032 2.1, RFC 4385 3, RFC 4448.
            while True:
                if n < at + 4:
                    return MALFORMED
                at += 4
                if p[at - 2] & 1:
                    break
            if n < at + 1:
                return MALFORMED
            if p[at] >> 4 == 4:
                kind = TYPE_IPV4
            elif p[at] >> 4 == 6:
                kind = TYPE_IPV6
            else:
                kind = TYPE_ETHERNET
                if p[at] >> 4 == 0:
                    at += 4
            continue
        if kind == TYPE_PPPOE:  # Source: RFC 2516 4
            if n < at + 8:
                return MALFORMED
            kind = be16(p + at + 6)
            at += 8
            kind = TYPE_IPV4 if kind == 0x21 else TYPE_IPV6 if kind == 0x57 else TYPE_LLC
            continue

        fragment = 0
        if kind == TYPE_IPV4:
            if n < at + 20 or p[at] >> 4 != 4:
                return MALFORMED
            header = (p[at] & 15) * 4
            total = be16(p + at + 2)
            if total == 0:  # left for the network card to fill in
                total = wire - at
            if header < 20 or total < header or n < at + header:
                return MALFORMED
            protocol = p[at + 9]
            if be16(p + at + 6) & 0x3FFF:
                fragment = 1
                s.at = at
            s.version = 4
            memset(s.source, 0, 10)
            memset(s.source + 10, 0xFF, 2)
            memcpy(s.source + 12, p + at + 12, 4)
            memset(s.destination, 0, 10)
            memset(s.destination + 10, 0xFF, 2)
            memcpy(s.destination + 12, p + at + 16, 4)
        elif kind == TYPE_IPV6:
            if n < at + 40 or p[at] >> 4 != 6:
                return MALFORMED
            header = 40
            total = be16(p + at + 4)
            total = total + 40 if total else wire - at
            protocol = p[at + 6]
            s.at = at
            s.version = 6
            memcpy(s.source, p + at + 8, 16)
            memcpy(s.destination, p + at + 24, 16)
        else:
            tally.ethertypes[kind] += 1
            return OTHER
        end = at + total
        at += header

        # Extension headers; every one is at least 8 bytes, so this ends.
        while protocol == 0 or protocol == 43 or protocol == 44 or protocol == 51 or protocol == 60 or (
            protocol == 135
        ):
            if fragment or (protocol == 0 and kind == TYPE_IPV4):
                break
            if n < at + 8:
                return MALFORMED
            if protocol == 44:
                fragment = 1
                header = 8
            elif protocol == 51:  # counted in words of four, less two. Source: RFC 4302 2.2
                header = (p[at + 1] + 2) * 4
            else:
                header = (p[at + 1] + 1) * 8
            protocol = p[at]
            at += header

        if fragment:
            if (
                protocol == 6 or protocol == 17 or protocol == 4 or protocol == 41 or protocol == 47
                or protocol == 0 or protocol == 43 or protocol == 51 or protocol == 60
            ):
                return FRAGMENT
            tally.protocols[protocol] += 1
            return OTHER
        if protocol == 6:
            break
        if protocol == 4:
            kind = TYPE_IPV4
            continue
        if protocol == 41:
            kind = TYPE_IPV6
            continue
        if protocol == 17:
            if n < at + 8:
                return MALFORMED
            family = be16(p + at + 2)
            if (family == 4789 or family == 8472) and n >= at + 16 and p[at + 8] & 8:
                kind = TYPE_ETHERNET  # VXLAN. Source: RFC 7348 5; 8472 was Linux's choice before
                at += 16
                continue
            if family == 6081 and n >= at + 16 and p[at + 8] >> 6 == 0:
                kind = be16(p + at + 10)  # Geneve. Source: RFC 8926 3.4
                at += 16 + (p[at + 8] & 0x3F) * 4
                continue
            family = min(family, be16(p + at))
            tally.udp_ports[family] += 1
            return OTHER
        if protocol == 47:
            # GRE: checksum, key and sequence number are optional. Source: RFC 2784 2.1, RFC 2890 2
            if n < at + 4:
                return MALFORMED
            family = be16(p + at)
            if family & 0x4007 == 0:
                kind = be16(p + at + 2)
                at += 4
                if family & 0x8000:
                    at += 4
                if family & 0x2000:
                    at += 4
                if family & 0x1000:
                    at += 4
                if kind == TYPE_ERSPAN:
                    kind = TYPE_ETHERNET
                    if family & 0x1000:
                        at += 8
                continue
        tally.protocols[protocol] += 1
        return OTHER
    else:
        return MALFORMED

    if n < at + 20:
        return MALFORMED
    header = (p[at + 12] >> 4) * 4
    if header < 20 or at + header > end:
        return MALFORMED
    memcpy(s.source + 16, p + at, 2)
    memcpy(s.destination + 16, p + at + 2, 2)
    s.sequence = be32(p + at + 4)
    s.acknowledgement = be32(p + at + 8)
    s.flags = p[at + 13]
    s.window = be16(p + at + 14)
    at += header
    s.options = <uint8_t>(header - 20) if at <= n else OPTIONS_CUT
    s.at = at
    s.wire_length = end - at
    s.length = max(0, min(n, end) - at)
    return SEGMENT


cdef inline uint64_t hash_of(const uint8_t *key, uint64_t seed) noexcept nogil:
    cdef uint64_t word, h = seed
    cdef int i
    for i in range(5):
        memcpy(&word, key + 8 * i, 8)
        h = (h ^ word) * 0x9E3779B97F4A7C15ULL
        h ^= h >> 29
    return h


cdef int32_t flow_of(
    Segment *s,
    uint8_t *keys,
    int32_t *slots,
    uint64_t mask,
    int32_t *count,
    int32_t limit,
    uint64_t seed,
    uint8_t *side,
) noexcept nogil:
    """The number of the segment's flow, a new one if need be, or -1 if there are too many."""
    cdef uint8_t key[KEY_BYTES]
    cdef bint source_is_lower = memcmp(s.source, s.destination, 18) <= 0
    cdef uint64_t slot
    cdef int32_t flow
    memset(key, 0, KEY_BYTES)
    memcpy(key + (0 if source_is_lower else 18), s.source, 18)
    memcpy(key + (18 if source_is_lower else 0), s.destination, 18)
    key[36] = s.version
    slot = hash_of(key, seed) & mask
    while True:
        flow = slots[slot]
        if flow < 0:
            break
        if memcmp(keys + <int64_t>flow * KEY_BYTES, key, KEY_COMPARED) == 0:
            side[0] = source_is_lower != keys[<int64_t>flow * KEY_BYTES + KEY_FIRST_IS_LOWER]
            return flow
        slot = (slot + 1) & mask
    if count[0] >= limit:
        return -1
    flow = count[0]
    count[0] += 1
    slots[slot] = flow
    key[KEY_FIRST_IS_LOWER] = source_is_lower
    memcpy(keys + <int64_t>flow * KEY_BYTES, key, KEY_BYTES)
    side[0] = 0
    return flow


def index_flows(const uint8_t[:, ::1] keys, int32_t count, int32_t[::1] slots, uint64_t seed):
    """Enter the first `count` flow keys into `slots`: all -1, a power of two of them, more than `count`."""
    cdef uint64_t mask = slots.shape[0] - 1, slot
    cdef uint8_t key[KEY_BYTES]
    cdef int32_t i
    if keys.shape[0] < count or keys.shape[1] != KEY_BYTES or slots.shape[0] <= count or slots.shape[0] & mask:
        raise ValueError("flow table of the wrong shape")
    for i in range(count):
        memcpy(key, &keys[i, 0], KEY_BYTES)
        key[KEY_FIRST_IS_LOWER] = 0
        slot = hash_of(key, seed) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = i


def tcp_segments(
    const uint8_t[::1] memory,
    int64_t count,
    const int64_t[::1] offset,
    const int64_t[::1] captured,
    const int64_t[::1] wire,
    const int32_t[::1] link,
    uint8_t[:, ::1] flow_keys,
    int32_t[::1] flow_slots,
    int32_t flow_count,
    int32_t flow_limit,
    uint64_t flow_seed,
    int64_t[::1] ethertypes,
    int64_t[::1] protocols,
    int64_t[::1] udp_ports,
    uint8_t[::1] verdict,
    int64_t[::1] fragment_at,
    int32_t[::1] record,
    int32_t[::1] flow,
    uint8_t[::1] side,
    uint32_t[::1] sequence,
    uint32_t[::1] acknowledgement,
    uint8_t[::1] flags,
    uint16_t[::1] window,
    uint8_t[::1] options,
    int64_t[::1] payload,
    int32_t[::1] length,
    int32_t[::1] wire_length,
):
    """Decode `count` records; write one row per TCP segment from `record` on, one `verdict` per record.

    `record[row]` is the record a row came from. `fragment_at` is written for records that are IP fragments: where
    the IP header lies. The columns of the rows are those of `PacketTable`. Returns `(rows, flow_count)`.
    """
    cdef int64_t i, rows = 0, at, n, size = memory.shape[0]
    cdef uint64_t mask = flow_slots.shape[0] - 1
    cdef Segment s
    cdef Tally tally
    cdef int found
    cdef int32_t f
    cdef uint8_t which = 0
    cdef const uint8_t *p
    if count <= 0 or size == 0:
        return 0, flow_count
    for n in (
        offset.shape[0], captured.shape[0], wire.shape[0], link.shape[0], verdict.shape[0],
        fragment_at.shape[0], record.shape[0],
        flow.shape[0], side.shape[0], sequence.shape[0], acknowledgement.shape[0], flags.shape[0],
        window.shape[0], options.shape[0], payload.shape[0], length.shape[0], wire_length.shape[0],
    ):
        if n < count:
            raise ValueError("a column is shorter than the records")
    if ethertypes.shape[0] < 65536 or udp_ports.shape[0] < 65536 or protocols.shape[0] < 256:
        raise ValueError("a tally is too short")
    if (
        flow_keys.shape[1] != KEY_BYTES
        or flow_keys.shape[0] < min(flow_count + count, <int64_t>flow_limit)
        or flow_slots.shape[0] <= flow_count + count
        or flow_slots.shape[0] & mask
    ):
        raise ValueError("flow table of the wrong shape")
    tally.ethertypes = &ethertypes[0]
    tally.protocols = &protocols[0]
    tally.udp_ports = &udp_ports[0]
    p = &memory[0]
    with nogil:
        for i in range(count):
            at = offset[i]
            n = captured[i]
            if at < 0 or n < 0 or at > size or n > size - at or link[i] == NO_LINK:
                verdict[i] = MALFORMED
                continue
            if n == 0 and wire[i] == 0:
                verdict[i] = EMPTY
                continue
            found = decode(p + at, n, wire[i], link[i], &s, tally)
            verdict[i] = found
            if found == FRAGMENT:
                fragment_at[i] = at + s.at
            if found != SEGMENT:
                continue
            f = flow_of(
                &s, &flow_keys[0, 0], &flow_slots[0], mask, &flow_count, flow_limit, flow_seed, &which
            )
            if f < 0:
                verdict[i] = FLOW_REFUSED
                continue
            record[rows] = <int32_t>i
            flow[rows] = f
            side[rows] = which
            sequence[rows] = s.sequence
            acknowledgement[rows] = s.acknowledgement
            flags[rows] = s.flags
            window[rows] = s.window
            options[rows] = s.options
            payload[rows] = at + s.at
            length[rows] = <int32_t>s.length
            wire_length[rows] = <int32_t>s.wire_length
            rows += 1
    return rows, flow_count
