"""What the client says beside what the capture shows."""

import pytest
from support.client import agent, life, summary, totals, traffic
from support.tables import empty_tables, full

from spicereplay.analysis.client import compare
from spicereplay.bugreport.client_reported import DecodeTimes


def tables(**given):
    return {**empty_tables(), "channels": full("channels", channel=["display", "main"]), **given}


def told(client, given):
    return {d.what: (d.client, d.capture, d.explanation) for d in compare(client, given)}


STREAM = {
    "stream_id": [49],
    "codec": ["mjpeg"],
    "created_s": [4.0],
    "destroyed_s": [6.0],
    "lifetime_s": [2.0],
}


def test_a_client_that_agrees_gives_no_row():
    seen = tables(streams=full("streams", **STREAM, frames=[20], seen_create=[True]))
    client = summary(
        streams=totals(created=1, destroyed=1, orphan_frames=0, ended=(life(49, 4.05, 6.1, 20),))
    )
    assert not told(client, seen)


def test_frames_and_lifetimes_that_differ():
    seen = tables(streams=full("streams", **STREAM, frames=[20], seen_create=[True]))
    found = told(summary(streams=totals(ended=(life(49, 4.0, 9.0, 25),))), seen)
    assert found["stream 49 created at 4.00 s: frames"][:2] == ("25", "20")
    assert found["stream 49 created at 4.00 s: lifetime"][:2] == ("5.00 s", "2.00 s")


def test_what_was_dropped_from_the_ring_explains_what_is_not_there():
    seen = tables(gaps=full("gaps", channel=["display"], cause=["evicted"]))
    found = told(summary(streams=totals(created=4, destroyed=4, ended=(life(49, 4.0, 6.0, 5),))), seen)
    assert found["streams created"] == ("4", "0", found["streams created"][2])
    assert "had been dropped" in found["streams created"][2]
    assert len(found) == 2


def test_a_codec_the_client_does_not_know_explains_orphans():
    seen = tables(streams=full("streams", codec=["vp8"], frames=[104], seen_create=[True], created_s=[1.0]))
    found = told(summary(streams=totals(created=0, destroyed=0, orphan_frames=104)), seen)
    assert "no decoder for vp8: 104 frames" in found["stream data without an open stream"][2]


def test_message_counts_by_name():
    messages = full("messages", channel=["display"] * 3, **{"from": ["server"] * 3}, type=[304, 304, 305])
    display = traffic(received={304: 5, 305: 1}, sent={2: 1})
    found = told(summary(traffic={"display": display}), tables(messages=messages))
    assert found["display: DRAW_COPY from server"][:2] == ("5", "2")
    assert found["display: ACK from client"][:2] == ("1", "0")
    assert len(found) == 2


def test_a_channel_that_was_not_recorded_is_not_compared():
    assert not told(summary(traffic={"cursor": traffic(received={101: 5})}), tables())


def test_the_error_counter_that_counts_successes():
    asked = full(
        "agent",
        type=["MONITORS_CONFIG"] * 2,
        reply_time_s=[1.0, 2.0],
        lag_ms=[3.0, 4.0],
        outcome=["answered"] * 2,
    )
    found = told(summary(agent=agent(requests=2, replies=2, errors_written=2)), tables(agent=asked))
    assert list(found) == ["agent replies that report an error"]
    assert "1 means success" in found["agent replies that report an error"][2]


@pytest.mark.parametrize(("mean_us", "rows"), [(40_000, 1), (9_000, 0), (4_000, 0), (1_000, 1)])
def test_decode_times_that_two_machines_cannot_explain(mean_us, rows):
    seen = tables(
        frames=full(
            "frames", codec=["mjpeg"], outcome=["decoded"], decode_ms=[4.0], backend=["simplejpeg 1.9"]
        )
    )
    decodes = DecodeTimes("mjpeg", 20, 0, mean_us, 2)
    assert len(told(summary(decodes=(decodes,), backends=("jpeg-decoder",)), seen)) == rows
