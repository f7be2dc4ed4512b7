"""Video: streams and their lives, frames, how regular and how late they were, what decoding them takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from spicereplay.comparison.material import Material
from spicereplay.comparison.observation import (
    TOGETHER_S,
    Count,
    Figure,
    Lifetimes,
    Observation,
    Occurrences,
    Sample,
    Share,
)
from spicereplay.comparison.quantities.declaration import Quantity

if TYPE_CHECKING:
    import pandas as pd

STUTTER: Final = 2.0
"""A frame gap this many times the stream's median gap is one that is seen."""
_FEWEST_FRAMES: Final = 5
"""Frames of a stream whose rate says something."""


def _flaps(material: Material) -> Mapping[str, Observation]:
    if not material.exposure_s("display"):
        return {}
    flaps = material.table("flaps")
    flaps = flaps[flaps["kind"] == "flapping"]
    words = ""
    if len(flaps):
        first = flaps.iloc[0]
        words = (
            f"{int(first['count'])} streams destroyed within {first['window_s']:g} s, "
            f"mean lifetime {first['mean_lifetime_s']:.2f} s"
        )
    elif not len(material.table("streams")):
        words = "no video stream at all"
    return {"": Occurrences(len(flaps), words)}


def _instants(material: Material) -> Mapping[str, Observation]:
    streams = _known(material).sort_values(["session", "channel_id", "created_s"])
    if not material.exposure_s("display"):
        return {}
    apart = streams.groupby(["session", "channel_id"])["created_s"].diff().fillna(np.inf) > TOGETHER_S
    counted = material.count(streams[apart], "display", "created_s")
    # Streams take turns, so their number varies less than that of independent events.
    return {"": Count(counted.events, counted.exposure_s)}


def _lifetimes(material: Material) -> Mapping[str, Observation]:
    streams = _known(material).sort_values(["session", "channel_id", "created_s"])
    if not len(streams):
        return {}
    channels = material.table("channels").set_index(["session", "channel", "channel_id"])["end_s"].to_dict()
    ends = np.array(
        [
            channels[session, "display", number]
            for session, number in zip(streams["session"], streams["channel_id"], strict=True)
        ]
    )
    created = streams["created_s"].to_numpy(np.float64)
    lived = streams["lifetime_s"].to_numpy(np.float64)
    ended = np.isfinite(lived)
    return {"": Lifetimes.of(created, np.maximum(np.where(ended, lived, ends - created), 0.0), ended)}


def _known(material: Material) -> pd.DataFrame:
    streams = material.table("streams")
    return streams[streams["created_s"].notna()]


def _rates(material: Material) -> Mapping[str, Observation]:
    streams = material.table("streams")
    return _sample(streams.loc[streams["frames"] >= _FEWEST_FRAMES, "fps"])


def _gaps(material: Material) -> Mapping[str, Observation]:
    return _sample(_frame_gaps(material)["gap"] * 1e3)


def _stutter(material: Material) -> Mapping[str, Observation]:
    gaps = _frame_gaps(material)
    if not len(gaps):
        return {}
    usual = gaps.groupby("stream")["gap"].transform("median")
    return {"": _share((gaps["gap"] > STUTTER * usual).to_numpy())}


def _frame_gaps(material: Material) -> pd.DataFrame:
    """Return the time between neighbouring frames of one stream, in order of time within it."""
    frames = material.table("frames")
    frames = frames[frames["stream"] >= 0].sort_values(["stream", "time_s"])
    gaps = frames.assign(gap=frames.groupby("stream")["time_s"].diff())
    return gaps[gaps["gap"].notna()]


def _margins(material: Material) -> Mapping[str, Observation]:
    return _sample(material.table("frames")["margin_ms"])


def _late(material: Material) -> Mapping[str, Observation]:
    margins = material.table("frames")["margin_ms"].dropna().to_numpy(np.float64)
    return {"": _share(margins < 0)} if len(margins) else {}


def _drops(material: Material) -> Mapping[str, Observation]:
    reports = material.table("reports")
    reports = reports[~reports["cannot_play"]]
    frames = reports["frames"].to_numpy(np.float64)
    drops = reports["drops"].to_numpy(np.float64)
    if not frames.sum():
        return {}
    # The frames of one report share their fate: a report is one observation.
    sent = float(frames.sum())
    return {"": Share(min(float(drops.sum()), sent), sent, max(1.0, sent / len(frames)))}


def _frame_bytes(material: Material) -> Mapping[str, Observation]:
    frames = material.table("frames")
    return {str(codec): Sample.of(group["bytes"]) for codec, group in frames.groupby("codec", observed=True)}


def _decode_times(material: Material) -> Mapping[str, Observation]:
    return {codec: Sample.of(times) for codec, times in material.decode_ms.items()}


def _client_decode_times(material: Material) -> Mapping[str, Observation]:
    client = material.client
    decodes = client.decodes if client is not None else ()
    return {each.what: Figure(each.mean_us / 1e3) for each in decodes if each.mean_us is not None}


def _undecoded(material: Material) -> Mapping[str, Observation]:
    frames = material.table("frames")
    whole = frames[frames["outcome"].isin(["decoded", "failed"])]
    return {"": _share((whole["outcome"] == "failed").to_numpy())} if len(whole) else {}


def _sample(values: pd.Series[float]) -> Mapping[str, Observation]:
    taken = Sample.of(values.to_numpy(np.float64))
    return {"": taken} if taken.total else {}


def _share(which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Share:
    """Return the share of true values in a series in order of time; runs of them count less."""
    values = Sample.of(which.astype(np.float64))
    design = len(values.values) / values.independent if len(values.values) else 1.0
    return Share(float(which.sum()), float(len(which)), design)


QUANTITIES: Final = (
    Quantity(
        "flaps",
        "flapping video",
        "video",
        "",
        "notifications of the flap rule: the server starts a video stream and stops it again within seconds",
        "flaps, capture",
        "a notification; the rule itself needs three streams",
        "more",
        100,
        1,
        1,
        _flaps,
    ),
    Quantity(
        "stream_lifetime",
        "lifetime of video streams",
        "video",
        "s",
        "Kaplan-Meier median of how long streams lived; one alive at the end of the capture is censored",
        "streams, capture",
        f"streams created more than {TOGETHER_S:g} s apart",
        "less",
        85,
        0.5,
        1.25,
        _lifetimes,
    ),
    Quantity(
        "streams_per_minute",
        "video streams created",
        "video",
        "1/min",
        f"moments at which streams were created, those within {TOGETHER_S:g} s being one",
        "streams, capture",
        "a moment",
        "more",
        60,
        1,
        1.5,
        _instants,
    ),
    Quantity(
        "stream_fps",
        "frames per second within streams",
        "video",
        "1/s",
        "frames per second between the first and the last frame of a stream",
        "streams, capture",
        "a stream",
        "less",
        75,
        1,
        1.1,
        _rates,
    ),
    Quantity(
        "frame_gap",
        "time between frames",
        "video",
        "ms",
        "time between two frames of one stream",
        "frames, capture",
        "frames, over their autocorrelation time",
        "more",
        70,
        5,
        1.15,
        _gaps,
    ),
    Quantity(
        "stutter",
        "frame gaps that are seen",
        "video",
        "share",
        f"share of frame gaps longer than {STUTTER:g} times the stream's median gap",
        "frames, capture",
        "frames, over their autocorrelation time",
        "more",
        72,
        0.03,
        1,
        _stutter,
    ),
    Quantity(
        "late_margin",
        "margin of frames on arrival",
        "video",
        "ms",
        "multimedia time of a frame less the client's clock when it arrived; below zero is late",
        "frames, capture",
        "frames, over their autocorrelation time",
        "less",
        66,
        20,
        1,
        _margins,
    ),
    Quantity(
        "late_frames",
        "late frames",
        "video",
        "share",
        "share of frames that arrived after their multimedia time",
        "frames, capture",
        "frames, over their autocorrelation time",
        "more",
        74,
        0.05,
        1,
        _late,
    ),
    Quantity(
        "reported_drops",
        "frames the client reports as late",
        "video",
        "share",
        "num_drops over num_frames of all STREAM_REPORTs",
        "reports, capture",
        "a STREAM_REPORT",
        "more",
        73,
        0.05,
        1,
        _drops,
    ),
    Quantity(
        "frame_bytes",
        "size of video frames",
        "video",
        "bytes",
        "compressed bytes of a frame",
        "frames, capture",
        "frames, over their autocorrelation time",
        "neither",
        35,
        500,
        1.25,
        _frame_bytes,
    ),
    Quantity(
        "decode",
        "decode time",
        "video",
        "ms",
        "processor time to decode one picture on this machine, all sessions in turn in one process",
        "remeasured",
        "pictures, over their autocorrelation time",
        "more",
        64,
        0.2,
        1.3,
        _decode_times,
    ),
    Quantity(
        "client_decode",
        "decode time the client reports",
        "video",
        "ms",
        "mean of the client's last 20 decodes, on its own machine",
        "client_reported",
        "one figure per report",
        "more",
        68,
        1,
        1,
        _client_decode_times,
    ),
    Quantity(
        "decode_failures",
        "frames that cannot be decoded",
        "video",
        "share",
        "share of whole frames that the decoder here refuses",
        "frames, remeasured",
        "frames, over their autocorrelation time",
        "more",
        78,
        0.01,
        1,
        _undecoded,
    ),
)
