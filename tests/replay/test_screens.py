"""A recorded session is played onto its screens: in what order, up to when, and what missing bytes cost."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import lz4.block
import numpy as np
import pytest
from display.made import (
    bitmap,
    copy,
    create,
    fill,
    from_cache,
    glz_copy,
    glz_literals,
    image,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from support.observed import Said, channel, ns, session

from spicereplay.defects import DefectKind
from spicereplay.display.records import ImageRecord
from spicereplay.protocol.enums import (
    ChannelType,
    ImageFlags,
    ImageType,
    ServerCommon,
    ServerDisplay,
    Side,
    VideoCodec,
)
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import geometry as g
from spicereplay.protocol.messages import images as i
from spicereplay.replay import replay
from spicereplay.replay.order import GAP, screen_order
from spicereplay.replay.screens import Screens, let_go
from spicereplay.session.log import ChannelLog, Gap, GapCause, SessionLog

DISPLAY, CURSOR = ChannelType.DISPLAY, ChannelType.CURSOR
RED, GREEN, BLUE = 0xFF0000, 0x00FF00, 0x0000FF


def said(at: float, message: object, *, partial: bool = False) -> Said:
    return Said(at, int(message.TYPES[0]), message, partial)  # type: ignore[attr-defined]


def display(*messages: Said, channel_id: int = 0, gaps: list[Gap] | None = None) -> ChannelLog:
    return channel(DISPLAY, messages, channel_id=channel_id, gaps=gaps or [])


def hole(log: ChannelLog, row: int, offset: int, length: int | None, *, at: float = 0.0) -> Gap:
    """Bytes that are missing from `offset` bytes into the body of a message on."""
    return Gap(Side.SERVER, ns(at), int(log.server.position[row]) + offset, length, GapCause.NOT_CAPTURED)


def played(log: SessionLog, until: float | None = None, **options: object) -> Screens:
    with Screens(log, **options) as screens:  # type: ignore[arg-type]
        screens.play(None if until is None else ns(until))
    return screens


def colours(screens: Screens, channel_id: int = 0) -> list[list[str]]:
    """The screen as RRGGBB, `?` where it is unknown."""
    screen = screens.model.screen(channel_id)
    assert screen is not None
    return [
        ["?" if hidden else pixel[:3].tobytes().hex() for pixel, hidden in zip(row, mask, strict=True)]
        for row, mask in zip(screen.pixels, screen.unknown, strict=True)
    ]


# --- when -----------------------------------------------------------------------------------------------


def test_a_moment_shows_every_message_that_was_complete_by_then_and_no_later_one() -> None:
    log = session(
        display(said(1, create(0, 1, 1)), said(2, fill(RED, 0, 0, 1, 1)), said(3, fill(BLUE, 0, 0, 1, 1)))
    )
    assert played(log, 0.999).model.screen(0) is None
    assert colours(played(log, 1)) == [["000000"]]
    assert colours(played(log, 2)) == [["ff0000"]]
    assert colours(played(log, 2.999)) == [["ff0000"]]
    assert colours(played(log)) == [["0000ff"]]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.integers(0, 0xFFFFFF)), max_size=12),
    st.integers(0, 10),
)
@settings(max_examples=60, deadline=None)
def test_a_moment_shows_what_a_capture_that_ends_then_shows(
    fills: list[tuple[int, int, int]], until: int
) -> None:
    messages = [said(0, create(0, 4, 1))]
    messages += [said(at, fill(color, left, 0, left + 1, 1)) for at, left, color in sorted(fills)]
    by_then = [each for each in messages if each.at <= until]
    assert colours(played(session(display(*messages)), until)) == colours(played(session(display(*by_then))))


def test_playing_goes_on_where_it_stopped() -> None:
    log = session(
        display(said(1, create(0, 1, 1)), said(2, fill(RED, 0, 0, 1, 1)), said(3, fill(BLUE, 0, 0, 1, 1)))
    )
    with Screens(log) as screens:
        screens.play(ns(2))
        assert colours(screens) == [["ff0000"]]
        assert (screens.now_ns, screens.next_time_ns) == (ns(2), ns(3))
        screens.play()
        assert colours(screens) == [["0000ff"]]
        assert screens.next_time_ns is None
        assert screens.step() is None


def test_channels_take_turns_by_capture_time() -> None:
    log = session(
        display(said(1, create(0, 1, 1)), said(4, fill(RED, 0, 0, 1, 1))),
        display(said(2, create(0, 1, 1)), said(3, fill(BLUE, 0, 0, 1, 1)), channel_id=1),
    )
    with Screens(log) as screens:
        steps = iter(screens.step, None)
        assert [(step.log.channel_id, step.time_ns) for step in steps] == [
            (0, ns(1)),
            (1, ns(2)),
            (1, ns(3)),
            (0, ns(4)),
        ]


def test_a_clock_that_steps_back_does_not_turn_messages_around() -> None:
    log = session(
        display(said(5, create(0, 1, 1)), said(2, fill(RED, 0, 0, 1, 1)), said(6, fill(BLUE, 0, 0, 1, 1)))
    )
    order = screen_order(log)
    assert order.row.tolist() == [0, 1, 2]
    assert order.time_ns.tolist() == [ns(5), ns(5), ns(6)]


def test_what_changes_no_screen_is_not_even_looked_at() -> None:
    ping = Said(1.5, int(ServerCommon.PING), bytes(12))
    report = Said(1.6, int(ServerDisplay.STREAM_ACTIVATE_REPORT), bytes(20))
    log = session(display(said(1, create(0, 1, 1)), ping, report, said(2, fill(RED, 0, 0, 1, 1))))
    assert screen_order(log).row.tolist() == [0, 3]


def test_a_session_without_displays_has_nothing_to_play() -> None:
    assert len(screen_order(session(channel(ChannelType.MAIN)))) == 0
    assert played(session(channel(ChannelType.MAIN))).model.channels == {}


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    fills = [said(2 + n / 100, fill(RED, 0, 0, 1, 1)) for n in range(199)]
    played(session(display(said(1, create(0, 1, 1)), *fills)), progress=lambda *news: told.append(news))
    assert told[0] == ("drawing", 64, 200)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


# --- what is missing --------------------------------------------------------------------------------------


def two_colours() -> ChannelLog:
    return display(
        said(1, create(0, 4, 1)),
        said(2, fill(RED, 0, 0, 4, 1)),
        said(3, fill(GREEN, 1, 0, 3, 1)),
        said(4, fill(BLUE, 0, 0, 1, 1)),
    )


def test_missing_messages_make_everything_unknown_until_it_is_drawn_again() -> None:
    log = two_colours()
    # From inside of the header before the third message to its end, and on into the fourth message's header.
    log.gaps.append(hole(log, 2, -3, int(log.server.size[2]) + 5, at=3.5))
    log.server.partial[2] = True
    screens = played(session(log))
    assert colours(screens) == [["0000ff", "?", "?", "?"]]
    assert next((d.kind, d.where) for d in screens.model.defects) == (
        DefectKind.MESSAGE_INCOMPLETE,
        "display/0",
    )


def test_a_hole_inside_of_a_drawing_costs_its_box_alone() -> None:
    log = two_colours()
    log.gaps.append(hole(log, 2, 30, 2))
    log.server.partial[2] = True
    assert screen_order(session(log)).row.tolist() == [0, 1, 2, 3]
    assert colours(played(session(log))) == [["0000ff", "?", "?", "ff0000"]]


def test_a_hole_inside_of_a_ping_costs_nothing() -> None:
    log = display(
        said(1, create(0, 1, 1)),
        Said(2, int(ServerCommon.PING), bytes(250), True),
        said(3, fill(RED, 0, 0, 1, 1)),
    )
    log.gaps.append(hole(log, 1, 20, 100))
    screens = played(session(log), 2)
    assert colours(screens) == [["000000"]]
    assert len(screens.model.defects) == 0


def test_a_hole_of_unknown_length_may_hide_anything() -> None:
    log = two_colours()
    log.gaps.append(hole(log, 3, 0, None, at=3.5))
    assert GAP in screen_order(session(log)).row.tolist()


def test_a_hole_in_what_the_client_sent_costs_nothing() -> None:
    log = two_colours()
    log.gaps.append(replace(hole(log, 2, -3, 9), side=Side.CLIENT))
    assert GAP not in screen_order(session(log)).row.tolist()


def test_a_message_that_the_end_of_the_capture_cuts_has_not_happened() -> None:
    log = two_colours()
    log.server.partial[3] = True
    assert screen_order(session(log)).row.tolist() == [0, 1, 2]
    log.gaps.append(hole(log, 3, 4, 2))
    assert screen_order(session(log)).row.tolist() == [0, 1, 2, 3]


def test_a_message_that_breaks_its_declaration_is_a_defect_and_costs_what_it_may_have_changed() -> None:
    short = Said(
        3, int(ServerDisplay.DRAW_FILL), fill(GREEN, 1, 0, 3, 1).base.surface_id.to_bytes(4, "little")
    )
    screens = played(session(display(said(1, create(0, 2, 1)), said(2, fill(RED, 0, 0, 2, 1)), short)))
    assert colours(screens) == [["?", "?"]]
    defects = list(screens.model.defects)
    assert defects[0].where == "display/0 from server"
    assert defects[0].detail.startswith("DRAW_FILL: ")
    assert defects[-1].kind is DefectKind.MESSAGE_INCOMPLETE


def jpeg_of(pixels: np.ndarray, quality: int = 90) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def stream_create(width: int, height: int) -> m.StreamCreate:
    return m.StreamCreate(
        surface_id=0,
        id=3,
        flags=1,
        codec_type=VideoCodec.MJPEG,
        stamp=0,
        stream_width=width,
        stream_height=height,
        src_width=width,
        src_height=height,
        dest=g.Rect(top=0, left=0, bottom=height, right=width),
        clip=g.Clip(type=0, rects=None),
    )


def test_a_damaged_frame_costs_the_area_of_its_stream() -> None:
    data = jpeg_of(np.full((8, 8, 3), 128, np.uint8))
    frame = m.StreamData(base=m.StreamDataHeader(id=3, multi_media_time=0), data=data)
    log = display(
        said(1, create(0, 9, 8)),
        said(1, fill(RED, 0, 0, 9, 8)),
        said(2, stream_create(8, 8)),
        said(3, frame),
        said(4, frame, partial=True),
        said(5, m.StreamDestroy(id=3)),
    )
    log.gaps.append(hole(log, 4, 40, 20))
    assert colours(played(session(log), 3)) == [["808080"] * 8 + ["ff0000"]] * 8
    assert colours(played(session(log))) == [["?"] * 8 + ["ff0000"]] * 8


# --- on several threads -----------------------------------------------------------------------------------


def lz4_image(pixels: np.ndarray) -> i.Image:
    height, width = pixels.shape
    block = lz4.block.compress(pixels.astype("<u4").tobytes(), store_size=False)
    data = bytes([1, 8]) + len(block).to_bytes(4, "big") + block
    return image(ImageType.LZ4, i.BinaryData(data=data), width, height)


def jpeg_image(pixels: np.ndarray, *, cut: int = 0) -> i.Image:
    height, width = pixels.shape
    data = jpeg_of(np.stack([pixels >> 16 & 255, pixels >> 8 & 255, pixels & 255], -1).astype(np.uint8))
    return image(ImageType.JPEG, i.BinaryData(data=data[: len(data) - cut]), width, height)


def many_images(seed: int, count: int = 300) -> SessionLog:
    """Images of every kind, some in the cache, some damaged, drawn all over a screen."""
    rng = np.random.default_rng(seed)
    messages = [said(1, create(0, 200, 150))]
    kept: list[int] = []
    for n in range(count):
        width, height = (int(side) for side in rng.integers(8, 90, 2))
        left, top = int(rng.integers(0, 150)), int(rng.integers(0, 120))
        pixels = rng.integers(0, 1 << 24, (height // 8 + 1, width // 8 + 1)).repeat(8, 0).repeat(8, 1)
        kind = rng.integers(0, 7)
        if kind == 0:
            source = lz4_image(pixels)
        elif kind == 1:
            source = jpeg_image(pixels)
        elif kind == 2:
            source = jpeg_image(pixels, cut=30)
        elif kind == 3:
            source = bitmap(pixels.tolist(), image_id=n, flags=ImageFlags.CACHE_ME)
            kept.append(n)
        elif kind == 4 and kept:
            source = from_cache(int(rng.choice([*kept, 10_000])), 1, 1)
        else:
            glz = glz_literals(n, [int(w) for w in pixels.ravel()[:6]], 6, 1)
            source = image(ImageType.GLZ_RGB, i.BinaryData(data=glz), 6, 1)
        size = source.descriptor.width, source.descriptor.height
        messages.append(said(2 + n / 100, copy(source, left, top, left + size[0], top + size[1])))
    return session(display(*messages))


@pytest.mark.parametrize("seed", range(3))
def test_threads_change_nothing(seed: int) -> None:
    log = many_images(seed)
    outcomes = []
    for workers in (1, 2, 5):
        records: list[ImageRecord] = []
        screens = played(log, workers=workers, sink=records.append)
        screen = screens.model.screen(0)
        assert screen is not None
        defects = [(d.kind, d.where, d.detail, d.time_ns) for d in screens.model.defects]
        outcomes.append((screen.pixels.tobytes(), screen.unknown.tobytes(), records, defects))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert {d[0] for d in outcomes[0][3]} >= {DefectKind.CODEC_DATA_SHORT, DefectKind.CACHE_MISS}


def test_the_time_of_other_threads_is_counted_where_their_pictures_are_drawn() -> None:
    ticks = iter(range(0, 10**9, 7))
    records: list[ImageRecord] = []
    played(many_images(4, 60), workers=2, clock=lambda: next(ticks), sink=records.append)
    took = [r.decode_ns for r in records if r.codec in ("lz4", "jpeg") and r.decoded]
    assert took
    assert all(each > 0 for each in took)


def test_nothing_is_decoded_ahead_where_decoding_is_someone_elses() -> None:
    from spicereplay.display.images import decode_alone
    from spicereplay.limits import DEFAULT_LIMITS

    asked: list[i.Image] = []

    def decode(image: i.Image, palette: object) -> object:
        asked.append(image)
        return decode_alone(image, None, DEFAULT_LIMITS)

    played(many_images(5, 40), workers=4, decode=decode)
    assert asked


def test_two_channels_that_share_a_dictionary_wait_for_each_other() -> None:
    first = image(ImageType.GLZ_RGB, i.BinaryData(data=glz_literals(0, [RED], 1, 1)), 1, 1)
    second = image(ImageType.GLZ_RGB, i.BinaryData(data=glz_copy(1, 1, 1, 1, 1)), 1, 1)
    log = session(
        display(said(1, create(0, 1, 1)), said(2, copy(second, 0, 0, 1, 1))),
        display(said(1, create(0, 1, 1)), said(3, copy(first, 0, 0, 1, 1)), channel_id=1),
    )
    assert colours(played(log, 2)) == [["000000"]]
    assert colours(played(log)) == [["ff0000"]]


# --- the file's memory ------------------------------------------------------------------------------------


def test_what_was_read_of_a_mapped_file_is_given_back_in_large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spicereplay.replay.screens.WINDOW_BYTES", 100)
    given_back: list[tuple[int, int]] = []
    log = display(*(said(1 + n, fill(RED, 0, 0, 1, 1)) for n in range(10)))
    index = replace(log.server, release=lambda start, stop: given_back.append((start, stop)))
    at = 0
    for row in range(10):
        at = let_go(index, at, row)
    assert at > 300
    assert given_back
    assert let_go(log.server, 0, 9) == 0


# --- recorded -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qemu-boot-lz4", "desktop-jpeg-zlib-wan", "video-vp8"])
def test_recorded_screens_are_the_same_on_one_thread_and_on_several(fixtures: Path, name: str) -> None:
    with replay(fixtures / "captures" / name / "capture.pcap") as found:
        shown = []
        for workers in (1, 3):
            screen = played(found.sessions[0], workers=workers).model.screen(0)
            assert screen is not None
            assert screen.all_known
            shown.append(screen.pixels)
    assert np.array_equal(*shown)
