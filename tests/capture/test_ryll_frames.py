"""Packets as ryll makes them up: read back by our own reader, what was said is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from spicereplay.capture import read_connections
from spicereplay.capture.ryll_frames import FILE_HEADER, WRITTEN_BYTES, records
from spicereplay.units import NS_PER_S


def written(path: Path, *pieces: bytes) -> Path:
    path.write_bytes(FILE_HEADER + b"".join(pieces))
    return path


@pytest.mark.parametrize("size", [1, WRITTEN_BYTES, WRITTEN_BYTES + 1, 65_482, 65_495, 3 * WRITTEN_BYTES + 7])
@pytest.mark.parametrize("from_server", [False, True])
def test_what_is_said_at_once_is_whole_and_no_packet_too_long(
    tmp_path: Path, size: int, from_server: bool
) -> None:
    data = bytes(i % 251 for i in range(size))
    made = list(
        records(10_002, data, 5 * NS_PER_S, from_server=from_server, sequence=2**32 - 9, acknowledgement=1000)
    )
    assert len(made) == -(-size // WRITTEN_BYTES)
    assert max(map(len, made)) <= 16 + 65_535
    capture = read_connections(written(tmp_path / "x.pcap", *made))
    (connection,) = capture.connections
    sender = next(one for one, end in enumerate(connection.endpoints) if (end.port == 5900) == from_server)
    assert {end.port for end in connection.endpoints} == {10_002, 5900}
    assert connection.streams[sender].read(0, size) == data
    assert not list(connection.streams[sender].gaps())


def test_a_time_before_the_beginning_is_the_beginning(tmp_path: Path) -> None:
    (record,) = records(10_001, b"x", -5, from_server=False, sequence=0, acknowledgement=0)
    assert record[:8] == bytes(8)


def test_nothing_said_is_no_packet() -> None:
    assert list(records(10_001, b"", 0, from_server=True, sequence=0, acknowledgement=0)) == []
