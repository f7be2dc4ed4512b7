"""The panels of the terminal view as styled text: a `View` and a size in, lines out.

Every text that comes from outside is made visible first and is never read as markup. No meaning lies in colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from spicereplay.live.notifications import Told
from spicereplay.live.video_light import Light, StreamShown
from spicereplay.live.view import AgentShown, Curve, MessageShown, View
from spicereplay.protocol.enums import Side
from spicereplay.text import visible
from spicereplay.units import MIB, NS_PER_MS, NS_PER_S

Draw = Callable[[View, int, int], Text]
"""Draws a panel: what there is to see, and how many columns and lines there are for it."""

GREY: Final = "#8b949e"
FAINT: Final = "#5b636d"
GREEN: Final = "#3fb950"
AMBER: Final = "#d9a021"
RED: Final = "#ff5c57"
BLUE: Final = "#58a6ff"
VIOLET: Final = "#bc8cff"
TEXT: Final = "#d7dde4"
STRONG: Final = f"bold {TEXT}"

_LIGHTS: Final = {
    Light.GREY: ("○", "NO VIDEO", GREY),
    Light.AMBER: ("◐", "JUST ENDED", AMBER),
    Light.GREEN: ("●", "STREAMING", GREEN),
    Light.RED: ("▲", "FLAPPING", RED),
}
_SEVERITIES: Final = {"info": ("·", GREY), "warn": ("!", AMBER), "error": ("✗", RED)}
_AGENT: Final = {
    "": ("…", "not known yet", GREY),
    "absent": ("○", "none in the guest", GREY),
    "unknown": ("…", "connected, nothing heard yet", GREY),
    "answering": ("●", "answers", GREEN),
    "silent": ("▲", "SILENT", RED),
    "never_answered": ("○", "never answered: the display device may handle it", GREY),
}
ROOMY: Final = 56
"""Columns from which on a panel need not be terse."""
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_CUT: Final = "…"


# --- panels ----------------------------------------------------------------------------------------------


def header(view: View, width: int, height: int) -> Text:
    """Say where, what guest, and since when."""
    del height
    dot, colour = ("●", GREEN) if view.connected else ("○", AMBER if "next" in view.status else GREY)
    right = Text(no_wrap=True)
    right.append(f"{dot} ", colour)
    right.append(view.status, TEXT)
    if view.session_s is not None:
        right.append(f" {_clock(view.session_s)}", STRONG)
    right.append(" ")
    left = Text(" spicereplay ", f"bold {BLUE}", no_wrap=True)
    left.append(visible(view.place, 200), STRONG)
    if view.guest:
        left.append(f"  {visible(view.guest, 80)}", GREY)
    return _ends(left, right, width)


def video(view: View, width: int, height: int) -> Text:
    """Show the light, and what is behind it."""
    shown = view.video
    sign, word, colour = _LIGHTS[shown.light]
    lines = [_title("video", width)]
    red = shown.light is Light.RED
    first = Text.assemble(
        (f" {sign} {word} " if red else f"{sign} {word}", f"bold {'reverse ' * red}{colour}")
    )
    first.append(f"  {_headline(view, width)}", TEXT if shown.light is not Light.GREY else GREY)
    lines.append(first)
    room = height - 2
    if shown.flap is not None and room > 0:
        lines += [Text(line, RED) for line in _wrapped(shown.flap.hint, width - 2, 2)]
        room = height - len(lines)
    for at, stream in enumerate(shown.streams[: max(0, room)]):
        left_out = len(shown.streams) - at
        if at == room - 1 and left_out > 1:
            lines.append(Text(f"  and {left_out} more streams", GREY))
        else:
            lines.append(_stream(stream, width))
    return _block(lines, width, height)


def network(view: View, width: int, height: int) -> Text:
    """Show what comes from the server, per second."""
    curve = view.bandwidth
    right = Text.assemble((_rate(curve.last), STRONG), (f"  max {_rate(curve.most)}", GREY))
    return _curve("network", right, curve, width, height, BLUE)


def decoding(view: View, width: int, height: int) -> Text:
    """Show how long pictures take to decode: the longest of each second."""
    curve = view.decoding
    if view.decode_median_ms is None:
        right = Text("nothing decoded", GREY)
    else:
        slow = AMBER if curve.last > 1000 / 60 else TEXT
        right = Text.assemble(
            (f"{_ms(view.decode_median_ms)} ms", STRONG),
            (" median  ", GREY),
            (f"{_ms(curve.most)}", f"bold {slow}"),
            (" worst", GREY),
        )
    return _curve("decoding", right, curve, width, height, VIOLET)


def status(view: View, width: int, height: int) -> Text:
    """Say how the agent is, what is recorded, and what the flight recorder holds."""
    lines = [_agent(view.agent, width), _recording(view, width), _flight(view, width)]
    absent = [channel for channel in view.channels if not channel.joined]
    if absent and height > len(lines):
        words = "; ".join(f"{visible(one.name, 20)}: {visible(one.reason, 60)}" for one in absent)
        lines.append(_labelled("without", Text(words, GREY), width))
    return _block(lines, width, height)


def messages(view: View, width: int, height: int, pattern: str = "") -> Text:
    """List the newest messages, newest last."""
    right = Text()
    if pattern:
        right = Text.assemble(("/", GREY), (visible(pattern, 40), BLUE))
        right.append(f"  {view.messages_hidden:,} hidden", GREY)
    lines = [_title("messages", width, right)]
    room = height - 1
    lines += [_message(one, view.began_ns, width) for one in (view.messages[-room:] if room > 0 else ())]
    if len(lines) == 1 and room > 0:
        lines.append(Text("none that passes" if pattern else "none so far", GREY))
    return _block(lines, width, height)


def notices(view: View, width: int, height: int) -> Text:
    """List what the user was told, newest last; what there is no room for is the oldest."""
    lines: list[Text] = []
    for told in reversed(view.notices):
        entry = _notice(told, view.began_ns, width)
        if len(lines) + len(entry) >= height:
            break
        lines[:0] = entry
    return _block([_title("notifications", width), *(lines or [Text("none so far", GREY)])], width, height)


# --- parts -----------------------------------------------------------------------------------------------


def _headline(view: View, width: int) -> str:
    shown = view.video
    if shown.flap is not None:
        flap = shown.flap
        what = " streams ended" if width >= ROOMY else ""
        return f"{flap.count}{what} in {flap.window_s:g} s, mean life {flap.mean_lifetime_s:.1f} s"
    if shown.streams:
        return "1 stream" if len(shown.streams) == 1 else f"{len(shown.streams)} streams"
    if shown.light is Light.AMBER and shown.ended_s is not None:
        return f"{shown.ended_s:.0f} s ago"
    if shown.ended_s is not None:
        return f"the last stream ended {_clock(shown.ended_s)} ago"
    return "no stream so far"


def _stream(stream: StreamShown, width: int) -> Text:
    gap = "  " if width >= ROOMY else " "
    line = Text("  ", no_wrap=True)
    line.append(f"{visible(stream.codec, 8):<5} ", f"bold {TEXT}")
    line.append(f"{stream.width}×{stream.height}", TEXT)
    rate = f"{stream.rate:.0f}" if stream.rate >= 1 or not stream.rate else f"{stream.rate:.1f}"
    line.append(f"{gap}{rate}/s", GREEN if stream.rate else AMBER)
    line.append(f"{gap}{stream.frames:,} frame{'' if stream.frames == 1 else 's'}", TEXT)
    if stream.failed:
        line.append(f"{gap}{stream.failed:,} failed", f"bold {RED}")
    line.append(f"{gap}{_clock(stream.age_s)}", TEXT)
    backend = f"{gap}{visible(stream.backend, 24)}"
    if stream.backend and line.cell_len + len(backend) <= width:
        line.append(backend, FAINT)
    return _cut(line, width)


def _agent(agent: AgentShown, width: int) -> Text:
    sign, words, colour = _AGENT.get(agent.state, ("…", visible(agent.state, 30), GREY))
    line = Text(no_wrap=True)
    line.append(f"{sign} ", colour)
    line.append(words, f"bold {colour}" if agent.state == "silent" else TEXT)
    if agent.state == "silent" and agent.waiting_s is not None:
        line.append(f", last heard {_clock(agent.waiting_s)} ago", RED)
    if agent.lag_ms is not None:
        heard = agent.state != "silent"
        line.append(f"  {'' if heard else 'before: '}{_ms(agent.lag_ms)} ms ", STRONG if heard else GREY)
        line.append(bars(agent.lags_ms[-12:], min(12, len(agent.lags_ms)), 1)[0], GREEN if heard else GREY)
    if agent.queued:
        line.append(f"  {agent.queued:,} messages wait for tokens", AMBER)
    return _labelled("agent", line, width)


def _recording(view: View, width: int) -> Text:
    recording = view.recording
    if recording is None:
        return _labelled("recording", Text("off", GREY), width)
    trouble = recording.lost_bytes or recording.trouble
    line = Text.assemble(("▲ " if trouble else "● ", RED if trouble else GREEN))
    room = max(8, width - 28)
    line.append(_tail(visible(recording.path, 400), room), TEXT)
    if recording.lost_bytes:
        line.append(f"  {_bytes(recording.lost_bytes)} lost", f"bold {RED}")
    elif recording.trouble:
        line.append(f"  {visible(recording.trouble, 80)}", RED)
    else:
        line.append("  whole", GREY)
    return _labelled("recording", line, width)


def _flight(view: View, width: int) -> Text:
    flight = view.flight
    if flight is None:
        return _labelled("flight", Text("off", GREY), width)
    line = Text.assemble(
        (f"{flight.kept_bytes / MIB:.1f}", TEXT), (f" of {flight.most_bytes / MIB:.0f} MiB kept", GREY)
    )
    if flight.saved:
        line.append(f"  {flight.saved:,} written", TEXT)
    if flight.next_s is not None:
        line.append(f"  next in {max(0.0, flight.next_s):.0f} s", GREY)
    return _labelled("flight", line, width)


def _message(message: MessageShown, began_ns: int, width: int) -> Text:
    server = message.side is Side.SERVER
    moment = _moment(message.time_ns, began_ns)
    line = Text(no_wrap=True)
    line.append(moment if width >= ROOMY else moment[:-4], FAINT)
    line.append(" ← " if server else " → ", BLUE if server else VIOLET)
    line.append(f"{message.channel:<{11 if width >= ROOMY else 9}} ", GREY)
    line.append(visible(message.name, 40), TEXT)
    return _ends(line, Text(f"{message.size:>7,}", TEXT), width)


def _notice(told: Told, began_ns: int, width: int) -> list[Text]:
    sign, colour = _SEVERITIES.get(told.severity, ("·", GREY))
    head = Text.assemble((_moment(told.time_ns, began_ns)[:-4], FAINT), (f" {sign} ", f"bold {colour}"))
    indent = len(head)
    words = f"{told.source}: {told.text}" if told.source != "session" else told.text
    body = _wrapped(visible(words), max(8, width - indent - (6 if told.count > 1 else 0)), 3)
    style = GREY if told.severity == "info" else TEXT
    lines = []
    for at, part in enumerate(body):
        line = head.copy() if not at else Text(" " * indent)
        line.append(part, style)
        lines.append(line)
    if told.count > 1:
        lines[0] = _ends(lines[0], Text(f"×{told.count:,}", f"bold {colour}"), width)
    return lines


def _curve(name: str, right: Text, curve: Curve, width: int, height: int, colour: str) -> Text:
    lines = [_title(name, width, right)]
    lines += [Text(row, colour) for row in bars(curve.values, width, height - 1)]
    return _block(lines, width, height)


def bars(values: Sequence[float], width: int, rows: int) -> list[str]:
    """Return values as bars from the bottom, the newest at the right end, the largest as high as there is room.

    What is not zero is seen, however small. With less room than values the newest are shown; with more, each value
    is as wide as fits.
    """
    if width <= 0 or rows <= 0:
        return []
    wide = max(1, width // max(1, len(values)))
    shown = list(values[-(width // wide) :])
    most = max(shown, default=0.0)
    steps = rows * 8
    heights = [max(1, round(value / most * steps)) if value > 0 else 0 for value in shown]
    lines = []
    for row in reversed(range(rows)):
        cells = (_BLOCKS[max(0, min(8, height - row * 8))] * wide for height in heights)
        lines.append("".join(cells).rjust(width))
    return lines


# --- words and lines -------------------------------------------------------------------------------------


def _title(name: str, width: int, right: Text | None = None) -> Text:
    """Return a panel's first line: its name, a rule, and what is said at its end."""
    right = Text() if right is None else right
    left = Text(f"{name.upper()} ", f"bold {GREY}")
    rule = width - len(left) - len(right) - (1 if len(right) else 0)
    left.append("─" * max(0, rule), FAINT)
    if len(right):
        left.append(" ")
    left.append_text(right)
    return _cut(left, width)


def _labelled(name: str, line: Text, width: int) -> Text:
    return _cut(Text.assemble((f"{name:<10}", f"bold {GREY}"), line), width)


def _ends(left: Text, right: Text, width: int) -> Text:
    """Return one line with something at each end; the left one gives way."""
    room = max(0, width - len(right) - 1)
    left = _cut(left, room)
    left.append(" " * max(0, width - left.cell_len - right.cell_len))
    left.append_text(right)
    return _cut(left, width)


def _cut(line: Text, width: int) -> Text:
    line = line.copy()
    line.truncate(max(0, width), overflow="ellipsis")
    return line


def _block(lines: Sequence[Text], width: int, height: int) -> Text:
    """Return lines as one text that fits."""
    return Text("\n", no_wrap=True).join(_cut(line, width) for line in lines[: max(0, height)])


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """Return text in at most so many lines; what does not fit is cut with an ellipsis."""
    lines = [""]
    for word in text.split(" "):
        candidate = f"{lines[-1]} {word}" if lines[-1] else word
        if len(candidate) <= width:
            lines[-1] = candidate
        else:
            lines += [word[at : at + width] for at in range(0, len(word), max(1, width))] or [""]
    lines = [line for line in lines if line] or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: max(0, width - 1)] + _CUT]
    return lines


def _tail(text: str, width: int) -> str:
    """Return the end of a path that is too long."""
    return text if len(text) <= width else _CUT + text[-(width - 1) :]


def _clock(seconds: float) -> str:
    """Return `1.4 s`, `0:48`, `1:02:03`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _moment(time_ns: int, began_ns: int) -> str:
    """Return a time since the beginning, `12:03.482`, always nine characters up to 1000 minutes."""
    elapsed = max(0, time_ns - began_ns)
    minutes, rest = divmod(elapsed, 60 * NS_PER_S)
    return f"{minutes:02}:{rest // NS_PER_S:02}.{rest % NS_PER_S // NS_PER_MS:03}"


def _rate(per_s: float) -> str:
    return f"{_bytes(per_s)}/s"


def _bytes(count: float) -> str:
    """Return a size with three digits, in powers of 1000 as network speeds are."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
