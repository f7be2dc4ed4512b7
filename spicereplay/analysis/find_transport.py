"""Rules about TCP: receivers without room, bytes sent again, the time for the way and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.analysis.columns import Float64Array
from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Culprit, Finding, at, cite, examples, plural, rows_of

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

STALL_S: Final = 0.2
"""A wait that a viewer can see."""
LONG_STALL_S: Final = 1.0
"""The server stops streams after a second without frames (server-heuristics.md A1, RED_STREAM_TIMEOUT)."""
RETRANSMITTED_SHARE: Final = 0.01
FIRST_TIMEOUT_S: Final = 1.0
"""How long TCP waits before it sends again where it knows nothing of the way. Source: RFC 6298 2.1."""
HIGH_RTT_MS: Final = 100.0
"""Typing feels late above that."""
FEW_SAMPLES: Final = 3


def receive_window(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that one side did not take bytes off its connection, so that the other had to stop sending."""
    stalls = tables["tcp_stalls"]
    stalls = stalls[stalls["duration_s"] >= STALL_S]
    who: Culprit
    for sender, who in (("server", "client"), ("client", "server")):
        waits = stalls[stalls["from"] == sender].sort_values("duration_s", ascending=False)
        if not len(waits):
            continue
        worst = float(waits["duration_s"].max())
        yield Finding(
            "receive_window",
            "critical" if worst >= LONG_STALL_S else "warn",
            f"The {who} did not read from its connection: the {sender} had to hold back bytes for up to "
            f"{worst:.2f} s",
            tuple(
                cite(s, "capture")
                for s in examples(
                    [
                        f"{row.channel}/{row.channel_id}: {row.duration_s:.2f} s from {row.start_s:.2f} s on, "
                        + _room(row.cause, row.window)
                        for row in rows_of(waits)
                    ]
                )
            ),
            at(float(waits["start_s"].min())),
            who,
        )


def _room(cause: str, window: int) -> str:
    if cause == "window_full":
        return f"the receive window of {window:,} bytes was full"
    filled = f"after {window:,} bytes were filled" if window else "with everything read so far acknowledged"
    return f"a receive window of 0 was announced {filled}"


def loss_stall(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the screen stood still while TCP waited to send a lost segment again.

    What was sent again while the receiver had no room is not the network's doing and not counted.
    """
    events, messages, full = tables["tcp_events"], tables["messages"], tables["tcp_stalls"]
    again = events[
        events["kind"].isin(["retransmission", "fast_retransmission"])
        & (events["channel"] == "display")
        & (events["from"] == "server")
        & (events["idle_s"] >= STALL_S)
    ]
    shown = messages[(messages["channel"] == "display") & (messages["from"] == "server")]
    full = full[(full["channel"] == "display") & (full["from"] == "server")]
    found: list[tuple[float, float, int, str]] = []
    for (session, channel_id), group in again.groupby(["session", "channel_id"], observed=True):
        mine = shown[(shown["session"] == session) & (shown["channel_id"] == channel_id)]
        closed = full[(full["session"] == session) & (full["channel_id"] == channel_id)]
        opened = closed["start_s"].to_numpy(np.float64) + closed["duration_s"].to_numpy(np.float64)
        time_s = group["time_s"].to_numpy(np.float64)
        # Periods of one direction follow one another: the last that began before decides.
        before = np.searchsorted(closed["start_s"].to_numpy(np.float64), time_s, "right") - 1
        free = (before < 0) | (np.append(opened, -np.inf)[before] < time_s)
        found += [
            (start, length, count, f"session {session} display/{channel_id}")
            for start, length, count in waits_for_lost(
                mine["time_s"].to_numpy(np.float64), time_s[free], group["idle_s"].to_numpy(np.float64)[free]
            )
        ]
    if found:
        worst = max(length for _, length, _, _ in found)
        yield Finding(
            "loss_stall",
            "critical" if worst >= LONG_STALL_S else "warn",
            f"Lost packets held up the screen {plural(len(found), 'time')}, for up to {worst:.2f} s",
            tuple(
                cite(s, "capture")
                for s in examples(
                    [
                        f"{where}: nothing new came for {length:.2f} s from {start:.2f} s on, until "
                        f"{plural(count, 'segment was', 'segments were')} sent again"
                        for start, length, count, where in sorted(found, key=lambda f: -f[1])
                    ]
                )
            ),
            min(start for start, _, _, _ in found),
            "network",
        )


def waits_for_lost(
    shown_s: Float64Array, again_s: Float64Array, idle_s: Float64Array
) -> list[tuple[float, float, int]]:
    """Return `(start, length, segments)` of the waits that ended with segments sent again.

    Several sent again after the same silence are one wait. It begins with the silence, but at most `FIRST_TIMEOUT_S`
    before the first of them: before that there may have been nothing to send. Waits shorter than `STALL_S`, and those
    in which a message was complete after all, do not count. Times are in ascending order.
    """
    found = []
    silence_s = again_s - idle_s
    edges = [*np.flatnonzero(np.diff(silence_s, prepend=-np.inf) > 1e-6).tolist(), len(again_s)]
    for low, high in pairwise(edges):
        end = float(again_s[high - 1])
        start = max(float(silence_s[low]), float(again_s[low]) - FIRST_TIMEOUT_S)
        complete = np.searchsorted(shown_s, end, "left") - np.searchsorted(shown_s, start, "right")
        if end - start >= STALL_S and complete <= 0:
            found.append((start, end - start, high - low))
    return found


def retransmissions(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that TCP had to send a share of the bytes again."""
    tcp = tables["tcp"]
    again, total = tcp["retransmitted_bytes"].fillna(0), tcp["bytes"].fillna(0)
    lossy = tcp[again > RETRANSMITTED_SHARE * np.maximum(total, 100_000)]
    if len(lossy):
        yield Finding(
            "retransmissions",
            "info",
            f"TCP sent bytes again on {plural(len(lossy), 'connection')}",
            tuple(
                cite(sentence, "capture")
                for sentence in examples(
                    [
                        f"{channel}/{number} from {sender}: {again:,} of {total:,} bytes were sent again"
                        for channel, number, sender, again, total in zip(
                            lossy["channel"],
                            lossy["channel_id"],
                            lossy["from"],
                            lossy["retransmitted_bytes"],
                            lossy["bytes"],
                            strict=True,
                        )
                    ]
                )
            ),
            who="network",
        )


def way_to_client_ms(tcp: pd.DataFrame, session: object) -> float | None:
    """Return the median round trip of TCP from the capture point to the client of a session, None if hardly measured.

    An ACK is made by the client's system, so it tells the way without the client; channels count alike.
    """
    rows = tcp[(tcp["session"] == session) & (tcp["from"] == "server")]
    rows = rows[rows["rtt_samples"].fillna(0) >= FEW_SAMPLES]
    return float(rows["rtt_ms_median"].median()) if len(rows) else None


def initial_rtt_high(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find that the way between client and server and back is long, by the handshakes of TCP.

    Where PINGs show it, `find_network.rtt_high` says so.
    """
    tcp, pings = tables["tcp"], tables["pings"]
    far = tcp[(tcp["from"] == "server") & (tcp["initial_rtt_ms"] >= HIGH_RTT_MS)]
    for session, group in far.groupby("session", observed=True):
        measured = tcp[(tcp["session"] == session) & (tcp["from"] == "server")]["initial_rtt_ms"].dropna()
        pinged = pings[(pings["session"] == session) & (pings["padding"] == 0)]["rtt_ms"].median()
        if 2 * len(group) <= len(measured) or pinged >= HIGH_RTT_MS:
            continue
        to_server = tcp[(tcp["session"] == session) & (tcp["from"] == "client")]["syn_rtt_ms"].median()
        way = way_to_client_ms(tcp, session)
        yield Finding(
            "initial_rtt_high",
            "warn",
            f"The way between client and server is long: {measured.median():.0f} ms there and back",
            (
                cite(
                    f"session {session}: TCP handshakes of {plural(len(measured), 'channel')} took "
                    f"{measured.min():.1f} to {measured.max():.1f} ms; {to_server:.1f} ms of it between the capture "
                    "point and the server",
                    "capture",
                ),
                *(
                    (
                        cite(
                            f"the client's ACKs take {way:.1f} ms to the capture point, in the median",
                            "capture",
                        ),
                    )
                    if way is not None
                    else ()
                ),
            ),
            None,
            "network",
        )


RULES: Final = (receive_window, loss_stall, initial_rtt_high, retransmissions)
