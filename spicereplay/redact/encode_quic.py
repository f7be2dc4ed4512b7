"""QUIC images of one colour: black, and transparent where there is alpha.

Black is what QUIC's predictor expects before it has seen anything, so every pixel is the symbol 0 and every row but
the first is runs. What remains of the encoder is its bookkeeping: which code the symbol has, and when that is chosen
anew. Names are those of the decoder's kernel. Source: spice-wire.md 9.3 and 18.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_RANDOM: Final = bytes.fromhex(
    "021713150712280e0c202f2c2406120b04132a1d103f39331003050e0f1e1409242d03393d000805290e2b1b2b3b1f23"
    "273c2a260d363e011a030b3d34220730043b160c160832040a062c080b2e1f333511012b2e3c24360a1b272c16291702"
    "2c0028352830102b201c210c1402383e373a12140d37261d391331212f3f3b00233d13192e263c0423011a281c0a050e"
    "19123031143b3e222e072134223a091d08373e3c2524253206030a1c30181a3d391e0b360206322f07112335200c1711"
    "05153137332d341b2719273f16182a343826292938200d181a331b383a25182a0f1c111e1f0f101719362122011d1f32"
    "3515310f2f09003a252d1e0d092d3f15"
)
"""Tells how many pixels pass until codes are chosen anew. Source: spice-wire.md 18."""
_THRESHOLD: Final = (110, 550, 900, 800, 550, 400, 350)
_RUN_BITS: Final = (*(i // 4 for i in range(16)), 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_FIRST_LEFT: Final = 2048
_LAST_W: Final = 6


class _Bits:
    """Bits from the first to the last; words are little-endian, their highest bit comes first."""

    __slots__ = ("_count", "_parts", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._count = 0
        self._parts: list[bytes] = []

    def put(self, value: int, count: int) -> None:
        self._value = self._value << count | value
        self._count += count
        while self._count >= 32:
            self._count -= 32
            self._parts.append((self._value >> self._count).to_bytes(4, "little"))
            self._value &= (1 << self._count) - 1

    def done(self) -> bytes:
        if self._count:
            self._parts.append((self._value << (32 - self._count)).to_bytes(4, "little"))
        return b"".join(self._parts)


@dataclass(slots=True)
class _Group:
    """Channels that share a run state, all of them zero all the time."""

    channels: int
    bits: int
    code: int = 0
    counters: list[int] = field(default_factory=lambda: [0] * 8)
    w: int = 0
    left: int = _FIRST_LEFT
    mel: int = 0
    seed: int = 255
    wait: int = 0

    def __post_init__(self) -> None:
        self.code = self.bits - 1

    def row(self, out: _Bits, width: int, first: bool) -> None:
        at = 0
        while self.w < _LAST_W and self.left <= width - at:
            if self.left > 0:
                self._segment(out, at, at + self.left, first)
            at += self.left
            self.w += 1
            self.left = _FIRST_LEFT
        if at < width:
            self._segment(out, at, width, first)
            if self.w < _LAST_W:
                self.left -= width - at

    def _segment(self, out: _Bits, i: int, end: int, first: bool) -> None:
        if i == 0:
            self._pixel(out)
            if self.wait > 0:
                self.wait -= 1
            else:
                self.wait = self._draw()
                self._learn()
            i = 1
        stop = i + self.wait
        while i < end:
            if not first and i > 2:
                self.wait = stop - i
                self._run(out, end - i)
                return
            self._pixel(out)
            if i == stop:
                self._learn()
                stop = i + 1 + self._draw()
            i += 1
        self.wait = stop - end

    def _pixel(self, out: _Bits) -> None:
        for _ in range(self.channels):
            out.put(1 << self.code, self.code + 1)

    def _draw(self) -> int:
        self.seed = (self.seed + 1) & 255
        return _RANDOM[self.seed] & ((1 << self.w) - 1)

    def _learn(self) -> None:
        for code in range(self.bits):
            self.counters[code] += code + 1
        least = min(self.counters[: self.bits])
        self.code = max(code for code in range(self.bits) if self.counters[code] == least)
        if least > _THRESHOLD[self.w]:
            self.counters = [count >> 1 for count in self.counters]

    def _run(self, out: _Bits, length: int) -> None:
        while length >= 1 << _RUN_BITS[self.mel]:
            out.put(1, 1)
            length -= 1 << _RUN_BITS[self.mel]
            self.mel = min(self.mel + 1, 31)
        out.put(length, _RUN_BITS[self.mel] + 1)
        self.mel = max(self.mel - 1, 0)


@lru_cache(maxsize=256)
def black(width: int, height: int, channels: int, bits: int, alpha: bool) -> bytes:
    """Return the codes of a black picture, without the header.

    `channels` is 3, or 1 for grey; `bits` is 8, or 5 for 16-bit pixels; `alpha` says whether a plane of it, 0
    everywhere, belongs to the picture.
    """
    out = _Bits()
    colours = _Group(channels, bits)
    transparency = _Group(1, 8)
    for y in range(height):
        colours.row(out, width, y == 0)
        if alpha:
            transparency.row(out, width, y == 0)
    return out.done()
