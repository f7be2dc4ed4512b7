"""A made-up TCP connection in which nobody finds a fault but the holes that were asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.capture import Capture, read_connections
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.capture.writer import PcapngWriter
from spicereplay.errors import UsageError
from spicereplay.protocol.enums import Side
from spicereplay.recording.synthetic_tcp import MOST_GAP_BYTES, MOST_SEGMENT_BYTES, SyntheticTcp

CLIENT, SERVER = Endpoint("192.0.2.1", 40_000), Endpoint("192.0.2.2", 5930)


class Recording:
    """A connection in a file, and what comes of reading it."""

    def __init__(self, path: Path, first: int = 0) -> None:
        self.path = path
        self.file = path.open("wb")
        self.writer = PcapngWriter(self.file)
        self.tcp = SyntheticTcp(self.writer, CLIENT, SERVER, first, first)

    def read(self) -> Capture:
        self.file.close()
        return read_connections(self.path)


def only(capture: Capture) -> Connection:
    (connection,) = capture.connections
    return connection


def test_what_both_sides_said_and_how_it_ended(tmp_path: Path) -> None:
    made = Recording(tmp_path / "x.pcapng")
    made.tcp.open(1)
    made.tcp.data(Side.CLIENT, b"hello", 2, "a comment")
    made.tcp.data(Side.SERVER, b"HELLO, you", 3)
    made.tcp.close(9, Side.SERVER)
    with made.read() as capture:
        connection = only(capture)
        assert connection.endpoints == (CLIENT, SERVER)
        assert [s.read(0, 99) for s in connection.streams] == [b"hello", b"HELLO, you"]
        assert all(s.begins_with_syn for s in connection.streams)
        assert connection.closed == ("fin", "fin")
        assert (connection.first_time_ns, connection.closed_time_ns) == (1, 9)
        assert not len(connection.defects)


def test_a_reset_ends_it_at_once(tmp_path: Path) -> None:
    made = Recording(tmp_path / "x.pcapng")
    made.tcp.open(1)
    made.tcp.close(2, Side.CLIENT, reset=True)
    with made.read() as capture:
        assert only(capture).closed == ("rst", None)


def test_long_data_is_cut_where_frames_are_full(tmp_path: Path) -> None:
    made = Recording(tmp_path / "x.pcapng")
    made.tcp.open(0)
    assert made.tcp.data(Side.SERVER, bytes(range(256)) * 1024, 5) == 5
    with made.read() as capture:
        stream = only(capture).streams[1]
        assert stream.length.tolist() == [MOST_SEGMENT_BYTES] * 4 + [262_144 - 4 * MOST_SEGMENT_BYTES]
        assert stream.read(0, 262_144) == bytes(range(256)) * 1024


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["data", "data", "data", "gap"]),
        st.sampled_from(list(Side)),
        st.one_of(st.integers(0, 200), st.integers(60_000, 140_000)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(
    operations=OPERATIONS, first=st.sampled_from([0, 2**31, 2**32 - 70_000, 2**32 - 1]), close=st.booleans()
)
def test_any_conversation_reads_back_without_a_fault(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, Side, int]], first: int, close: bool
) -> None:
    made = Recording(tmp_path_factory.mktemp("tcp") / "x.pcapng", first)
    made.tcp.open(0)
    sent: dict[Side, list[tuple[int, bytes]]] = {side: [] for side in Side}
    end = dict.fromkeys(Side, 0)
    for n, (what, side, size) in enumerate(operations):
        if what == "gap":
            made.tcp.gap(side, size)
        else:
            data = bytes([n % 251 + 1]) * size
            made.tcp.data(side, data, n + 1)
            sent[side].append((end[side], data))
        end[side] += size
    if close:
        made.tcp.close(99)
    else:
        made.tcp.acknowledge(99)
    with made.read() as capture:
        connection = only(capture)
        assert not len(connection.defects)
        for side, stream, facts in zip(
            (Side.CLIENT, Side.SERVER), connection.streams, connection.facts, strict=True
        ):
            # Of a side without a single byte nothing is told, not even that bytes are missing.
            assert stream.end == (end[side] if any(data for _, data in sent[side]) else 0)
            for position, data in sent[side]:
                assert b"".join(piece for _, piece in stream.pieces(position, position + len(data))) == data
            assert stream.captured_bytes == sum(len(data) for _, data in sent[side])
            assert (facts.retransmitted_bytes, facts.out_of_order, facts.keep_alives, facts.zero_windows) == (
                0, 0, 0, 0,
            )  # fmt: skip


def test_what_cannot_be_done(tmp_path: Path) -> None:
    made = Recording(tmp_path / "x.pcapng")
    with pytest.raises(UsageError, match="not open yet"):
        made.tcp.data(Side.CLIENT, b"x", 0)
    made.tcp.open(0)
    with pytest.raises(UsageError, match="open already"):
        made.tcp.open(0)
    for length in (-1, MOST_GAP_BYTES + 1):
        with pytest.raises(UsageError, match="a hole of"):
            made.tcp.gap(Side.CLIENT, length)
    made.tcp.close(1)
    with pytest.raises(UsageError, match="closed"):
        made.tcp.gap(Side.SERVER, 1)
    made.file.close()
