"""What happens in a live session, as a person would say it: one sentence for each event worth one."""

from __future__ import annotations

from spicereplay.client.notices import SERVER
from spicereplay.live import events as live
from spicereplay.live.notifications import flap_text


def sentence(event: live.Event) -> str | None:
    """Return an event in words; None for those that come too often, as frames, images and replies of the agent do.

    Words of the server and of recordings stand in it as they came: see `spicereplay.text.visible`.
    """
    match event:
        case live.SessionBegan():
            return f"session {event.session_id} began"
        case live.Linked():
            return f"{event.channel}/{event.channel_id} joined{', encrypted' if event.secure else ''}: {event.place}"
        case live.ChannelAbsent():
            return f"{event.channel}/{event.channel_id} not joined: {event.reason}"
        case live.ChannelClosed():
            return f"{event.channel}/{event.channel_id} ended: {event.reason}"
        case live.Migrated():
            return f"the guest moved to {event.place}"
        case live.Disconnected():
            again = "" if event.retry_s is None else f"; trying again in {event.retry_s:g} s"
            return f"disconnected: {event.reason}{again}"
        case live.Noticed():
            severity = "warning" if event.severity == "warn" else event.severity
            return f"{severity}{' of the server' if event.source == SERVER else ''}: {event.text}"
        case live.RecordingTrouble():
            return f"recording: {event.text}"
        case live.Screenshot():
            return f"screenshot written to {event.path}"
        case live.EventsSkipped():
            return f"{event.count:,} events came too fast to be told"
    return _of_video(event)


def _of_video(event: live.Event) -> str | None:
    match event:
        case live.StreamCreated():
            where = f"{event.width}×{event.height} at ({event.left}, {event.top})"
            return f"display/{event.channel_id}: stream {event.stream_id} began, {event.codec}, {where}"
        case live.StreamDestroyed():
            how = f"after {event.lifetime_s:.2f} s, {event.frames:,} frames"
            return f"display/{event.channel_id}: stream {event.stream_id} ended {how}"
        case live.Flap():
            return f"display/{event.channel_id}: {flap_text(event)}"
    return None
