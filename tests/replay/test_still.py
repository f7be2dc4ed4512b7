"""One picture of a recording: which screen, what is unknown and why, and the pointer."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from display.made import copy as draw_copy
from display.made import create, fill, from_cache, image
from PIL import Image as Pillow
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.display.cursor import CursorShape, CursorState
from spicereplay.errors import InputError, UsageError
from spicereplay.protocol.enums import ChannelType, ClientInputs, CursorType, ImageType, ServerMain
from spicereplay.protocol.messages import cursor as c
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.protocol.messages import inputs, main
from spicereplay.replay import Replay
from spicereplay.replay.picture import Picture, checkerboard, draw_cursor
from spicereplay.replay.still import Moment, picture_at
from spicereplay.session.log import ChannelLog, SessionLog

RED, GREEN, BLUE = 0xFF0000, 0x00FF00, 0x0000FF


def said(at: float, message: object) -> Said:
    return Said(at, int(message.TYPES[0]), message)  # type: ignore[attr-defined]


def display(*messages: Said, channel_id: int = 0) -> ChannelLog:
    return channel(ChannelType.DISPLAY, messages, channel_id=channel_id)


def recording(*sessions: SessionLog, end: float = 60.0) -> Replay:
    for number, log in enumerate(sessions):
        log.number = number
    return Replay(Path("made.pcap"), "pcap", list(sessions), ORIGIN_NS, ORIGIN_NS + round(end * 1e9))


def colours(picture: Picture) -> list[list[str]]:
    return [
        ["?" if hidden else pixel.tobytes().hex() for pixel, hidden in zip(row, mask, strict=True)]
        for row, mask in zip(picture.pixels, picture.unknown, strict=True)
    ]


def red_then_blue(channel_id: int = 0) -> ChannelLog:
    return display(
        said(1, create(0, 2, 1)),
        said(2, fill(RED, 0, 0, 2, 1)),
        said(3, fill(BLUE, 1, 0, 2, 1)),
        channel_id=channel_id,
    )


# --- which screen -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "want"),
    [(2, "ff0000ff"), (2.9, "ff0000ff"), (3.0, "0000ffff"), ("end", "0000ffff"), (99, "0000ffff")],
)
def test_the_screen_at_a_moment(at: Moment, want: str) -> None:
    picture = picture_at(recording(session(red_then_blue())), at)
    assert colours(picture) == [["ff0000ff", want]]
    assert (picture.session, picture.channel_id, picture.surface_id) == (0, 0, 0)
    assert picture.time_s == (60 if at == "end" else at)
    assert picture.why == ()


def test_a_session_that_began_later_is_taken_once_it_has_begun() -> None:
    first, second = session(red_then_blue()), session(display(said(5, create(0, 1, 1))))
    second.start_time_ns = ORIGIN_NS + 5 * 10**9
    both = recording(first, second)
    assert picture_at(both, 4).session == 0
    assert picture_at(both, "end").session == 1
    assert picture_at(both, "end", session=0).session == 0


def test_the_first_display_that_shows_something_is_taken() -> None:
    found = recording(session(display(), red_then_blue(channel_id=1)))
    assert picture_at(found, "end").channel_id == 1


def test_a_surface_that_is_no_screen() -> None:
    log = display(
        said(1, create(0, 1, 1)), said(2, create(5, 2, 1)), said(3, fill(GREEN, 0, 0, 1, 1, surface=5))
    )
    picture = picture_at(recording(session(log)), "end", surface=5)
    assert colours(picture) == [["00ff00ff", "000000ff"]]
    assert picture.surface_id == 5


def test_a_monitor_is_its_part_of_the_surface() -> None:
    heads = (head(0, 0), head(1, 1))
    log = red_then_blue()
    config = m.MonitorsConfig(max_allowed=4, heads=heads)
    log = display(
        said(1, create(0, 2, 1)),
        said(2, fill(RED, 0, 0, 2, 1)),
        said(3, fill(BLUE, 1, 0, 2, 1)),
        said(4, config),
    )
    found = recording(session(log))
    assert colours(picture_at(found, "end", monitor=0)) == [["ff0000ff"]]
    assert colours(picture_at(found, "end", monitor=1)) == [["0000ffff"]]
    with pytest.raises(UsageError, match="no monitor 2 then; there are: 0, 1"):
        picture_at(found, "end", monitor=2)


def head(monitor_id: int, x: int) -> m.Head:
    return m.Head(monitor_id=monitor_id, surface_id=0, width=1, height=1, x=x, y=0, flags=0)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"at": -1.0}, UsageError, "no moment"),
        ({"at": float("nan")}, UsageError, "no moment"),
        ({"at": float("inf")}, UsageError, "no moment"),
        ({"at": 0.5}, UsageError, "shows nothing at 0.5 s"),
        ({"session": 1}, UsageError, "no session 1: there are 1"),
        ({"session": -1}, UsageError, "no session -1"),
        ({"channel_id": 3}, UsageError, "no display channel 3: there are 0"),
        ({"surface": 4}, UsageError, "no surface 4 then; there are: 0"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(
    options: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        picture_at(recording(session(red_then_blue())), **{"at": "end", **options})  # type: ignore[arg-type]


def test_a_recording_without_a_display_has_no_picture() -> None:
    only_main = session(channel(ChannelType.MAIN))
    with pytest.raises(InputError, match=r"made\.pcap: no display channel in it, only main/0"):
        picture_at(recording(only_main), "end")
    with pytest.raises(InputError, match=r"made\.pcap: no display channel in it, nor any other"):
        picture_at(recording(), "end")
    with pytest.raises(InputError, match="session 0 has no display channel"):
        picture_at(recording(only_main, session(red_then_blue())), "end", session=0)
    with pytest.raises(InputError, match="shows nothing at the end"):
        picture_at(recording(session(display(said(1, m.Mark())))), "end")


# --- what is unknown --------------------------------------------------------------------------------------


def test_unknown_pixels_are_transparent_and_the_reasons_are_given() -> None:
    log = display(said(2, fill(RED, 2, 1, 4, 3)), said(3, draw_copy(from_cache(9, 1, 1), 3, 2, 4, 3)))
    picture = picture_at(recording(session(log)), "end")
    assert picture.unknown.tolist() == [[True] * 4, [True, True, False, False], [True, True, False, True]]
    assert picture.pixels[..., 3].tolist() == [[0] * 4, [0, 0, 255, 255], [0, 0, 255, 0]]
    assert (picture.unknown_pixels, picture.unknown_box) == (9, (0, 0, 4, 3))
    assert len(picture.why) == 2
    assert "begins after surface 0 was created" in picture.why[0]
    assert "image 0x9" in picture.why[1]


def test_many_defects_of_a_kind_are_one_sentence() -> None:
    missing = [said(2 + n / 10, draw_copy(from_cache(9, 1, 1), 0, 0, 1, 1)) for n in range(7)]
    picture = picture_at(recording(session(display(said(1, create(0, 1, 1)), *missing))), "end")
    assert len(picture.why) == 1
    assert picture.why[0].endswith("(and 6 more of kind cache_miss)")


def test_reasons_of_another_display_are_left_out() -> None:
    other = display(
        said(1, create(0, 1, 1)), said(2, draw_copy(from_cache(9, 1, 1), 0, 0, 1, 1)), channel_id=1
    )
    log = display(said(2, fill(RED, 1, 0, 2, 1)))
    picture = picture_at(recording(session(log, other)), "end")
    assert len(picture.why) == 1
    assert "created" in picture.why[0]


def test_a_png_keeps_colours_and_transparency() -> None:
    log = display(said(2, fill(RED, 8, 0, 16, 1)))
    picture = picture_at(recording(session(log)), "end")
    back = np.asarray(Pillow.open(io.BytesIO(picture.png())))
    assert np.array_equal(back, picture.pixels)
    assert back[0, 8].tolist() == [255, 0, 0, 255]
    assert back[0, 0].tolist() == [*[int(checkerboard(1, 1)[0, 0])] * 3, 0]
    assert picture._repr_png_() == picture.png()
    assert repr(picture) == "<Picture 16×1 px at 60.000 s, 8 px unknown>"


def test_a_checkerboard_changes_colour_every_eight_pixels() -> None:
    board = checkerboard(17, 9)
    assert len(np.unique(board)) == 2
    assert board[0, 0] == board[7, 7] == board[8, 8] == board[16, 0]
    assert board[0, 8] == board[8, 0] != board[0, 0]


def test_a_surface_of_alpha_alone_shows_as_grey() -> None:
    log = display(
        said(1, create(0, 1, 1)), said(2, create(3, 1, 1, 8)), said(3, fill(0xFF, 0, 0, 1, 1, surface=3))
    )
    picture = picture_at(recording(session(log)), "end", surface=3)
    assert len({*picture.pixels[0, 0, :3].tolist()}) == 1
    assert picture.pixels[0, 0, 3] == 255


# --- the pointer --------------------------------------------------------------------------------------------


def shape(pixels: list[list[tuple[int, int, int, int]]], hot: tuple[int, int] = (0, 0)) -> CursorShape:
    return CursorShape(1, CursorType.ALPHA, *hot, np.array(pixels, np.uint8))


def test_a_pointer_is_blended_where_its_hot_spot_points() -> None:
    white = (255, 255, 255, 255)
    half = (0, 0, 128, 128)
    under = np.full((2, 3, 4), 255, np.uint8)
    under[..., :3] = 100
    draw_cursor(under, CursorState(shape([[white, half]], hot=(1, 0)), 1, 1, True))
    assert under[0].tolist() == [[100, 100, 100, 255]] * 3
    assert under[1].tolist() == [[255] * 4, [50, 50, 178, 255], [100, 100, 100, 255]]


@pytest.mark.parametrize(("x", "y"), [(-5, 0), (0, -5), (3, 0), (0, 2)])
def test_a_pointer_outside_changes_nothing(x: int, y: int) -> None:
    under = np.zeros((2, 3, 4), np.uint8)
    draw_cursor(under, CursorState(shape([[(255, 255, 255, 255)]]), x, y, True))
    assert not under.any()


def test_a_pointer_may_invert_and_may_be_hidden() -> None:
    inverting = replace(shape([[(0, 0, 0, 0)] * 2]), inverts=np.array([[True, False]]))
    under = np.full((1, 2, 4), 40, np.uint8)
    draw_cursor(under, CursorState(inverting, 0, 0, False))
    assert under[0, 0].tolist() == [40] * 4
    draw_cursor(under, CursorState(inverting, 0, 0, True))
    assert under[0].tolist() == [[215, 215, 215, 40], [40] * 4]
    draw_cursor(under, CursorState(None, 0, 0, True))


def with_pointer(*channels: ChannelLog) -> Replay:
    header = c.CursorHeader(unique=1, type=CursorType.ALPHA, width=1, height=1, hot_spot_x=0, hot_spot_y=0)
    white = c.Cursor(flags=0, header=header, data=b"\xff" * 4)
    position = g.Point16(x=1, y=0)
    init = c.Init(position=position, trail_length=0, trail_frequency=0, visible=1, cursor=white)
    pointer = channel(ChannelType.CURSOR, [said(1, init)])
    return recording(session(display(said(1, create(0, 3, 1))), pointer, *channels))


def white_at(picture: Picture) -> list[int]:
    return [x for x, pixel in enumerate(colours(picture)[0]) if pixel == "ffffffff"]


def test_the_pointer_is_drawn_where_the_server_puts_it() -> None:
    assert white_at(picture_at(with_pointer(), "end", cursor=True)) == [1]
    assert white_at(picture_at(with_pointer(), "end")) == []


def test_in_client_mouse_mode_the_pointer_is_where_the_client_says() -> None:
    mode = main.MouseModeChange(supported_modes=3, current_mode=2)
    server = channel(ChannelType.MAIN, [Said(1, int(ServerMain.MOUSE_MODE), mode)])
    moved = [
        Said(
            at,
            int(ClientInputs.MOUSE_POSITION),
            inputs.MousePosition(x=x, y=0, buttons_state=0, display_id=0),
        )
        for at, x in ((2, 2), (5, 0))
    ]
    client = channel(ChannelType.INPUTS, client=moved)
    found = with_pointer(server, client)
    assert white_at(picture_at(found, 1.5, cursor=True)) == [1]
    assert white_at(picture_at(found, 3, cursor=True)) == [2]
    assert white_at(picture_at(found, "end", cursor=True)) == [0]


def test_an_image_over_the_limit_is_said_to_be(fixtures: Path) -> None:
    huge = image(ImageType.QUIC, i.BinaryData(data=b"QUIC" + bytes(40)), 60_000, 60_000)
    log = display(said(1, create(0, 1, 1)), said(2, draw_copy(huge, 0, 0, 1, 1)))
    picture = picture_at(recording(session(log)), "end", workers=2)
    assert picture.unknown.all()
    assert picture.why
