"""The network: bandwidth, round trips, TCP, acknowledgements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import Figure, Observation, Sample, Share
from spicereplay.comparison.quantities.declaration import Quantity

BURST: Final = 4
"""Segments that are lost and sent again together, so that they count as one."""


def _bandwidth(material: Material) -> Mapping[str, Observation]:
    table = material.table("bandwidth")
    # A bin stands at its start; its bytes came within it.
    table = table.assign(time_s=table["time_s"] + table["width_s"] / 2)
    return {
        f"{channel} from {side}": _kilobytes(material.rate(group, "bytes", str(channel)))
        for (channel, side), group in table.groupby(["channel", "from"], observed=True)
    }


def _kilobytes(rate: Sample) -> Sample:
    return Sample(rate.values / 1e3, rate.total, rate.centre)


def _rtt(material: Material) -> Mapping[str, Observation]:
    pings = material.table("pings").sort_values("time_s")
    taken = Sample.of(pings["rtt_ms"])
    return {"": taken} if taken.total else {}


def _tcp_rtt(material: Material) -> Mapping[str, Observation]:
    tcp = material.table("tcp")
    medians = tcp.loc[tcp["from"] == "server", "rtt_ms_median"].dropna().to_numpy(np.float64)
    return {"": Figure(float(np.median(medians)))} if len(medians) else {}


def _retransmissions(material: Material) -> Mapping[str, Observation]:
    tcp = material.table("tcp").dropna(subset=["segments", "retransmitted_segments"])
    sent, again = float(tcp["segments"].sum()), float(tcp["retransmitted_segments"].sum())
    return {"": Share(min(again, sent), sent, BURST)} if sent else {}


def _window_stalls(material: Material) -> Mapping[str, Observation]:
    known = material.table("tcp")
    known = known[(known["channel"] == "display") & (known["from"] == "server")]
    if not known["window_stalls"].notna().any():
        return {}
    stalls = material.table("tcp_stalls")
    mine = stalls[(stalls["channel"] == "display") & (stalls["from"] == "server")]
    return {"": material.count(mine, "display", "start_s")}


def _stalls(material: Material) -> Mapping[str, Observation]:
    stalls = material.table("ack_stalls")
    return {
        channel: material.count(stalls[stalls["channel"] == channel], channel, "start_s")
        for channel in sorted({str(c) for c in material.table("channels")["channel"].unique()})
        if channel in ("display", "playback", "cursor") and material.exposure_s(channel)
    }


def _stalled(material: Material) -> Mapping[str, Observation]:
    exposure = material.exposure_s("display")
    stalls = material.table("ack_stalls")
    waited = stalls.loc[stalls["channel"] == "display", "duration_s"].sum()
    return {"": Figure(float(waited) / exposure)} if exposure else {}


QUANTITIES: Final = (
    Quantity(
        "bandwidth",
        "bandwidth",
        "network",
        "kB/s",
        "message bytes per second, headers included, by channel and sender, over the whole time of the channel",
        "bandwidth, capture",
        "seconds, over their autocorrelation time",
        "neither",
        32,
        5,
        1.5,
        _bandwidth,
    ),
    Quantity(
        "ping_rtt",
        "PING to PONG",
        "network",
        "ms",
        "from a PING of the server to the client's PONG, at the capture point",
        "pings, capture",
        "pings, over their autocorrelation time",
        "more",
        58,
        5,
        1.5,
        _rtt,
    ),
    Quantity(
        "tcp_rtt",
        "TCP round trip",
        "network",
        "ms",
        "from the capture point to the client and back, the median over connections of their medians",
        "tcp, capture",
        "one figure per connection",
        "more",
        57,
        5,
        1,
        _tcp_rtt,
    ),
    Quantity(
        "retransmitted",
        "segments sent again by TCP",
        "network",
        "share",
        "retransmitted segments over all segments with payload",
        "tcp, capture",
        f"{BURST} segments, since they are lost in bursts",
        "more",
        56,
        0.01,
        1,
        _retransmissions,
    ),
    Quantity(
        "window_stalls",
        "times the client's TCP window was full",
        "network",
        "1/min",
        "times the server could not send on the display channel because the client had not read",
        "tcp_stalls, capture",
        "a stall, over how much more their number varies than that of single events",
        "more",
        60,
        1,
        1.5,
        _window_stalls,
    ),
    Quantity(
        "ack_stalls",
        "stalls for want of ACKs",
        "network",
        "1/min",
        "times the server had more than two windows of messages unacknowledged",
        "ack_stalls, capture",
        "a stall, over how much more their number varies than that of single events",
        "more",
        62,
        1,
        1.5,
        _stalls,
    ),
    Quantity(
        "ack_stalled",
        "time stalled for want of ACKs",
        "network",
        "share",
        "share of the display's time in which the server waited for acknowledgements",
        "ack_stalls, capture",
        "one figure per session",
        "more",
        61,
        0.05,
        1,
        _stalled,
    ),
)
