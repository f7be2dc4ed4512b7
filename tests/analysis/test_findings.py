"""Every rule on tables of a few rows: what makes it speak up, and what does not."""

import math

import pytest
from support.client import agent as agent_counters
from support.client import life, summary, totals, traffic
from support.observed import ORIGIN_NS, Said, channel, session
from support.tables import empty_tables, full

from spicereplay.analysis import (
    find_agent,
    find_capture,
    find_client,
    find_decoding,
    find_network,
    find_transport,
    find_video,
    flaps,
)
from spicereplay.analysis.display_silence import display_silence
from spicereplay.analysis.facts import Facts, Refusal, Unread
from spicereplay.analysis.findings import find, table
from spicereplay.analysis.messages import messages
from spicereplay.analysis.verdict import judge, notes
from spicereplay.bugreport.client_reported import DecodeTimes, Disconnect
from spicereplay.protocol.enums import ChannelType, ClientInputs, ServerDisplay

NAN = math.nan


def tables(**given):
    return {**empty_tables(), **given}


def said(rule, facts=Facts(duration_s=60.0), **given):  # noqa: B008
    return list(rule(tables(**given), facts))


def one(rule, facts=Facts(duration_s=60.0), **given):  # noqa: B008
    (finding,) = said(rule, facts, **given)
    return finding


def test_empty_tables_give_no_finding():
    assert find(tables(), Facts()) == []


def test_every_finding_names_the_source_of_its_figures():
    found = find(
        tables(
            gaps=full("gaps", cause=["silent"], bytes=[5], channel=["main"], **{"from": ["server"]}),
            pings=full("pings", rtt_ms=[200.0] * 3, pong_s=[1.0] * 3),
            reports=full("reports", cannot_play=[True]),
        ),
        Facts(refused=(Refusal(0, "main/0", "x", 0.0),)),
    )
    assert len(found) >= 4
    for finding in found:
        for sentence in finding.evidence:
            assert sentence.endswith(("[capture]", "[client_reported]", "[remeasured]", "[inferred]"))


def test_findings_are_ranked():
    found = find(
        tables(
            pings=full("pings", rtt_ms=[200.0] * 3),
            reports=full("reports", cannot_play=[True]),
            gaps=full("gaps", cause=["evicted"], channel=["main"], **{"from": ["server"]}),
        ),
        Facts(),
    )
    assert [f.severity for f in found] == ["critical", "warn", "info"]
    assert table(found)["code"].tolist() == ["cannot_play", "rtt_high", "capture_begins_late"]


def test_the_table_says_whom_a_finding_points_to():
    found = find(tables(pings=full("pings", rtt_ms=[200.0] * 3)), Facts())
    assert table(found)["evidence"][0][-1] == "points to the network [inferred]"
    lost = find(tables(defects=full("defects", kind=["value_unknown"], where=["x"], detail=["y"])), Facts())
    assert len(table(lost)["evidence"][0]) == 1


# --- video --------------------------------------------------------------------------------------------


def flapping(**columns):
    return full(
        "streams",
        created_s=[1.0, 6.0, 11.0],
        destroyed_s=[2.5, 7.5, 12.5],
        last_frame_s=[1.5, 6.5, 11.5],
        end_cause=["timeout"] * 3,
        codec=["mjpeg"] * 3,
        **columns,
    )


def test_flapping_because_the_guest_drew_nothing():
    streams = flapping()
    found = one(find_video.stream_flapping, streams=streams, flaps=flaps.flaps(streams))
    assert (found.code, found.severity, found.who, found.time_s) == (
        "stream_flapping",
        "critical",
        "guest",
        12.5,
    )
    assert "3 streams were destroyed within 30 s, mean lifetime 1.50 s" in found.evidence[0]


def test_flapping_because_the_client_did_not_acknowledge():
    streams = flapping()
    stalls = full("ack_stalls", channel=["display"], start_s=[1.4], duration_s=[1.0])
    found = one(find_video.stream_flapping, streams=streams, flaps=flaps.flaps(streams), ack_stalls=stalls)
    assert found.who == "client"


def test_streams_torn_down_together_are_no_flapping():
    streams = full("streams", created_s=[1.0] * 3, destroyed_s=[2.0, 2.05, 2.1], end_cause=["timeout"] * 3)
    found = one(find_video.stream_flapping, streams=streams, flaps=flaps.flaps(streams))
    assert (found.code, found.severity) == ("streams_torn_down_together", "info")


def test_flapping_that_only_the_client_knows_of():
    lives = tuple(life(49, t, t + 1.0, 9) for t in (1.0, 5.0, 9.0))
    found = one(find_video.reported_flapping, Facts(clients=(summary(streams=totals(ended=lives)),)))
    assert (found.code, found.time_s) == ("stream_flapping", 10.0)
    assert "[client_reported]" in found.evidence[0]


def test_flapping_that_only_a_notice_tells_of():
    told = full(
        "notifications",
        origin=["client_reported"],
        time_s=[18.2],
        message=["Video stream flapping: 3 destroys in 30 s"],
    )
    found = one(find_video.noticed_flapping, notifications=told)
    assert (found.time_s, found.severity) == (18.2, "warn")
    # Where the client's own streams tell of it, the notice adds nothing.
    lives = tuple(life(49, t, t + 1.0, 9) for t in (1.0, 5.0, 9.0))
    known = Facts(clients=(summary(streams=totals(ended=lives)),))
    assert not said(find_video.noticed_flapping, known, notifications=told)


def test_the_client_decodes_more_slowly_than_frames_come():
    streams = full("streams", codec=["mjpeg"], fps=[25.0], frames=[100])
    decodes = DecodeTimes("mjpeg", 100, 0, 120_000, 175_000)
    facts = Facts(clients=(summary(decodes=(decodes,), backends=("jpeg-decoder",)),))
    frames = full("frames", codec=["mjpeg"] * 2, outcome=["decoded"] * 2, decode_ms=[4.0, 6.0])
    found = one(find_decoding.client_decoder_slow, facts, streams=streams, frames=frames)
    assert (found.severity, found.who) == ("critical", "decoder")
    assert "120.0 ms each on average, 175.0 ms at most (jpeg-decoder)" in found.evidence[0]
    assert "a frame every 40.0 ms" in found.evidence[1]
    assert "5.00 ms" in found.evidence[2]


def test_a_decoder_far_slower_than_need_be_is_a_warning():
    decodes = DecodeTimes("mjpeg", 100, 0, 30_000, 2)
    facts = Facts(clients=(summary(decodes=(decodes,)),))
    streams = full("streams", codec=["mjpeg"], fps=[25.0], frames=[100])
    frames = full("frames", codec=["mjpeg"], outcome=["decoded"], decode_ms=[2.0])
    assert one(find_decoding.client_decoder_slow, facts, streams=streams, frames=frames).severity == "warn"
    assert not said(find_decoding.client_decoder_slow, facts, streams=streams)


def test_late_frames_by_the_capture_and_by_the_client():
    streams = full(
        "streams",
        stream_id=[3],
        frames=[40],
        late_frames=[9],
        worst_margin_ms=[-120.0],
        reports=[8],
        reported_drops=[11],
    )
    found = one(find_video.frames_late, streams=streams)
    assert "9 of 40 frames arrived late, the worst by 120 ms" in found.evidence[0]
    assert "8 reports count 11 late frames" in found.evidence[1]


def test_late_frames_that_only_the_clients_reports_know_of():
    streams = full("streams", frames=[40], late_frames=[None], reports=[8], reported_drops=[11])
    assert len(one(find_video.frames_late, streams=streams).evidence) == 1


@pytest.mark.parametrize("late", [None, 0, 4])
def test_few_late_frames_are_not_worth_a_word(late):
    assert not said(find_video.frames_late, streams=full("streams", frames=[400], late_frames=[late]))


def test_a_client_that_cannot_play():
    found = one(
        find_decoding.cannot_play,
        streams=full("streams", codec=["h265"], cannot_play=[True]),
        reports=full("reports", cannot_play=[True], time_s=[4.0]),
    )
    assert (found.severity, found.who, found.time_s) == ("critical", "client", 4.0)
    assert "h265" in found.title


def test_orphans_of_an_unknown_codec():
    facts = Facts(clients=(summary(streams=totals(orphan_frames=104)),))
    found = one(find_decoding.stream_orphans, facts, streams=full("streams", codec=["vp8"], created_s=[2.0]))
    assert (found.severity, found.who) == ("critical", "decoder")


def region(**columns):
    known = {
        "reason": ["eligible"],
        "longest_run": [100],
        "run_start_s": [1.0],
        "run_end_s": [5.0],
        "pictures": [100],
    }
    return full("regions", **{**known, **columns})


def test_video_that_was_never_streamed():
    found = one(find_video.never_streamed, regions=region())
    assert (found.code, found.who) == ("never_streamed", "server")
    assert "streaming may be off" in found.evidence[-1]


def test_a_place_that_cannot_stream_is_explained():
    found = one(find_video.never_streamed, regions=region(reason=["off_screen"]))
    assert (found.code, found.severity) == ("not_streamable", "info")


@pytest.mark.parametrize(
    "columns",
    [{"run_end_s": [2.0]}, {"longest_run": [20]}, {"reason": ["streamed"]}, {"reason": ["too_small"]}],
)
def test_what_is_short_small_or_streamed_is_no_finding(columns):
    assert not said(find_video.never_streamed, regions=region(**columns))


def test_interruptions_of_small_streams_weigh_less():
    big = full("streams", interruptions=[5], width=[320], height=[240])
    small = full("streams", interruptions=[5], width=[6], height=[13])
    assert one(find_video.stream_detach_cycles, streams=big).severity == "warn"
    assert one(find_video.stream_detach_cycles, streams=small).severity == "info"


def test_small_streams_show_that_everything_streams():
    small = full("streams", stream_id=[1], width=[6], height=[13], seen_create=[True])
    assert one(find_video.everything_streams, streams=small).who == "server"


def test_a_stream_without_a_common_codec():
    names = ["STREAM_ACTIVATE_REPORT", "STREAM_DESTROY"]
    messages = full(
        "messages", channel=["display"] * 2, **{"from": ["server"] * 2}, name=names, time_s=[1.0, 3.0]
    )
    facts = Facts(display_caps={(0, 0): frozenset({"MULTI_CODEC", "CODEC_VP9"})})
    found = one(find_decoding.no_common_codec, facts, messages=messages)
    assert "CODEC_VP9" in found.evidence[1]
    assert not said(find_decoding.no_common_codec, messages=messages), (
        "without the handshake nothing is known"
    )


def test_frames_that_cannot_be_decoded():
    bad = full("streams", decode_failures=[3], frames=[10], seen_create=[True])
    assert one(find_decoding.decode_failures, streams=bad).severity == "warn"
    late = full("streams", decode_failures=[3], frames=[10], seen_create=[False])
    assert one(find_decoding.decode_failures, streams=late).severity == "info"


def test_a_stream_that_is_too_much_for_this_machine():
    slow = full("streams", decode_ms_p95=[50.0], fps=[30.0], frames=[90])
    assert one(find_decoding.decode_slow_remeasured, streams=slow).who == "decoder"
    assert not said(
        find_decoding.decode_slow_remeasured,
        streams=full("streams", decode_ms_p95=[5.0], fps=[30.0], frames=[90]),
    )


# --- network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("duration", "severity"), [(0.1, None), (0.4, "warn"), (2.0, "critical")])
def test_waits_for_acknowledgements(duration, severity):
    found = said(
        find_network.ack_stall, ack_stalls=full("ack_stalls", duration_s=[duration], channel=["display"])
    )
    assert [f.severity for f in found] == ([severity] if severity else [])


def main_goes_quiet(**more):
    return {
        "pings": full("pings", channel=["main"] * 3, time_s=[1.0, 16.0, 31.0], pong_s=[1.1, NAN, NAN]),
        "messages": full(
            "messages",
            channel=["main", "display"],
            **{"from": ["client"] * 2},
            time_s=[1.1, 40.0],
            name=["PONG", "ACK"],
        ),
        "channels": full("channels", channel=["main"], end_s=[61.0]),
        **more,
    }


def test_main_that_stops_answering_while_others_live():
    found = one(find_network.ping_unanswered, **main_goes_quiet())
    assert (found.severity, found.time_s, found.who) == ("critical", 16.0, "client")
    assert "went on talking on display" in found.evidence[-1]


def test_a_hole_in_what_the_client_sent_explains_missing_pongs():
    hole = full("gaps", channel=["main"], **{"from": ["client"]}, cause=["not_captured"])
    assert not said(find_network.ping_unanswered, **main_goes_quiet(gaps=hole))


def test_a_client_that_was_not_recorded_is_not_blamed():
    only_server = full("messages", channel=["main"], **{"from": ["server"]}, time_s=[1.0])
    assert not said(find_network.ping_unanswered, **main_goes_quiet(messages=only_server))


def test_a_silent_server():
    messages = full("messages", channel=["main"] * 2, **{"from": ["server"] * 2}, time_s=[1.0, 5.0])
    ended = full("channels", channel=["main"], end_s=[60.0])
    found = one(find_network.server_silent, messages=messages, channels=ended)
    assert (found.time_s, found.who) == (5.0, "server")
    assert not said(
        find_network.server_silent,
        messages=messages,
        channels=full("channels", channel=["main"], end_s=[30.0]),
    )


def pressed(draw_times, press_times, end):
    """The tables of a session that was drawn and typed into at these times."""
    seen = session(
        channel(
            ChannelType.DISPLAY, [Said(t, ServerDisplay.DRAW_COPY, bytes(57)) for t in draw_times], end=end
        ),
        channel(
            ChannelType.INPUTS, (), [Said(t, ClientInputs.KEY_DOWN, bytes(4)) for t in press_times], end=end
        ),
    )
    return {
        "messages": messages([seen], ORIGIN_NS),
        "display_silence": display_silence([seen], ORIGIN_NS),
    }


def test_a_screen_that_does_not_answer_keys():
    found = one(find_network.screen_frozen, **pressed([1.0, 40.0], [10.0, 12.0, 14.0], 60.0))
    assert (found.severity, found.time_s) == ("critical", 10.0)
    assert "stood still for 30.0 s" in found.title


@pytest.mark.parametrize(
    ("drawn", "keys"),
    [([1.0, 40.0], [10.0, 12.0]), ([1.0, 9.0, 11.0, 16.0], [8.0, 10.0, 15.0]), ([1.0, 40.0], [37, 38, 39])],
    ids=["too few keys", "every key is answered", "answered within five seconds"],
)
def test_a_screen_that_has_nothing_to_show_is_not_frozen(drawn, keys):
    assert not said(find_network.screen_frozen, **pressed(drawn, keys, 42.0))


def test_what_the_capture_lacks_is_no_frozen_screen():
    seen = pressed([1.0, 40.0], [10.0, 12.0, 14.0], 60.0)
    seen["display_silence"]["holes"] = 1
    assert not said(find_network.screen_frozen, **seen)


def test_a_screen_that_stands_still_while_the_server_waits_for_the_client():
    stalls = full("ack_stalls", channel=["display"], start_s=[9.0], end_s=[39.0], duration_s=[30.0])
    found = one(find_network.screen_frozen, ack_stalls=stalls, **pressed([1.0, 40.0], [10, 12, 14], 60.0))
    assert found.who == "client"
    assert "waited for acknowledgements" in found.evidence[-1]


def test_a_slow_way():
    assert one(find_network.rtt_high, pings=full("pings", rtt_ms=[90.0, 180.0, 200.0])).who == "network"
    assert not said(find_network.rtt_high, pings=full("pings", rtt_ms=[1.0, 2.0, 900.0]))


def way(**columns):
    """TCP's own round trips of one session, what the server sent and what the client did."""
    return full("tcp", **{"from": ["server", "client"], "rtt_samples": [9, 9], **columns})


@pytest.mark.parametrize(("rtt_ms", "who"), [(180.0, "network"), (5.0, "client")])
def test_a_slow_answer_on_a_fast_way_is_the_clients(rtt_ms, who):
    pings = full("pings", rtt_ms=[200.0] * 3)
    found = one(find_network.rtt_high, pings=pings, tcp=way(rtt_ms_median=[rtt_ms, 0.1]))
    assert found.who == who
    assert f"TCP on the same way takes {rtt_ms:.1f} ms" in found.evidence[1]
    assert ("not the network" in found.evidence[1]) == (who == "client")


def test_a_long_way_by_the_handshakes_alone():
    tcp = way(initial_rtt_ms=[150.0, 150.0], syn_rtt_ms=[149.0, 1.0], rtt_ms_median=[160.0, 1.0])
    found = one(find_transport.initial_rtt_high, tcp=tcp)
    assert (found.code, found.who) == ("initial_rtt_high", "network")
    assert "1.0 ms of it between the capture point and the server" in found.evidence[0]
    pings = full("pings", rtt_ms=[150.0] * 3)
    assert not said(find_transport.initial_rtt_high, tcp=tcp, pings=pings), "PINGs say it already"
    assert not said(find_transport.initial_rtt_high, tcp=way(initial_rtt_ms=[20.0, 20.0]))


@pytest.mark.parametrize(
    ("sender", "who", "duration", "severity"),
    [
        ("server", "client", 0.3, "warn"),
        ("server", "client", 1.5, "critical"),
        ("client", "server", 0.3, "warn"),
    ],
)
def test_a_receiver_without_room(sender, who, duration, severity):
    stalls = full(
        "tcp_stalls",
        channel=["display"] * 2,
        start_s=[1.0, 5.0],
        duration_s=[duration, 0.1],
        cause=["zero_window"] * 2,
        window=[4000, 0],
        **{"from": [sender] * 2},
    )
    found = one(find_transport.receive_window, tcp_stalls=stalls)
    assert (found.who, found.severity, found.time_s) == (who, severity, 1.0)
    assert len(found.evidence) == 1
    assert "after 4,000 bytes were filled" in found.evidence[0]


def lost(time_s, idle_s, **columns):
    count = len(time_s)
    kind = columns.pop("kind", ["retransmission"] * count)
    return full(
        "tcp_events",
        time_s=time_s,
        idle_s=idle_s,
        kind=kind,
        channel=["display"] * count,
        **{"from": ["server"] * count},
    )


def drawn(*time_s):
    return full(
        "messages", time_s=time_s, channel=["display"] * len(time_s), **{"from": ["server"] * len(time_s)}
    )


def test_a_timeout_holds_up_the_screen():
    events = lost([1.3, 1.7, 3.01], [0.3, 0.7, 0.01])
    found = one(find_transport.loss_stall, tcp_events=events, messages=drawn(0.9, 1.0, 1.8))
    assert (found.severity, found.who, found.time_s) == ("warn", "network", 1.0)
    assert "nothing new came for 0.70 s from 1.00 s on, until 2 segments were sent again" in found.evidence[0]


def test_idleness_before_a_lost_segment_counts_a_second_at_most():
    """Where the first copy was lost before the capture, nobody knows when it was sent."""
    found = one(find_transport.loss_stall, tcp_events=lost([9.0], [8.0]), messages=drawn(1.0, 9.0))
    assert (found.time_s, found.severity) == (8.0, "critical")


@pytest.mark.parametrize(
    ("events", "shown", "stalls"),
    [
        (lost([1.3], [0.1]), drawn(1.0, 1.4), full("tcp_stalls")),
        (lost([1.3], [0.3]), drawn(1.0, 1.1, 1.4), full("tcp_stalls")),
        (lost([1.3], [0.3], kind=["spurious_retransmission"]), drawn(1.0), full("tcp_stalls")),
        (
            lost([1.3], [0.3]),
            drawn(1.0),
            full("tcp_stalls", channel=["display"], start_s=[0.9], duration_s=[2.0], **{"from": ["server"]}),
        ),
    ],
    ids=["soon", "the screen went on", "for nothing", "the client had no room"],
)
def test_what_does_not_hold_up_the_screen(events, shown, stalls):
    assert not said(find_transport.loss_stall, tcp_events=events, messages=shown, tcp_stalls=stalls)


def test_bytes_sent_again_are_worth_a_word_from_a_hundredth_on():
    tcp = way(bytes=[1_000_000, 1000], retransmitted_bytes=[20_000, 900])
    (sentence,) = one(find_transport.retransmissions, tcp=tcp).evidence
    assert "20,000 of 1,000,000 bytes" in sentence
    assert not said(find_transport.retransmissions, tcp=way()), "nothing is known"


def test_low_bandwidth_by_the_servers_own_test():
    pings = full(
        "pings", unit=["us"] * 3, rtt_ms=[10.0, 10.0, 510.0], padding=[0, 0, 256000], time_s=[0.1] * 3
    )
    assert "4.10 Mbit/s" in one(find_network.bandwidth_low, pings=pings).evidence[0]


def test_a_lost_connection():
    lost = Disconnect("display", "early eof", "UnexpectedEof", False)
    found = one(find_network.disconnected, Facts(clients=(summary(disconnect=lost, uptime_s=9.9),)))
    assert (found.severity, found.time_s) == ("critical", 9.9)
    assert found.evidence[0].startswith("early eof (UnexpectedEof)")


def test_a_server_that_hung_up():
    closed = full("channels", channel=["main"], closed_by=["server"], end_s=[7.0])
    assert one(find_network.disconnected, channels=closed).who == "server"
    assert not said(
        find_network.disconnected, channels=full("channels", channel=["main"], closed_by=["client"])
    )


# --- guest agent --------------------------------------------------------------------------------------


def asked(*outcomes, lag=NAN, kind="MONITORS_CONFIG"):
    count = len(outcomes)
    replies = [1.0 + lag / 1e3 if o in ("answered", "error") else NAN for o in outcomes]
    return full(
        "agent",
        type=[kind] * count,
        time_s=[1.0] * count,
        outcome=list(outcomes),
        lag_ms=[lag] * count,
        reply_time_s=replies,
    )


def test_a_slow_agent():
    found = one(find_agent.agent_slow, agent=asked("answered", "answered", lag=2290.0))
    assert "took up to 2.29 s" in found.title
    assert not said(find_agent.agent_slow, agent=asked("answered", lag=40.0))
    assert not said(find_agent.agent_slow, agent=asked("ambiguous", lag=9000.0))


def test_a_slow_agent_that_only_the_client_measured():
    facts = Facts(clients=(summary(agent=agent_counters(recent_lags_us=(3_000, 2_500_000))),))
    assert "2.50 s" in one(find_agent.agent_slow, facts).title


def test_monitors_that_nobody_answers_are_usual():
    sizes = full("agent_messages", type=["MONITORS_CONFIG"], **{"from": ["client"]}, size=[392])
    found = one(find_agent.agent_unanswered, agent=asked("unanswered", "unanswered"), agent_messages=sizes)
    assert found.severity == "info"
    assert any("physical sizes" in sentence for sentence in found.evidence)


def test_an_agent_that_falls_silent_is_not():
    found = one(find_agent.agent_unanswered, agent=asked("answered", "unanswered", lag=3.0))
    assert (found.severity, found.who) == ("warn", "guest agent")


def test_a_request_at_the_very_end_may_still_be_answered():
    assert not said(find_agent.agent_unanswered, Facts(duration_s=1.5), agent=asked("unanswered"))


def test_agent_errors_and_starvation():
    assert one(find_agent.agent_errors, agent=asked("error", lag=3.0)).code == "agent_error"
    starved = full("agent_starvation", **{"from": ["client"]}, start_s=[3.0], duration_s=[6.0])
    assert one(find_agent.agent_starved, agent_starvation=starved).time_s == 3.0
    facts = Facts(clients=(summary(agent=agent_counters(stalls=2)),))
    assert "2 stalls" in one(find_agent.agent_starved, facts).evidence[0]


# --- client and capture -------------------------------------------------------------------------------


def test_a_gap_that_the_report_is_about():
    told = full(
        "notifications",
        origin=["client_reported"] * 2,
        source=["Gap"] * 2,
        message=["a:b:c"] * 2,
        time_s=[2.0, 5.0],
    )
    found = one(find_client.client_gap, Facts(gap_key="a:b:c"), notifications=told)
    assert (found.title, found.time_s) == ("The client cannot do a:b:c", 2.0)


def test_what_the_client_says_of_itself():
    busy = summary(busiest_thread_percent=99.0, worst_image_lag_us=250_000)
    assert len(one(find_client.client_busy, Facts(clients=(busy,))).evidence) == 2
    assert (
        one(find_client.client_gave_up, Facts(clients=(summary(keepalive_timeout=True),))).severity
        == "critical"
    )
    refused = summary(streams=totals(rejected=3))
    assert "3 video streams" in one(find_client.streams_rejected, Facts(clients=(refused,))).title
    lost = summary(traffic={"display": traffic(capture_drops=4)})
    assert one(find_client.recorder_dropped, Facts(clients=(lost,))).who == "capture"


def test_notices_of_both_sides():
    told = full(
        "notifications",
        origin=["server", "client_reported", "client_reported"],
        severity=["warn", "warn", "info"],
        source=["main", "Internal", "Connection"],
        message=["keyboard channel is insecure", "guest agent not replying", "Connected"],
    )
    assert one(find_client.server_notices, notifications=told).severity == "info"
    assert "not replying" in one(find_client.client_notices, notifications=told).evidence[0]


def test_a_wrong_password():
    refused = Refusal(0, "main/0", "link result: PERMISSION_DENIED (7)", 0.5)
    found = one(find_capture.link_refused, Facts(refused=(refused,)))
    assert (found.severity, found.time_s) == ("critical", 0.5)
    assert "password" in found.title
    later = full("channels", channel=["main"], start_s=[3.0], messages_from_server=[9])
    assert one(find_capture.link_refused, Facts(refused=(refused,)), channels=later).severity == "warn"


def test_what_the_capture_lacks():
    gaps = full(
        "gaps",
        channel=["display"] * 3,
        **{"from": ["server"] * 3},
        cause=["segment_over_snaplen", "not_captured", "evicted"],
        bytes=[65495, None, 1000],
        messages=[1, None, None],
    )
    assert "1 large message" in one(find_capture.large_messages_lost, gaps=gaps).title
    assert {f.code for f in said(find_capture.capture_incomplete, gaps=gaps)} == {
        "capture_begins_late",
        "capture_incomplete",
    }
    sealed = Facts(unread=(Unread("tls", "a:1", "b:2", 10, ""), Unread("http", "a:1", "b:2", 10, "")))
    assert "1 connection" in one(find_capture.tls_unreadable, sealed).title
    merged = full("defects", kind=["channels_merged"], where=["display/0"], detail=["two trains"])
    assert one(find_capture.several_displays_merged, defects=merged).who == "capture"
    torn = full("defects", kind=["framing_lost"], where=["display/0"], detail=["found again"])
    assert one(find_capture.framing_lost, defects=torn).severity == "info"
    assert not said(find_capture.malformed_input, defects=torn)
    lost = full("defects", kind=["cache_miss"] * 2, where=["display/0"] * 2, detail=["image 7", "image 9"])
    incomplete = one(find_capture.pictures_incomplete, defects=lost)
    assert "needed 2 times: a cached image that was not seen [capture]" in incomplete.evidence
    assert not said(find_capture.malformed_input, defects=lost)
    odd = full("defects", kind=["value_unknown"], where=["display/0"], detail=["9"])
    assert "value_unknown" in one(find_capture.malformed_input, defects=odd).title
    assert one(find_capture.members_missing, Facts(missing_members=("traffic.pcap",))).severity == "warn"
    middle = full("channels", channel=["main"], handshake=[False])
    assert one(find_capture.handshake_missing, channels=middle).code == "handshake_missing"


# --- the verdict --------------------------------------------------------------------------------------


def verdict_of(facts=Facts(duration_s=12.0), **given):  # noqa: B008
    given = tables(**given)
    return judge(table(find(given, facts)), given, facts)


HEALTHY = full("channels", channel=["main"], handshake=[True], messages_from_server=[1280])


def test_a_healthy_session_says_so_with_figures():
    found = verdict_of(
        channels=HEALTHY,
        streams=full("streams", frames=[100], decode_ms_median=[1.5], seen_create=[True]),
        pings=full("pings", rtt_ms=[2.0]),
        agent=asked("answered", lag=12.0),
    )
    assert found.severity == "ok"
    assert found.sentence == (
        "No problem was found: 1 session of 12.0 s in all, 1,280 messages from the server, 1 video stream with 100 "
        "frames, decoding takes 1.5 ms a frame here, PING to PONG 2.0 ms, the guest agent answers within 12 ms."
    )


def test_what_takes_next_to_no_time_is_not_said_to_take_none():
    found = verdict_of(
        channels=HEALTHY,
        streams=full("streams", frames=[100], decode_ms_median=[0.02], seen_create=[True]),
        agent=asked("answered", lag=0.3),
    )
    assert "decoding takes under 0.1 ms a frame here" in found.sentence
    assert "the guest agent answers within 1 ms" in found.sentence


def test_the_worst_finding_is_the_verdict():
    streams = flapping()
    found = verdict_of(
        channels=HEALTHY, streams=streams, flaps=flaps.flaps(streams), pings=full("pings", rtt_ms=[200.0] * 3)
    )
    assert found.severity == "critical"
    assert found.sentence.startswith("The video stream flaps")
    assert found.sentence.endswith("(1 further problem below).")
    assert found.evidence


def test_a_capture_with_holes_is_not_called_healthy():
    holes = full("gaps", channel=["main"], cause=["silent"], bytes=[5], **{"from": ["server"]})
    found = verdict_of(channels=HEALTHY, gaps=holes)
    assert (found.severity, "as far as the capture goes" in found.sentence) == ("info", True)


def test_no_recording_at_all():
    client = summary(uptime_s=10.6, streams=totals(created=2))
    found = verdict_of(Facts(clients=(client,)))
    assert found.sentence.startswith(
        "There is no recorded traffic; the client's own figures show no problem: connected"
    )


def test_notes_on_the_capture_are_ranked():
    gaps = full("gaps", channel=["main"] * 2, cause=["evicted", "silent"], **{"from": ["server"] * 2})
    unparsed = full("channels", channel=["main"], handshake=[False], unparsed_bytes=[10])
    found = notes(tables(gaps=gaps, channels=unparsed), Facts(missing_members=("session.json",)))
    assert [n.severity for n in found] == ["warn", "warn", "info", "info", "info"]
    assert notes(tables(), Facts())[0].severity == "critical"
