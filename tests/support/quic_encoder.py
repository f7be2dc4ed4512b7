"""Encodes pictures as QUIC RGB32, to have streams of any size and content.

Source: spice-wire.md 9.3 and 18. Written for clarity, a few microseconds a pixel: what depends on the pixels alone is
worked out for the whole picture at once, the adaptive part goes pixel by pixel.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

RANDOM: Final = bytes.fromhex(
    "021713150712280e0c202f2c2406120b04132a1d103f39331003050e0f1e1409242d03393d000805290e2b1b2b3b1f23"
    "273c2a260d363e011a030b3d34220730043b160c160832040a062c080b2e1f333511012b2e3c24360a1b272c16291702"
    "2c0028352830102b201c210c1402383e373a12140d37261d391331212f3f3b00233d13192e263c0423011a281c0a050e"
    "19123031143b3e222e072134223a091d08373e3c2524253206030a1c30181a3d391e0b360206322f07112335200c1711"
    "05153137332d341b2719273f16182a343826292938200d181a331b383a25182a0f1c111e1f0f101719362122011d1f32"
    "3515310f2f09003a252d1e0d092d3f15"
)
THRESHOLD: Final = (110, 550, 900, 800, 550, 400, 350)
RUN_BITS: Final = (*(n // 4 for n in range(16)), 4, 4, 5, 5, 6, 6, 7, 7, *range(8, 16))
FIRST_LEFT: Final = 2048
LAST_W: Final = 6
BUCKETS: Final = tuple(min(n + 1, 128).bit_length() - 1 for n in range(256))
"""Bucket of each context: 1, 2, 4 … contexts; the last takes the rest."""


def _codes() -> list[list[tuple[int, int]]]:
    """Return (bits, how many) of every symbol in each of the eight Golomb-Rice codes."""
    tables = []
    for low in range(8):
        prefix = min(18, (1 << (8 - low)) - 1)
        short = prefix << low
        suffix = max(0, 256 - short - 1).bit_length()
        tables.append(
            [
                (1 << low | n & (1 << low) - 1, (n >> low) + low + 1)
                if n < short
                else (n - short, prefix + suffix)
                for n in range(256)
            ]
        )
    return tables


CODES: Final = _codes()
LENGTHS: Final = [[CODES[low][n][1] for low in range(8)] for n in range(256)]


class _Writer:
    """Bits from the highest of each little-endian word down."""

    def __init__(self) -> None:
        self.held = 0
        self.count = 0
        self.out = bytearray()

    def put(self, bits: int, count: int) -> None:
        self.held = self.held << count | bits
        self.count += count
        if self.count >= 4096:
            rest = self.count & 31
            self.out += (self.held >> rest).to_bytes((self.count - rest) // 8)
            self.held &= (1 << rest) - 1
            self.count = rest

    def words(self) -> bytes:
        self.put(0, -self.count % 32 + 64)
        data = bytes(self.out) + self.held.to_bytes(self.count // 8)
        return np.frombuffer(data, ">u4").astype("<u4").tobytes()


class _Channel:
    def __init__(self, width: int) -> None:
        self.last = [0] * width
        """The symbol last coded at each x."""
        self.code = [7] * 8
        self.counters = [[0] * 8 for _ in range(8)]

    def learn(self, context: int, symbol: int, w: int) -> None:
        bucket = BUCKETS[context]
        counters = [a + b for a, b in zip(self.counters[bucket], LENGTHS[symbol], strict=True)]
        least = min(counters)
        self.code[bucket] = 7 - counters[::-1].index(least)
        self.counters[bucket] = [c >> 1 for c in counters] if least > THRESHOLD[w] else counters


def _symbols(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Return the symbol of each channel (R, G, B) of each pixel."""
    values = pixels[:, :, 2::-1].astype(np.int16)
    guess = np.zeros_like(values)
    guess[0, 1:] = values[0, :-1]
    guess[1:, 0] = values[:-1, 0]
    guess[1:, 1:] = (values[1:, :-1] + values[:-1, 1:]) >> 1
    step = (values - guess).astype(np.int8).astype(np.int16)
    return np.where(step >= 0, 2 * step, -2 * step - 1)


def encode_quic(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return (height, width, 4) pixels, B, G, R and a byte that is left out, as a QUIC stream."""
    height, width = pixels.shape[:2]
    colours = np.ascontiguousarray(pixels).view("<u4").reshape(height, width) & 0xFFFFFF
    symbols = _symbols(pixels)
    writer = _Writer()
    encoder = _Rows(writer, width)
    for y in range(height):
        # Runs begin where the two pixels above are the same and the two to the left are.
        begins = np.zeros(width, np.bool_)
        if y:
            above, cur = colours[y - 1], colours[y]
            begins[3:] = (above[2:-1] == above[3:]) & (cur[2:-1] == cur[1:-2])
        changes = np.flatnonzero(colours[y, 1:] != colours[y, :-1]) + 1
        ends = np.append(changes, width)[np.searchsorted(changes, np.arange(width))]
        encoder.row(symbols[y].T.tolist(), begins.tolist(), ends.tolist())
    return struct.pack("<5I", 0x43495551, 0, 4, width, height) + writer.words()


class _Rows:
    """The adaptive part; names as in spice-wire.md 9.3."""

    def __init__(self, writer: _Writer, width: int) -> None:
        self.put = writer.put
        self.width = width
        self.channels = [_Channel(width) for _ in range(3)]
        self.w, self.left, self.mel, self.seed, self.wait = 0, FIRST_LEFT, 0, 255, 0

    def row(self, symbols: list[list[int]], begins: list[bool], ends: list[int]) -> None:
        """Encode one row: its symbols by channel, where runs may begin, and where one from each x would end."""
        at = 0
        while self.w < LAST_W and self.left <= self.width - at:
            if self.left:
                self._segment(symbols, begins, ends, at, at + self.left)
            at += self.left
            self.w += 1
            self.left = FIRST_LEFT
        if at < self.width:
            self._segment(symbols, begins, ends, at, self.width)
            if self.w < LAST_W:
                self.left -= self.width - at

    def _segment(
        self, symbols: list[list[int]], begins: list[bool], ends: list[int], i: int, end: int
    ) -> None:
        run_at = 0
        while i < end:
            if begins[i] and run_at != i:
                run_at = i
                stop = min(ends[i], end)
                self._run(stop - i)
                i = stop
                continue
            learns = self.wait == 0
            before = max(0, i - 1)
            for channel, row in zip(self.channels, symbols, strict=True):
                symbol, context = row[i], channel.last[before]
                self.put(*CODES[channel.code[BUCKETS[context]]][symbol])
                channel.last[i] = symbol
                if learns:
                    channel.learn(context, symbol, self.w)
            if learns:
                self.seed = (self.seed + 1) & 255
                self.wait = RANDOM[self.seed] & ((1 << self.w) - 1)
            else:
                self.wait -= 1
            i += 1

    def _run(self, length: int) -> None:
        while length >= 1 << RUN_BITS[self.mel]:
            self.put(1, 1)
            length -= 1 << RUN_BITS[self.mel]
            self.mel = min(self.mel + 1, 31)
        self.put(length, RUN_BITS[self.mel] + 1)
        self.mel = max(0, self.mel - 1)
