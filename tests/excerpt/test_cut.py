"""An excerpt shows within its span what the whole capture shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from display.made import bitmap, copy, create, fill, from_cache
from hypothesis import given, settings
from hypothesis import strategies as st
from recording.comments import comments_of
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis.acks import stalls
from spicereplay.bytestream import Int64Array
from spicereplay.errors import InputError, UsageError
from spicereplay.excerpt.cut import ACKNOWLEDGED, REDRAWN, UNKNOWN, Cut, cut
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientInputs,
    ImageFlags,
    ResourceType,
    ServerCommon,
    ServerCursor,
    ServerDisplay,
    ServerInputs,
    Side,
)
from spicereplay.protocol.messages import common
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.wire import Message
from spicereplay.replay import Replay, replay
from spicereplay.replay.still import picture_at
from spicereplay.session.log import ChannelLog, Gap, GapCause, SessionLog
from spicereplay.units import NS_PER_S

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
SPANS = ((0.02, 0.2), (0.3, 0.6), (0.5, 0.55), (0.85, 1.0))


def assert_same_within(whole: Replay, out: Path, from_s: float, to_s: float) -> None:
    """Hold pictures and messages of the span against those of the whole capture.

    More messages than there were may only be at the first moment: those that draw what was there before.
    """
    offset_ns = whole.utc_offset_ns
    first_ns, last_ns = (whole.start_time_ns + round(s * NS_PER_S) + offset_ns for s in (from_s, to_s))
    with replay(out) as part:
        assert part.start_time_ns == whole.start_time_ns + offset_ns
        for at_s in np.linspace(from_s, to_s, 3).tolist():
            wanted, got = shown(whole, at_s), shown(part, at_s)
            assert (wanted is None) == (got is None)
            if wanted is not None and got is not None:
                assert np.array_equal(got[1], wanted[1]), f"unknown at {at_s} s"
                assert np.array_equal(got[0], wanted[0]), f"pixels at {at_s} s"
        there, here = said(whole, first_ns, last_ns, offset_ns), said(part, first_ns, last_ns, 0)
        assert there <= here
        assert {time_ns for _, _, time_ns, *_ in here - there} <= {first_ns}


def shown(found: Replay, at_s: float) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        picture = picture_at(found, max(0.0, at_s))
    except (InputError, UsageError):
        return None
    return picture.pixels, picture.unknown


def said(
    found: Replay, first_ns: int, last_ns: int, offset_ns: int
) -> set[tuple[str, Side, int, int, bytes]]:
    """Every message of a span that somebody sent."""
    out: set[tuple[str, Side, int, int, bytes]] = set()
    for log in (log for s in found.sessions for log in s.channels):
        for side in Side:
            own = log.index(side)
            times: Int64Array = own.time_ns + offset_ns
            for row in np.flatnonzero((times >= first_ns) & (times <= last_ns) & ~own.sub).tolist():
                out.add((log.name, side, int(times[row]), int(own.type[row]), own.body(row)))
    return out


@pytest.mark.parametrize(
    "name",
    [
        "captures/desktop-jpeg-zlib-wan/capture.pcap",
        "captures/flap-mjpeg/capture.pcap",
        "captures/qemu-boot-lz4/capture.pcap",
        "captures/qemu-guest-desktop-lz4/capture.pcap",
        "captures/reconnect/capture.pcap",
        "captures/tls-mixed-channels/capture.pcap",
        "captures/video-vp8/capture.pcap",
        "bugreports/display-flap-g2.zip",
        "bugreports/capture-dir-dropped/capture",
        "bugreports/auto-snapshots-g2/auto-snapshots",
    ],
)
def test_the_screen_of_a_recorded_span_is_that_of_the_whole(name: str, tmp_path: Path) -> None:
    with replay(FIXTURES / name) as whole:
        for begin, end in SPANS:
            from_s, to_s = begin * whole.duration_s, end * whole.duration_s
            try:
                done = cut(whole, from_s, to_s, tmp_path / "part.pcapng")
            except InputError:
                assert not any(goes_on(session, whole, from_s, to_s) for session in whole.sessions)
                continue
            assert done.before + done.within == done.written.messages
            with replay(tmp_path / "part.pcapng") as part:
                assert {d.kind for d in part.defects} <= {d.kind for d in whole.defects}
            assert_same_within(whole, tmp_path / "part.pcapng", from_s, to_s)


def goes_on(session: SessionLog, whole: Replay, from_s: float, to_s: float) -> bool:
    begin, end = session.start_time_ns - whole.start_time_ns, session.end_time_ns - whole.start_time_ns
    return begin <= to_s * NS_PER_S and end >= from_s * NS_PER_S


# --- made sessions -----------------------------------------------------------------------------------------


def told(at: float, message: Message) -> Said:
    return Said(at, int(message.TYPES[0]), message)


def noise(at: float, seed: int, box: tuple[int, int, int, int] = (0, 0, 32, 32), **image: int) -> Said:
    """A raw image, which is larger than what a palette needs for it."""
    left, top, right, bottom = box
    words = np.random.default_rng(seed).integers(0, 2**24, 8)
    rows = np.random.default_rng(seed + 1).choice(words, (bottom - top, right - left))
    return told(at, copy(bitmap(rows.tolist(), **image), *box))


def display(*messages: Said, **options: object) -> ChannelLog:
    return channel(ChannelType.DISPLAY, messages, **options)  # type: ignore[arg-type]


def whole_of(*logs: ChannelLog, more: tuple[SessionLog, ...] = ()) -> Replay:
    sessions = [session(*logs), *more]
    for number, log in enumerate(sessions):
        log.number = number
    return Replay(Path("made.pcap"), "pcap", sessions, ORIGIN_NS, ORIGIN_NS + 60 * NS_PER_S)


def types(out: Path, name: str = "display/0", side: Side = Side.SERVER) -> list[int]:
    with replay(out) as part:
        (log,) = (log for s in part.sessions for log in s.channels if log.name == name)
        own = log.index(side)
        return own.type[~own.sub].tolist()


def test_the_past_is_replaced_by_what_it_drew(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    draws = [noise(n, n) for n in range(2, 12)]
    whole = whole_of(display(told(1, create(0, 32, 32)), *draws, noise(20, 99, (0, 0, 4, 4))))
    done = cut(whole, 15, 30, out)
    assert (done.before, done.within, done.written.inserted, done.remarks) == (1, 1, 1, ())
    assert types(out) == [ServerDisplay.SURFACE_CREATE, ServerDisplay.DRAW_COPY, ServerDisplay.DRAW_COPY]
    assert REDRAWN in comments_of(out)
    assert "15 s to 30 s" in comments_of(out)[0]
    assert_same_within(whole, out, 15, 30)


def test_a_short_past_is_kept_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    whole = whole_of(display(told(1, create(0, 500, 500)), noise(2, 1), noise(20, 2)))
    done = cut(whole, 15, 30, out)
    assert done.written.inserted == 0
    assert "smaller than a picture" in done.remarks[0]
    assert_same_within(whole, out, 15, 30)


def test_messages_that_brought_what_is_used_later_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    cached = noise(3, 7, (0, 0, 8, 8), image_id=5, flags=ImageFlags.CACHE_ME)
    other = noise(4, 8, (0, 0, 8, 8), image_id=6, flags=ImageFlags.CACHE_ME)
    whole = whole_of(
        display(
            told(1, create(0, 32, 32)),
            cached,
            other,
            *(noise(5 + n, n) for n in range(8)),
            told(20, copy(from_cache(5, 8, 8), 16, 16, 24, 24)),
        )
    )
    done = cut(whole, 15, 30, out)
    assert done.before == 2  # the surface and the image that is used
    assert_same_within(whole, out, 15, 30)


def test_orders_to_forget_an_image_still_count(tmp_path: Path) -> None:
    """Put twice and dropped once, an image is still there; dropped again in the span it is not."""
    out = tmp_path / "x.pcapng"
    put = [noise(3 + n, 7, (0, 0, 8, 8), image_id=5, flags=ImageFlags.CACHE_ME) for n in range(2)]
    drop = m.InvalList((m.ResourceID(ResourceType.PIXMAP, 5),))
    whole = whole_of(
        display(
            told(1, create(0, 32, 32)),
            *put,
            told(5, drop),
            *(noise(6 + n, n) for n in range(8)),
            told(20, copy(from_cache(5, 8, 8), 16, 16, 24, 24)),
            told(21, drop),
            told(22, copy(from_cache(5, 8, 8), 0, 16, 8, 24)),
        )
    )
    done = cut(whole, 15, 30, out)
    assert done.before == 4
    assert_same_within(whole, out, 15, 30)
    assert shown(whole, 30)[1].sum() == 64  # type: ignore[index]


@pytest.mark.parametrize("created", [True, False])
def test_what_was_unknown_stays_unknown(created: bool, tmp_path: Path) -> None:
    """A hole loses the screen, or its creation was never seen; only a part has been drawn since."""
    out = tmp_path / "x.pcapng"
    draws = [noise(5 + n, n, (0, 0, 30, 12)) for n in range(8)]
    before = [told(1, create(0, 32, 32))] if created else []
    log = display(*before, *draws, noise(20, 99, (10, 10, 20, 20)), link=None)
    if created:
        at = int(log.server.position[1]) - 1
        log.gaps.append(Gap(Side.SERVER, ORIGIN_NS + 2 * NS_PER_S, at, None, GapCause.SILENT))
    whole = whole_of(log)
    wanted = shown(whole, 16)
    assert wanted is not None
    assert wanted[1].any() == created
    cut(whole, 15, 30, out)
    assert_same_within(whole, out, 15, 30)
    assert (UNKNOWN in comments_of(out)) == created


def test_two_display_channels_are_kept_whole(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    logs = [
        display(
            told(1, create(0, 16, 16)), *(noise(2 + n, n, (0, 0, 16, 16)) for n in range(8)), channel_id=i
        )
        for i in range(2)
    ]
    whole = whole_of(*logs)
    done = cut(whole, 15, 30, out)
    assert (done.before, done.written.inserted) == (18, 0)
    assert "share images" in done.remarks[0]
    assert_same_within(whole, out, 15, 30)


def test_acknowledgements_stand_as_open_as_they_were(tmp_path: Path) -> None:
    """The window is 2; in the span the client falls silent, and the server stalls when it did."""
    out = tmp_path / "x.pcapng"
    server = [told(1, create(0, 32, 32)), told(2, common.SetAck(1, 2))]
    client = [Said(2.1, ClientCommon.ACK_SYNC, common.AckSync(1))]
    for n in range(10):
        server += [noise(3 + n, n), noise(3.2 + n, n)]
        client += [Said(3.4 + n, ClientCommon.ACK)]
    server += [noise(20 + n / 10, 50 + n, (0, 0, 4, 4)) for n in range(8)]
    client += [Said(25, ClientCommon.ACK), Said(25.1, ClientCommon.ACK)]
    log = channel(ChannelType.DISPLAY, server, client)
    whole = whole_of(log)
    (stall,) = stalls(log)
    done = cut(whole, 15, 30, out)
    assert done.written.inserted > 0
    with replay(out) as part:
        (again,) = stalls(part.sessions[0].channels[0])
        assert (again.end_ns, again.window) == (stall.end_ns, stall.window)
        assert abs(again.start_ns - stall.start_ns) <= 2 * 10**8
    assert types(out, side=Side.CLIENT).count(ClientCommon.ACK) >= 2
    assert all(text != ACKNOWLEDGED or done.written.inserted > 1 for text in comments_of(out))


def test_of_other_channels_what_lasts_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    inputs = channel(
        ChannelType.INPUTS,
        [Said(1, ServerInputs.INIT, bytes(2)), Said(2, ServerInputs.MOUSE_MOTION_ACK)],
        [
            Said(3, ClientInputs.KEY_DOWN, b"\x1e\0\0\0"),
            Said(4, ClientInputs.MOUSE_POSITION, bytes(11)),
            Said(5, ClientInputs.MOUSE_POSITION, bytes(11)),
            Said(20, ClientInputs.KEY_DOWN, b"\x1f\0\0\0"),
        ],
    )
    cursor = channel(
        ChannelType.CURSOR,
        [
            Said(1, ServerCursor.HIDE),
            *(Said(2 + n, ServerCursor.MOVE, bytes([n, 0, n, 0])) for n in range(5)),
            Said(9, ServerCommon.PING, bytes(12)),
            Said(20, ServerCursor.MOVE, bytes(4)),
        ],
    )
    whole = whole_of(display(told(1, create(0, 8, 8))), inputs, cursor)
    cut(whole, 15, 30, out)
    assert types(out, "inputs/0") == [ServerInputs.INIT]
    assert types(out, "inputs/0", Side.CLIENT) == [ClientInputs.MOUSE_POSITION, ClientInputs.KEY_DOWN]
    assert types(out, "cursor/0") == [ServerCursor.HIDE, ServerCursor.MOVE, ServerCursor.MOVE]
    with replay(out) as part:
        log = next(c for c in part.sessions[0].channels if c.channel is ChannelType.CURSOR)
        assert log.server.body(1) == bytes([4, 0, 4, 0])  # the last move before the span


def test_raw_keeps_only_the_span(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    whole = whole_of(display(told(1, create(0, 32, 32)), noise(2, 1), noise(20, 2), noise(40, 3)))
    done = cut(whole, 15, 30, out, raw=True)
    assert (done.before, done.within, done.written.inserted) == (0, 1, 0)
    assert types(out) == [ServerDisplay.DRAW_COPY]


def test_raw_of_a_quiet_moment_still_says_which_channels_there_are(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    cut(whole_of(display(told(1, create(0, 4, 4)), link=None)), 15, 30, out, raw=True)
    assert types(out) == []


def test_sessions_outside_of_the_span_are_left_out_but_not_the_last_picture(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    early = session(display(told(1, create(0, 4, 4)), told(2, fill(0xFF, 0, 0, 4, 4)), end=5))
    late = session(display(Said(40, 314, create(0, 4, 4)), end=50))
    late.start_time_ns = late.channels[0].start_time_ns = ORIGIN_NS + 39 * NS_PER_S
    late.session_id = 2
    whole = whole_of(*early.channels, more=(late,))
    cut(whole, 10, 20, out)
    with replay(out) as part:
        assert len(part.sessions) == 1
    assert shown(whole, 15) is not None
    assert_same_within(whole, out, 10, 20)


@pytest.mark.parametrize(("from_s", "to_s"), [(-1, 3), (3, 2), (0, float("inf")), (float("nan"), 3)])
def test_spans_that_are_none(from_s: float, to_s: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no span"):
        cut(whole_of(display(told(1, create(0, 4, 4)))), from_s, to_s, tmp_path / "x.pcapng")


def test_a_span_in_which_there_is_nothing(tmp_path: Path) -> None:
    said = r"no session between 70 and 80 s; session 0 goes on from 0\.000 to 60\.000 s$"
    with pytest.raises(InputError, match=said):
        cut(whole_of(display(told(1, create(0, 4, 4)))), 70, 80, tmp_path / "x.pcapng")


def test_an_input_without_any_session(tmp_path: Path) -> None:
    with (
        replay(FIXTURES / "bugreports" / "no-pcap-g1.zip", require_spice=False) as whole,
        pytest.raises(InputError, match="there is none in it at all"),
    ):
        cut(whole, 0, 1, tmp_path / "x.pcapng")


def test_the_input_is_not_overwritten_with_its_excerpt(tmp_path: Path) -> None:
    source = tmp_path / "whole.pcap"
    shutil.copy(FIXTURES / "hostile" / "websocket.pcap", source)
    before = source.read_bytes()
    with replay(source) as whole, pytest.raises(UsageError, match="is the input itself"):
        cut(whole, 0, 1, tmp_path / "." / "whole.pcap")
    assert source.read_bytes() == before


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["draw", "fill", "put", "get", "drop", "copy", "new", "gone"]),
        st.integers(0, 3),
        st.integers(0, 24),
        st.integers(0, 24),
    ),
    min_size=1,
    max_size=24,
)


@settings(max_examples=40)
@given(steps=STEPS, begin=st.integers(0, 24), length=st.integers(0, 24))
def test_any_session_shows_the_same_in_any_span(
    steps: list[tuple[str, int, int, int]], begin: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    messages = [told(0.5, create(0, 32, 32))]
    for n, (what, number, x, y) in enumerate(steps):
        at, box = n + 1.0, (x, y, x + 8, y + 8)
        surface = number % 2
        if what == "draw":
            messages.append(noise(at, n, (0, 0, 32, 32) if number == 3 else box))
        elif what == "fill":
            messages.append(told(at, fill(n * 1000, *box, surface=surface)))
        elif what == "put":
            messages.append(noise(at, n, box, image_id=number, flags=ImageFlags.CACHE_ME))
        elif what == "get":
            messages.append(told(at, copy(from_cache(number, 8, 8), *box)))
        elif what == "drop":
            messages.append(told(at, m.InvalList((m.ResourceID(ResourceType.PIXMAP, number),))))
        elif what == "copy":
            messages.append(told(at, move(box, (y, x))))
        elif what == "new":
            messages.append(told(at, create(1, 16, 16)))
        else:
            messages.append(told(at, m.SurfaceDestroy(1)))
    whole = whole_of(display(*messages))
    out = tmp_path_factory.mktemp("cut") / "x.pcapng"
    done: Cut = cut(whole, begin + 0.25, begin + length + 0.75, out)
    assert done.written.messages == done.before + done.within
    assert_same_within(whole, out, begin + 0.25, begin + length + 0.75)


def move(box: tuple[int, int, int, int], source: tuple[int, int]) -> m.CopyBits:
    from spicereplay.protocol.messages.geometry import Point

    return m.CopyBits(base=fill(0, *box).base, src_pos=Point(x=source[0], y=source[1]))
