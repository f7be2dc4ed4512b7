"""Rules about the way between server and client: acknowledgements, PINGs, silence, bandwidth, ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import Float64Array
from spicereplay.analysis.facts import Facts
from spicereplay.analysis.find_transport import HIGH_RTT_MS, LONG_STALL_S, STALL_S, way_to_client_ms
from spicereplay.analysis.finding import Culprit, Finding, at, cite, examples, plural, rows_of
from spicereplay.analysis.pings import LOW_BANDWIDTH_BITS, net_test_rate

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

WIDE_WINDOW: Final = 40
"""Acknowledgement window of connections classified as low bandwidth (spice-wire.md 4.3)."""
DEAD_PEER_S: Final = 30.0
"""The server's connectivity check on main (spice-wire.md 4.4)."""
SILENT_S: Final = 40.0
"""The server PINGs main and display every 15 s (spice-wire.md 4.4); two of these and some are missing then."""
FROZEN_S: Final = 5.0
"""A screen that does not answer keys and buttons for that long looks frozen."""
FROZEN_INPUTS: Final = 3
"""A single key need not change the picture; several do."""


def ack_stall(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find when the server had to wait for the client's acknowledgements (spice-wire.md 4.3)."""
    stalls = tables["ack_stalls"]
    stalls = stalls[stalls["duration_s"] >= STALL_S]
    if not len(stalls):
        return
    worst = float(stalls["duration_s"].max())
    yield Finding(
        "ack_stall",
        "critical" if worst >= LONG_STALL_S else "warn",
        f"The client stopped acknowledging: the server had to hold back updates for up to {worst:.2f} s",
        tuple(
            cite(s, "capture")
            for s in examples(
                [
                    f"{row.channel}/{row.channel_id}: {row.duration_s:.2f} s from {row.start_s:.2f} s on, "
                    f"{row.unacknowledged} messages open, the server stops at {2 * row.window}"
                    for row in rows_of(stalls.sort_values("duration_s", ascending=False))
                ]
            )
        ),
        at(float(stalls["start_s"].min())),
        "client",
    )


def ping_unanswered(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find PINGs without PONGs: on main alone that is a client whose main channel hangs (ryll-behaviour.md 9)."""
    pings, messages = tables["pings"], tables["messages"]
    for (session, channel, channel_id), group in pings.groupby(
        ["session", "channel", "channel_id"], observed=True, sort=True
    ):
        here = (messages["session"] == session) & (messages["from"] == "client")
        on_channel = here & (messages["channel"] == channel) & (messages["channel_id"] == channel_id)
        if not on_channel.any():
            continue  # The client's side was not captured.
        end = _end_of(tables, session, channel, channel_id, facts)
        open_ones = group[group["pong_s"].isna() & (group["time_s"] < end - 2.0)]
        holes = tables["gaps"]
        lost = holes[
            (holes["session"] == session) & (holes["channel"] == channel) & (holes["from"] == "client")
        ]
        if not len(open_ones) or len(lost):
            continue
        first = float(open_ones["time_s"].min())
        others = messages[here & (messages["channel"] != channel) & (messages["time_s"] > first)]
        hung = channel == "main" and end - first >= DEAD_PEER_S
        evidence = [
            cite(
                f"{len(open_ones)} of {plural(len(group), 'PING')} on {channel}/{channel_id} got no PONG",
                "capture",
            ),
            cite(f"the first at {first:.2f} s; the channel was recorded until {end:.2f} s", "capture"),
        ]
        if len(others):
            names = ", ".join(sorted({str(c) for c in others["channel"].unique()}))
            evidence.append(cite(f"the client went on talking on {names} meanwhile", "capture"))
        yield Finding(
            "ping_unanswered",
            "critical" if hung else "warn",
            f"The client stopped answering on {channel}"
            + (": the server ends the session 30 s later" if channel == "main" else ""),
            tuple(evidence),
            first,
            "client",
        )


def _end_of(tables: Tables, session: object, channel: object, channel_id: object, facts: Facts) -> float:
    rows = tables["channels"]
    mine = rows[
        (rows["session"] == session) & (rows["channel"] == channel) & (rows["channel_id"] == channel_id)
    ]
    return float(mine["end_s"].max()) if len(mine) else facts.duration_s


def server_silent(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find no word from the server on any channel for longer than its own PINGs allow."""
    for session, group in tables["messages"].groupby("session", observed=True):
        if not group["channel"].isin(["main", "display"]).any():
            continue
        times = group.loc[group["from"] == "server", "time_s"].to_numpy(np.float64)
        rows = tables["channels"]
        end = float(rows.loc[rows["session"] == session, "end_s"].max())
        first, length = longest_pause(times, end)
        if length >= SILENT_S:
            asked = group[(group["from"] == "client") & group["time_s"].between(first, first + length)]
            yield Finding(
                "server_silent",
                "critical",
                f"The server said nothing for {length:.0f} s",
                (
                    cite(
                        f"no message on any channel from {first:.2f} s to {first + length:.2f} s", "capture"
                    ),
                    cite(f"the client sent {plural(len(asked), 'message')} in that time", "capture"),
                ),
                first,
                "server",
            )


def longest_pause(time_s: Float64Array, end_s: float) -> tuple[float, float]:
    """Return beginning and length of the longest time between two of `time_s`, or the last and `end_s`."""
    if not len(time_s):
        return 0.0, 0.0
    edges = np.append(time_s, max(end_s, float(time_s[-1])))
    pause = np.diff(edges)
    longest = int(np.argmax(pause))
    return float(edges[longest]), float(pause[longest])


def screen_frozen(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find keys and buttons pressed and nothing drawn for a while, though the connection lived."""
    silent = tables["display_silence"]
    # What the capture lacks may have been drawn.
    pressed = silent[(silent["inputs_during"] >= FROZEN_INPUTS) & (silent["holes"] == 0)]
    waits = pressed.assign(wait_s=pressed["end_s"] - pressed["first_input_s"])
    waits = waits[waits["wait_s"] >= FROZEN_S].sort_values("wait_s", ascending=False, kind="stable")
    for session, group in waits.groupby("session", observed=True):
        worst = next(rows_of(group))
        start, stop = float(worst.first_input_s), float(worst.end_s)
        said = tables["messages"]
        alive = said[
            (said["session"] == session) & (said["from"] == "server") & said["time_s"].between(start, stop)
        ]
        stalled = tables["ack_stalls"]
        stalled = stalled[
            (stalled["session"] == session)
            & (stalled["channel"] == "display")
            & (stalled["start_s"] < stop)
            & (stalled["start_s"] + stalled["duration_s"] > start)
            & (stalled["duration_s"] > STALL_S)
        ]
        who: Culprit = "client" if len(stalled) else "guest" if len(alive) else "server"
        yield Finding(
            "screen_frozen",
            "critical" if stop - start >= 2 * FROZEN_S else "warn",
            f"The screen stood still for {stop - start:.1f} s while keys or buttons were pressed",
            (
                cite(f"nothing was drawn from {worst.start_s:.2f} s to {stop:.2f} s", "capture"),
                cite(
                    f"{plural(worst.inputs_during, 'key or button press', 'key or button presses')} in that time, "
                    f"the first at {start:.2f} s",
                    "capture",
                ),
                cite(
                    f"the server sent {plural(len(alive), 'other message')} meanwhile"
                    + ("; it waited for acknowledgements" if len(stalled) else ""),
                    "capture",
                ),
            ),
            start,
            who,
        )


def rtt_high(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the way to the client and back takes long."""
    pings = tables["pings"]
    for session, group in pings[pings["padding"] == 0].groupby("session", observed=True):
        rtt = group["rtt_ms"].dropna()
        if len(rtt) >= 3 and rtt.median() >= HIGH_RTT_MS:
            way = way_to_client_ms(tables["tcp"], session)
            who: Culprit = "client" if way is not None and way < rtt.median() / 2 else "network"
            yield Finding(
                "rtt_high",
                "warn",
                f"The connection is slow to answer: {rtt.median():.0f} ms from PING to PONG",
                (
                    cite(
                        f"session {session}: median {rtt.median():.1f} ms, fastest {rtt.min():.1f} ms, slowest "
                        f"{rtt.max():.1f} ms over {len(rtt)} PINGs, seen at the capture point",
                        "capture",
                    ),
                    *(
                        (
                            cite(
                                f"TCP on the same way takes {way:.1f} ms in the median"
                                + (": the client is late, not the network" if who == "client" else ""),
                                "capture",
                            ),
                        )
                        if way is not None
                        else ()
                    ),
                ),
                at(float(group["time_s"].min())),
                who,
            )


def bandwidth_low(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the server took the client for badly connected (server-heuristics.md A1, B1, B3)."""
    slow = [(s, t, rate) for s, t, rate in net_test_rate(tables["pings"]) if rate < LOW_BANDWIDTH_BITS]
    wide = tables["ack_stalls"]
    wide = wide[wide["window"] == WIDE_WINDOW]
    evidence = [
        cite(
            f"session {session}: the network test comes to {rate / 1e6:.2f} Mbit/s; the server's limit is "
            f"{LOW_BANDWIDTH_BITS / 1e6:.2f}",
            "capture",
        )
        for session, _, rate in slow
    ]
    if len(wide):
        evidence.append(
            cite(f"the acknowledgement window is {WIDE_WINDOW}, the one for low bandwidth", "capture")
        )
    if evidence:
        yield Finding(
            "bandwidth_low",
            "warn",
            "The server classified the connection as low bandwidth: pictures may be lossy and video starts at a "
            "quarter of the usual rate",
            tuple(evidence),
            slow[0][1] if slow else None,
            "network",
        )


def disconnected(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the client lost its connection, or that the server closed main first."""
    lost = facts.client.disconnect if facts.client is not None else None
    if lost is not None:
        kind = f" ({lost.kind})" if lost.kind else ""
        gave_up = bool(lost.keepalive_timeout)
        yield Finding(
            "disconnected",
            "critical",
            f"The connection was lost; the {lost.channel or 'unnamed'} channel noticed first",
            (
                cite(f"{lost.message or 'no message'}{kind}", "client_reported"),
                *(
                    (cite("the client gave up after 90 s without data on main", "client_reported"),)
                    if gave_up
                    else ()
                ),
                cite("the channel that noticed first need not be the one that failed first", "inferred"),
            ),
            facts.client.uptime_s if facts.client is not None else None,
            "",
        )
        return
    ended = tables["channels"]
    ended = ended[(ended["channel"] == "main") & (ended["closed_by"] == "server")]
    if len(ended):
        yield Finding(
            "disconnected",
            "warn",
            "The server closed the session",
            tuple(
                cite(f"session {row.session}: the server closed main at {row.end_s:.2f} s", "capture")
                for row in rows_of(ended)
            ),
            at(float(ended["end_s"].min())),
            "server",
        )


RULES: Final = (
    disconnected,
    ping_unanswered,
    server_silent,
    ack_stall,
    screen_frozen,
    rtt_high,
    bandwidth_low,
)
