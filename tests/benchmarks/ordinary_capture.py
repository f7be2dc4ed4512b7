"""Makes the capture that speed is measured on: one display channel, 1,448-byte segments, pure ACKs from the client.

About 150 MB, 167,000 packets and 270,000 messages; any size by asking for more messages.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

SEGMENT = 1448
CLIENT_PORT, SERVER_PORT = 40_000, 5900
LEAST_BODY, MOST_BODY = 60, 1400
"""Bytes of a STREAM_DATA body; the mean gives 1.6 messages a packet."""

_PCAP = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, 1)
_START_S = 1_700_000_000


def _link(client: bool, channel: int, session: int) -> bytes:
    caps = struct.pack("<II", 0b1001 if client else 0b1011, 0)
    if client:
        body = struct.pack("<IBBIII", session, channel, 0, 1, 1, 18) + caps
    else:
        body = struct.pack("<I162sIII", 0, bytes(162), 1, 1, 178) + caps
    return b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body


def display_messages(count: int, seed: int = 1) -> bytes:
    """Return `count` display messages with mini headers: STREAM_DATA, STREAM_CLIP, PING.

    No draw messages: tshark takes time quadratic in the length of the capture over them, and a comparison in its
    worst case would flatter.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.choice(np.array([123, 124, 4], np.uint16), count, p=[0.7, 0.2, 0.1])
    sizes = rng.integers(LEAST_BODY, MOST_BODY, count, dtype=np.uint32)
    sizes[kinds == 124] = 5
    sizes[kinds == 4] = 12
    starts = np.concatenate(([0], np.cumsum(sizes.astype(np.int64) + 6)))
    out = np.zeros(int(starts[-1]), np.uint8)
    at = starts[:-1]
    for i in range(2):
        out[at + i] = (kinds >> (8 * i)) & 0xFF
    for i in range(4):
        out[at + 2 + i] = (sizes >> (8 * i)) & 0xFF
    stream = at[kinds == 123] + 6
    body = sizes[kinds == 123] - 12  # stream id 0, mm_time 0, then the size of the frame
    for i in range(4):
        out[stream + 8 + i] = (body >> (8 * i)) & 0xFF
    return out.tobytes()


def _records(
    payload: bytes, sequence: int, acknowledged: int, from_server: bool, first_ns: int, step_ns: int
) -> bytes:
    """Cut `payload` into full segments and wrap them in Ethernet, IPv4, TCP and pcap records."""
    count = -(-len(payload) // SEGMENT)
    ports = (SERVER_PORT, CLIENT_PORT) if from_server else (CLIENT_PORT, SERVER_PORT)
    hosts = (
        (b"\x0a\x00\x00\x02", b"\x0a\x00\x00\x01")
        if from_server
        else (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
    )
    frame = 54 + SEGMENT
    head = np.frombuffer(
        struct.pack("<IIII", 0, 0, frame, frame)
        + bytes(12)
        + b"\x08\x00"
        + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40 + SEGMENT, 0, 0x4000, 64, 6, 0, *hosts)
        + struct.pack(">HHIIBBHHH", *ports, 0, acknowledged, 0x50, 0x18, 65_535, 0, 0),
        np.uint8,
    )
    rows = np.zeros((count, 16 + frame), np.uint8)
    rows[:, : len(head)] = head
    data = np.frombuffer(payload, np.uint8)
    whole = len(data) // SEGMENT
    rows[:whole, 70:] = data[: whole * SEGMENT].reshape(whole, SEGMENT)
    times = first_ns + step_ns * np.arange(count, dtype=np.int64)
    rows[:, 0:4] = ((_START_S + times // 1_000_000_000).astype("<u4")).view(np.uint8).reshape(-1, 4)
    rows[:, 4:8] = ((times % 1_000_000_000).astype("<u4")).view(np.uint8).reshape(-1, 4)
    rows[:, 54:58] = _big_endian(sequence + SEGMENT * np.arange(count, dtype=np.int64))
    body = _with_acks(rows, whole) if from_server else rows[:whole].tobytes()
    rest = len(data) - whole * SEGMENT
    if not rest:
        return body
    last = bytearray(rows[-1].tobytes())
    last[70 : 70 + rest] = payload[whole * SEGMENT :]
    struct.pack_into("<II", last, 8, 54 + rest, 54 + rest)
    struct.pack_into(">H", last, 32, 40 + rest)
    return body + bytes(last[: 70 + rest])


def _big_endian(values: np.ndarray) -> np.ndarray:
    return (values % 2**32).astype(">u4").view(np.uint8).reshape(-1, 4)


def _with_acks(rows: np.ndarray, whole: int) -> bytes:
    """Put an acknowledgement of the other side behind three of every four segments."""
    ack = np.zeros((whole, 16 + 54), np.uint8)
    ack[:] = rows[:whole, :70]
    ack[:, 8:16] = np.frombuffer(struct.pack("<II", 54, 54), np.uint8)
    ack[:, 32:34] = np.frombuffer(struct.pack(">H", 40), np.uint8)
    ack[:, 42:46], ack[:, 46:50] = rows[:whole, 46:50], rows[:whole, 42:46]
    ack[:, 50:52], ack[:, 52:54] = rows[:whole, 52:54], rows[:whole, 50:52]
    ack[:, 54:58] = np.frombuffer(struct.pack(">I", 1000 + 16 + 22 + 132), np.uint8)
    ack[:, 58:62] = _big_endian(rows[:whole, 54:58].copy().view(">u4")[:, 0].astype(np.int64) + SEGMENT)
    both = np.concatenate((rows[:whole], ack), axis=1)
    wide = rows.shape[1]
    return b"".join(both[i].tobytes() if i % 4 else both[i, :wide].tobytes() for i in range(whole))


def write_capture(path: Path, messages: int = 270_000) -> int:
    """Write the capture and return its size in bytes. Memory stays bounded: it is written a piece at a time."""
    session = 0x1234
    # Each step of the link stage in a packet of its own, as real peers send it and as tshark needs it.
    steps = [
        (False, _link(True, 2, session)),
        (True, _link(False, 2, session)),
        (False, struct.pack("<I", 1)),
        (False, bytes(128)),
        (True, struct.pack("<I", 0)),
    ]
    sequences = {True: 5000, False: 1000}
    with path.open("wb") as out:
        out.write(_PCAP)
        for n, (from_server, payload) in enumerate(steps):
            out.write(
                _records(
                    payload,
                    sequences[from_server],
                    sequences[not from_server],
                    from_server,
                    n * 1_000_000,
                    1000,
                )
            )
            sequences[from_server] += len(payload)
        sequence, at_ns = sequences[True], len(steps) * 1_000_000
        done = 0
        while done < messages:
            count = min(50_000, messages - done)
            payload = display_messages(count, seed=done + 1)
            out.write(_records(payload, sequence, sequences[False], True, at_ns, 300_000))
            sequence += len(payload)
            at_ns += 300_000 * -(-len(payload) // SEGMENT)
            done += count
        return out.tell()
