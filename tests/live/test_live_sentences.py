"""Events of a live session in words."""

import pytest

from spicereplay.live import events as live
from spicereplay.live.sentences import sentence


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (live.SessionBegan(time_ns=0, session_id=77), "session 77 began"),
        (
            live.Linked(
                time_ns=0, channel="display", channel_id=1, place="vm:5900", secure=True, server_caps=()
            ),
            "display/1 joined, encrypted: vm:5900",
        ),
        (
            live.ChannelAbsent(time_ns=0, channel="record", channel_id=0, reason="no microphone here"),
            "record/0 not joined: no microphone here",
        ),
        (
            live.ChannelClosed(time_ns=0, channel="cursor", channel_id=0, reason="closed by the server"),
            "cursor/0 ended: closed by the server",
        ),
        (live.Migrated(time_ns=0, place="other:5900"), "the guest moved to other:5900"),
        (
            live.Disconnected(time_ns=0, reason="reset", retry_s=4.0),
            "disconnected: reset; trying again in 4 s",
        ),
        (
            live.Disconnected(time_ns=0, reason="ended here", retry_s=None, wanted=True),
            "disconnected: ended here",
        ),
        (
            live.Noticed(time_ns=0, severity="warn", source="server", code="", text="no keyboard"),
            "warning of the server: no keyboard",
        ),
        (
            live.Noticed(time_ns=0, severity="info", source="client", code="", text="the agent is back"),
            "info: the agent is back",
        ),
        (live.RecordingTrouble(time_ns=0, text="disk full", lost_bytes=9), "recording: disk full"),
        (live.Screenshot(time_ns=0, path="screen.png"), "screenshot written to screen.png"),
        (live.EventsSkipped(time_ns=0, count=1200), "1,200 events came too fast to be told"),
        (
            live.StreamCreated(
                time_ns=0,
                channel_id=0,
                stream_id=3,
                codec="mjpeg",
                width=640,
                height=480,
                left=10,
                top=20,
            ),
            "display/0: stream 3 began, mjpeg, 640×480 at (10, 20)",
        ),
        (
            live.StreamDestroyed(time_ns=0, channel_id=0, stream_id=3, lifetime_s=1.234, frames=30),
            "display/0: stream 3 ended after 1.23 s, 30 frames",
        ),
        (
            live.Flap(time_ns=0, channel_id=0, count=3, window_s=10.0, mean_lifetime_s=0.5, instants=3),
            "display/0: video stream flapping: 3 streams ended within 10 s, mean lifetime 0.5 s",
        ),
        (live.AgentReply(time_ns=0, lag_ns=5), None),
    ],
    ids=lambda value: value.kind if isinstance(value, live.Event) else "",
)
def test_what_happened_is_said(event: live.Event, said: str | None) -> None:
    assert sentence(event) == said
