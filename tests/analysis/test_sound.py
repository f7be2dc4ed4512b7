"""Runs of sound, the silences in them, and what they decode to."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, ns, session

from spicereplay.analysis.playback import GAP_MS, observe_sound, playback, sound_runs
from spicereplay.analysis.sound import silences
from spicereplay.analysis.timeline import Tables
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import (
    ChannelType,
    ClientRecord,
    ServerMain,
    ServerPlayback,
    ServerRecord,
    Side,
)
from spicereplay.replay import replay
from spicereplay.session.log import Gap, GapCause

RAW, CELT, OPUS = 1, 2, 3


def mode(at, number):
    return Said(at, ServerPlayback.MODE, struct.pack("<IH", 0, number))


def start(at, mm=1000, channels=2, rate=48_000, form=1):
    return Said(at, ServerPlayback.START, struct.pack("<IHII", channels, form, rate, mm))


def stop(at):
    return Said(at, ServerPlayback.STOP)


def packet(at, mm, frames=480, value=1000, **given):
    sound = np.full(2 * frames, value, "<i2").tobytes()
    return Said(at, ServerPlayback.DATA, struct.pack("<I", mm % 2**32) + sound, **given)


def opus(at, mm, data=b"\xf0\xff\xfe"):
    return Said(at, ServerPlayback.DATA, struct.pack("<I", mm) + data)


def steady(count, at=1.0, mm=1000, **given):
    return [packet(at + i / 100, mm + 10 * i, **given) for i in range(count)]


def tables(*said, defects=None, limits=DEFAULT_LIMITS, decode=True, **given):
    log = session(channel(ChannelType.PLAYBACK, said, **given))
    found = observe_sound([log], limits, defects if defects is not None else DefectLog(), decode=decode)
    return sound_runs(found, ORIGIN_NS), playback(found, ORIGIN_NS)


# --- runs ---------------------------------------------------------------------------------------------


def test_a_run_lasts_from_start_to_stop():
    runs, packets = tables(
        mode(0, RAW), start(1.0), *steady(5), stop(1.2), start(3.0), *steady(2, 3.0), stop(3.5)
    )
    assert runs["start_s"].tolist() == [1.0, 3.0]
    assert runs["stop_s"].tolist() == [1.2, 3.5]
    assert runs["packets"].tolist() == [5, 2]
    assert runs["sound_s"].tolist() == [0.05, 0.02]
    assert runs["bytes"].tolist() == [5 * 1920, 2 * 1920]
    assert (
        runs[["codec", "codec_source", "channels", "rate"]].values.tolist()
        == [["raw", "capture", 2, 48_000]] * 2
    )
    assert packets["run"].tolist() == [0] * 5 + [1] * 2
    assert packets["samples"].tolist() == [480] * 7
    assert packets["outcome"].unique().tolist() == ["decoded"]
    assert packets["backend"].unique().tolist() == ["numpy"]


def test_a_start_without_a_stop_ends_with_the_next_one():
    runs, _ = tables(mode(0, RAW), start(1), *steady(2), start(2), stop(2.5))
    assert runs["stop_s"].isna().tolist() == [True, False]
    assert runs["packets"].tolist() == [2, 0]


def test_a_capture_that_begins_in_the_middle_names_what_it_assumes():
    runs, packets = tables(*steady(3), stop(2), start(3), *steady(2, 3.0), link=None)
    assert runs["seen_start"].tolist() == [False, True]
    assert runs["codec_source"].tolist() == ["inferred"] * 2
    assert packets["codec"].unique().tolist() == ["raw"]
    assert runs["start_s"].tolist() == [1.0, 3.0]


def test_opus_is_told_from_its_packets():
    runs, _ = tables(*(opus(1 + i / 100, 1000 + 10 * i) for i in range(4)), link=None)
    assert runs[["codec", "codec_source"]].values.tolist() == [["opus", "inferred"]]


def test_what_fits_no_codec_is_unknown_and_not_decoded():
    runs, packets = tables(packet(1, 0), packet(1.1, 10, frames=3000))
    assert runs["codec"].tolist() == ["unknown"]
    assert np.isnan(runs["sound_s"][0])
    assert packets["samples"].isna().all()
    assert packets["outcome"].unique().tolist() == ["unsupported"]
    assert packets["gap_ms"].isna().tolist() == [False, True]


def test_the_mode_may_change():
    _, packets = tables(mode(0, RAW), start(1), *steady(2), mode(1.1, OPUS), opus(1.2, 1020))
    assert packets["codec"].tolist() == ["raw", "raw", "opus"]
    assert packets["backend"].tolist()[2].startswith("pyav libopus")


def test_a_run_without_packets_is_a_row_too():
    runs, packets = tables(mode(0, OPUS), start(1), stop(2))
    assert (len(runs), len(packets)) == (1, 0)
    assert runs["longest_gap_ms"].tolist() == [0.0]


def test_runs_are_limited():
    defects = DefectLog()
    runs, packets = tables(
        mode(0, RAW),
        *(Said(1 + i, s.type, s.body) for i in range(5) for s in (start(1), packet(1, 0))),
        defects=defects,
        limits=Limits(sound_runs=2),
    )
    assert runs["packets"].tolist() == [1, 4]
    assert [d.kind for d in defects.kept] == ["over_limit"]
    assert len(packets) == 5


def test_what_the_microphone_sends():
    server = [
        Said(1.0, ServerRecord.START, struct.pack("<IHI", 2, 1, 44_100)),
        Said(2.0, ServerRecord.STOP),
        Said(0.5, ServerRecord.VOLUME, struct.pack("<B2H", 2, 100, 200)),
    ]
    client = [
        Said(0.1, ClientRecord.MODE, struct.pack("<IH", 0, RAW)),
        Said(1.1, ClientRecord.START_MARK, struct.pack("<I", 7)),
        *(
            Said(1.2 + i / 100, ClientRecord.DATA, struct.pack("<I", 7 + 10 * i) + bytes(1764))
            for i in range(4)
        ),
        Said(2.1, ClientRecord.DATA, struct.pack("<I", 900) + bytes(1764)),
    ]
    found = observe_sound([session(channel(ChannelType.RECORD, server, client))], DEFAULT_LIMITS, DefectLog())
    row = sound_runs(found, ORIGIN_NS).iloc[0]
    assert (row["channel"], row["packets"], row["rate"], row["peak"]) == ("record", 5, 44_100, 0.0)
    assert row["sound_s"] == pytest.approx(0.05)
    assert (row["volume_min"], row["volume_max"]) == (200, 200)
    assert not len(playback(found, ORIGIN_NS))


# --- silences -----------------------------------------------------------------------------------------


def lengths(at, played, holes=()):
    after = np.isin(np.arange(len(at)), holes)
    return silences(np.array(at, float), np.full(len(at), float(played)), after).tolist()


def test_steady_packets_leave_no_silence():
    assert lengths([0, 10, 20, 30], 10) == [0, 0, 0, 0]


def test_packets_that_come_in_bursts_leave_none_either():
    assert lengths([0, 0, 0, 30, 30, 30, 60], 10) == [0] * 7


def test_a_packet_that_comes_late_leaves_one_and_moves_what_follows():
    assert lengths([0, 10, 70, 71, 80], 10) == [0, 0, 50, 0, 0]


def test_behind_missing_bytes_the_account_begins_anew():
    out = lengths([0, 10, 500, 510, 560], 10, holes=[2])
    assert out[:2] == [0, 0]
    assert np.isnan(out[2])
    assert out[3:] == [0, 40]


def test_no_packets_no_silences():
    assert lengths([], 10) == []


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 30)), min_size=1, max_size=60))
def test_silences_are_what_a_player_that_holds_nothing_back_counts(steps):
    at = np.cumsum([step for step, _ in steps]).astype(float)
    played = np.array([length for _, length in steps], float)
    expected, ready = [], at[0]
    for begin, length in zip(at, played, strict=True):
        expected.append(max(0.0, begin - ready))
        ready = max(ready, begin) + length
    assert silences(at, played, np.zeros(len(at), bool)).tolist() == expected


def test_the_servers_silence_and_the_networks_are_told_apart():
    said = [packet(1.0, 1000), packet(1.01, 1010), packet(1.32, 1320), packet(1.83, 1330), packet(1.83, 1340)]
    runs, packets = tables(mode(0, RAW), start(1.0), *said, stop(2))
    assert packets["gap_ms"].tolist() == pytest.approx([0, 0, 300, 0, 0])
    assert packets["arrival_gap_ms"].tolist() == pytest.approx([0, 0, 300, 500, 0])
    row = runs.iloc[0]
    assert (row["gaps"], row["arrival_gaps"]) == (1, 2)
    assert row["longest_gap_ms"] == pytest.approx(300)
    assert row["arrival_gap_ms"] == pytest.approx(800)
    assert np.isnan(packets["interarrival_ms"][0])
    assert packets["interarrival_ms"].tolist()[1:] == pytest.approx([10, 310, 510, 0])


def test_multimedia_time_may_wrap():
    first = 2**32 - 15
    runs, packets = tables(mode(0, RAW), start(1.0, mm=first), *steady(4, mm=first))
    assert packets["gap_ms"].tolist() == [0.0] * 4
    assert runs["span_s"].tolist() == [0.04]


def test_short_silences_are_not_counted():
    half = GAP_MS / 2 / 1000
    runs, _ = tables(mode(0, RAW), start(1), packet(1, 1000), packet(1.01 + half, 1010 + int(half * 1000)))
    assert runs[["gaps", "arrival_gaps"]].values.tolist() == [[0, 0]]
    assert runs["longest_gap_ms"].tolist() == [10.0]


def test_missing_bytes_are_no_silence_of_the_server():
    said = [mode(0, RAW), start(1.0), packet(1.0, 1000), packet(2.0, 2000)]
    hole = Gap(Side.SERVER, ns(2.0), 6 + 14 + 1924 - 1, 100, GapCause.NOT_CAPTURED)
    runs, packets = tables(*said, gaps=[hole])
    assert np.isnan(packets["gap_ms"][1])
    assert runs["gaps"].tolist() == [0]


def test_the_margin_is_against_the_clients_clock():
    main = channel(
        ChannelType.MAIN, [Said(0.0, ServerMain.INIT, struct.pack("<8I", 1, 1, 3, 2, 0, 0, 600, 0))]
    )
    log = session(main, channel(ChannelType.PLAYBACK, [mode(0, RAW), start(1.0), packet(1.0, 2000)]))
    found = observe_sound([log], DEFAULT_LIMITS, DefectLog())
    assert playback(found, ORIGIN_NS)["margin_ms"].tolist() == [400.0]


# --- volume, mute, latency ----------------------------------------------------------------------------


def volume(at, *levels):
    return Said(at, ServerPlayback.VOLUME, struct.pack(f"<B{len(levels)}H", len(levels), *levels))


def mute(at, on):
    return Said(at, ServerPlayback.MUTE, bytes([on]))


def test_volume_and_mute_while_sound_plays():
    runs, packets = tables(
        mode(0, RAW),
        volume(0.1, 500, 700),
        start(1.0),
        packet(1.0, 1000),
        mute(1.005, 1),
        packet(1.01, 1010),
        mute(1.015, 0),
        volume(1.016, 0, 0),
        packet(1.02, 1020),
        volume(1.025, 65_535, 0),
        packet(1.03, 1030),
        stop(1.1),
        volume(1.2, 3, 3),
    )
    assert packets["silenced"].tolist() == [False, True, True, False]
    assert runs[["volume_min", "volume_max", "silenced_packets"]].values.tolist() == [[0, 65_535, 2]]


def test_the_latency_that_the_server_asks_for():
    latency = Said(0.5, ServerPlayback.LATENCY, struct.pack("<I", 300))
    runs, _ = tables(mode(0, RAW), latency, start(1), *steady(2), stop(2), start(3), stop(4))
    assert runs["latency_ms"].tolist() == [300, 300]
    runs, _ = tables(mode(0, RAW), start(1))
    assert runs["latency_ms"].isna().all()


# --- decoding -----------------------------------------------------------------------------------------


def test_what_does_not_decode_costs_itself():
    defects = DefectLog()
    runs, packets = tables(
        mode(0, OPUS),
        start(1.0),
        opus(1.0, 1000),
        opus(1.01, 1010, b"\xff\xff\xff"),
        opus(1.02, 1020, b""),
        opus(1.03, 1030),
        defects=defects,
    )
    assert packets["outcome"].tolist() == ["decoded", "failed", "failed", "decoded"]
    assert runs["decode_failures"].tolist() == [2]
    assert [(d.kind, d.where) for d in defects.kept] == [
        ("codec_data", "playback/0 from server"),
        ("codec_data_short", "playback/0 from server"),
    ]


def test_celt_is_named_and_left_alone():
    defects = DefectLog()
    runs, packets = tables(mode(0, CELT), start(1, rate=44_100), opus(1.0, 0), defects=defects)
    assert runs["codec"].tolist() == ["celt_0_5_1"]
    assert packets["outcome"].tolist() == ["unsupported"]
    assert "CELT" in defects.kept[0].detail


@pytest.mark.parametrize("given", [{"channels": 0}, {"channels": 2**32 - 1}, {"rate": 0}, {"form": 0}])
def test_a_start_that_makes_no_sense(given):
    defects = DefectLog()
    _, packets = tables(mode(0, RAW), start(1, **given), packet(1, 1000), defects=defects)
    assert packets["outcome"].tolist() == ["unsupported"]
    assert len(defects.kept) == 1


def test_a_packet_with_missing_bytes():
    _, packets = tables(mode(0, RAW), start(1.0), packet(1.0, 1000), packet(1.01, 1010, partial=True))
    assert packets["outcome"].tolist() == ["decoded", "partial"]
    _, packets = tables(mode(0, RAW), start(1.0), packet(1.01, 1010, partial=True), decode=False)
    assert packets["outcome"].tolist() == ["partial"]


def test_the_loudest_sample_is_told():
    runs, _ = tables(
        mode(0, RAW), start(1.0), *steady(2, value=-16_384), stop(2), start(3), *steady(1, 3.0, value=0)
    )
    assert runs["peak"].tolist() == [0.5, 0.0]
    runs, packets = tables(mode(0, RAW), start(1.0), *steady(2), decode=False)
    assert np.isnan(runs["peak"][0])
    assert packets["outcome"].unique().tolist() == ["not_decoded"]


# --- recorded -----------------------------------------------------------------------------------------


def test_a_recorded_guest_plays_as_long_as_its_script_says(fixtures):
    folder = fixtures / "captures" / "qemu-guest-audio-opus"
    truth = json.loads((folder / "truth.json").read_text())["timeline"]
    began = [e["t"] for e in truth if e["what"] == "tone starts"]
    ended = [e["t"] for e in truth if e["what"] == "tone ends"]
    with replay(folder / "capture.pcap") as found:
        tables = Tables(found)
        runs, packets = tables["sound_runs"], tables["playback"]
        utc = found.start_time_ns / 1e9
    assert runs["channel"].tolist() == ["playback"] * 2
    for row, start_s, end_s in zip(runs.itertuples(), began, ended, strict=True):
        assert start_s - 0.2 < utc + row.start_s < end_s
        # speaker-test takes a moment to open the card and to close it.
        assert (end_s - start_s) - 1 < row.sound_s <= end_s - start_s
        assert abs(row.span_s - row.sound_s) < 0.02
    assert (runs["gaps"] == 0).all()
    assert len(packets) == runs["packets"].sum()
    assert (packets["outcome"] == "decoded").all()
    assert (runs["peak"] > 0.5).all()
