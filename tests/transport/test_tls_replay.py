"""Whole captures under TLS give the tables of the same captures in the clear."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import itertools
import json
import ssl
import struct
from pathlib import Path

import pandas as pd
import pytest
from support.command import run
from support.pcapfile import ACK, SYN, Frame, tcp_frame, write_pcap, write_pcapng
from support.tls_peers import TLS12, TLS13, Peers

import spicereplay as sr
from spicereplay.capture import read_connections
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.defects import DefectKind

SEGMENT = 1448
MASK = bytes.fromhex("c0ffee01")


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def clear(fixtures: Path) -> Path:
    return fixtures / "captures" / "ticket" / "capture.pcap"


def said_on(connection: Connection) -> list[tuple[int, bool, bytes]]:
    """Return time, whether the server sent it, and the bytes of each chunk, in order."""
    rows = [
        (int(stream.time_ns[i]), int(stream.packet[i]), bool(side), stream.chunk_bytes(i))
        for side, stream in enumerate(connection.streams)
        for i in range(len(stream.position))
    ]
    return [(time_ns, from_server, data) for time_ns, _, from_server, data in sorted(rows)]


def in_web_socket(said: list[tuple[int, bool, bytes]]) -> list[tuple[int, bool, bytes]]:
    """Put each chunk into a frame of its own, behind an upgrade."""
    out = [
        (said[0][0], False, b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"),
        (said[0][0], True, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
    ]
    for time_ns, from_server, data in said:
        mask = 0 if from_server else 128
        length = bytes([mask | len(data)]) if len(data) < 126 else struct.pack(">BQ", mask | 127, len(data))
        payload = (
            data if from_server else bytes(a ^ b for a, b in zip(data, itertools.cycle(MASK), strict=False))
        )
        out.append((time_ns, from_server, b"\x82" + length + (b"" if from_server else MASK) + payload))
    return out


@functools.cache
def sealed(
    clear: Path, peers: Peers, version: ssl.TLSVersion, web_socket: bool = False, plain: int = 0
) -> tuple[list[Frame], list[bytes]]:
    """Return the packets of a capture whose connections, but the first `plain`, go over TLS; and their key logs."""
    frames: list[Frame] = []
    logs: list[bytes] = []
    with read_connections(clear) as capture:
        for number, connection in enumerate(capture.connections):
            said = said_on(connection)
            if number < plain:
                timed = said
            else:
                said = in_web_socket(said) if web_socket else said
                ciphers = "ECDHE-RSA-CHACHA20-POLY1305" if number % 2 else "AES128-SHA256"
                recording = peers.converse(
                    [(from_server, data) for _, from_server, data in said],
                    version=version,
                    ciphers=f"{ciphers}:@SECLEVEL=0",
                )
                logs.append(recording.key_log)
                before = [said[0][0]] * recording.first_said
                behind = itertools.repeat(said[-1][0])
                times = itertools.chain(before, (time_ns for time_ns, _, _ in said), behind)
                timed = [(time_ns, *piece) for time_ns, piece in zip(times, recording.pieces, strict=False)]
            frames += frames_of(connection, timed)
    return sorted(frames, key=lambda frame: frame.time_ns), logs


def frames_of(connection: Connection, timed: list[tuple[int, bool, bytes]]) -> list[Frame]:
    client, server = connection.endpoints
    sequence = {False: 0, True: 0}
    frames = []
    for from_server, flags in ((False, SYN), (True, SYN | ACK)):
        frames.append(
            tcp_frame(
                time_ns=connection.first_time_ns,
                from_server=from_server,
                flags=flags,
                client=client,
                server=server,
                acknowledgement=int(from_server),
            )
        )
        sequence[from_server] = 1
    for time_ns, from_server, data in timed:
        for at in range(0, len(data), SEGMENT):
            part = data[at : at + SEGMENT]
            frames.append(
                tcp_frame(
                    part,
                    time_ns=time_ns,
                    from_server=from_server,
                    client=client,
                    server=server,
                    sequence=sequence[from_server],
                    acknowledgement=sequence[not from_server],
                )
            )
            sequence[from_server] += len(part)
    return frames


def messages_of(path: Path, keylog: Path | None = None) -> pd.DataFrame:
    with sr.open(path, keylog=keylog) as capture:
        return capture.messages.reset_index(drop=True)


@pytest.mark.parametrize("web_socket", [False, True], ids=["bare", "WebSocket"])
@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_the_message_table_is_that_of_the_capture_in_the_clear(
    tmp_path: Path, peers: Peers, clear: Path, version: ssl.TLSVersion, web_socket: bool
) -> None:
    frames, logs = sealed(clear, peers, version, web_socket)
    keylog = tmp_path / "keys.log"
    keylog.write_bytes(b"".join(logs))
    path = write_pcap(tmp_path / "x.pcap", frames, nanoseconds=True)
    pd.testing.assert_frame_equal(messages_of(path, keylog), messages_of(clear))
    with sr.open(path, keylog=keylog) as capture:
        assert [defect.kind for defect in capture.replay.defects] == [DefectKind.LINK_REFUSED], (
            "as in the clear"
        )
        for log in capture.replay.sessions[0].channels:
            assert log.assumptions[0].startswith("carried in TLS 1.")
            assert ("carried in WebSocket frames" in log.assumptions) == web_socket


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_log_that_has_grown_for_years(tmp_path: Path, peers: Peers, clear: Path, packed: bool) -> None:
    frames, logs = sealed(clear, peers, TLS13)
    keylog = tmp_path / "keys.log"
    years = b"".join(
        b"CLIENT_RANDOM %064x %096x\r\n# a comment\r\n\r\n" % (number, number) for number in range(20_000)
    )
    text = years + b"".join(logs) + years
    keylog.write_bytes(gzip.compress(text, 1) if packed else text)
    path = write_pcap(tmp_path / "x.pcap", frames, nanoseconds=True)
    pd.testing.assert_frame_equal(messages_of(path, keylog), messages_of(clear))
    keylog.write_bytes(years)
    with pytest.raises(sr.NoSpiceError, match="no keys for this connection among those given"):
        sr.open(path, keylog=keylog)


def test_secrets_inside_a_pcapng_are_used_unasked(tmp_path: Path, peers: Peers, clear: Path) -> None:
    frames, logs = sealed(clear, peers, TLS13)
    path = write_pcapng(tmp_path / "x.pcapng", frames, key_log=b"".join(logs))
    ours = messages_of(path)
    theirs = messages_of(clear)
    # The block's interface counts microseconds.
    pd.testing.assert_frame_equal(ours.drop(columns="time_s"), theirs.drop(columns="time_s"))
    assert (ours["time_s"] - theirs["time_s"]).abs().max() <= 2e-6


def test_main_may_be_plain_and_keys_be_there_for_only_some(tmp_path: Path, peers: Peers, clear: Path) -> None:
    frames, logs = sealed(clear, peers, TLS13, plain=2)
    keylog = tmp_path / "keys.log"
    other = (
        b"CLIENT_RANDOM " + bytes(32).hex().encode() + b" " + bytes(48).hex().encode() + b"\nno key at all\n"
    )
    keylog.write_bytes(other + logs[0])
    path = write_pcap(tmp_path / "x.pcap", frames, nanoseconds=True)
    with sr.open(path, keylog=keylog) as capture:
        assert {log.channel.label for log in capture.replay.sessions[-1].channels} == {"main", "display"}
        assert [(o.what, o.detail) for o in capture.replay.other] == [
            ("tls", "no keys for this connection among those given")
        ] * 2
        assert all(o.bytes_from_server > 200 for o in capture.replay.other)
        kinds = [d.kind for d in capture.replay.defects]
        assert kinds.count(DefectKind.TLS_UNREADABLE) == 2
        assert kinds.count(DefectKind.KEY_LOG) == 1


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
def test_a_lost_segment_costs_the_rest_of_its_direction_and_is_found(
    tmp_path: Path, peers: Peers, clear: Path, version: ssl.TLSVersion
) -> None:
    frames, logs = sealed(clear, peers, version)
    longest = max(frame.wire_length for frame in frames)
    whole = [n for n, frame in enumerate(frames) if frame.wire_length == longest]
    # The display channel comes last of those that send full segments.
    lost = whole[-len(whole) // 4]
    path = write_pcapng(tmp_path / "x.pcapng", frames[:lost] + frames[lost + 1 :], key_log=b"".join(logs))
    with sr.open(path) as capture, sr.open(clear) as plain:
        ours, theirs = ((c.messages[c.messages["channel"] == "display"]) for c in (capture, plain))
        for side in ("client", "server"):
            got = ours[(ours["from"] == side) & ~ours["partial"]]["type"].tolist()
            want = theirs[theirs["from"] == side]["type"].tolist()
            assert got == want[: len(got)]
            assert (len(got) == len(want)) == (side == "client")
        assert len(ours[ours["from"] == "server"]) > 10
        (defect,) = (d for d in capture.replay.defects if d.kind is DefectKind.TLS_UNREADABLE)
        assert "are missing: nothing from there on can be opened" in defect.detail
        found = capture.findings[capture.findings["code"] == "tls_unreadable"]
        assert found["title"].tolist() == ["TLS was opened, but 1 direction of it not as a whole"]


def test_the_command_line_says_what_is_wrong_with_the_keys(tmp_path: Path, peers: Peers, clear: Path) -> None:
    frames, logs = sealed(clear, peers, TLS13)
    path = write_pcap(tmp_path / "x.pcap", frames)
    code, _, err = run("info", path)
    assert code == 3
    assert "5 TLS flows on port" in err
    assert "no keys given" in err
    wrong = tmp_path / "wrong.log"
    swapped = b"".join(logs).translate(bytes.maketrans(b"0123456789", b"0123456789"[::-1]))
    lines = zip(b"".join(logs).splitlines(), swapped.splitlines(), strict=True)
    wrong.write_bytes(
        b"\n".join(b" ".join((*a.split()[:2], b.split()[2])) for a, b in lines if not a.startswith(b"#"))
    )
    code, _, err = run("messages", path, "--keylog", wrong)
    assert code == 3
    assert "wrong keys" in err
    code, _, err = run("messages", path, "--keylog", path)
    assert code == 2
    assert "is no key log" in err
    assert run("messages", path, "--keylog", tmp_path / "none.log")[0] == 2


def test_no_output_holds_key_material(tmp_path: Path, peers: Peers, clear: Path) -> None:
    frames, logs = sealed(clear, peers, TLS13)
    path = write_pcapng(
        tmp_path / "x.pcapng", frames, key_log=b"".join(logs[:-1]) + b"CLIENT_RANDOM broken " + logs[-1]
    )
    page = tmp_path / "x.html"
    written = []
    for words in (
        ("info", path, "--json"),
        ("messages", path, "--json"),
        ("findings", path, "--json"),
        ("report", path, "-o", page, "--no-decode"),
    ):
        code, out, err = run(*words)
        assert code == 0
        written += [out, err]
    written.append(page.read_text("utf-8"))
    everything = "\n".join(written)
    assert "carried in TLS 1.3" in everything
    secrets = [line.split()[2].decode() for log in logs for line in log.splitlines() if line.count(b" ") == 2]
    assert len(secrets) >= 20
    assert not [secret for secret in secrets if secret[:16] in everything]


def test_a_connection_opened_that_is_no_spice_is_named(tmp_path: Path, peers: Peers, clear: Path) -> None:
    frames, logs = sealed(clear, peers, TLS13)
    browsing = peers.converse(
        [(False, b"GET /index.html HTTP/1.1\r\n\r\n"), (True, b"HTTP/1.1 200 OK\r\n\r\n")]
    )
    with read_connections(clear) as capture:
        first = capture.connections[0]
    timed = [(first.last_time_ns, *piece) for piece in browsing.pieces]
    endpoints = (first.endpoints[0]._replace(port=1234), first.endpoints[1]._replace(port=443))
    more = frames_of(_at(first, endpoints), timed)
    path = write_pcapng(tmp_path / "x.pcapng", [*frames, *more], key_log=b"".join([*logs, browsing.key_log]))
    code, out, _ = run("info", path, "--json")
    assert code == 0
    (other,) = json.loads(out)["other"]
    assert (other["what"], other["detail"]) == ("http", "GET /index.html HTTP/1.1 (inside TLS 1.3)")


def _at(connection: Connection, endpoints: tuple[Endpoint, Endpoint]) -> Connection:
    return dataclasses.replace(connection, endpoints=endpoints)


@pytest.mark.shared
def test_a_recorded_session_of_tls_1_3(shared: Path) -> None:
    folder = shared / "captures" / "tls13-keylog"
    oracle = json.loads((folder / "oracle.json").read_text())
    with sr.open(folder / "capture.pcap", keylog=folder / "keys.log") as capture:
        assert not len(capture.replay.defects)
        logs = {(log.channel.label, log.channel_id): log for log in capture.replay.sessions[0].channels}
        for channel in oracle["sessions"][0]["channels"]:
            log = logs[channel["channel"], channel["channel_id"]]
            assert {str(side): n for side, n in log.bytes_from.items()} == {
                side: channel[f"from_{side}"]["stream_bytes"] for side in ("client", "server")
            }
