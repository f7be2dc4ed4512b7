"""Rules about sound, USB and shared folders on tables of a few rows."""

import math

import pytest
from support.tables import empty_tables, full

from spicereplay.analysis import find_sound
from spicereplay.analysis.facts import Facts

NAN = math.nan


def said(rule, **given):
    return list(rule({**empty_tables(), **given}, Facts(duration_s=60.0)))


def one(rule, **given):
    (finding,) = said(rule, **given)
    return finding


def packets(gap, arrival, **given):
    count = len(gap)
    times = [1.0 + i for i in range(count)]
    return full("playback", time_s=times, gap_ms=gap, arrival_gap_ms=arrival, **given)


def run(**given):
    count = max(len(v) for v in given.values())
    filled = {
        "channel": ["playback"] * count,
        "packets": [100] * count,
        "sound_s": [1.0] * count,
        "start_s": [float(i) for i in range(count)],
        "peak": [0.5] * count,
        "longest_gap_ms": [0.0] * count,
        "gap_ms": [0.0] * count,
    }
    return full("sound_runs", **{**filled, **given})


@pytest.mark.parametrize("rule", find_sound.RULES)
def test_a_session_without_sound_has_no_findings(rule):
    assert said(rule) == []


def test_sound_that_was_late_points_to_the_network():
    found = one(find_sound.audio_gaps, playback=packets([0, 0, NAN, 300], [0, 500, NAN, 310]))
    assert found.title == "Sound broke off 1 time on the way, for up to 0.50 s"
    assert (found.time_s, found.who) == (2.0, "network")
    assert "no sound for 500 ms before 2.00 s; the server's clock says 0 ms" in found.evidence[0]


def test_sound_that_the_server_lacked_points_to_it():
    runs = run(longest_gap_ms=[300.0], gaps=[1], gap_ms=[300.0])
    found = one(find_sound.audio_underruns, sound_runs=runs, playback=packets([0, 300.0], [0, 300.0]))
    assert (found.who, found.time_s) == ("server", 2.0)
    assert "0.30 s in all" in found.title
    assert not said(find_sound.audio_gaps, playback=packets([0, 300.0], [0, 300.0]))


@pytest.mark.parametrize(
    ("gaps", "gap_ms", "found"), [(1, 25.0, False), (1, 0.5e3, True), (5, 1e3, True), (0, 0.0, False)]
)
def test_many_short_silences_are_worth_a_word(gaps, gap_ms, found):
    runs = run(gaps=[gaps], gap_ms=[gap_ms], sound_s=[30.0], longest_gap_ms=[gap_ms / max(gaps, 1) % 199])
    assert bool(said(find_sound.audio_underruns, sound_runs=runs, playback=packets([30.0], [30.0]))) is found


def test_sound_that_does_not_decode():
    sound = packets([0, 0, 0], [0, 0, 0], outcome=["decoded", "failed", "failed"], codec=["opus"] * 3)
    found = one(find_sound.audio_undecodable, playback=sound)
    assert (found.code, found.title) == ("audio_undecodable", "2 packets of sound cannot be decoded")
    assert found.evidence[0].endswith("[remeasured]")


def test_sound_in_a_codec_that_nothing_decodes():
    sound = packets([0], [0], outcome=["unsupported"], codec=["celt_0_5_1"])
    found = one(find_sound.audio_undecodable, playback=sound)
    assert (found.code, found.severity) == ("audio_unsupported", "info")
    assert "celt_0_5_1" in found.title


def test_sound_that_nobody_can_hear():
    runs = run(silenced_packets=[100, 99, 0], peak=[0.5, 0.5, 0.0])
    muted, zeros = said(find_sound.sound_silent, sound_runs=runs)
    assert (muted.code, muted.time_s) == ("sound_muted", 0.0)
    assert (zeros.code, zeros.time_s) == ("sound_of_zeros", 2.0)
    assert zeros.evidence[0].endswith("[remeasured]")


def test_a_microphone_is_no_playback():
    runs = run(channel=["record"], silenced_packets=[100], peak=[0.0], gaps=[9], longest_gap_ms=[900.0])
    assert not said(find_sound.sound_silent, sound_runs=runs)
    assert not said(find_sound.audio_underruns, sound_runs=runs)


def test_sound_that_is_started_over_and_over():
    often = run(start_s=[0.0, 1.0, 2.0, 3.0, 4.0], seen_start=[True] * 5, stop_s=[0.5, 1.5, 2.5, 3.5, NAN])
    found = one(find_sound.playback_stop_start, sound_runs=often)
    assert "5 START in 4.0 s" in found.evidence[0]
    rare = run(start_s=[0.0, 10.0, 20.0, 30.0, 40.0], seen_start=[True] * 5, stop_s=[NAN] * 5)
    assert not said(find_sound.playback_stop_start, sound_runs=rare)


@pytest.mark.parametrize(("errors", "severity"), [(1, "info"), (3, "warn")])
def test_usb_transfers_that_fail(errors, severity):
    usb = full(
        "usbredir",
        packet=["bulk_packet", "control_packet"],
        count=[50, 9],
        errors=[errors, 0],
        stalled=[0, 9],
        first_s=[3.0, 1.0],
    )
    found = one(find_sound.usb_errors, usbredir=usb)
    assert (found.severity, found.who, found.time_s) == (severity, "client", 3.0)
    assert f"usbredir/0: {errors} of 50 bulk_packet" in found.evidence[0]


def test_requests_to_the_shared_folder_that_fail():
    dav = full(
        "webdav",
        method=["GET", "PUT", "GET", "PROPFIND"],
        status=[404, 507, None, 207],
        outcome=["answered", "answered", "broken", "answered"],
        time_s=[1.0, 2.0, 3.0, 4.0],
    )
    found = one(find_sound.webdav_errors, webdav=dav)
    assert found.title == "2 requests to the shared folder failed"
    assert "PUT at 2.00 s: status 507" in found.evidence[0]
    assert "GET at 3.00 s: the connection was closed" in found.evidence[1]
