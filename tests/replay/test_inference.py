"""Connections without a beginning: the right channel, or none."""

import random
import struct
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import Real, full, mini, ping, real_streams, stream_data

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.replay.inference import infer

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
NOTHING = stream_of(b"")
PONG = mini(3, ping())


def guess(client: bytes, server: bytes) -> tuple[ChannelType, int, bool] | None:
    found = infer((stream_of(client), stream_of(server)), DEFAULT_LIMITS)
    if found is None:
        return None
    assert found[1].confidence >= 0.6
    assert found[1].channel.label in found[1].reason
    return found[1].channel, found[0], found[1].mini_header


@cache
def recorded() -> list[tuple[Real, Real | None]]:
    """Every channel of some captures, as its two sides."""
    sides = real_streams(
        FIXTURES / "captures", ["qemu-guest-desktop-lz4", "xspice-agent", "html5-agent-frozen"]
    )
    by_name: dict[str, list[Real]] = {}
    for real in sides:
        by_name.setdefault(real.name.rpartition(" from ")[0], []).append(real)
    return [(pair[0], pair[1] if len(pair) > 1 else None) for pair in by_name.values()]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_recorded_channel_cut_anywhere_is_never_taken_for_another(data: st.DataObject) -> None:
    pair = [real for real in data.draw(st.sampled_from(recorded())) if real is not None]
    keep = data.draw(st.sampled_from(["both", *{str(real.side) for real in pair}]))
    said = dict.fromkeys(Side, b"")
    for real in pair:
        if keep in ("both", real.side):
            said[real.side] = real.data[data.draw(st.integers(0, len(real.data) - 1)) :]
    swap = data.draw(st.booleans())
    ends = (said[Side.CLIENT], said[Side.SERVER])
    found = guess(*(ends[::-1] if swap else ends))
    assert found in (None, (pair[0].channel, int(swap), True))


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("qemu-guest-desktop-lz4", ChannelType.DISPLAY),
        ("qemu-guest-desktop-lz4", ChannelType.CURSOR),
        ("qemu-guest-desktop-lz4", ChannelType.USBREDIR),
        ("html5-agent-frozen", ChannelType.MAIN),
    ],
)
@pytest.mark.parametrize("keep", ["both", "server"])
def test_a_recorded_channel_without_its_link_stage_is_told(
    name: str, channel: ChannelType, keep: str
) -> None:
    pair = next(p for p in recorded() if p[0].name.startswith(name) and p[0].channel is channel)
    said = {real.side: real.data for real in pair if real is not None}
    client = said.get(Side.CLIENT, b"") if keep == "both" else b""
    assert guess(client, said[Side.SERVER]) == (channel, 0, True)


def conversation(header: str) -> tuple[bytes, bytes]:
    """An inputs channel: keys and the mouse from the client, modifiers and acknowledgements from the server."""
    write = (lambda _, kind, body=b"": mini(kind, body)) if header == "mini" else full
    client = [
        (101, b"\x1e\0\0\0"),
        (102, b"\x9e\0\0\0"),
        (112, bytes(11)),
        (113, b"\1\0\0"),
        (114, b"\1\0\0"),
    ] * 3
    server = [(102, b"\0\0"), (111,), (111,)] * 3
    return (
        b"".join(write(n + 1, *message) for n, message in enumerate(client)),
        b"".join(write(n + 1, *message) for n, message in enumerate(server)),
    )


@pytest.mark.parametrize("header", ["mini", "full"])
def test_both_forms_of_header(header: str) -> None:
    client, server = conversation(header)
    expected = (ChannelType.INPUTS, 0, header == "mini")
    assert guess(client, server) == expected
    assert guess(client, b"") == expected
    assert guess(server, client) == (ChannelType.INPUTS, 1, header == "mini")


def test_full_headers_of_a_display() -> None:
    said = b"".join(full(n + 70, 123, stream_data(900 + n)) for n in range(40))
    assert guess(b"", said) == (ChannelType.DISPLAY, 0, False)
    assert guess(b"", said[500:]) == (ChannelType.DISPLAY, 0, False)


def test_sound_is_told_by_its_times() -> None:
    random.seed(5)
    data = [struct.pack("<I", 2**32 - 100 + 20 * n & 0xFFFFFFFF) + random.randbytes(70) for n in range(40)]
    said = b"".join(mini(101, body) for body in data)
    pings, pongs = mini(4, ping()) * 3, PONG * 3
    assert guess(pongs, said + pings) == (ChannelType.PLAYBACK, 0, True)
    assert guess(said + pongs, pings) == (ChannelType.RECORD, 0, True)
    assert guess(b"", said) is None  # a server's playback, or a client's record


NOT_TOLD = {
    "nothing": (b"", b""),
    "ping and pong alone": (PONG * 20, mini(4, ping()) * 20),
    "acknowledgements alone": (mini(2) * 20, b""),
    "any data of a device": (b"", b"".join(mini(101, bytes([n]) * (50 + n)) for n in range(30))),
    "VNC": (b"RFB 003.008\n\1" + bytes(20), b"RFB 003.008\n\1\1" + bytes(4) + b"\0" * 3000),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9, b"HTTP/1.1 200 OK\r\n\r\n" + b"<p>words</p>" * 400),
    "SSH": (
        b"SSH-2.0-x\r\n" + random.Random(1).randbytes(4000),
        b"SSH-2.0-y\r\n" + random.Random(2).randbytes(4000),
    ),
    "zero bytes": (bytes(5000), bytes(50_000)),
    "ones": (b"\1" * 5000, b"\1\0" * 5000),
    "random bytes": (random.Random(3).randbytes(30_000), random.Random(4).randbytes(90_000)),
}


@pytest.mark.parametrize("name", NOT_TOLD)
def test_what_cannot_be_told_is_not_claimed(name: str) -> None:
    client, server = NOT_TOLD[name]
    for ends in ((client, server), (server, client), (client, b""), (b"", server)):
        assert guess(*ends) is None


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_any_bytes_are_nothing(client: bytes, server: bytes) -> None:
    assert guess(client, server) is None


def test_an_empty_stream_is_no_trouble() -> None:
    empty: ByteStream = NOTHING
    assert infer((empty, empty), DEFAULT_LIMITS) is None
