"""Draw messages with damage, carried out: a picture and defects, never an exception."""

from __future__ import annotations

from random import Random
from typing import Final

from fuzz.fuzzing import Case, Harness, mutate
from interop.random_draws import RandomDraws

from spicereplay.display.model import DisplayModel
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType, Side, SurfaceFormat
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.registry import parse_message
from spicereplay.protocol.wire import Message, build

SMALL: Final = Limits(
    image_side_px=256,
    image_pixels=8192,
    surfaces=8,
    streams=4,
    image_cache_bytes=64 * 1024,
    glz_window_bytes=64 * 1024,
    path_segments=200,
    glyphs=200,
    rects=200,
)
SIZE: Final = (56, 40)
FORMATS: Final = (
    SurfaceFormat.FMT_32_xRGB,
    SurfaceFormat.FMT_32_ARGB,
    SurfaceFormat.FMT_16_555,
    SurfaceFormat.FMT_16_565,
    SurfaceFormat.FMT_8_A,
)
MESSAGES_OF_A_MODEL: Final = 50


def draws(chance: Random) -> Case:
    """Each round is two or more sessions of random draws, of which every second is damaged."""
    width, height = SIZE
    kind = chance.choice(FORMATS)
    made = RandomDraws(chance.randrange(1 << 20), width, height, kind, {1: SIZE})
    model, left = DisplayModel(SMALL), 0

    def begin() -> DisplayModel:
        model = DisplayModel(SMALL)
        for surface_id in (0, 1):
            flags = 1 - surface_id
            model.handle(
                0,
                m.SurfaceCreate(surface_id=surface_id, width=width, height=height, format=kind, flags=flags),
                0,
            )
        return model

    def case() -> str:
        nonlocal model, left
        if not left:
            model, left = begin(), MESSAGES_OF_A_MODEL
        left -= 1
        message = made.message()
        assert isinstance(message, Message)
        body = build(message)
        if chance.random() < 0.5:
            body = mutate(body, chance)
        parsed = parse_message(ChannelType.DISPLAY, Side.SERVER, int(message.TYPES[0]), body, limits=SMALL)
        if parsed.message is None:
            return "malformed"
        before = len(model.defects)
        model.handle(0, parsed.message, left)
        screen = model.screen(0)
        if screen is not None:
            assert screen.pixels.shape[:2] == screen.unknown.shape
        return "with defects" if len(model.defects) > before else "drawn"

    return case


HARNESSES: Final = (Harness("draws", draws),)
