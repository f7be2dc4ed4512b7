"""What the two sides of a connection did to each other: sent again, kept waiting, answered how fast.

One pass over the segments whose places `tcp.follow` found. Which rule decides what is said in `capture.tcp_analysis`.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memmove

from spicereplay.capture._kernels.byteorder cimport be16

cpdef enum Measure:
    """Columns of the table of directions that `analyse` fills; -1 stands for "not known" from `MSS` on."""

    RETRANSMITTED = 0
    FAST = 1
    SPURIOUS = 2
    OUT_OF_ORDER = 3
    KEEP_ALIVES = 4
    PROBES = 5
    DUPLICATE_ACKS = 6
    WINDOW_UPDATES = 7
    ZERO_WINDOWS = 8
    WINDOW_FULL = 9
    RESETS = 10
    STALLS = 11
    STALLED_NS = 12
    ROUND_TRIPS = 13
    MSS = 14
    SHIFT = 15  # of the windows this side announces: 0 where scaling is not in force
    SYN_RTT_NS = 16  # from this side's SYN to the answer
    MEASURES = 17

cpdef enum Event:
    """Kinds of events, in the order of `bytestream.SegmentEvent`."""

    RETRANSMISSION = 0
    FAST_RETRANSMISSION = 1
    SPURIOUS_RETRANSMISSION = 2
    REORDERED = 3
    DUPLICATE_ACK = 4
    ZERO_WINDOW = 5
    FULL_WINDOW = 6
    ZERO_WINDOW_PROBE = 7
    KEEP_ALIVE = 8
    RESET = 9

cdef enum:
    FLAG_FIN = 1
    FLAG_SYN = 2
    FLAG_RST = 4
    FLAG_ACK = 16

    FAR = 1 << 30  # as in tcp.pyx
    HOLES = 256
    OPTION_END = 0
    OPTION_NOTHING = 1
    OPTION_MSS = 2
    OPTION_SHIFT = 3
    MOST_SHIFT = 14  # RFC 7323 2.3
    OPTIONS_CUT = 255

    NOT_SEEN = -1
    NOT_OFFERED = -2

    FAST_WITHIN_NS = 20_000_000
    REORDERED_WITHIN_NS = 3_000_000

# As in tcp.pyx.
cdef int64_t NOWHERE = INT64_MIN
cdef int64_t WILD = INT64_MIN + 1

# How many segments wait for their acknowledgement at most; what is sent beyond gives no round trip.
WAITING = 8192
cdef int64_t C_WAITING = 8192

cdef struct Half:
    # One side as a sender; positions count in its own stream.
    bint has_base
    uint32_t base
    bint known  # a segment of it was seen
    int64_t next  # one past the highest number sent, a FIN counted
    int64_t next_ns
    int64_t fin
    int64_t probed  # where its last probe of a zero window lies
    int64_t repeated  # one past the highest number that came late or again
    int64_t acknowledged  # one past the highest number the peer acknowledged
    bint has_edge
    int64_t edge  # how far the peer's window reaches
    int64_t holes
    int64_t hole_start[HOLES]
    int64_t hole_stop[HOLES]
    int64_t first_waiting
    int64_t waiting
    bint stalled
    int64_t stall
    int64_t stall_ns
    # The same side as a receiver; `acked` counts in the peer's stream.
    bint acks
    int64_t acked
    uint16_t window
    int64_t time_ns
    int64_t duplicates
    int64_t duplicate_event
    bint closed  # its last windows were 0
    int64_t zero_event
    bint kept_alive  # its last segment was a keep-alive
    # What its SYN said.
    int64_t syns
    int64_t syn_ns
    bint answers
    int offered  # shift count of the SYN, or NOT_SEEN, NOT_OFFERED
    int shift  # of its windows, NOT_SEEN where not known


cdef struct Found:
    # Where events and stalls go; `most` of each for one connection.
    int64_t most
    int64_t events
    int64_t first_event
    int64_t events_room
    uint8_t *event_kind
    uint8_t *event_side
    int64_t *event_ns
    int64_t *event_position
    int64_t *event_bytes
    int64_t *event_idle
    int64_t *event_count
    int64_t stalls
    int64_t first_stall
    int64_t stalls_room
    uint8_t *stall_side
    uint8_t *stall_zero
    int64_t *stall_start
    int64_t *stall_end
    int64_t *stall_window
    int64_t left_out


cdef inline void clear(Half *half, int64_t first_sequence) noexcept nogil:
    half.has_base = first_sequence >= 0
    half.base = <uint32_t>first_sequence
    half.known = False
    half.next = 0
    half.next_ns = 0
    half.fin = -1
    half.probed = INT64_MIN
    half.repeated = INT64_MIN
    half.acknowledged = INT64_MIN
    half.has_edge = False
    half.edge = 0
    half.holes = 0
    half.first_waiting = 0
    half.waiting = 0
    half.stalled = False
    half.stall = -1
    half.stall_ns = 0
    half.acks = False
    half.acked = 0
    half.window = 0
    half.time_ns = 0
    half.duplicates = 0
    half.duplicate_event = -1
    half.closed = False
    half.zero_event = -1
    half.kept_alive = False
    half.syns = 0
    half.syn_ns = 0
    half.answers = False
    half.offered = NOT_SEEN
    half.shift = NOT_SEEN


cdef inline int64_t unwrap(uint32_t sequence, Half *half) noexcept nogil:
    """Position nearest to what was sent last, `INT64_MIN` where that is too far to be true."""
    cdef int64_t distance = <int32_t>(sequence - (half.base + <uint32_t>half.next))
    return half.next + distance if -FAR <= distance <= FAR else NOWHERE


cdef inline void add_hole(Half *half, int64_t start, int64_t stop) noexcept nogil:
    """Remember that nothing of `[start, stop)` was seen; of very many holes the oldest is forgotten."""
    if half.holes == HOLES:
        half.holes -= 1
        memmove(half.hole_start, half.hole_start + 1, half.holes * sizeof(int64_t))
        memmove(half.hole_stop, half.hole_stop + 1, half.holes * sizeof(int64_t))
    half.hole_start[half.holes] = start
    half.hole_stop[half.holes] = stop
    half.holes += 1


cdef int64_t fill(Half *half, int64_t start, int64_t stop) noexcept nogil:
    """Take `[start, stop)` out of the holes; return how many bytes of it had not been seen."""
    cdef int64_t i = 0, low, high, fresh = 0, rest
    while i < half.holes and half.hole_start[i] < stop:
        low = max(start, half.hole_start[i])
        high = min(stop, half.hole_stop[i])
        if low < high:
            fresh += high - low
            if low == half.hole_start[i] and high == half.hole_stop[i]:
                half.holes -= 1
                rest = (half.holes - i) * sizeof(int64_t)
                memmove(half.hole_start + i, half.hole_start + i + 1, rest)
                memmove(half.hole_stop + i, half.hole_stop + i + 1, rest)
                continue
            if low == half.hole_start[i]:
                half.hole_start[i] = high
            elif high == half.hole_stop[i] or half.holes == HOLES:
                half.hole_stop[i] = low
            else:
                rest = (half.holes - i - 1) * sizeof(int64_t)
                memmove(half.hole_start + i + 2, half.hole_start + i + 1, rest)
                memmove(half.hole_stop + i + 2, half.hole_stop + i + 1, rest)
                half.hole_start[i + 1] = high
                half.hole_stop[i + 1] = half.hole_stop[i]
                half.hole_stop[i] = low
                half.holes += 1
                i += 1
        i += 1
    return fresh


cdef int64_t note(
    Found *found, int kind, int side, int64_t time_ns, int64_t position, int64_t size, int64_t idle_ns = 0
) noexcept nogil:
    """Add an event; return its number, -1 if there is no room."""
    cdef int64_t i = found.events
    if i - found.first_event >= found.most or i >= found.events_room:
        found.left_out += 1
        return -1
    found.event_kind[i] = <uint8_t>kind
    found.event_side[i] = <uint8_t>side
    found.event_ns[i] = time_ns
    found.event_position[i] = position
    found.event_bytes[i] = size
    found.event_idle[i] = idle_ns
    found.event_count[i] = 1
    found.events += 1
    return i


cdef void begin_stall(
    Found *found, Half *sender, int side, int64_t time_ns, int64_t window, bint zero, int64_t *measures
) noexcept nogil:
    cdef int64_t i = found.stalls
    sender.stalled = True
    sender.stall_ns = time_ns
    sender.stall = -1
    measures[<int>STALLS] += 1
    if i - found.first_stall >= found.most or i >= found.stalls_room:
        found.left_out += 1
        return
    found.stall_side[i] = <uint8_t>side
    found.stall_zero[i] = zero
    found.stall_start[i] = time_ns
    found.stall_end[i] = INT64_MAX
    found.stall_window[i] = window
    found.stalls += 1
    sender.stall = i


cdef void end_stall(Found *found, Half *sender, int64_t time_ns, int64_t *measures) noexcept nogil:
    sender.stalled = False
    measures[<int>STALLED_NS] += max(0, time_ns - sender.stall_ns)
    if sender.stall >= 0:
        found.stall_end[sender.stall] = time_ns


cdef void read_options(const uint8_t *p, int64_t n, int64_t *mss, int *shift) noexcept nogil:
    """Read the options of a SYN; a shift that is not among them is NOT_OFFERED.

    Source: RFC 9293 3.2, RFC 7323 2.2.
    """
    cdef int64_t i = 0, size
    shift[0] = NOT_OFFERED
    while i < n and p[i] != OPTION_END:
        if p[i] == OPTION_NOTHING:
            i += 1
            continue
        if i + 1 >= n:
            return
        size = p[i + 1]
        if size < 2 or i + size > n:
            return
        if p[i] == OPTION_MSS and size == 4:
            mss[0] = be16(p + i + 2)
        elif p[i] == OPTION_SHIFT and size == 3:
            shift[0] = min(p[i + 2], <uint8_t>MOST_SHIFT)
        i += size


cdef void agree(Half *own, Half *peer) noexcept nogil:
    """Tell by which shift the windows of `own` are to be read: both SYNs have to offer it (RFC 7323 2.2)."""
    if own.offered == NOT_OFFERED or peer.offered == NOT_OFFERED:
        own.shift = 0
    elif own.offered >= 0 and (peer.offered >= 0 or own.answers):
        own.shift = own.offered
    else:
        own.shift = NOT_SEEN


def analyse(
    const uint8_t[::1] file,
    const uint8_t[::1] spill,
    const int64_t[::1] order,
    const int64_t[::1] connection_starts,
    const int64_t[::1] time_ns,
    const uint8_t[::1] side,
    const uint32_t[::1] sequence,
    const uint32_t[::1] acknowledgement,
    const uint8_t[::1] flags,
    const uint16_t[::1] window,
    const uint8_t[::1] options,
    const int64_t[::1] offset,
    const int32_t[::1] wire_length,
    const int64_t[::1] position,
    const int64_t[:, ::1] first_sequence,
    int64_t[:, ::1] waiting_end,
    int64_t[:, ::1] waiting_ns,
    int64_t most,
    int64_t[:, :, ::1] measures,
    float[::1] round_trips,
    int64_t[::1] event_starts,
    tuple events,
    int64_t[::1] stall_starts,
    tuple stalls,
):
    """Go through the segments of each connection, in the order of `order`.

    `position` is that of `tcp.follow`, `first_sequence[c, side]` the sequence number of position 0, -1 where it found
    none; `waiting_end` and `waiting_ns` are room to work in. Connection `c` gets `measures[c, side]` by `Measure`, the
    events from `event_starts[c]` on and the stalls from `stall_starts[c]` on, at most `most` of each. Its round
    trips, in nanoseconds, lie in its part of `round_trips`: those of side 0 from its start on, those of side 1 from
    its end backwards. `events` are the columns kind, side, time, position, bytes, nanoseconds since
    something new was sent, and count, `stalls` side, whether a
    zero window was announced, start, end (the largest number: none) and window. Returns how many events and stalls
    were left out.
    """
    cdef int64_t connections = connection_starts.shape[0] - 1, n = order.shape[0], c, k, row, p
    cdef int64_t begin, stop, after, ack = 0, now, size, sent_ns, fresh, low, high, first
    cdef int64_t initial_ns
    cdef Half[2] halves
    cdef Half *own
    cdef Half *peer
    cdef int64_t *mine
    cdef int64_t *theirs
    cdef Found found
    cdef int s, kind
    cdef uint8_t flag
    cdef uint8_t[::1] event_kind, event_side, stall_side, stall_zero
    cdef int64_t[::1] event_ns, event_position, event_bytes, event_idle, event_count, stall_start, stall_end, stall_window
    cdef bint syn, fin, plain, has_ack, same_ack, probe, kept, late
    event_kind, event_side, event_ns, event_position, event_bytes, event_idle, event_count = events
    stall_side, stall_zero, stall_start, stall_end, stall_window = stalls
    for k in (
        time_ns.shape[0], side.shape[0], sequence.shape[0], acknowledgement.shape[0], flags.shape[0],
        window.shape[0], options.shape[0], offset.shape[0], wire_length.shape[0], position.shape[0],
        round_trips.shape[0],
    ):
        if k < n:
            raise ValueError("a column is too short")
    if (
        connections < 0 or first_sequence.shape[0] < connections or first_sequence.shape[1] != 2
        or measures.shape[0] < connections or measures.shape[1] != 2 or measures.shape[2] != <int>MEASURES
        or event_starts.shape[0] <= connections or stall_starts.shape[0] <= connections
        or waiting_end.shape[0] != 2 or waiting_end.shape[1] != C_WAITING
        or waiting_ns.shape[0] != 2 or waiting_ns.shape[1] != C_WAITING
    ):
        raise ValueError("outputs of the wrong shape")
    found.events_room = min(
        event_kind.shape[0], event_side.shape[0], event_ns.shape[0], event_position.shape[0],
        event_bytes.shape[0], event_idle.shape[0], event_count.shape[0],
    )
    found.stalls_room = min(
        stall_side.shape[0], stall_zero.shape[0], stall_start.shape[0], stall_end.shape[0],
        stall_window.shape[0],
    )
    event_starts[0] = 0
    stall_starts[0] = 0
    if connections == 0 or n == 0 or found.events_room == 0 or found.stalls_room == 0:
        if n == 0:
            return 0
        raise ValueError("outputs of the wrong shape")
    for c in range(connections):
        if connection_starts[c] < 0 or connection_starts[c + 1] < connection_starts[c] or (
            connection_starts[c + 1] > n
        ):
            raise ValueError("connection out of range")
    for k in range(n):
        if order[k] < 0 or order[k] >= n or side[order[k]] > 1:
            raise ValueError("row out of range")
    found.most = most
    found.events = 0
    found.stalls = 0
    found.left_out = 0
    found.event_kind = &event_kind[0]
    found.event_side = &event_side[0]
    found.event_ns = &event_ns[0]
    found.event_position = &event_position[0]
    found.event_bytes = &event_bytes[0]
    found.event_idle = &event_idle[0]
    found.event_count = &event_count[0]
    found.stall_side = &stall_side[0]
    found.stall_zero = &stall_zero[0]
    found.stall_start = &stall_start[0]
    found.stall_end = &stall_end[0]
    found.stall_window = &stall_window[0]
    with nogil:
        for c in range(connections):
            found.first_event = found.events
            found.first_stall = found.stalls
            for s in range(2):
                clear(&halves[s], first_sequence[c, s])
                for k in range(<int>MEASURES):
                    measures[c, s, k] = 0
                measures[c, s, <int>MSS] = -1
                measures[c, s, <int>SYN_RTT_NS] = -1
            low = connection_starts[c]
            high = connection_starts[c + 1]
            initial_ns = -1
            for k in range(connection_starts[c], connection_starts[c + 1]):
                row = order[k]
                if position[k] == WILD:
                    continue
                s = side[row]
                own = &halves[s]
                peer = &halves[1 - s]
                mine = &measures[c, s, 0]
                theirs = &measures[c, 1 - s, 0]
                flag = flags[row]
                now = time_ns[row]
                size = wire_length[row]
                syn = flag & FLAG_SYN != 0
                fin = flag & FLAG_FIN != 0
                plain = not flag & (FLAG_SYN | FLAG_FIN)
                if flag & FLAG_RST:
                    mine[<int>RESETS] += 1
                    note(&found, RESET, s, now, own.next, size)
                    continue

                # Where it belongs.
                if not own.has_base:
                    own.base = sequence[row] + (1 if syn else 0)
                    own.has_base = True
                p = position[k]
                if p == NOWHERE:
                    p = unwrap(sequence[row] + (1 if syn else 0), own)
                    if p == NOWHERE:
                        continue
                begin = p - (1 if syn else 0)
                stop = p + size
                after = stop + (1 if fin else 0)
                has_ack = flag & FLAG_ACK != 0
                if has_ack:
                    if not peer.has_base:
                        peer.base = acknowledgement[row]
                        peer.has_base = True
                    ack = unwrap(acknowledgement[row], peer)
                    has_ack = ack != NOWHERE
                same_ack = has_ack and own.acks and ack == own.acked

                # What it says of windows, and whether it only asks if the peer is still there.
                kept = False
                probe = size == 1 and plain and own.known and p == own.next and peer.acks and peer.window == 0
                if probe:
                    own.probed = p
                    mine[<int>PROBES] += 1
                    note(&found, ZERO_WINDOW_PROBE, s, now, p, size)
                elif plain:
                    if window[row] == 0:
                        mine[<int>ZERO_WINDOWS] += 1
                        if not own.closed:
                            own.closed = True
                            own.zero_event = note(&found, ZERO_WINDOW, s, now, ack if has_ack else 0, 0)
                        elif own.zero_event >= 0:
                            event_count[own.zero_event] += 1
                    if size <= 1 and own.known and p == own.next - 1:
                        kept = True
                        mine[<int>KEEP_ALIVES] += 1
                        note(&found, KEEP_ALIVE, s, now, p, size)
                    elif size == 0 and window[row] and same_ack and own.known and p == own.next:
                        if window[row] != own.window:
                            mine[<int>WINDOW_UPDATES] += 1
                        elif not peer.kept_alive:
                            mine[<int>DUPLICATE_ACKS] += 1
                            own.duplicates += 1
                            if own.duplicates == 1:
                                own.duplicate_event = note(&found, DUPLICATE_ACK, s, now, ack, 0)
                            elif own.duplicate_event >= 0:
                                event_count[own.duplicate_event] += 1
                    elif size > 0 and own.has_edge and stop == own.edge:
                        mine[<int>WINDOW_FULL] += 1
                        note(&found, FULL_WINDOW, s, now, p, size)
                        if not own.stalled:
                            begin_stall(
                                &found, own, s, now, own.edge - max(own.acknowledged, 0), False, mine
                            )
                if window[row]:
                    own.closed = False
                if has_ack and not same_ack:
                    own.duplicates = 0

                # Whether it was sent before, or overtaken.
                late = False
                if (size > 0 or syn or fin) and own.known and not probe and not kept:
                    # A segment that begins one byte early and goes on answers a probe of that byte.
                    late = begin < own.next and not (size > 1 and begin == own.next - 1)
                if late:
                    fresh = fill(own, p, stop) + (syn and own.syns == 0) + (fin and own.fin != stop)
                    if size > 0 and stop <= own.acknowledged:
                        kind = SPURIOUS_RETRANSMISSION
                        mine[<int>SPURIOUS] += 1
                    elif peer.duplicates >= 2 and peer.acked == begin and (
                        0 <= now - peer.time_ns < FAST_WITHIN_NS
                    ):
                        kind = FAST_RETRANSMISSION
                        mine[<int>FAST] += 1
                    elif fresh and stop != own.next and 0 <= now - own.next_ns and now - own.next_ns < (
                        initial_ns if initial_ns > 0 else REORDERED_WITHIN_NS
                    ):
                        kind = REORDERED
                    else:
                        kind = RETRANSMISSION
                    mine[<int>OUT_OF_ORDER if kind == REORDERED else <int>RETRANSMITTED] += 1
                    note(&found, kind, s, now, p, size, max(0, now - own.next_ns))
                    own.repeated = max(own.repeated, after)
                if fin and own.fin < 0:
                    own.fin = stop
                if not own.known:
                    if p > 0:
                        add_hole(own, 0, p)
                    own.next = p
                    own.next_ns = now
                    own.known = True
                if after > own.next and not probe:
                    if begin > own.next + (own.probed == own.next):
                        add_hole(own, own.next + (own.probed == own.next), begin)
                    own.next = after
                    own.next_ns = now
                    if (size > 0 or fin) and not late and own.waiting < C_WAITING:
                        first = (own.first_waiting + own.waiting) % C_WAITING
                        waiting_end[s, first] = after
                        waiting_ns[s, first] = now
                        own.waiting += 1

                # What its SYN offers.
                if syn:
                    own.syns += 1
                    own.syn_ns = now
                    own.answers = has_ack
                    if options[row] != OPTIONS_CUT:
                        first = (offset[row] if offset[row] >= 0 else -1 - offset[row]) - options[row]
                        if options[row] == 0:
                            read_options(NULL, 0, &mine[<int>MSS], &own.offered)
                        elif offset[row] >= 0 and 0 <= first <= file.shape[0] - options[row]:
                            read_options(&file[first], options[row], &mine[<int>MSS], &own.offered)
                        elif offset[row] < 0 and 0 <= first <= spill.shape[0] - options[row]:
                            read_options(&spill[first], options[row], &mine[<int>MSS], &own.offered)
                    agree(own, peer)
                    agree(peer, own)

                # What it acknowledges, and how much more it lets the peer send.
                if has_ack:
                    if syn:
                        if peer.syns == 1 and own.syns == 1 and now >= peer.syn_ns:
                            theirs[<int>SYN_RTT_NS] = now - peer.syn_ns
                    elif peer.answers and peer.syns == 1 and own.syns and not own.acks and ack == 0 and (
                        now >= peer.syn_ns
                    ):
                        theirs[<int>SYN_RTT_NS] = now - peer.syn_ns
                        if mine[<int>SYN_RTT_NS] >= 0:
                            initial_ns = theirs[<int>SYN_RTT_NS] + mine[<int>SYN_RTT_NS]
                    if ack > peer.acknowledged:
                        sent_ns = INT64_MIN
                        while peer.waiting and waiting_end[1 - s, peer.first_waiting] <= ack:
                            sent_ns = waiting_ns[1 - s, peer.first_waiting]
                            peer.first_waiting = (peer.first_waiting + 1) % C_WAITING
                            peer.waiting -= 1
                        if peer.waiting == 0:
                            peer.first_waiting = 0
                        if sent_ns != INT64_MIN and now >= sent_ns and peer.acknowledged >= peer.repeated:
                            theirs[<int>ROUND_TRIPS] += 1
                            if s == 1:
                                round_trips[low] = <float>(now - sent_ns)
                                low += 1
                            else:
                                high -= 1
                                round_trips[high] = <float>(now - sent_ns)
                        peer.acknowledged = ack
                    if ack == peer.acknowledged:
                        peer.has_edge = syn or own.shift >= 0
                        if peer.has_edge:
                            peer.edge = ack + (<int64_t>window[row] << (0 if syn else own.shift))
                        if window[row] == 0 and plain:
                            if not peer.stalled:
                                begin_stall(&found, peer, 1 - s, now, 0, True, theirs)
                            elif peer.stall >= 0:
                                stall_zero[peer.stall] = True
                        elif peer.stalled and window[row] and (
                            not peer.has_edge or peer.edge > peer.next or peer.fin >= 0
                        ):
                            end_stall(&found, peer, now, theirs)
                    own.acks = True
                    own.acked = ack
                own.window = window[row]
                own.time_ns = now
                own.kept_alive = kept

            for s in range(2):
                measures[c, s, <int>SHIFT] = halves[s].shift
                if halves[s].stalled:
                    now = max(halves[0].time_ns, halves[1].time_ns)
                    measures[c, s, <int>STALLED_NS] += max(0, now - halves[s].stall_ns)
            event_starts[c + 1] = found.events
            stall_starts[c + 1] = found.stalls
    return found.left_out
