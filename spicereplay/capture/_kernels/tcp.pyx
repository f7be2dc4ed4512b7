"""TCP segments to stream positions, and overlapping segments to the bytes that came first."""

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

cpdef enum Fact:
    """Columns of the table of directions that `follow` fills."""

    SEGMENTS = 0
    PAYLOAD_BYTES = 1
    FIRST_SEQUENCE = 2
    SYN = 3  # 1: sent a SYN, 2: sent a SYN that answers one, 3: its SYN is known from the answer
    HIGH = 4  # one past the last byte sent
    ACKED = 5  # one past the last byte acknowledged
    FIN = 6  # position of the FIN, -1 if not seen
    CLOSED = 7  # 1: FIN, 2: RST
    CLOSED_AT = 8  # place in `order` of the segment that closed, -1 if none did
    LATE = 9  # segments that begin before the end of an earlier one
    FACTS = 10

cdef enum:
    FLAG_FIN = 1
    FLAG_SYN = 2
    FLAG_RST = 4
    FLAG_ACK = 16

    # A step in sequence numbers that needs evidence: the largest window TCP can have (RFC 7323 2.3).
    FAR = 1 << 30
    # How close an acknowledgement has to be to count as evidence.
    NEAR = 1 << 26
    # How far below the first segment seen the begin of a stream may lie, and how many segments of the flow are
    # searched for it.
    BEGIN_WINDOW = 1 << 24
    BEGIN_ROWS = 256
    EVIDENCE_ROWS = 32

# Position of a segment without bytes for the stream, and of one whose sequence number cannot belong to it.
NOWHERE = INT64_MIN
WILD = INT64_MIN + 1
cdef int64_t C_NOWHERE = INT64_MIN
cdef int64_t C_WILD = INT64_MIN + 1

cdef struct Side:
    bint has_base
    int syn
    uint32_t base
    int64_t high
    int64_t acked
    int64_t fin
    int64_t segments
    int64_t payload
    int64_t late
    int64_t rows
    int closed
    int64_t closed_at

cdef struct Rows:
    const int64_t *order
    const uint8_t *side
    const uint32_t *sequence
    const uint32_t *acknowledgement
    const uint8_t *flags
    const int32_t *wire_length


def group_by_flow(const int32_t[::1] flow, int64_t[::1] starts, int64_t[::1] order):
    """Write the rows of flow 0, those of flow 1 and so on into `order`, each flow's in their own order.

    `starts` has one entry per flow and one more; flow `f` gets `order[starts[f]:starts[f + 1]]`.
    """
    cdef int64_t n = flow.shape[0], flows = starts.shape[0] - 1, i, total = 0, count
    if order.shape[0] < n or flows < 0:
        raise ValueError("output too short")
    for i in range(flows + 1):
        starts[i] = 0
    for i in range(n):
        if flow[i] < 0 or flow[i] >= flows:
            raise ValueError("flow out of range")
        starts[flow[i]] += 1
    for i in range(flows):
        count = starts[i]
        starts[i] = total
        total += count
    starts[flows] = total
    with nogil:
        for i in range(n):
            order[starts[flow[i]]] = i
            starts[flow[i]] += 1
        for i in range(flows, 0, -1):
            starts[i] = starts[i - 1]
        starts[0] = 0


cdef inline int64_t unwrap(uint32_t sequence, Side *side) noexcept nogil:
    """Stream position of a sequence number: the one nearest to what was last sent or acknowledged."""
    cdef int64_t near = max(side.high, side.acked)
    return near + <int32_t>(sequence - (side.base + <uint32_t>near))


cdef inline bint is_far(int64_t position, Side *side) noexcept nogil:
    cdef int64_t distance = position - max(side.high, side.acked)
    return distance > FAR or distance < -FAR


cdef inline bint apart(uint32_t a, uint32_t b, int64_t most) noexcept nogil:
    cdef int64_t distance = <int32_t>(a - b)
    return distance > most or distance < -most


cdef bint vouched_for(Rows *rows, int64_t begin, int64_t end, int64_t k) noexcept nogil:
    """Whether the peer acknowledges numbers near those of segment `k`, or its own side goes on from there."""
    cdef int64_t i, row = rows.order[k], other
    cdef uint32_t sequence = rows.sequence[row]
    cdef uint32_t follows = sequence + <uint32_t>rows.wire_length[row]
    cdef bint next_seen = False
    for i in range(max(begin, k - EVIDENCE_ROWS), min(end, k + EVIDENCE_ROWS)):
        other = rows.order[i]
        if i == k or rows.flags[other] & (FLAG_RST | FLAG_SYN):
            continue
        if rows.side[other] != rows.side[row]:
            if rows.flags[other] & FLAG_ACK and not apart(rows.acknowledgement[other], sequence, NEAR):
                return True
        elif i > k and rows.wire_length[other] > 0 and not next_seen:
            next_seen = True
            if rows.sequence[other] == follows:
                return True
    return False


cdef uint32_t find_begin(Rows *rows, int64_t end, int64_t k) noexcept nogil:
    """The sequence number of position 0 for a side whose SYN was not seen and whose first bytes are in `k`.

    That is the lowest among the segments that follow closely: the first ones may have changed places. A first
    segment far from the two after it is taken for garbage.
    """
    cdef int64_t i, row = rows.order[k], other, seen = 1
    cdef uint32_t first = rows.sequence[row], low = first, second = 0
    for i in range(k + 1, min(end, k + BEGIN_ROWS)):
        other = rows.order[i]
        if rows.side[other] != rows.side[row] or rows.wire_length[other] <= 0:
            continue
        if rows.flags[other] & (FLAG_SYN | FLAG_RST):
            break
        seen += 1
        if seen == 2:
            second = rows.sequence[other]
        elif seen == 3 and apart(first, second, FAR) and not apart(rows.sequence[other], second, BEGIN_WINDOW):
            first = second
            low = second
        if not apart(rows.sequence[other], first, BEGIN_WINDOW) and <int32_t>(rows.sequence[other] - low) < 0:
            low = rows.sequence[other]
    return low


cdef bint starts_anew(Side *own, Side *peer, uint32_t sequence, uint32_t acknowledgement, bint answers) noexcept nogil:
    """Whether a SYN of `own` begins another connection than the one followed so far."""
    if own.rows == 0 and peer.rows == 0:
        return False
    if own.syn == 1 or own.syn == 2:
        if sequence + 1 == own.base:
            return False  # sent again
        # An answer that was given anew before a single byte: the SYN it answers tells.
        return not (answers and peer.syn == 1 and acknowledgement == peer.base and own.segments == 0)
    if own.has_base:  # data overtook the SYN, or the peer's answer did
        return sequence + 1 != own.base
    if answers:
        return own.rows > 0 or (peer.has_base and apart(acknowledgement, peer.base, NEAR))
    # Both may open at the same time; anything else in the connection is older.
    return own.rows > 0 or peer.syn != 1 or peer.segments > 0


cdef inline void clear(Side *side) noexcept nogil:
    side.has_base = False
    side.syn = 0
    side.base = 0
    side.high = 0
    side.acked = 0
    side.fin = -1
    side.segments = 0
    side.payload = 0
    side.late = 0
    side.rows = 0
    side.closed = 0
    side.closed_at = -1


cdef inline void write_facts(Side *side, int64_t *out) noexcept nogil:
    out[<int>SEGMENTS] = side.segments
    out[<int>PAYLOAD_BYTES] = side.payload
    out[<int>FIRST_SEQUENCE] = side.base
    out[<int>SYN] = side.syn
    out[<int>HIGH] = side.high
    out[<int>ACKED] = side.acked
    out[<int>FIN] = side.fin
    out[<int>CLOSED] = side.closed
    out[<int>CLOSED_AT] = side.closed_at
    out[<int>LATE] = side.late


cdef int64_t place(Rows *rows, int64_t begin, int64_t end, int64_t k, Side *own, bint *anew) noexcept nogil:
    """Enter the bytes and the FIN of segment `k` into its direction; return their position.

    Sets `anew` and enters nothing if the segment can only belong to another connection.
    """
    cdef int64_t row = rows.order[k], position, size = rows.wire_length[row]
    cdef uint8_t flags = rows.flags[row]
    cdef uint32_t sequence = rows.sequence[row] + (1 if flags & FLAG_SYN else 0)
    if size > 0 and not own.has_base:
        own.base = find_begin(rows, end, k)
        own.has_base = True
    if not own.has_base:
        return C_NOWHERE
    position = unwrap(sequence, own)
    if is_far(position, own):
        if size == 0:
            return C_NOWHERE
        if not vouched_for(rows, begin, end, k):
            return C_WILD
        if position < own.high:
            if own.segments == 0:
                return C_WILD  # another connection could place it no better
            anew[0] = True
            return C_NOWHERE
    if size <= 1 and position == own.high - 1 and not flags & (FLAG_SYN | FLAG_FIN):
        return C_NOWHERE  # a keep-alive. Source: RFC 1122 4.2.3.6
    if flags & FLAG_FIN and own.fin < 0 and position + size >= 0:
        own.fin = position + size
    if size == 0:
        return C_NOWHERE
    own.segments += 1
    own.payload += size
    own.late += position < own.high
    own.high = max(own.high, position + size)
    return position


def follow(
    const int64_t[::1] order,
    const int64_t[::1] starts,
    const uint8_t[::1] side,
    const uint32_t[::1] sequence,
    const uint32_t[::1] acknowledgement,
    const uint8_t[::1] flags,
    const int32_t[::1] length,
    const int32_t[::1] wire_length,
    int64_t[::1] connection_starts,
    int64_t[::1] position,
    int64_t[:, :, ::1] facts,
):
    """Follow every flow and give each segment its place in its stream.

    For the k-th entry of `order`, `position[k]` is the stream position of the payload (below 0: bytes from
    before position 0), or `NOWHERE` or `WILD`. Connection `c` takes the entries of `order` from
    `connection_starts[c]` up to the next one's start, and `facts[c, side]` gets the columns of `Fact`. Returns
    the number of connections, or -1 if there was no room for one more; those there are are complete then.
    """
    cdef int64_t n = order.shape[0], flows = starts.shape[0] - 1, room = facts.shape[0]
    cdef int64_t flow, k, row, c = -1, begin, end, acked
    cdef Rows rows
    cdef Side[2] sides
    cdef Side *own
    cdef Side *peer
    cdef uint8_t flag
    cdef bint anew, fresh, wanted
    for k in (
        side.shape[0], sequence.shape[0], acknowledgement.shape[0], flags.shape[0], length.shape[0],
        wire_length.shape[0], position.shape[0],
    ):
        if k < n:
            raise ValueError("a column is too short")
    if facts.shape[1] != 2 or facts.shape[2] != <int>FACTS or connection_starts.shape[0] <= room:
        raise ValueError("outputs of the wrong shape")
    if n == 0:
        connection_starts[0] = 0
        return 0
    for k in range(n):
        if order[k] < 0 or order[k] >= n or side[order[k]] > 1:
            raise ValueError("row out of range")
    for flow in range(flows):
        if starts[flow] < 0 or starts[flow + 1] < starts[flow] or starts[flow + 1] > n:
            raise ValueError("flow out of range")
    rows.order = &order[0]
    rows.side = &side[0]
    rows.sequence = &sequence[0]
    rows.acknowledgement = &acknowledgement[0]
    rows.flags = &flags[0]
    rows.wire_length = &wire_length[0]
    with nogil:
        for flow in range(flows):
            begin = starts[flow]
            end = starts[flow + 1]
            fresh = True
            for k in range(begin, end):
                row = rows.order[k]
                flag = flags[row]
                own = &sides[side[row]]
                peer = &sides[1 - side[row]]
                wanted = fresh
                if not fresh and flag & FLAG_SYN and not flag & FLAG_RST:
                    wanted = starts_anew(
                        own, peer, sequence[row], acknowledgement[row], (flag & FLAG_ACK) != 0
                    )
                while True:
                    if wanted:
                        if not fresh:
                            write_facts(&sides[0], &facts[c, 0, 0])
                            write_facts(&sides[1], &facts[c, 1, 0])
                        c += 1
                        connection_starts[c] = k
                        if c >= room:
                            break
                        clear(&sides[0])
                        clear(&sides[1])
                        fresh = False
                    anew = False
                    if flag & FLAG_RST:
                        position[k] = C_NOWHERE  # its payload, if any, is not of the stream (RFC 9293 3.5.2)
                        break
                    if flag & FLAG_SYN and (own.segments == 0 or own.syn == 0 or own.syn == 3):
                        own.base = sequence[row] + 1
                        own.has_base = True
                        own.syn = 2 if flag & FLAG_ACK else 1
                        if flag & FLAG_ACK and peer.syn == 0:
                            if not peer.has_base:
                                peer.base = acknowledgement[row]
                                peer.has_base = True
                            if peer.base == acknowledgement[row]:
                                peer.syn = 3
                    position[k] = place(&rows, begin, end, k, own, &anew)
                    if not anew:
                        break
                    wanted = True
                if c >= room:
                    break
                own.rows += 1
                if flag & (FLAG_FIN | FLAG_RST) and not own.closed:
                    own.closed = 2 if flag & FLAG_RST else 1
                    own.closed_at = k
                if flag & FLAG_RST:
                    continue
                if flag & FLAG_ACK and peer.has_base:
                    acked = unwrap(acknowledgement[row], peer)
                    if acked > peer.acked and not is_far(acked, peer):
                        peer.acked = acked
                if length[row] == 0 and position[k] != C_WILD:
                    position[k] = C_NOWHERE
            if c >= room:
                break
            if not fresh:
                write_facts(&sides[0], &facts[c, 0, 0])
                write_facts(&sides[1], &facts[c, 1, 0])
    if c >= room:
        return -1
    connection_starts[c + 1] = n
    return c + 1


cdef inline void push(int64_t *heap, int64_t size, int64_t item, const int64_t *rank) noexcept nogil:
    cdef int64_t i = size, parent
    while i > 0:
        parent = (i - 1) >> 1
        if rank[heap[parent]] <= rank[item]:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = item


cdef inline void pop(int64_t *heap, int64_t size, const int64_t *rank) noexcept nogil:
    """Take the first of `size` items out of the heap."""
    cdef int64_t i = 0, child, last = heap[size - 1]
    size -= 1
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and rank[heap[child + 1]] < rank[heap[child]]:
            child += 1
        if rank[last] <= rank[heap[child]]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = last


def overlay(
    const int64_t[::1] start,
    const int64_t[::1] stop,
    const int64_t[::1] rank,
    int64_t[::1] heap,
    int64_t[::1] owner,
    int64_t[::1] piece_start,
    int64_t[::1] piece_stop,
):
    """Give each byte to the segment that brought it first.

    Segments are sorted by `start` and not empty; the lower `rank` came first. Writes pieces in order of position
    and returns their number, at most two per segment; `heap` is room for one number per segment.
    """
    cdef int64_t n = start.shape[0], i = 0, size = 0, pieces = 0, at = INT64_MIN, top, end
    cdef int64_t *waiting
    cdef const int64_t *ranks
    if n == 0:
        return 0
    if stop.shape[0] < n or rank.shape[0] < n or heap.shape[0] < n:
        raise ValueError("a column is too short")
    if owner.shape[0] < 2 * n or piece_start.shape[0] < 2 * n or piece_stop.shape[0] < 2 * n:
        raise ValueError("no room for two pieces per segment")
    for i in range(n):
        if stop[i] <= start[i] or (i and start[i] < start[i - 1]):
            raise ValueError("segments must be sorted and not empty")
    waiting = &heap[0]
    ranks = &rank[0]
    i = 0
    with nogil:
        while True:
            while size and stop[waiting[0]] <= at:
                pop(waiting, size, ranks)
                size -= 1
            if size == 0:
                if i == n:
                    break
                at = start[i]
            while i < n and start[i] <= at:
                push(waiting, size, i, ranks)
                size += 1
                i += 1
            top = waiting[0]
            end = stop[top]
            # Whatever begins before the end waits its turn; only an earlier arrival cuts in.
            while i < n and start[i] < end:
                if rank[i] < rank[top]:
                    end = start[i]
                    break
                push(waiting, size, i, ranks)
                size += 1
                i += 1
            if end > at:
                owner[pieces] = top
                piece_start[pieces] = at
                piece_stop[pieces] = end
                pieces += 1
            at = end
    return pieces


def compare(
    const uint8_t[::1] file,
    const uint8_t[::1] spill,
    const int64_t[::1] start,
    const int64_t[::1] stop,
    const int64_t[::1] offset,
    int64_t pieces,
    const int64_t[::1] owner,
    const int64_t[::1] piece_start,
    const int64_t[::1] piece_stop,
    int64_t first,
    int64_t last,
    int64_t piece,
    int64_t[::1] own_bytes,
    int64_t[::1] differs_at,
):
    """Hold the segments from `first` up to `last` against the pieces of others that lie over them.

    Writes how many bytes of a segment were used, and the first stream position at which it differs from what
    came before it, -1 if nowhere. Offsets are those of `ByteStream`. The bytes compared are at most those of
    the segments. `piece` is 0 for the first call and what the last one returned for the next; -1 says that an
    offset lies outside of its memory.
    """
    cdef int64_t n = start.shape[0], i, j = piece, k, low, high, b
    cdef const uint8_t *mine
    cdef const uint8_t *theirs
    cdef bint good = True
    if (
        stop.shape[0] < n or offset.shape[0] < n or own_bytes.shape[0] < n or differs_at.shape[0] < n
        or owner.shape[0] < pieces or piece_start.shape[0] < pieces or piece_stop.shape[0] < pieces
    ):
        raise ValueError("a column is too short")
    if first < 0 or last < first or last > n or piece < 0:
        raise ValueError("range of segments outside of the columns")
    with nogil:
        for i in range(n if first == 0 else 0):
            low = offset[i] if offset[i] >= 0 else -1 - offset[i]
            high = file.shape[0] if offset[i] >= 0 else spill.shape[0]
            if low > high or stop[i] - start[i] > high - low:
                good = False
        if good:
            for i in range(first, last):
                own_bytes[i] = 0
                differs_at[i] = -1
                while j < pieces and piece_stop[j] <= start[i]:
                    j += 1
                k = j
                while k < pieces and piece_start[k] < stop[i]:
                    low = max(piece_start[k], start[i])
                    high = min(piece_stop[k], stop[i])
                    if owner[k] == i:
                        own_bytes[i] += high - low
                    elif differs_at[i] < 0 and 0 <= owner[k] < n and start[owner[k]] <= low and (
                        high <= stop[owner[k]]
                    ):
                        mine = (&file[offset[i]] if offset[i] >= 0 else &spill[-1 - offset[i]]) + (low - start[i])
                        b = owner[k]
                        theirs = (&file[offset[b]] if offset[b] >= 0 else &spill[-1 - offset[b]]) + (
                            low - start[b]
                        )
                        if memcmp(mine, theirs, high - low):
                            b = 0
                            while mine[b] == theirs[b]:
                                b += 1
                            differs_at[i] = low + b
                    k += 1
    return j if good else -1
