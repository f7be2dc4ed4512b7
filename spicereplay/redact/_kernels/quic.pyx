"""QUIC: the adaptive Golomb-Rice encoder.

Source: spice-wire.md 9.3 and 18; names follow it and the decoder, `codecs._kernels.quic`. Every write is held against
the room there is: codes that do not fit are refused.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

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
    uint32_t mask
    int[8] prefix           # zeros before a symbol that is coded plainly
    uint32_t[8] golomb      # symbols from here on are coded plainly
    int[8] suffix           # bits of such a symbol
    uint8_t[256][8] length  # of symbol n in code l
    uint8_t[256] bucket     # of a context


cdef void fill_family(Family* family, int bits) noexcept:
    cdef int l, n, size = 1, count = 1 << bits, bucket = 0, at = 0, rest
    memset(family, 0, sizeof(Family))
    family.bits = bits
    family.mask = count - 1
    for l in range(bits):
        family.prefix[l] = min(LONGEST_CODE - bits, (1 << (bits - l)) - 1)
        family.golomb[l] = family.prefix[l] << l
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
        for n in range(at, at + size):
            family.bucket[n] = bucket
        at += size
        size *= 2
        bucket += 1


cdef Family EIGHT, FIVE
fill_family(&EIGHT, 8)
fill_family(&FIVE, 5)


cdef struct Bits:
    uint8_t* dst
    Py_ssize_t size
    Py_ssize_t at           # next byte to write; beyond `size` nothing is written
    uint64_t window         # bits not yet written, the last one in bit 0
    int count


cdef inline void word(Bits* bits, uint32_t value) noexcept nogil:
    cdef int k
    if bits.at + 4 <= bits.size:
        for k in range(4):
            bits.dst[bits.at + k] = value >> (8 * k)
    bits.at += 4


cdef inline void put(Bits* bits, uint32_t value, int count) noexcept nogil:
    """Write up to 32 bits. Words are little-endian, their highest bit comes first."""
    bits.window = bits.window << count | value
    bits.count += count
    if bits.count >= 32:
        bits.count -= 32
        word(bits, <uint32_t>(bits.window >> bits.count))
        bits.window &= (<uint64_t>1 << bits.count) - 1


cdef struct Channel:
    uint8_t* symbols        # the symbol last coded at each x
    int[8] code             # of each bucket
    uint16_t[8][8] counters # of each bucket and code
    int place               # lowest bit of its values in a pixel


cdef struct Group:
    # Channels that share a run state.
    const Family* family
    Channel[3] channels
    int count
    uint32_t mask           # the bits of a pixel that they code
    int w, left, mel, seed
    Py_ssize_t wait


cdef inline int draw(Group* group) noexcept nogil:
    group.seed = (group.seed + 1) & 255
    return RANDOM[group.seed] & ((1 << group.w) - 1)


cdef inline void put_symbol(Bits* bits, const Family* family, int l, uint32_t symbol) noexcept nogil:
    if symbol < family.golomb[l]:
        put(bits, 1 << l | (symbol & ((1 << l) - 1)), (symbol >> l) + l + 1)
    else:
        put(bits, symbol - family.golomb[l], family.prefix[l] + family.suffix[l])


cdef inline void put_run(Bits* bits, Group* group, Py_ssize_t n) noexcept nogil:
    while n >= <Py_ssize_t>1 << RUN_BITS[group.mel]:
        put(bits, 1, 1)
        n -= <Py_ssize_t>1 << RUN_BITS[group.mel]
        if group.mel < 31:
            group.mel += 1
    put(bits, <uint32_t>n, RUN_BITS[group.mel] + 1)
    if group.mel > 0:
        group.mel -= 1


cdef inline void put_pixel(
    Bits* bits, Group* group, const uint32_t* cur, const uint32_t* above, Py_ssize_t i
) noexcept nogil:
    """Code pixel i; `above` is NULL for the first row."""
    cdef const Family* family = group.family
    cdef Channel* channel
    cdef uint32_t left, up, guess, step, symbol
    cdef int k, context
    for k in range(group.count):
        channel = &group.channels[k]
        context = channel.symbols[i - 1] if i else channel.symbols[0]
        left = cur[i - 1] >> channel.place & family.mask if i else 0
        up = above[i] >> channel.place & family.mask if above != NULL else 0
        guess = up if i == 0 else left if above == NULL else (left + up) >> 1
        step = ((cur[i] >> channel.place & family.mask) - guess) & family.mask
        # The steps 0, -1, 1, -2, 2 … are the symbols 0, 1, 2, 3, 4 ….
        symbol = 2 * step if step <= family.mask >> 1 else 2 * (family.mask - step) + 1
        put_symbol(bits, family, channel.code[family.bucket[context]], symbol)
        channel.symbols[i] = symbol


cdef inline void learn(Group* group, Py_ssize_t i, const int* contexts) noexcept nogil:
    """Add what was coded at pixel i to the counters of its context's bucket and choose that bucket's code again."""
    cdef const Family* family = group.family
    cdef int k, l, bucket, best
    cdef uint16_t* counters
    for k in range(group.count):
        bucket = family.bucket[contexts[k]]
        counters = group.channels[k].counters[bucket]
        best = 0
        for l in range(family.bits):
            counters[l] += family.length[group.channels[k].symbols[i]][l]
            if counters[l] <= counters[best]:
                best = l
        group.channels[k].code[bucket] = best
        if counters[best] > THRESHOLD[group.w]:
            for l in range(family.bits):
                counters[l] >>= 1


cdef void segment(
    Bits* bits, Group* group, const uint32_t* cur, const uint32_t* above, Py_ssize_t i, Py_ssize_t end
) noexcept nogil:
    cdef Py_ssize_t stop, run_at = 0, x
    cdef int k
    cdef int[3] contexts
    if i == 0:
        for k in range(group.count):
            contexts[k] = group.channels[k].symbols[0]
        put_pixel(bits, group, cur, above, 0)
        if group.wait > 0:
            group.wait -= 1
        else:
            group.wait = draw(group)
            learn(group, 0, contexts)
        i = 1
    stop = i + group.wait
    while i < end:
        if (
            above != NULL and i > 2 and run_at != i
            and not (above[i - 1] ^ above[i]) & group.mask and not (cur[i - 1] ^ cur[i - 2]) & group.mask
        ):
            group.wait = stop - i
            run_at = i
            x = i
            while x < end and not (cur[x] ^ cur[i - 1]) & group.mask:
                x += 1
            put_run(bits, group, x - i)
            i = x
            if i == end:
                return
            stop = i + group.wait
            continue    # into another run, maybe an empty one; behind an empty one a pixel is coded
        for k in range(group.count):
            contexts[k] = group.channels[k].symbols[i - 1]
        put_pixel(bits, group, cur, above, i)
        if i == stop:
            learn(group, i, contexts)
            stop = i + 1 + draw(group)
        i += 1
    group.wait = stop - end


cdef void row(
    Bits* bits, Group* group, const uint32_t* cur, const uint32_t* above, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t at = 0
    while group.w < LAST_W and group.left <= width - at:
        if group.left > 0:
            segment(bits, group, cur, above, at, at + group.left)
        at += group.left
        group.w += 1
        group.left = FIRST_LEFT
    if at < width:
        segment(bits, group, cur, above, at, width)
        if group.w < LAST_W:
            group.left -= width - at


cdef void begin(Group* group, const Family* family, int count, uint8_t* symbols, Py_ssize_t width) noexcept nogil:
    cdef int k, bucket
    memset(group, 0, sizeof(Group))
    group.family = family
    group.count = count
    group.left = FIRST_LEFT
    group.seed = 255
    for k in range(3):
        group.channels[k].symbols = symbols + k * width
        for bucket in range(8):
            group.channels[k].code[bucket] = family.bits - 1


def quic_codes(
    const uint32_t[:, ::1] src not None,
    uint8_t[:, ::1] symbols not None,
    uint8_t[::1] dst not None,
    int channels,
):
    """Encode all of `src`, (height, width) words 0xAARRGGBB, top row first, into `dst`.

    `channels` is what the data holds: 5 for x1r5g5b5 (the upper five bits of each byte of a word), 8 for B, G, R,
    32 for those and alpha, 1 for grey (the lowest byte). `symbols` is scratch of shape (4, width), all 0.

    Return how many bytes the codes take, a multiple of 4; where that is over `len(dst)` they are not all there.
    """
    cdef Py_ssize_t y, width = src.shape[1], height = src.shape[0]
    cdef int k
    cdef bint alpha = channels == 32
    cdef Bits bits
    cdef Group colours, alphas
    cdef const uint32_t* above = NULL
    if symbols.shape[0] < 4 or symbols.shape[1] < width:
        raise ValueError("scratch is too small")
    if not width or not height:
        return 0
    memset(&bits, 0, sizeof(Bits))
    bits.dst = &dst[0] if dst.shape[0] else NULL
    bits.size = dst.shape[0]
    with nogil:
        begin(&colours, &FIVE if channels == 5 else &EIGHT, 1 if channels == 1 else 3, &symbols[0, 0], width)
        colours.mask = 0xFF if channels == 1 else 0xF8F8F8 if channels == 5 else 0xFFFFFF
        for k in range(colours.count):
            # Red comes first.
            colours.channels[k].place = 8 * (colours.count - 1 - k) + (3 if channels == 5 else 0)
        begin(&alphas, &EIGHT, 1, &symbols[3, 0], width)
        alphas.mask = 0xFF000000
        alphas.channels[0].place = 24
        for y in range(height):
            row(&bits, &colours, &src[y, 0], above, width)
            if alpha:
                row(&bits, &alphas, &src[y, 0], above, width)
            above = &src[y, 0]
        if bits.count:
            word(&bits, <uint32_t>(bits.window << (32 - bits.count)))
    return bits.at
