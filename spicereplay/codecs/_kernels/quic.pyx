"""QUIC: the adaptive Golomb-Rice decoder.

Source: spice-wire.md 9.3 and 18; names follow it. A row is decoded by one function made four times by the compiler:
for three channels of 8 bits, three of 5 bits, grey, and alpha. Nothing is read past the input: zero bits stand
in for it, and the row that consumed one of them is refused.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from spicereplay.codecs._kernels.status cimport OK, OVERRUN, SHORT

cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long) noexcept nogil
    uint64_t byte_swapped "__builtin_bswap64"(uint64_t) noexcept nogil

cdef enum:
    # What a row holds: channels of 8 bits B, G, R; of 5 bits; one of 8 bits shown as grey; the alpha bytes.
    RGB8
    RGB5
    GREY
    ALPHA

cdef enum:
    FIRST_LEFT = 2048       # pixels that one step of w lasts
    LAST_W = 6
    LONGEST_CODE = 26       # bits; the longest prefix of zeros is that less the bits per channel

cdef uint8_t[256] RANDOM = [
    0x02, 0x17, 0x13, 0x15, 0x07, 0x12, 0x28, 0x0e, 0x0c, 0x20, 0x2f, 0x2c, 0x24, 0x06, 0x12, 0x0b,
    0x04, 0x13, 0x2a, 0x1d, 0x10, 0x3f, 0x39, 0x33, 0x10, 0x03, 0x05, 0x0e, 0x0f, 0x1e, 0x14, 0x09,
    0x24, 0x2d, 0x03, 0x39, 0x3d, 0x00, 0x08, 0x05, 0x29, 0x0e, 0x2b, 0x1b, 0x2b, 0x3b, 0x1f, 0x23,
    0x27, 0x3c, 0x2a, 0x26, 0x0d, 0x36, 0x3e, 0x01, 0x1a, 0x03, 0x0b, 0x3d, 0x34, 0x22, 0x07, 0x30,
    0x04, 0x3b, 0x16, 0x0c, 0x16, 0x08, 0x32, 0x04, 0x0a, 0x06, 0x2c, 0x08, 0x0b, 0x2e, 0x1f, 0x33,
    0x35, 0x11, 0x01, 0x2b, 0x2e, 0x3c, 0x24, 0x36, 0x0a, 0x1b, 0x27, 0x2c, 0x16, 0x29, 0x17, 0x02,
    0x2c, 0x00, 0x28, 0x35, 0x28, 0x30, 0x10, 0x2b, 0x20, 0x1c, 0x21, 0x0c, 0x14, 0x02, 0x38, 0x3e,
    0x37, 0x3a, 0x12, 0x14, 0x0d, 0x37, 0x26, 0x1d, 0x39, 0x13, 0x31, 0x21, 0x2f, 0x3f, 0x3b, 0x00,
    0x23, 0x3d, 0x13, 0x19, 0x2e, 0x26, 0x3c, 0x04, 0x23, 0x01, 0x1a, 0x28, 0x1c, 0x0a, 0x05, 0x0e,
    0x19, 0x12, 0x30, 0x31, 0x14, 0x3b, 0x3e, 0x22, 0x2e, 0x07, 0x21, 0x34, 0x22, 0x3a, 0x09, 0x1d,
    0x08, 0x37, 0x3e, 0x3c, 0x25, 0x24, 0x25, 0x32, 0x06, 0x03, 0x0a, 0x1c, 0x30, 0x18, 0x1a, 0x3d,
    0x39, 0x1e, 0x0b, 0x36, 0x02, 0x06, 0x32, 0x2f, 0x07, 0x11, 0x23, 0x35, 0x20, 0x0c, 0x17, 0x11,
    0x05, 0x15, 0x31, 0x37, 0x33, 0x2d, 0x34, 0x1b, 0x27, 0x19, 0x27, 0x3f, 0x16, 0x18, 0x2a, 0x34,
    0x38, 0x26, 0x29, 0x29, 0x38, 0x20, 0x0d, 0x18, 0x1a, 0x33, 0x1b, 0x38, 0x3a, 0x25, 0x18, 0x2a,
    0x0f, 0x1c, 0x11, 0x1e, 0x1f, 0x0f, 0x10, 0x17, 0x19, 0x36, 0x21, 0x22, 0x01, 0x1d, 0x1f, 0x32,
    0x35, 0x15, 0x31, 0x0f, 0x2f, 0x09, 0x00, 0x3a, 0x25, 0x2d, 0x1e, 0x0d, 0x09, 0x2d, 0x3f, 0x15,
]
cdef uint16_t[7] THRESHOLD = [110, 550, 900, 800, 550, 400, 350]
cdef uint8_t[32] RUN_BITS = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
]


cdef struct Family:
    # All that depends on the bits per channel alone.
    int bits
    uint32_t mask           # M
    int[8] prefix           # P(l)
    uint32_t[8] golomb      # G(l)
    int[8] suffix           # S(l)
    uint64_t[8] shortest    # a 64-bit window below this begins with P(l) zeros
    uint8_t[256][8] length  # of symbol n in code l
    uint8_t[256] bucket     # of a context
    int[9] first            # context of each bucket; one past the last, too

cdef Family EIGHT, FIVE


cdef void fill_family(Family* family, int bits) noexcept:
    cdef int l, n, size = 1, count = 1 << bits, bucket = 0, at = 0, rest
    memset(family, 0, sizeof(Family))
    family.bits = bits
    family.mask = count - 1
    for l in range(bits):
        family.prefix[l] = min(LONGEST_CODE - bits, (1 << (bits - l)) - 1)
        family.golomb[l] = family.prefix[l] << l
        family.shortest[l] = <uint64_t>1 << (64 - family.prefix[l])
        rest = count - family.golomb[l]
        while 1 << family.suffix[l] < rest:
            family.suffix[l] += 1
        for n in range(count):
            if <uint32_t>n < family.golomb[l]:
                family.length[n][l] = (n >> l) + l + 1
            else:
                family.length[n][l] = family.prefix[l] + family.suffix[l]
    while at < count:
        if at + size + 2 * size > count:    # its successor would not fit: this one takes all the rest
            size = count - at
        family.first[bucket] = at
        for n in range(at, at + size):
            family.bucket[n] = bucket
        at += size
        size *= 2
        bucket += 1
        family.first[bucket] = count

fill_family(&EIGHT, 8)
fill_family(&FIVE, 5)


cdef struct Bits:
    const uint8_t* src
    Py_ssize_t size
    Py_ssize_t at           # next byte to take
    uint64_t window         # bits not yet used, from bit 63 down
    int count               # how many of them are accounted for; the rest are right, or 0


cdef inline void refill(Bits* bits) noexcept nogil:
    """Have at least 56 bits in the window, enough for two codes, without a branch on how many there are.

    The bytes that fit are ORed below the bits there are; those that fit in part are ORed again next time.
    """
    cdef uint64_t next_bytes
    if bits.at + 8 <= bits.size:
        memcpy(&next_bytes, bits.src + bits.at, 8)
        bits.window |= byte_swapped(next_bytes) >> bits.count
    bits.at += (63 - bits.count) >> 3
    bits.count |= 56


cdef struct Channel:
    uint8_t* symbols        # the symbol last coded at each x
    uint8_t[256] code       # of each context: the `best` of its bucket
    uint16_t[8][8] counters # of each bucket and code


cdef struct Group:
    # Channels that share a run state.
    Channel[3] channels
    int w, left, mel, seed
    Py_ssize_t wait


cdef inline uint32_t read_symbol(Bits* bits, const Family* family, int l) noexcept nogil:
    cdef int zeros, n
    cdef uint32_t symbol
    if bits.window >= family.shortest[l]:
        zeros = leading_zeros(bits.window)
        n = zeros + 1 + l
        # The n bits are 1 and the low bits, that is 2^l too much.
        symbol = <uint32_t>(bits.window >> (64 - n)) + (<uint32_t>(zeros - 1) << l)
    else:
        n = family.prefix[l] + family.suffix[l]
        symbol = family.golomb[l] + <uint32_t>(
            (bits.window << family.prefix[l]) >> (64 - family.suffix[l])
        )
    bits.window <<= n
    bits.count -= n
    return symbol & family.mask


cdef inline uint32_t step(uint32_t symbol) noexcept nogil:
    """Return the signed step of a symbol: 0, -1, 1, -2, 2 …, modulo a power of two above it."""
    return (symbol >> 1) ^ (0 - (symbol & 1))


cdef inline int draw(Group* group) noexcept nogil:
    group.seed = (group.seed + 1) & 255
    return RANDOM[group.seed] & ((1 << group.w) - 1)


cdef inline void learn(
    Channel* channel, const Family* family, int bits, int context, int symbol, int w
) noexcept nogil:
    """Add a symbol to the counters of its context's bucket and choose that bucket's code again."""
    cdef int bucket = family.bucket[context], l, best
    cdef uint16_t* counters = channel.counters[bucket]
    # The code goes along in the low bits, reversed: of equal counters the larger code is the least.
    cdef uint32_t key, least = 0xFFFFFFFF
    for l in range(8):
        counters[l] += family.length[symbol][l]
    for l in range(bits):
        key = <uint32_t>counters[l] << 3 | (7 - l)
        least = key if key < least else least
    best = 7 - (least & 7)
    if least >> 3 > THRESHOLD[w]:
        for l in range(8):
            counters[l] >>= 1
    if channel.code[family.first[bucket]] != best:
        memset(&channel.code[family.first[bucket]], best, family.first[bucket + 1] - family.first[bucket])


cdef inline Py_ssize_t read_run(Bits* bits, Group* group, Py_ssize_t most) noexcept nogil:
    """Return a run length, or -1 where it is over `most`."""
    cdef Py_ssize_t n = 0
    cdef int few
    refill(bits)
    while bits.window >> 63:
        n += 1 << RUN_BITS[group.mel]
        if n > most:
            return -1
        if group.mel < 31:
            group.mel += 1
        bits.window <<= 1
        bits.count -= 1
        refill(bits)
    few = RUN_BITS[group.mel]
    n += <Py_ssize_t>(bits.window >> (63 - few))      # the 0 bit goes along
    bits.window <<= few + 1
    bits.count -= few + 1
    if group.mel > 0:
        group.mel -= 1
    return n if n <= most else -1


cdef inline bint same(int kind, uint32_t a, uint32_t b) noexcept nogil:
    return (a ^ b) >> 24 == 0 if kind == ALPHA else (a ^ b) << 8 == 0


cdef inline uint32_t component(int kind, uint32_t pixel, int place) noexcept nogil:
    """Return one channel of a stored pixel, as it was coded."""
    pixel = pixel >> (8 * place) & 255
    return pixel >> 3 if kind == RGB5 else pixel


cdef inline uint32_t stored(int kind, uint32_t value) noexcept nogil:
    """Return a channel's byte; 5 bits become 8 (spice-wire.md 8.1)."""
    return value << 3 | value >> 2 if kind == RGB5 else value


cdef inline uint32_t read_channel(
    int kind, int first_row, Bits* bits, const Family* family, Channel* channel, Py_ssize_t i, int context,
    uint32_t left, uint32_t above, int place
) noexcept nogil:
    """Decode one channel of pixel i and return its value as it was coded."""
    cdef uint32_t symbol = read_symbol(bits, family, channel.code[context]), guess
    channel.symbols[i] = symbol
    if i == 0:
        guess = 0 if first_row else component(kind, above, place)
    elif first_row:
        guess = component(kind, left, place)
    else:
        guess = (component(kind, left, place) + component(kind, above, place)) >> 1
    return (step(symbol) + guess) & family.mask


cdef inline void read_pixel(
    int kind, int first_row, Bits* bits, const Family* family, Group* group, uint32_t* cur,
    const uint32_t* above, Py_ssize_t i, const int* contexts
) noexcept nogil:
    cdef uint32_t left = cur[i - 1] if i else 0, up = 0 if first_row else above[i], r, g, b
    refill(bits)
    if kind == GREY:
        b = read_channel(kind, first_row, bits, family, &group.channels[0], i, contexts[0], left, up, 0)
        cur[i] = <uint32_t>0xFF000000 | b << 16 | b << 8 | b
    elif kind == ALPHA:
        b = read_channel(kind, first_row, bits, family, &group.channels[0], i, contexts[0], left, up, 3)
        cur[i] = (cur[i] & 0xFFFFFF) | b << 24
    else:
        r = read_channel(kind, first_row, bits, family, &group.channels[0], i, contexts[0], left, up, 2)
        g = read_channel(kind, first_row, bits, family, &group.channels[1], i, contexts[1], left, up, 1)
        if bits.count < LONGEST_CODE:
            refill(bits)
        b = read_channel(kind, first_row, bits, family, &group.channels[2], i, contexts[2], left, up, 0)
        cur[i] = <uint32_t>0xFF000000 | stored(kind, r) << 16 | stored(kind, g) << 8 | stored(kind, b)


cdef inline void learn_pixel(
    int kind, const Family* family, Group* group, Py_ssize_t i, const int* contexts
) noexcept nogil:
    cdef int k
    for k in range(1 if kind == GREY or kind == ALPHA else 3):
        learn(
            &group.channels[k], family, 5 if kind == RGB5 else 8, contexts[k], group.channels[k].symbols[i],
            group.w,
        )


cdef inline void contexts_at(int kind, Group* group, Py_ssize_t x, int* contexts) noexcept nogil:
    contexts[0] = group.channels[0].symbols[x]
    if kind != GREY and kind != ALPHA:
        contexts[1] = group.channels[1].symbols[x]
        contexts[2] = group.channels[2].symbols[x]


cdef inline int segment(
    int kind, int first_row, Bits* shared, const Family* family, Group* group, uint32_t* cur,
    const uint32_t* above, Py_ssize_t i, Py_ssize_t end
) noexcept nogil:
    cdef Bits bits = shared[0]      # a copy, so that it can live in registers
    cdef Py_ssize_t stop, run, run_at = 0, x
    cdef int[3] contexts
    if i == 0:
        # The symbols at x = 0 of the row before; all are 0 before the first row.
        contexts_at(kind, group, 0, contexts)
        read_pixel(kind, first_row, &bits, family, group, cur, above, 0, contexts)
        if group.wait > 0:
            group.wait -= 1
        else:
            group.wait = draw(group)
            learn_pixel(kind, family, group, 0, contexts)
        i = 1
    stop = i + group.wait
    while i < end:
        if (
            not first_row and i > 2 and run_at != i
            and same(kind, above[i - 1], above[i]) and same(kind, cur[i - 1], cur[i - 2])
        ):
            group.wait = stop - i
            run_at = i
            run = read_run(&bits, group, end - i)
            if run < 0:
                shared[0] = bits
                return OVERRUN
            if kind == ALPHA:
                for x in range(i, i + run):
                    cur[x] = (cur[x] & 0xFFFFFF) | (cur[i - 1] & <uint32_t>0xFF000000)
            else:
                for x in range(i, i + run):
                    cur[x] = cur[i - 1]
            i += run
            if i == end:
                shared[0] = bits
                return OK
            stop = i + group.wait
            continue
        contexts_at(kind, group, i - 1, contexts)
        read_pixel(kind, first_row, &bits, family, group, cur, above, i, contexts)
        if i == stop:
            learn_pixel(kind, family, group, i, contexts)
            stop = i + 1 + draw(group)
        i += 1
    group.wait = stop - end
    shared[0] = bits
    return OK


cdef inline int row(
    int kind, int first_row, Bits* bits, const Family* family, Group* group, uint32_t* cur,
    const uint32_t* above, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t at = 0
    cdef int status = OK
    while status == OK and group.w < LAST_W and group.left <= width - at:
        if group.left > 0:
            status = segment(kind, first_row, bits, family, group, cur, above, at, at + group.left)
        at += group.left
        group.w += 1
        group.left = FIRST_LEFT
    if status == OK and at < width:
        status = segment(kind, first_row, bits, family, group, cur, above, at, width)
        if group.w < LAST_W:
            group.left -= width - at
    return status


cdef int first_row_of(
    int kind, Bits* bits, Group* group, uint32_t* cur, Py_ssize_t width
) noexcept nogil:
    if kind == RGB8:
        return row(RGB8, 1, bits, &EIGHT, group, cur, NULL, width)
    if kind == RGB5:
        return row(RGB5, 1, bits, &FIVE, group, cur, NULL, width)
    if kind == GREY:
        return row(GREY, 1, bits, &EIGHT, group, cur, NULL, width)
    return row(ALPHA, 1, bits, &EIGHT, group, cur, NULL, width)


cdef int later_row_of(
    int kind, Bits* bits, Group* group, uint32_t* cur, const uint32_t* above, Py_ssize_t width
) noexcept nogil:
    if kind == RGB8:
        return row(RGB8, 0, bits, &EIGHT, group, cur, above, width)
    if kind == RGB5:
        return row(RGB5, 0, bits, &FIVE, group, cur, above, width)
    if kind == GREY:
        return row(GREY, 0, bits, &EIGHT, group, cur, above, width)
    return row(ALPHA, 0, bits, &EIGHT, group, cur, above, width)


cdef void begin(Group* group, const Family* family, uint8_t* symbols, Py_ssize_t width) noexcept nogil:
    cdef int k
    memset(group, 0, sizeof(Group))
    group.left = FIRST_LEFT
    group.seed = 255
    for k in range(3):
        group.channels[k].symbols = symbols + k * width
        memset(group.channels[k].code, family.bits - 1, 256)


def quic_image(
    const uint8_t[::1] src not None,
    uint32_t[:, ::1] dst not None,
    uint8_t[:, ::1] symbols not None,
    Py_ssize_t length,
    int channels,
):
    """Decode the codes after the header into all of `dst`, (height, width) pixels, top row first.

    `src` is the words after the header with their bytes in big-endian order, `length` bytes of them, and at least
    8 bytes of 0.

    `channels` is what the data holds: 5 for x1r5g5b5, 8 for B, G, R, 32 for those and alpha, 1 for grey.
    `symbols` is scratch of shape (4, width), all 0.

    Return (status, offset into `src`).
    """
    cdef Py_ssize_t y, width = dst.shape[1], height = dst.shape[0]
    cdef int status = OK, kind = RGB5 if channels == 5 else GREY if channels == 1 else RGB8
    cdef bint alpha = channels == 32
    cdef Group colours, alphas
    cdef Bits bits
    if length < 0 or src.shape[0] < length + 8:
        raise ValueError("the input lacks its 8 bytes of 0")
    if symbols.shape[0] != 4 or symbols.shape[1] != width:
        raise ValueError("the scratch rows do not fit the picture")
    if width == 0 or height == 0:
        return OK, 0
    bits.src = &src[0] if src.shape[0] else NULL
    bits.size = src.shape[0]
    bits.at = 0
    bits.window = 0
    bits.count = 0
    with nogil:
        begin(&colours, &FIVE if kind == RGB5 else &EIGHT, &symbols[0, 0], width)
        begin(&alphas, &EIGHT, &symbols[3, 0], 0)
        for y in range(height):
            if y == 0:
                status = first_row_of(kind, &bits, &colours, &dst[0, 0], width)
                if alpha and status == OK:
                    status = first_row_of(ALPHA, &bits, &alphas, &dst[0, 0], width)
            else:
                status = later_row_of(kind, &bits, &colours, &dst[y, 0], &dst[y - 1, 0], width)
                if alpha and status == OK:
                    status = later_row_of(ALPHA, &bits, &alphas, &dst[y, 0], &dst[y - 1, 0], width)
            if 8 * bits.at - bits.count > 8 * length:
                status = SHORT
            if status != OK:
                break
    return status, min(bits.at - (bits.count >> 3), length)
