"""The operators that combine ARGB pictures, with pixman's numbers and pixman's rounding.

Three families: Porter and Duff's on 8-bit channels (a kernel), the separable blend modes on 8-bit channels, and
those that pixman computes in single precision because they divide.
Source: pixman.h, pixman_op_t; pixman-combine32.c; pixman-combine-float.c; pixman-general.c,
operator_needs_division; pixman-utils.c, pixman_expand_to_float and pixman_contract_from_float.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.display._kernels import blending
from spicereplay.display.surfaces import ArgbWords, WordFormat

Floats = npt.NDArray[np.float32]
Channels = npt.NDArray[np.int64]
Formats = tuple[WordFormat, WordFormat, WordFormat]


class Factor(IntEnum):
    """What a Porter and Duff operator multiplies source or destination with."""

    ZERO = 0
    ONE = 1
    SRC_ALPHA = 2
    DEST_ALPHA = 3
    INV_SRC_ALPHA = 4
    INV_DEST_ALPHA = 5


class Operator(IntEnum):
    """Operators of DRAW_COMPOSITE. Source: pixman.h, pixman_op_t."""

    CLEAR = 0x00
    SRC = 0x01
    DST = 0x02
    OVER = 0x03
    OVER_REVERSE = 0x04
    IN = 0x05
    IN_REVERSE = 0x06
    OUT = 0x07
    OUT_REVERSE = 0x08
    ATOP = 0x09
    ATOP_REVERSE = 0x0A
    XOR = 0x0B
    ADD = 0x0C
    SATURATE = 0x0D
    DISJOINT_CLEAR = 0x10
    DISJOINT_SRC = 0x11
    DISJOINT_DST = 0x12
    DISJOINT_OVER = 0x13
    DISJOINT_OVER_REVERSE = 0x14
    DISJOINT_IN = 0x15
    DISJOINT_IN_REVERSE = 0x16
    DISJOINT_OUT = 0x17
    DISJOINT_OUT_REVERSE = 0x18
    DISJOINT_ATOP = 0x19
    DISJOINT_ATOP_REVERSE = 0x1A
    DISJOINT_XOR = 0x1B
    CONJOINT_CLEAR = 0x20
    CONJOINT_SRC = 0x21
    CONJOINT_DST = 0x22
    CONJOINT_OVER = 0x23
    CONJOINT_OVER_REVERSE = 0x24
    CONJOINT_IN = 0x25
    CONJOINT_IN_REVERSE = 0x26
    CONJOINT_OUT = 0x27
    CONJOINT_OUT_REVERSE = 0x28
    CONJOINT_ATOP = 0x29
    CONJOINT_ATOP_REVERSE = 0x2A
    CONJOINT_XOR = 0x2B
    MULTIPLY = 0x30
    SCREEN = 0x31
    OVERLAY = 0x32
    DARKEN = 0x33
    LIGHTEN = 0x34
    COLOR_DODGE = 0x35
    COLOR_BURN = 0x36
    HARD_LIGHT = 0x37
    SOFT_LIGHT = 0x38
    DIFFERENCE = 0x39
    EXCLUSION = 0x3A
    HSL_HUE = 0x3B
    HSL_SATURATION = 0x3C
    HSL_COLOR = 0x3D
    HSL_LUMINOSITY = 0x3E


_F = Factor
PORTER_DUFF: Final[dict[int, tuple[Factor, Factor]]] = {
    Operator.CLEAR: (_F.ZERO, _F.ZERO),
    Operator.SRC: (_F.ONE, _F.ZERO),
    Operator.DST: (_F.ZERO, _F.ONE),
    Operator.OVER: (_F.ONE, _F.INV_SRC_ALPHA),
    Operator.OVER_REVERSE: (_F.INV_DEST_ALPHA, _F.ONE),
    Operator.IN: (_F.DEST_ALPHA, _F.ZERO),
    Operator.IN_REVERSE: (_F.ZERO, _F.SRC_ALPHA),
    Operator.OUT: (_F.INV_DEST_ALPHA, _F.ZERO),
    Operator.OUT_REVERSE: (_F.ZERO, _F.INV_SRC_ALPHA),
    Operator.ATOP: (_F.DEST_ALPHA, _F.INV_SRC_ALPHA),
    Operator.ATOP_REVERSE: (_F.INV_DEST_ALPHA, _F.SRC_ALPHA),
    Operator.XOR: (_F.INV_DEST_ALPHA, _F.INV_SRC_ALPHA),
    Operator.ADD: (_F.ONE, _F.ONE),
    Operator.DISJOINT_CLEAR: (_F.ZERO, _F.ZERO),
    Operator.DISJOINT_SRC: (_F.ONE, _F.ZERO),
    Operator.DISJOINT_DST: (_F.ZERO, _F.ONE),
    Operator.CONJOINT_CLEAR: (_F.ZERO, _F.ZERO),
    Operator.CONJOINT_SRC: (_F.ONE, _F.ZERO),
    Operator.CONJOINT_DST: (_F.ZERO, _F.ONE),
}
"""Source and destination factor of the operators that are two products and a sum."""

_NO_MASK: Final = np.empty(0, np.uint32)


def combine(
    operator: Operator,
    source: ArgbWords,
    mask: ArgbWords | None,
    destination: ArgbWords,
    *,
    component_alpha: bool = False,
    formats: Formats = (WordFormat.A888, WordFormat.A888, WordFormat.A888),
) -> ArgbWords:
    """Return `destination` combined with `source`, seen through `mask` if there is one; all of one shape.

    A mask counts by its alpha, with `component_alpha` by each of its channels. `formats` are those that source,
    mask and destination had before they became ARGB: operators that divide see 5 and 6 bits as such.
    """
    if (factors := PORTER_DUFF.get(operator)) is not None:
        out = np.array(destination, np.uint32, order="C")
        blending.combine(
            out.reshape(-1),
            np.ascontiguousarray(source).reshape(-1),
            _NO_MASK if mask is None else np.ascontiguousarray(mask).reshape(-1),
            component_alpha,
            *factors,
        )
        return out
    if operator in _BLEND8 or operator is Operator.MULTIPLY:
        return _blend_modes(operator, source, mask, destination, component_alpha)
    return _wide(operator, source, mask, destination, component_alpha, formats)


# --- separable blend modes on 8-bit channels --------------------------------------------------------------


def _mul(a: Channels, b: Channels) -> Channels:
    """Return a * b / 255, rounded."""
    product = a * b + 128
    return (product + (product >> 8)) >> 8


def _channels(words: ArgbWords) -> Channels:
    """(height, width, 4) in the order B, G, R, A."""
    return np.ascontiguousarray(words).view(np.uint8).reshape(*words.shape, 4).astype(np.int64)


def _words(channels: npt.NDArray[np.integer]) -> ArgbWords:
    return np.ascontiguousarray(channels.astype(np.uint8)).view(np.uint32).reshape(channels.shape[:2])


def _overlay(s: Channels, sa: Channels, d: Channels, da: Channels) -> Channels:
    return np.where(2 * d < da, 2 * s * d, sa * da - 2 * (da - d) * (sa - s))


_BLEND8: Final[dict[int, Callable[[Channels, Channels, Channels, Channels], Channels]]] = {
    Operator.SCREEN: lambda s, sa, d, da: s * da + d * sa - s * d,
    Operator.OVERLAY: _overlay,
    Operator.DARKEN: lambda s, sa, d, da: np.minimum(s * da, d * sa),
    Operator.LIGHTEN: lambda s, sa, d, da: np.maximum(s * da, d * sa),
    Operator.HARD_LIGHT: lambda s, sa, d, da: _overlay(d, da, s, sa),
    Operator.DIFFERENCE: lambda s, sa, d, da: np.abs(s * da - d * sa),
    Operator.EXCLUSION: lambda s, sa, d, da: s * da + d * sa - 2 * d * s,
}


def _blend_modes(
    operator: Operator,
    source: ArgbWords,
    mask: ArgbWords | None,
    destination: ArgbWords,
    component_alpha: bool,
) -> ArgbWords:
    s, d = _channels(source), _channels(destination)
    m = np.full_like(s, 255) if mask is None else _channels(mask)
    if not component_alpha:
        m = np.broadcast_to(m[..., 3:], m.shape)
    s, sa, da = _mul(s, m), _mul(s[..., 3:], m), d[..., 3:]
    if operator is Operator.MULTIPLY:
        rest = np.minimum(_mul(s, 255 - da) + _mul(d, 255 - sa), 255)
        return _words(np.minimum(_mul(d, s) + rest, 255))
    total = (255 - sa) * d + (255 - da) * s + _BLEND8[operator](s, sa, d, da)
    total[..., 3] = (da * 255 + sa * 255 - sa * da)[..., 3]
    rounded = np.clip(total, 0, 255 * 255) + 128
    return _words((rounded + (rounded >> 8)) >> 8)


# --- in single precision --------------------------------------------------------------------------------------

_TINY: Final = np.float32(np.finfo(np.float32).tiny)
_ONE: Final = np.float32(1)
_ZERO: Final = np.float32(0)


def _quotient(a: Floats, b: Floats, where_zero: np.float32, *, complement: bool = False) -> Floats:
    """Return a / b (or 1 - a / b) cut to 0..1, and `where_zero` where b is 0."""
    zero = np.abs(b) < _TINY
    value = a / np.where(zero, _ONE, b)
    clamped = np.clip(_ONE - value if complement else value, _ZERO, _ONE)
    return np.where(zero, where_zero, clamped)


_DIVIDING: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "0": lambda sa, da: np.zeros_like(sa),
    "1": lambda sa, da: np.ones_like(sa),
    "sa/da": lambda sa, da: _quotient(sa, da, _ONE),
    "da/sa": lambda sa, da: _quotient(da, sa, _ONE),
    "(1-sa)/da": lambda sa, da: _quotient(_ONE - sa, da, _ONE),
    "(1-da)/sa": lambda sa, da: _quotient(_ONE - da, sa, _ONE),
    "1-sa/da": lambda sa, da: _quotient(sa, da, _ZERO, complement=True),
    "1-da/sa": lambda sa, da: _quotient(da, sa, _ZERO, complement=True),
    "1-(1-da)/sa": lambda sa, da: _quotient(_ONE - da, sa, _ZERO, complement=True),
    "1-(1-sa)/da": lambda sa, da: _quotient(_ONE - sa, da, _ZERO, complement=True),
}

_WIDE_FACTORS: Final[dict[int, tuple[str, str]]] = {
    Operator.SATURATE: ("(1-da)/sa", "1"),
    Operator.DISJOINT_OVER: ("1", "(1-sa)/da"),
    Operator.DISJOINT_OVER_REVERSE: ("(1-da)/sa", "1"),
    Operator.DISJOINT_IN: ("1-(1-da)/sa", "0"),
    Operator.DISJOINT_IN_REVERSE: ("0", "1-(1-sa)/da"),
    Operator.DISJOINT_OUT: ("(1-da)/sa", "0"),
    Operator.DISJOINT_OUT_REVERSE: ("0", "(1-sa)/da"),
    Operator.DISJOINT_ATOP: ("1-(1-da)/sa", "(1-sa)/da"),
    Operator.DISJOINT_ATOP_REVERSE: ("(1-da)/sa", "1-(1-sa)/da"),
    Operator.DISJOINT_XOR: ("(1-da)/sa", "(1-sa)/da"),
    Operator.CONJOINT_OVER: ("1", "1-sa/da"),
    Operator.CONJOINT_OVER_REVERSE: ("1-da/sa", "1"),
    Operator.CONJOINT_IN: ("da/sa", "0"),
    Operator.CONJOINT_IN_REVERSE: ("0", "sa/da"),
    Operator.CONJOINT_OUT: ("1-da/sa", "0"),
    Operator.CONJOINT_OUT_REVERSE: ("0", "1-sa/da"),
    Operator.CONJOINT_ATOP: ("da/sa", "1-sa/da"),
    Operator.CONJOINT_ATOP_REVERSE: ("1-da/sa", "sa/da"),
    Operator.CONJOINT_XOR: ("1-da/sa", "1-sa/da"),
}


def _color_dodge(sa: Floats, s: Floats, da: Floats, d: Floats) -> Floats:
    room = np.where(np.abs(sa - s) < _TINY, _ONE, sa - s)
    full = (d * sa >= sa * da - s * da) | (np.abs(sa - s) < _TINY)
    return np.where(np.abs(d) < _TINY, _ZERO, np.where(full, sa * da, sa * sa * d / room))


def _color_burn(sa: Floats, s: Floats, da: Floats, d: Floats) -> Floats:
    zero = np.abs(s) < _TINY
    value = sa * (da - sa * (da - d) / np.where(zero, _ONE, s))
    none = (sa * (da - d) >= s * da) | zero
    return np.where(d >= da, sa * da, np.where(none, _ZERO, value))


def _soft_light(sa: Floats, s: Floats, da: Floats, d: Floats) -> Floats:
    zero = np.abs(da) < _TINY
    safe = np.where(zero, _ONE, da)
    twice = np.float32(2) * s - sa
    dark = d * sa - d * (da - d) * (sa - np.float32(2) * s) / safe
    quarter = np.float32(4) * d <= da
    light = np.where(
        quarter,
        d * sa + twice * d * ((np.float32(16) * d / safe - np.float32(12)) * d / safe + np.float32(3)),
        d * sa + (np.sqrt(np.maximum(d * da, _ZERO)) - d) * twice,
    )
    return np.where(zero, d * sa, np.where(np.float32(2) * s <= sa, dark, light))


_WIDE_BLEND: Final[dict[int, Callable[[Floats, Floats, Floats, Floats], Floats]]] = {
    Operator.COLOR_DODGE: _color_dodge,
    Operator.COLOR_BURN: _color_burn,
    Operator.SOFT_LIGHT: _soft_light,
}


def _luminosity(colour: Floats) -> Floats:
    """Return that of (height, width, 3) R, G, B."""
    weights = np.float32(0.3), np.float32(0.59), np.float32(0.11)
    parts: list[Floats] = [colour[..., at] * weights[at] for at in range(3)]
    return parts[0] + parts[1] + parts[2]


def _saturation(colour: Floats) -> Floats:
    return np.asarray(colour.max(-1) - colour.min(-1), np.float32)


def _with_luminosity(colour: Floats, alpha: Floats, luminosity: Floats) -> Floats:
    """Shift a colour to a luminosity and bring it back into 0..alpha."""
    moved = colour + (luminosity - _luminosity(colour))[..., None]
    grey, low, high = _luminosity(moved)[..., None], moved.min(-1)[..., None], moved.max(-1)[..., None]
    limit = alpha[..., None]
    flat = np.abs(grey - low) < _TINY
    raised = np.where(flat, _ZERO, grey + (moved - grey) * grey / np.where(flat, _ONE, grey - low))
    moved = np.where(low < _ZERO, raised, moved)
    flat = np.abs(high - grey) < _TINY
    lowered = np.where(
        flat, limit, grey + (moved - grey) * (limit - grey) / np.where(flat, _ONE, high - grey)
    )
    return np.where(high > limit, lowered, moved)


def _with_saturation(colour: Floats, saturation: Floats) -> Floats:
    low, high = colour.min(-1, keepdims=True), colour.max(-1, keepdims=True)
    flat = np.abs(high - low) < _TINY
    stretched = (colour - low) * saturation[..., None] / np.where(flat, _ONE, high - low)
    return np.where(flat, _ZERO, stretched)


def _hsl(operator: Operator, sa: Floats, s: Floats, da: Floats, d: Floats) -> Floats:
    """Of colours (height, width, 3) and alphas (height, width)."""
    s_da, d_sa, both = s * da[..., None], d * sa[..., None], sa * da
    if operator is Operator.HSL_HUE:
        return _with_luminosity(_with_saturation(s_da, _saturation(d) * sa), both, _luminosity(d) * sa)
    if operator is Operator.HSL_SATURATION:
        return _with_luminosity(_with_saturation(d_sa, _saturation(s) * da), both, _luminosity(d) * sa)
    if operator is Operator.HSL_COLOR:
        return _with_luminosity(s_da, both, _luminosity(d) * sa)
    return _with_luminosity(d_sa, both, _luminosity(s) * da)


_DEPTHS: Final = {WordFormat.X555: (5, 5, 5, 8), WordFormat.R565: (5, 6, 5, 8)}
"""Bits of R, G, B and A where they are not all 8."""


def _floats(words: ArgbWords, format: WordFormat) -> Floats:
    """Return (height, width, 4) in the order R, G, B, A, 0..1."""
    bits = np.array(_DEPTHS.get(format, (8, 8, 8, 8)))
    scale = (1.0 / ((1 << bits) - 1)).astype(np.float32)
    levels = _channels(words)[..., [2, 1, 0, 3]] >> (8 - bits)
    floats: Floats = levels.astype(np.float32) * scale
    return floats


def _wide(
    operator: Operator,
    source: ArgbWords,
    mask: ArgbWords | None,
    destination: ArgbWords,
    component_alpha: bool,
    formats: Formats,
) -> ArgbWords:
    s, d = _floats(source, formats[0]), _floats(destination, formats[2])
    sa = np.repeat(s[..., 3:], 4, axis=-1)
    if mask is not None:
        m = _floats(mask, formats[1])
        m = m if component_alpha else np.repeat(m[..., 3:], 4, axis=-1)
        s, sa = s * m, m * sa
    da = np.repeat(d[..., 3:], 4, axis=-1)
    if operator in _WIDE_FACTORS:
        fs, fd = (_DIVIDING[name](sa, da) for name in _WIDE_FACTORS[operator])
        out = np.minimum(_ONE, s * fs + d * fd)
    elif operator in _WIDE_BLEND:
        out = (_ONE - sa) * d + (_ONE - da) * s + _WIDE_BLEND[operator](sa, s, da, d)
    elif component_alpha and mask is not None:
        return destination
    else:
        colours = _hsl(operator, sa[..., 0], s[..., :3], da[..., 0], d[..., :3])
        out = np.empty_like(d)
        out[..., :3] = (_ONE - sa[..., :3]) * d[..., :3] + (_ONE - da[..., :3]) * s[..., :3] + colours
    if operator not in _WIDE_FACTORS:
        out[..., 3] = (da + sa - da * sa)[..., 3]
    levels = (np.clip(out, _ZERO, _ONE) * np.float32(256)).astype(np.int64)
    levels -= levels >> 8
    return _words(levels[..., [2, 1, 0, 3]])
