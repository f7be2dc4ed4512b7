from __future__ import annotations

import numpy as np
import pytest

from spicereplay.display.composite import PORTER_DUFF, Factor, Operator, combine
from spicereplay.display.surfaces import WordFormat


def words(*values: int) -> np.ndarray:
    return np.array([values], np.uint32)


def premultiplied(seed: int, count: int = 400) -> np.ndarray:
    channels = np.random.default_rng(seed).integers(0, 256, (1, count, 4)).astype(np.uint32)
    channels[0, :40, 3] = 255
    channels[0, 40:80, 3] = 0
    channels[..., :3] = channels[..., :3] * channels[..., 3:] // 255
    return channels.astype(np.uint8).view(np.uint32).reshape(1, count)


def floats(argb: np.ndarray) -> np.ndarray:
    """B, G, R, A as 0..1."""
    return argb.view(np.uint8).reshape(*argb.shape, 4) / 255


FACTORS = {
    Factor.ZERO: lambda sa, da: 0 * sa,
    Factor.ONE: lambda sa, da: 0 * sa + 1,
    Factor.SRC_ALPHA: lambda sa, da: sa,
    Factor.DEST_ALPHA: lambda sa, da: da,
    Factor.INV_SRC_ALPHA: lambda sa, da: 1 - sa,
    Factor.INV_DEST_ALPHA: lambda sa, da: 1 - da,
}


@pytest.mark.parametrize("operator", PORTER_DUFF, ids=lambda operator: operator.name)
@pytest.mark.parametrize("mask", ["none", "alpha", "component"])
def test_porter_and_duff_by_their_definition(operator: Operator, mask: str) -> None:
    source, destination, through = (premultiplied(seed) for seed in (1, 2, 3))
    result = combine(
        operator,
        source,
        None if mask == "none" else through,
        destination,
        component_alpha=mask == "component",
    )
    s, d, m = floats(source), floats(destination), floats(through)
    m = {"none": np.ones_like(m), "alpha": m[..., 3:] + 0 * m, "component": m}[mask]
    s, sa, da = s * m, s[..., 3:] * m, d[..., 3:]
    one, other = (FACTORS[factor](sa, da) for factor in PORTER_DUFF[operator])
    want = np.minimum(s * one + d * other, 1) * 255
    # Every product is rounded by itself.
    assert np.abs(floats(result) * 255 - want).max() < 2.5


def test_products_are_rounded_to_the_nearest() -> None:
    # 0x64 * 127 / 255 = 49.80; 0x65 * 127 / 255 = 50.30
    assert combine(Operator.OVER, words(0x80000000), None, words(0xFF646565)).tolist() == [[0xFF323232]]


def test_channels_saturate() -> None:
    assert combine(Operator.ADD, words(0x80FF8001), None, words(0x90018002)).tolist() == [[0xFFFFFF03]]


@pytest.mark.parametrize("operator", list(Operator), ids=lambda operator: operator.name)
def test_transparent_over_transparent_is_transparent(operator: Operator) -> None:
    assert combine(operator, words(0), None, words(0)).tolist() == [[0]]


@pytest.mark.parametrize("operator", list(Operator), ids=lambda operator: operator.name)
def test_no_operator_changes_its_operands_or_its_shape(operator: Operator) -> None:
    source, destination = premultiplied(1), premultiplied(2)
    before = source.copy(), destination.copy()
    result = combine(operator, source, premultiplied(3), destination)
    assert result.shape == destination.shape
    assert (source == before[0]).all()
    assert (destination == before[1]).all()


@pytest.mark.parametrize(
    ("operator", "result"),
    [
        # Over an opaque destination, from an opaque source: B(d, s) with s = (ff, 80, 40), d = (20, 80, c0).
        (Operator.MULTIPLY, 0xFF204030),
        (Operator.SCREEN, 0xFFFFC0D0),
        (Operator.DARKEN, 0xFF208040),
        (Operator.LIGHTEN, 0xFFFF80C0),
        (Operator.DIFFERENCE, 0xFFDF0080),
        (Operator.EXCLUSION, 0xFFDF7FA0),
        (Operator.OVERLAY, 0xFF4081A0),
        (Operator.HARD_LIGHT, 0xFFFF8160),
        (Operator.COLOR_DODGE, 0xFFFFFFFF),
        (Operator.COLOR_BURN, 0xFF200204),
        (Operator.HSL_COLOR, None),
    ],
    ids=lambda value: value.name if isinstance(value, Operator) else "",
)
def test_blend_modes_of_opaque_colours(operator: Operator, result: int | None) -> None:
    source, destination = 0xFFFF8040, 0xFF2080C0
    got = int(combine(operator, words(source), None, words(destination))[0, 0])
    assert got >> 24 == 0xFF
    if result is not None:
        difference = np.abs(floats(words(got)) - floats(words(result))) * 255
        assert difference.max() <= 1.01, hex(got)


def test_hsl_luminosity_of_grey_is_that_grey() -> None:
    got = combine(Operator.HSL_LUMINOSITY, words(0xFF808080), None, words(0xFF303030))
    assert got.tolist() == [[0xFF808080]]


def test_dividing_operators_see_the_bits_there_were() -> None:
    # 16 of 31 is more than 0x84 of 255, which it becomes.
    formats = WordFormat.A888, WordFormat.A888, WordFormat.X555
    as_555 = combine(Operator.CONJOINT_OVER_REVERSE, words(0), None, words(0xFF848484), formats=formats)
    assert as_555.tolist() == [[0xFF848484]]
    burnt = Operator.COLOR_BURN
    plain = combine(burnt, words(0xFF909090), None, words(0xFF848484))
    exact = combine(burnt, words(0xFF909090), None, words(0xFF848484), formats=formats)
    assert plain != exact
