"""PINGs and their answers, acknowledgements and the waits for them."""

import struct

import numpy as np
import pandas as pd
import pytest
from support.observed import ORIGIN_NS, Said, channel, ns, session

import spicereplay
from spicereplay.analysis.acks import ack_stalls, stalls
from spicereplay.analysis.acks import acks as ack_table
from spicereplay.analysis.pings import LOW_BANDWIDTH_BITS, clock_of, net_test_rate, pings
from spicereplay.protocol.enums import ChannelType, ClientCommon, ServerCommon, ServerMain, Side
from spicereplay.session.log import Gap, GapCause


def ping(at, number, stamp, padding=0):
    return Said(at, ServerCommon.PING, struct.pack("<IQ", number, stamp) + bytes(padding))


def pong(at, number):
    return Said(at, ClientCommon.PONG, struct.pack("<IQ", number, 0))


INIT = Said(0.0, ServerMain.INIT, bytes(32))
NET_TEST = [INIT, ping(0.1, 5, 7_000_100), ping(0.1, 6, 7_000_100), ping(0.1, 7, 7_000_100, 256_000)]


def table(server, client=(), kind=ChannelType.MAIN):
    return pings([session(channel(kind, server, client))], ORIGIN_NS)


def test_every_ping_finds_its_pong():
    frame = table([ping(1, 40, 1), ping(2, 41, 2)], [pong(1.25, 40), pong(2.5, 41)], ChannelType.DISPLAY)
    assert frame["rtt_ms"].tolist() == [250.0, 500.0]


def test_a_pair_of_one_number_takes_its_answers_in_turn():
    frame = table(
        [ping(1, 9, 1), ping(1, 9, 1), ping(5, 9, 1)], [pong(1.1, 9), pong(1.2, 9)], ChannelType.DISPLAY
    )
    assert frame["pong_s"].tolist()[:2] == [1.1, 1.2]
    assert np.isnan(frame["rtt_ms"].tolist()[2])


def test_an_answer_before_the_question_is_another_ones():
    frame = table([ping(2, 9, 1)], [pong(1, 9), pong(3, 9)], ChannelType.DISPLAY)
    assert frame["pong_s"].tolist() == [3.0]


def test_the_network_test_has_microseconds():
    frame = table([*NET_TEST, ping(1, 8, 7_001_000_000)])
    assert frame["unit"].tolist() == ["us", "us", "us", "ns"]
    assert frame["padding"].tolist() == [0, 0, 256_000, 0]


def test_it_is_known_without_its_large_ping_too():
    frame = table([INIT, ping(0.1, 5, 7_000_100), ping(0.1, 6, 7_000_100), ping(1, 99, 1), ping(1, 99, 1)])
    assert frame["unit"].tolist() == ["us", "us", "ns", "ns"]


def test_other_channels_have_no_network_test():
    frame = table([ping(0.1, 1, 5), ping(0.2, 2, 5), ping(0.3, 3, 5)], (), ChannelType.DISPLAY)
    assert set(frame["unit"]) == {"ns"}


def test_both_units_give_one_clock():
    frame = table([*NET_TEST, ping(1.1, 8, 8_000_100_000)])
    clock = clock_of(frame, 0, ORIGIN_NS)
    assert clock.offset_ns == ns(0.1) - 7_000_100_000
    assert clock.spread_ns == 0


def test_the_rate_is_reckoned_from_the_third_round_trip():
    frame = table(NET_TEST, [pong(0.11, 5), pong(0.12, 6), pong(0.51, 7)])
    ((number, at, rate),) = net_test_rate(frame)
    assert (number, at) == (0, 0.1)
    assert rate == pytest.approx(2_048_000 / 0.4)
    assert rate < LOW_BANDWIDTH_BITS


def set_ack(at, window):
    return Said(at, ServerCommon.SET_ACK, struct.pack("<2I", 1, window))


def acks(*times):
    return [Said(t, ClientCommon.ACK) for t in times]


def draws(*times):
    return [Said(t, 304) for t in times]


def test_more_than_two_windows_open_is_a_stall():
    log = channel(ChannelType.DISPLAY, [set_ack(0, 2), *draws(1, 1, 1, 1, 2)], acks(5))
    assert [(s.start_ns, s.end_ns, s.window, s.most) for s in stalls(log)] == [(ns(2), ns(5), 2, 5)]


def test_exactly_two_windows_are_allowed():
    assert not stalls(channel(ChannelType.DISPLAY, [set_ack(0, 2), *draws(1, 1, 1, 1)]))


def test_a_stall_that_nothing_lifts_lasts_to_the_end_of_the_channel():
    log = channel(ChannelType.DISPLAY, [set_ack(0, 1), *draws(1, 2, 3)], end=10)
    frame = ack_stalls([session(log)], ORIGIN_NS)
    assert np.isnan(frame["end_s"][0])
    assert frame["duration_s"][0] == 7.0


@pytest.mark.parametrize(
    ("server", "gaps"),
    [
        (draws(*[1] * 50), []),
        ([set_ack(0, 0), *draws(*[1] * 50)], []),
        ([set_ack(0, 1), *draws(*[2] * 50)], [Gap(Side.CLIENT, ns(1), 0, 6, GapCause.NOT_CAPTURED)]),
    ],
    ids=["no window was announced", "a window of nothing", "an ACK may have been in the hole"],
)
def test_no_stall_is_made_up(server, gaps):
    assert not stalls(channel(ChannelType.DISPLAY, server, gaps=gaps))


def test_sub_messages_are_not_counted():
    said = [set_ack(0, 1), Said(1, 8), *[Said(1, 105, sub=True)] * 5]
    assert not stalls(channel(ChannelType.DISPLAY, said))


def ack_sync(at, generation):
    return Said(at, ClientCommon.ACK_SYNC, struct.pack("<I", generation))


def ack_rows(log):
    frame = ack_table([session(log)], ORIGIN_NS)
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in frame[["time_s", "kind", "generation", "window", "outstanding"]].itertuples(index=False)
    ]


def test_a_row_per_acknowledgement():
    server = [set_ack(0, 2), *draws(1, 1, 1), *draws(3, 3)]
    log = channel(ChannelType.DISPLAY, server, [ack_sync(0.5, 1), *acks(2, 4)])
    assert ack_rows(log) == [
        (0.5, "ack_sync", 1, 2, 0),
        (2.0, "ack", 1, 2, 1),
        (4.0, "ack", 1, 2, 1),
    ]


def test_acknowledgements_without_a_window_are_rows_too():
    assert ack_rows(channel(ChannelType.DISPLAY, draws(1), acks(2))) == [(2.0, "ack", None, None, None)]


def test_nothing_is_counted_behind_a_hole():
    gaps = [Gap(Side.SERVER, ns(3), 0, 6, GapCause.NOT_CAPTURED)]
    log = channel(ChannelType.DISPLAY, [set_ack(0, 2), *draws(1, 1)], acks(2, 4), gaps=gaps)
    assert [row[-1] for row in ack_rows(log)] == [0, None]


def test_an_ack_of_the_window_before_does_not_count():
    """SET_ACK is answered by ACK_SYNC; an ACK that was under way by then belongs to the old window."""
    server = [set_ack(0, 2), *draws(1, 1, 1)]
    log = channel(ChannelType.DISPLAY, server, [*acks(2), ack_sync(3, 1), *acks(4)])
    assert [row[-1] for row in ack_rows(log)] == [3, 3, 1]
    assert [
        (s.start_ns, s.most)
        for s in stalls(
            channel(ChannelType.DISPLAY, [set_ack(0, 1), *draws(1, 1, 2)], [*acks(1.5), ack_sync(1.6, 1)])
        )
    ] == [(ns(2), 3)]


def test_acknowledgements_in_a_real_session_stay_within_two_windows(fixtures):
    with spicereplay.open(fixtures / "captures" / "flap-mjpeg" / "capture.pcap", decode=False) as capture:
        table = capture.acks
        assert len(table) > 5
        assert (table["outstanding"].dropna() <= 2 * table["window"].max()).all()
        assert set(table["kind"]) == {"ack", "ack_sync"}
