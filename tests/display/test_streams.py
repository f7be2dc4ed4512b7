"""A frame of a video over its place on a surface, scaled and as it is."""

from __future__ import annotations

import numpy as np
import pytest

from spicereplay.display.region import Box
from spicereplay.display.scaling import scaled
from spicereplay.display.streams import frame_region, paint_frame
from spicereplay.display.surfaces import Picture, Surface, WordFormat, new_surface

FORMATS = (WordFormat.X888, WordFormat.A888, WordFormat.X555, WordFormat.R565)


def frame(width: int, height: int) -> Picture:
    words = np.random.default_rng(1).integers(0, 1 << 24, (height, width), dtype=np.uint32)
    return Picture(words, WordFormat.X888)


def surface(format: WordFormat) -> Surface:
    made = new_surface(0, 40, 30, format, primary=True)
    made.words[...] = 0x1234
    made.unknown = np.ones(made.words.shape, np.bool_)
    return made


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("clip", [None, (Box(3, 2, 11, 9), Box(20, 9, 39, 29)), ()])
@pytest.mark.parametrize("dest", [Box(4, 3, 24, 19), Box(-7, -5, 13, 11), Box(30, 20, 50, 36)])
def test_a_frame_of_its_places_size_is_painted_as_the_sampler_would(
    format: WordFormat, clip: tuple[Box, ...] | None, dest: Box
) -> None:
    one, other, picture = surface(format), surface(format), frame(20, 16)
    region = frame_region(one, dest, clip)
    paint_frame(one, region, picture, dest)
    if not region.empty:
        part = scaled(picture, picture.box, dest, region.box, interpolate=False, format=format)
        other.put(region, part.words)
    assert np.array_equal(one.words, other.words)
    assert np.array_equal(one.unknown is None, other.unknown is None)
    if one.unknown is not None and other.unknown is not None:
        assert np.array_equal(one.unknown, other.unknown)


def test_a_frame_of_another_size_takes_the_nearest_pixels() -> None:
    one, dest = surface(WordFormat.X888), Box(0, 0, 20, 16)
    picture = frame(10, 8)
    paint_frame(one, frame_region(one, dest, None), picture, dest)
    assert np.array_equal(one.words[:16, :20], picture.words.repeat(2, 0).repeat(2, 1))


def test_the_surface_does_not_keep_the_frame() -> None:
    one, dest, picture = surface(WordFormat.X888), Box(0, 0, 20, 16), frame(20, 16)
    paint_frame(one, frame_region(one, dest, None), picture, dest)
    picture.words[...] = 0
    assert one.words[:16, :20].any()
