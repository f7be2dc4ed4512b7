"""What a surface shows, drawn anew: every word and every unknown pixel is as before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.display.model import DisplayModel
from spicereplay.display.region import Box
from spicereplay.display.surfaces import SURFACE_FORMATS, Surface, WordFormat, inferred_surface, new_surface
from spicereplay.excerpt.redraw import TILE_PX, rectangles, redraw
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, Side, SurfaceFormat
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.wire import build

NUMBERS = {format: number for number, format in SURFACE_FORMATS.items()}


def drawn_again(surface: Surface) -> Surface:
    """Carry out the messages, by way of their bytes, on a surface made alike."""
    model = DisplayModel()
    height, width = surface.words.shape
    if not surface.inferred:
        number = SurfaceFormat(NUMBERS[surface.format])
        model.handle(0, m.SurfaceCreate(surface.surface_id, width, height, number, int(surface.primary)), 0)
        again = model.channel(0).surfaces[surface.surface_id]
        again.unknown = None if surface.unknown is None else np.ones(surface.words.shape, np.bool_)
    for message in redraw(surface):
        kind = int(message.TYPES[0])
        parsed = registry.parse_message(ChannelType.DISPLAY, Side.SERVER, kind, build(message))
        assert not parsed.problems
        model.handle(0, parsed.message, 0)
    kinds = {defect.kind for defect in model.defects}
    assert kinds <= ({"surface_unknown"} if surface.inferred else set())
    return model.channel(0).surfaces[surface.surface_id]


def assert_same(again: Surface, surface: Surface) -> None:
    assert again.words.shape == surface.words.shape
    hidden = np.zeros(surface.words.shape, np.bool_) if surface.unknown is None else surface.unknown
    seen = np.zeros(surface.words.shape, np.bool_) if again.unknown is None else again.unknown
    assert np.array_equal(seen, hidden)
    assert np.array_equal(again.words[~hidden], surface.words[~hidden])


def top(format: WordFormat) -> int:
    # The top bit of a 555 word is no colour, and nothing shows it.
    return {WordFormat.A1: 2, WordFormat.X555: 1 << 15}.get(format, format.bits + 1)


@settings(max_examples=60)
@given(
    format=st.sampled_from(list(WordFormat)),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    colours=st.sampled_from([1, 2, 16, 17, 256, 300, 2000]),
    pad=st.sampled_from(["any", 0x00, 0x7F, 0xFF]),
    unknown=st.sampled_from(["none", "some", "all", "left half"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_surface(
    format: WordFormat, width: int, height: int, colours: int, pad: str | int, unknown: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    surface = new_surface(3, width, height, format, primary=False)
    few = random.integers(0, top(format), colours)
    surface.words[...] = random.choice(few, (height, width))
    if format is WordFormat.X888 and isinstance(pad, int):
        surface.words[...] = surface.words & np.uint32(0xFFFFFF) | np.uint32(pad << 24)
    if unknown != "none":
        surface.unknown = np.ones((height, width), np.bool_)
        if unknown == "some":
            surface.unknown = random.random((height, width)) < 0.5
        elif unknown == "left half":
            surface.unknown[:, width // 2 :] = False
    assert_same(drawn_again(surface), surface)


def test_a_large_screen_goes_tile_by_tile_and_plain_tiles_are_fills() -> None:
    surface = new_surface(0, 3 * TILE_PX - 1, TILE_PX + 1, WordFormat.X888, primary=True)
    surface.words[5:50, 5:50] = np.arange(45 * 45, dtype=np.uint32).reshape(45, 45)
    messages = list(redraw(surface))
    assert [type(message).__name__ for message in messages] == ["DrawCopy", *["DrawFill"] * 5]
    assert_same(drawn_again(surface), surface)


def test_few_colours_cost_few_bytes() -> None:
    random = np.random.default_rng(1)
    sizes = []
    for colours in (2, 200, 100_000):
        surface = new_surface(0, TILE_PX, TILE_PX, WordFormat.X888, primary=True)
        surface.words[...] = random.integers(0, colours, (TILE_PX, TILE_PX))
        sizes.append(sum(len(build(message)) for message in redraw(surface)))
        assert_same(drawn_again(surface), surface)
    pixels = TILE_PX * TILE_PX
    assert sizes[0] < 0.6 * pixels < pixels < sizes[1] < 1.1 * pixels < 4 * pixels < sizes[2] < 4.1 * pixels


@pytest.mark.parametrize("known", [False, True])
def test_an_inferred_surface_becomes_as_large_as_it_was(known: bool) -> None:
    surface = inferred_surface(0, 30, 20)
    surface.words[2:5, 3:9] = 0x123456
    surface.unknown[2:5, 3:9] = False
    if known:
        surface.unknown = None
    again = drawn_again(surface)
    assert again.inferred
    assert_same(again, surface)


@settings(max_examples=60)
@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_rectangles_cover_just_what_is_shown_and_once(height: int, width: int, seed: int) -> None:
    shown = np.random.default_rng(seed).random((height, width)) < 0.6
    counts = np.zeros((height, width), np.int64)
    for box in rectangles(shown, Box(5, 7, 5 + width, 7 + height)):
        counts[box.shift(-5, -7).slices] += 1
    assert np.array_equal(counts, shown.astype(np.int64))
