"""What TCP did under the channels. The rules are those of `spicereplay.capture.tcp_analysis`."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL, CHANNEL_ID, FROM, SESSION, Table, column

TABLES: Final = (
    Table(
        "tcp",
        "one row per direction of a connection: what the TCP headers say; null where they do not or are made up",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            FROM,
            column("segments", "Int64", "segments with payload"),
            column("bytes", "Int64", "payload", "bytes"),
            column("retransmitted_bytes", "Int64", "payload that arrived again", "bytes"),
            column(
                "retransmitted_segments",
                "Int64",
                "sent again, SYN and FIN included; also where the first copy was lost before the capture point",
            ),
            column("fast_retransmissions", "Int64", "of these, answers to duplicate ACKs"),
            column("spurious_retransmissions", "Int64", "of these, after they had been acknowledged"),
            column("out_of_order", "Int64", "segments that were overtaken by a later one"),
            column("conflicts", "Int64", "retransmissions with other bytes"),
            column("keep_alives", "Int64", "keep-alive probes"),
            column("duplicate_acks", "Int64", "ACKs sent that repeat the one before"),
            column("window_updates", "Int64", "segments sent that only change the receive window"),
            column("zero_windows", "Int64", "segments sent that announce a receive window of 0"),
            column("zero_window_probes", "Int64", "one byte sent into a window of 0"),
            column(
                "window_full",
                "Int64",
                "segments that filled the receiver's window; null: its scale is not known, no SYN was captured",
            ),
            column(
                "window_stalls",
                "Int64",
                "periods in which the receiver's window was full or 0 (`tcp_stalls`); null likewise",
            ),
            column("window_stalled_s", "float64", "how long they were together; null likewise", "s"),
            column("resets", "Int64", "segments with RST"),
            column(
                "mss",
                "Int64",
                "largest segment the sender takes itself, from its SYN; null: not seen",
                "bytes",
            ),
            column(
                "window_scale",
                "Int64",
                "shift of the windows the sender announces itself, 0: not agreed on; null: not seen",
            ),
            column(
                "initial_rtt_ms",
                "float64",
                "from SYN to the ACK of the handshake: the way between the two peers and back, wherever the capture "
                "was made; null: not seen or sent more than once",
                "ms",
            ),
            column(
                "syn_rtt_ms",
                "float64",
                "the part of it from the capture point to the receiver (not the sender) and back",
                "ms",
            ),
            column(
                "rtt_samples", "Int64", "round trips measured: segments of the sender whose ACK is their own"
            ),
            column(
                "rtt_ms_min",
                "float64",
                "fastest round trip from the capture point to the receiver and back, its delay of the ACK included; "
                "the way between the sender and the capture point is in the other direction's row",
                "ms",
            ),
            column("rtt_ms_median", "float64", "the median of them", "ms"),
            column("rtt_ms_p95", "float64", "95 of 100 are faster", "ms"),
            column("rtt_ms_max", "float64", "the slowest", "ms"),
            column("sequence_wraps", "Int64", "how often the sequence number wrapped"),
        ),
    ),
    Table(
        "tcp_events",
        "segments that say something of the way or of the receiver, in order of time within each direction",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            FROM,
            column("time_s", "float64", "when the segment was captured", "s"),
            column(
                "kind",
                "category",
                "`retransmission`, `fast_retransmission`, `spurious_retransmission`, `out_of_order`, `duplicate_ack`, "
                "`zero_window`, `window_full`, `zero_window_probe`, `keep_alive`, `rst`",
            ),
            column(
                "position",
                "int64",
                "TCP stream position of the segment; of `duplicate_ack` and `zero_window` the position in the other "
                "direction that is acknowledged",
                "bytes",
            ),
            column("bytes", "int64", "payload", "bytes"),
            column(
                "idle_s",
                "float64",
                "of what was sent again or overtaken: since the direction last sent something new; a timeout shows as "
                "a fifth of a second or more; else 0",
                "s",
            ),
            column("count", "int64", "segments of a run of `duplicate_ack` or `zero_window`, else 1"),
        ),
    ),
    Table(
        "tcp_stalls",
        "periods in which a direction could not send because the receiver's window was full or 0",
        (
            SESSION,
            CHANNEL,
            CHANNEL_ID,
            column("from", "category", "`server` or `client`: who could not send; the other one had no room"),
            column("start_s", "float64", "the segment that filled the window, or the announcement of 0", "s"),
            column("end_s", "float64", "the ACK that made room; null: none was seen", "s"),
            column(
                "duration_s",
                "float64",
                "end minus start, up to the end of the channel where none was seen",
                "s",
            ),
            column(
                "cause", "category", "`zero_window` if a window of 0 was announced in it, else `window_full`"
            ),
            column(
                "window",
                "int64",
                "size of the window that was full; 0 where it began with the announcement of 0",
                "bytes",
            ),
        ),
    ),
)
