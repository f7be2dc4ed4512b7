"""Times in which the screen stood still, and what happened meanwhile."""

import json
import math
from dataclasses import replace

import pytest
from support.observed import ORIGIN_NS, Said, channel, ns, session

from spicereplay.analysis.display_silence import LEAST_NS, display_silence
from spicereplay.analysis.timeline import Tables
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientInputs,
    ClientMain,
    ServerCommon,
    ServerDisplay,
    ServerMain,
    Side,
)
from spicereplay.replay import replay
from spicereplay.session.log import Gap, GapCause
from spicereplay.units import NS_PER_S

DRAW = ServerDisplay.DRAW_COPY


def shows(*times, kind=DRAW, surface=0):
    return [Said(t, kind, surface.to_bytes(4, "little") + bytes(60)) for t in times]


def pings(*times):
    return [Said(t, ServerCommon.PING, bytes(12)) for t in times]


def keys(*times):
    return channel(ChannelType.INPUTS, (), [Said(t, ClientInputs.KEY_DOWN, bytes(4)) for t in times])


def main(*times):
    return channel(ChannelType.MAIN, pings(*times))


def screen(*said, end=60.0, closed_by=None, **more):
    messages = sorted((m for part in said for m in part), key=lambda m: m.at)
    return replace(channel(ChannelType.DISPLAY, messages, end=end, **more), closed_by=closed_by)


def table(*channels, **options):
    return display_silence([session(*channels)], ORIGIN_NS, **options)


def periods(*channels, **options):
    return table(*channels, **options)[["start_s", "end_s", "ended_by"]].to_numpy().tolist()


def test_a_screen_that_stands_still_while_somebody_types():
    agent = channel(
        ChannelType.MAIN,
        [Said(11, ServerMain.AGENT_DATA, bytes(20)), *pings(12)],
        [Said(10.5, ClientMain.AGENT_DATA, bytes(20))],
    )
    (row,) = table(
        screen(shows(*(i / 2 for i in range(20)), 18), end=18.5), keys(9.4, 12, 13), agent
    ).to_dict("records")
    assert (row["start_s"], row["end_s"], row["duration_s"], row["ended_by"]) == (9.5, 18, 8.5, "DRAW_COPY")
    assert (row["messages_elsewhere"], row["messages_from_server"], row["agent_messages"]) == (5, 2, 2)
    assert (row["inputs_during"], row["first_input_s"], row["holes"]) == (2, 12, 0)


def test_pauses_of_less_than_a_second_are_none():
    assert not periods(screen(shows(0.9, 1.8, 2.7), end=3), main(*(i / 10 for i in range(30))))
    assert periods(screen(shows(1, 2), end=2.5), main(0.5, 1.5)) == [
        [0, 1, "DRAW_COPY"],
        [1, 2, "DRAW_COPY"],
    ]


def test_how_long_a_silence_is_at_least_can_be_chosen():
    display, others = screen(shows(0.1, 0.6, 4), end=4.1), main(0.3, 2)
    assert len(periods(display, others)) == 1
    assert len(periods(display, others, least_ns=NS_PER_S // 2)) == 2
    assert not periods(display, others, least_ns=4 * NS_PER_S)


def test_a_silence_in_which_nothing_at_all_was_seen_says_nothing():
    assert not periods(screen(shows(1, 9), end=9.5), main(9.2))


def test_pings_of_the_display_itself_show_that_it_lives():
    assert periods(screen(shows(0.5, 9), pings(4), end=9.5)) == [[0.5, 9, "DRAW_COPY"]]


def test_so_do_acknowledgements_of_its_client():
    display = channel(ChannelType.DISPLAY, shows(0.5, 9), [Said(3, ClientCommon.ACK)], end=9.5)
    assert len(table(display)) == 1


def test_a_silence_before_the_first_picture_counts():
    assert periods(screen(shows(4), end=4.5), main(1)) == [[0, 4, "DRAW_COPY"]]


@pytest.mark.parametrize(("closed_by", "ended_by"), [(None, "capture_ended"), ("server", "channel_closed")])
def test_a_silence_that_no_picture_ends(closed_by, ended_by):
    assert periods(screen(shows(0.5), end=8, closed_by=closed_by), main(3)) == [[0.5, 8, ended_by]]


def test_every_display_has_to_be_silent():
    first = screen(shows(0.5, 6), end=6.1)
    second = screen(shows(0.5, 3), end=6.1, channel_id=1)
    assert [row[:2] for row in periods(first, second, main(1, 2, 4, 5))] == [[0.5, 3], [3, 6]]


def test_video_ends_a_silence_and_what_nobody_can_see_does_not():
    drawn_elsewhere = shows(2, surface=9)
    clip = [Said(3, ServerDisplay.STREAM_CLIP, bytes(5))]
    frame = shows(5, kind=ServerDisplay.STREAM_DATA)
    rows = table(screen(shows(0.5), drawn_elsewhere, clip, frame, end=5.5))
    assert (rows["end_s"][0], rows["ended_by"][0], rows["messages_elsewhere"][0]) == (5, "STREAM_DATA", 2)


def test_holes_in_what_was_drawn_are_counted():
    gaps = [Gap(Side.SERVER, ns(at), 0, 99, GapCause.NOT_CAPTURED) for at in (0.4, 3, 5)] + [
        Gap(Side.CLIENT, ns(3), 0, 9, GapCause.NOT_CAPTURED)
    ]
    assert table(screen(shows(0.5, 5), end=5.5, gaps=gaps), main(2))["holes"].tolist() == [2]


def test_an_idle_screen_has_no_first_press():
    assert math.isnan(table(screen(shows(0.5, 5), end=5.5), main(2), keys(9))["first_input_s"][0])


def test_a_session_without_a_display_has_no_silence():
    assert not len(table(main(1, 9), keys(2)))


@pytest.mark.shared
def test_recorded_silences_cover_every_long_pause_between_pictures(shared):
    """Held to the message table: pictures are at the edges of silences, and nowhere inside."""
    for name in ("desktop-lz", "flap-mjpeg", "qemu-guest-agent", "reconnect"):
        folder = shared / "captures" / name
        sessions = json.loads((folder / "oracle.json").read_text())["sessions"]
        with replay(folder / "capture.pcap") as found:
            tables = Tables(found, decode=False)
            rows, said = tables["display_silence"], tables["messages"]
            assert set(rows["session"]) <= {s["session"] for s in sessions}
            shown = said["name"].astype(str).str.match("DRAW_|COPY_BITS|STREAM_DATA|MARK$")
            pictures = said[shown & (said["channel"] == "display")]
            for row in rows.itertuples():
                times = pictures.loc[pictures["session"] == row.session, "time_s"]
                assert not ((times > row.start_s) & (times < row.end_s)).any()
                assert row.duration_s >= LEAST_NS / NS_PER_S
