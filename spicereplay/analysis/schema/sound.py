"""Sound that the guest plays and records."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "sound_runs",
        "one row per START..STOP of a playback or record channel (spice-wire.md 14)",
        (
            SESSION,
            column("channel", "category", "`playback` (the guest plays) or `record` (the guest listens)"),
            CHANNEL_ID,
            column("start_s", "float64", "START, or the first packet where no START was seen", "s"),
            column("stop_s", "float64", "STOP; NaN: not seen", "s"),
            column("seen_start", "bool", "false: channels and rate are assumed, 2 and 48,000"),
            column("codec", "category", "`raw`, `opus`, `celt_0_5_1`, or `unknown`: no MODE was seen"),
            column("codec_source", "category", "`capture`, or `inferred` from the packets"),
            column("channels", "uint32", "of the samples, 2 is stereo"),
            column("rate", "uint32", "samples per second, as START says", "Hz"),
            column("packets", "int64", "DATA messages"),
            column("bytes", "int64", "sound in them, message fields not counted", "bytes"),
            column("sound_s", "float64", "length of the sound in them; NaN: unknown", "s"),
            column("span_s", "float64", "multimedia time from first to last packet, its sound included", "s"),
            column("gaps", "int64", "silences of 20 ms or more that the sender left"),
            column("gap_ms", "float64", "their sum", "ms"),
            column("longest_gap_ms", "float64", "the longest silence that the sender left", "ms"),
            column("arrival_gaps", "int64", "silences of 20 ms or more as the packets arrived"),
            column("arrival_gap_ms", "float64", "their sum", "ms"),
            column("longest_arrival_gap_ms", "float64", "the longest silence as the packets arrived", "ms"),
            column("decode_failures", "int64", "packets that could not be decoded here"),
            column("peak", "float64", "largest sample, 1 is full scale; NaN: not decoded"),
            column("volume_min", "Int64", "lowest volume the guest set, 65,535 is full; null: not told"),
            column("volume_max", "Int64", "highest volume the guest set"),
            column("silenced_packets", "int64", "packets while the guest was muted or its volume 0"),
            column("latency_ms", "Int64", "highest LATENCY that held; null: not asked for", "ms"),
        ),
    ),
    Table(
        "playback",
        "one row per packet of sound that the guest plays",
        (
            SESSION,
            CHANNEL_ID,
            column("run", "int32", "row of the sound_runs table"),
            TIME,
            column("mm_time", "uint32", "server multimedia time; wraps", "ms"),
            column("codec", "category", "as in `sound_runs`"),
            column("bytes", "uint32", "sound, message fields not counted", "bytes"),
            column(
                "samples",
                "Int64",
                "samples per channel, told by size (raw) or first byte (Opus); null: unknown",
            ),
            column("interarrival_ms", "float64", "time since the packet before it in the run", "ms"),
            column(
                "gap_ms",
                "float64",
                "silence before it by multimedia time, for a listener who holds nothing back: the server had no "
                "sound; NaN: bytes are missing before it, or unknown",
                "ms",
            ),
            column(
                "arrival_gap_ms",
                "float64",
                "silence before it by capture time: the sound was not there",
                "ms",
            ),
            column("margin_ms", "float64", "mm_time minus the client's multimedia clock on arrival", "ms"),
            column("silenced", "bool", "the guest was muted or its volume 0"),
            column("backend", "category", "what decoded it; empty: nothing did"),
            column("outcome", "category", "`decoded`, `failed`, `partial`, `unsupported`, `not_decoded`"),
        ),
    ),
)
