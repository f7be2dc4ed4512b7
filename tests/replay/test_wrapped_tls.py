"""TLS behind proxies, WebSocket inside it, TLS that began before the capture; and its keys, which nothing shows."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import link_stage, stream_data
from support.tls_peers import TLS12, TLS13, Peers, Recording, split_records
from typer.testing import CliRunner

from spicereplay.analysis.facts import Facts, Unread
from spicereplay.analysis.find_capture import tls_unreadable
from spicereplay.bytestream import DirectionFacts, stream_of
from spicereplay.capture.connection import Connection, Endpoint
from spicereplay.cli.app import app
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType
from spicereplay.replay.channels import Watched, watch
from spicereplay.replay.identify import BEGAN_BEFORE, OtherConnection
from spicereplay.transport.tls.keylog import NO_KEYS, KeyLog
from spicereplay.transport.tls.records import SEARCH_BYTES, records_begin

NOISE = random.Random(3).randbytes(60_000)
CONNECT = b"CONNECT node:5901 HTTP/1.1\r\n\r\n"
GRANTED = b"HTTP/1.0 200 OK\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
KEY = b"\x11\x9a\x00\xff"


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("peers"))


def framed(data: bytes, key: bytes = b"") -> bytes:
    """`data` as one binary frame."""
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(data)) if key else data
    return b"\x82" + bytes([126 | (0x80 if key else 0)]) + len(data).to_bytes(2, "big") + key + masked


def watched(client: bytes, server: bytes, keys: KeyLog = NO_KEYS) -> Watched | OtherConnection:
    connection = Connection(
        endpoints=(Endpoint("192.0.2.1", 40_000), Endpoint("192.0.2.2", 5901)),
        streams=(stream_of(client), stream_of(server)),
        facts=(DirectionFacts(), DirectionFacts()),
        opener_seen=True,
        first_time_ns=0,
        last_time_ns=0,
    )
    return watch(connection, DEFAULT_LIMITS, DefectLog(), keys=keys)


def keys_of(recording: Recording) -> KeyLog:
    return KeyLog.parse([recording.key_log], limits=DEFAULT_LIMITS, defects=DefectLog())


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["1.2", "1.3"])
@pytest.mark.parametrize("web", [False, True], ids=["bare", "wss"])
@pytest.mark.parametrize("proxy", [False, True], ids=["direct", "proxy"])
def test_every_layer_is_taken_off(peers: Peers, version: object, web: bool, proxy: bool) -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    server += stream_data(9)
    said = [(False, client), (True, server)]
    if web:
        said = [(False, REQUEST), (True, ANSWER), (False, framed(client, KEY)), (True, framed(server))]
    sealed = peers.converse(said, version=version)  # type: ignore[arg-type]
    streams = sealed.client, sealed.server
    if proxy:
        streams = CONNECT + sealed.client, GRANTED + sealed.server
    found = watched(*streams, keys_of(sealed))
    assert isinstance(found, Watched)
    assert (found.log.channel, len(found.log.server)) == (ChannelType.DISPLAY, 1)
    layers = ["through an HTTP proxy"] * proxy + ["carried in TLS 1."] + ["carried in WebSocket frames"] * web
    assert len(found.log.assumptions) == len(layers)
    assert all(a.startswith(b) for a, b in zip(found.log.assumptions, layers, strict=True))
    shut = watched(*streams)
    assert isinstance(shut, OtherConnection)
    assert (shut.what, shut.detail) == ("tls", "no keys given")


@pytest.fixture(scope="module")
def long(peers: Peers) -> Recording:
    said = [(n % 3 > 0, NOISE[n * 1000 : n * 1000 + 900 + n]) for n in range(50)]
    return peers.converse(said, version=TLS13)


@settings(max_examples=25)
@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)), with_keys=st.booleans())
def test_tls_in_the_middle_is_told_wherever_the_capture_begins(
    long: Recording, shares: tuple[float, float], with_keys: bool
) -> None:
    """Within a record mostly: nothing but the headers that follow says what it is."""
    sent = long.client, long.server
    first = [sum(map(len, split_records(side)[:6])) for side in sent]
    cuts = [
        at + round(share * (len(side) // 2 - at)) for at, side, share in zip(first, sent, shares, strict=True)
    ]
    found = watched(
        *(side[at:] for at, side in zip(cuts, sent, strict=True)), keys_of(long) if with_keys else NO_KEYS
    )
    assert isinstance(found, OtherConnection)
    assert found.what == "tls"
    assert "began before the capture" in found.detail


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_other_bytes_are_no_records(noise: bytes) -> None:
    assert records_begin(stream_of(noise)) is None


def test_where_records_begin() -> None:
    record = b"\x17\x03\x03\x00\x20" + bytes(32)
    assert records_begin(stream_of(NOISE[:77] + record * 2)) == 77
    assert records_begin(stream_of(record * 4 + b"x")) == 0
    assert records_begin(stream_of(record * 3 + b"x" * 40)) is None, "what follows is no record"
    assert records_begin(stream_of(record)) is None, "one alone may be chance"
    assert records_begin(stream_of(b"\x17\x03\x03\x00\x00" * 9)) is None, "nothing is protected in these"
    assert records_begin(stream_of(b"x" * SEARCH_BYTES + record * 9)) is None


def told(*details: str) -> str:
    """The words of the finding about connections that could not be read for these reasons."""
    facts = Facts(unread=tuple(Unread("tls", "a:1", "b:2", 10, detail) for detail in details))
    finding = next(iter(tls_unreadable(None, facts)))  # type: ignore[arg-type]
    return " ".join((finding.title, *map(str, finding.evidence)))


def test_keys_are_not_asked_for_where_they_would_not_help() -> None:
    assert "--keylog" not in told(BEGAN_BEFORE)
    assert "began before the capture" in told(BEGAN_BEFORE)
    assert "--keylog" in told(BEGAN_BEFORE, "no keys given")
    assert "do not open" in told("no keys for this connection among those given")


def secrets_of(log: bytes) -> list[bytes]:
    lines = [line.split() for line in log.splitlines() if line and not line.startswith(b"#")]
    return [bytes.fromhex(words[2].decode()) for words in lines]


@pytest.mark.shared
def test_no_file_that_is_written_holds_key_material(tmp_path: Path, shared: Path) -> None:
    folder = shared / "captures" / "tls13-keylog"
    keys, capture = folder / "keys.log", folder / "capture.pcap"
    secrets = secrets_of(keys.read_bytes())
    assert len(secrets) > 10
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "SSLKEYLOGFILE": str(keys)}
    told = b""
    for words in (
        ("export", capture, "--to", "pcapng", "-o", home / "x.pcapng"),
        ("export", capture, "--to", "json", "-o", home / "json"),
        ("export", capture, "--to", "csv", "-o", home / "csv"),
        ("export", capture, "--to", "perfetto", "-o", home / "x.trace"),
        ("cut", capture, "--from", "0", "--to", "2", "-o", home / "cut.pcapng"),
        ("report", capture, "-o", home / "x.html", "--no-decode"),
        ("info", capture, "--json"),
    ):
        done = CliRunner().invoke(app, [*map(str, words), "--keylog", str(keys)], env=environment)
        assert done.exit_code == 0, done.stderr
        told += done.stdout.encode() + done.stderr.encode()
    files = [Path(at) / name for at, _, names in os.walk(home) for name in names]
    assert len(files) > 20
    assert any(b"carried in TLS" in file.read_bytes() for file in files)
    for text in [told, *(file.read_bytes() for file in files)]:
        for secret in secrets:
            assert secret[:8] not in text
            assert secret[:8].hex().encode() not in text.lower()
