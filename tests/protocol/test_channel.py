"""The engine of a connection says the same however the bytes were cut, and never raises because of them."""

import random
import struct
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import (
    AUTH_SASL,
    AUTH_SELECTION,
    MINI_HEADER,
    Real,
    full,
    link_message,
    link_reply,
    link_stage,
    mini,
    ping,
    real_streams,
    sasl_item,
    stream_data,
    stream_with_holes,
    sub_list,
)

from spicereplay.bytestream import stream_of
from spicereplay.errors import UsageError
from spicereplay.protocol.channel import Assumption, ChannelEngine, GrowingStream, begins_with_link
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.events import BytesMissing, Event, LinkEnded, MessageSeen, SideClosed
from spicereplay.protocol.link import LinkStatus

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
CLIENT, SERVER = Side.CLIENT, Side.SERVER
STREAM_DATA, PING, PONG, ACK, LIST, WAIT = 123, 4, 3, 2, 8, 5
PONG_BODY = ping()
Holes = dict[Side, list[tuple[int, int]]]


def assumed(channel: ChannelType = ChannelType.DISPLAY, *, units: bool = False) -> Assumption:
    return Assumption(channel, 0, mini_header=True, reason="the test says so", confidence=1.0, units=units)


def told(events: list[Event], side: Side) -> list[Event]:
    """What concerns one side; times are left to tests of their own."""
    return [e for e in events if isinstance(e, MessageSeen | BytesMissing | SideClosed) and e.side is side]


def whole(
    said: dict[Side, bytes], holes: Holes | None = None, assumption: Assumption | None = None
) -> ChannelEngine:
    """Feed both sides at once."""
    engine = ChannelEngine(assumed=assumption)
    for side, data in said.items():
        engine.feed(side, stream_with_holes(data, (holes or {}).get(side, [])))
    return engine


def in_pieces(
    said: dict[Side, bytes],
    sizes: random.Random | int,
    holes: Holes | None = None,
    assumption: Assumption | None = None,
    poll: float = 1.0,
) -> tuple[ChannelEngine, list[Event]]:
    """Hand over pieces of one size or of random ones, both sides interleaved, and ask for events in between."""
    engine, events = ChannelEngine(assumed=assumption), []
    chance = sizes if isinstance(sizes, random.Random) else random.Random(1)
    at = dict.fromkeys(said, 0)
    while left := [side for side in said if at[side] < len(said[side])]:
        side = chance.choice(left)
        size = sizes if isinstance(sizes, int) else sizes.choice((1, 2, 5, 6, 7, 100, 1448, 70_000))
        start = at[side]
        hole = next(((a, n) for a, n in (holes or {}).get(side, []) if a == start), None)
        following = min((a for a, _ in (holes or {}).get(side, []) if a > start), default=len(said[side]))
        if hole is not None:
            engine.gap(side, hole[1], 0)
            at[side] += hole[1]
        else:
            stop = min(start + size, following)
            engine.receive(side, said[side][start:stop], 0)
            at[side] = stop
        if chance.random() < poll:
            events += engine.events()
    for side in said:
        engine.close(side, 0)
        if chance.random() < poll:
            events += engine.events()
    return engine, events + engine.events()


def same(
    said: dict[Side, bytes], sizes: random.Random | int, holes: Holes | None = None, **more: object
) -> list[Event]:
    assumption = more.get("assumption")
    assert assumption is None or isinstance(assumption, Assumption)
    once = whole(said, holes, assumption)
    expected = once.events()
    engine, events = in_pieces(said, sizes, holes, assumption, poll=float(more.get("poll", 1.0)))  # type: ignore[arg-type]
    for side in said:
        assert told(events, side) == told(expected, side)
    assert [e.link for e in events if isinstance(e, LinkEnded)] == [
        e.link for e in expected if isinstance(e, LinkEnded)
    ]
    assert engine.defects.counts == once.defects.counts
    return expected


def conversation(
    link: tuple[bytes, bytes], channel_messages: int = 20, mini_header: bool = True
) -> dict[Side, bytes]:
    """A link stage and an ordinary display channel behind it."""
    server, client = [], []
    for n in range(channel_messages):
        server.append((STREAM_DATA, stream_data(37 * n)))
        if n % 5 == 0:
            server += [(PING, ping(n)), (LIST, sub_list((WAIT, struct.pack("<BBBQ", 1, 2, 0, n))))]
            client += [(PONG, PONG_BODY), (ACK, b"")]
    write = (lambda _, k, b: mini(k, b)) if mini_header else full
    return {
        CLIENT: link[0] + b"".join(write(i + 1, k, b) for i, (k, b) in enumerate(client)),
        SERVER: link[1] + b"".join(write(i + 1, k, b) for i, (k, b) in enumerate(server)),
    }


SASL_CAPS = (AUTH_SELECTION | AUTH_SASL | MINI_HEADER,)
SASL = (
    link_message(ChannelType.DISPLAY, common=SASL_CAPS)
    + struct.pack("<I", 2)
    + sasl_item(b"PLAIN")
    + sasl_item(b"user\0"),
    link_reply(common=SASL_CAPS) + sasl_item(b"PLAIN") + sasl_item(b"") + b"\x01" + bytes(4),
)
STAGES = {
    "mini headers": (link_stage(ChannelType.DISPLAY), True),
    "full headers": (link_stage(ChannelType.DISPLAY, mini_header=False), False),
    "no selection of a mechanism": (link_stage(ChannelType.DISPLAY, selection=False), True),
    "SASL": (SASL, True),
    "refused by the reply": ((link_message(ChannelType.DISPLAY), link_reply(error=5)), True),
    "refused by the result": (link_stage(ChannelType.DISPLAY, result=7), True),
    "refused by a second reply": (
        (link_stage(ChannelType.DISPLAY)[0], link_reply() + link_reply(error=3)),
        True,
    ),
    "malformed": ((link_message(ChannelType.DISPLAY)[:12] + bytes(200), link_reply()), True),
    "a channel nobody defined": (link_stage(99), True),
    "cut off": ((link_stage(ChannelType.DISPLAY)[0][:50], b""), True),
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_the_pieces_do_not_matter(name: str, size: int) -> None:
    link, mini_header = STAGES[name]
    said = conversation(link, mini_header=mini_header)
    if name == "cut off":
        said = {CLIENT: link[0], SERVER: link[1]}
    expected = same(said, size)
    established = name in ("mini headers", "full headers", "no selection of a mechanism", "SASL")
    assert any(isinstance(e, MessageSeen) for e in expected) == established


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(STAGES)),
    st.integers(0, 2**32).map(random.Random),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_no_cut_matters(name: str, chance: random.Random, poll: float) -> None:
    link, mini_header = STAGES[name]
    same(conversation(link, mini_header=mini_header), chance, poll=poll)


@cache
def recorded() -> list[Real]:
    return real_streams(FIXTURES / "captures", ["xspice-agent", "qemu-guest-desktop-lz4"])


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(0, 2**32).map(random.Random))
def test_no_cut_or_hole_matters_to_a_recorded_stream_that_begins_anywhere(
    data: st.DataObject, chance: random.Random
) -> None:
    real = data.draw(st.sampled_from(recorded()))
    start = data.draw(st.integers(0, len(real.data) - 1))
    part = real.data[start : start + 60_000]
    edges = sorted({data.draw(st.integers(1, max(1, len(part) - 1))) for _ in range(4)})
    holes = {real.side: [(a, min(b - a, 900)) for a, b in zip(edges[::2], edges[1::2], strict=False)]}
    if data.draw(st.booleans()):  # and some bytes missing without a hole
        part = part[: len(part) // 2] + part[len(part) // 2 + 500 :]
        holes = {}
    same({real.side: part}, chance, holes, assumption=assumed(real.channel), poll=0.2)


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=300), st.integers(0, 300), st.integers(1, 40), st.integers(0, 2**32).map(random.Random)
)
def test_holes_in_the_link_stage_do_not_make_the_pieces_matter(
    noise: bytes, at: int, length: int, chance: random.Random
) -> None:
    said = conversation(link_stage(ChannelType.DISPLAY))
    said[SERVER] += noise
    for side in Side:
        same(said, chance, {side: [(min(at, len(said[side]) - length), length)]}, poll=0.3)


# -- the link stage ---------------------------------------------------------------------------------------


def test_the_link_ended_when_its_last_byte_came() -> None:
    client, server = link_stage()
    engine = ChannelEngine()
    engine.receive(CLIENT, client, 10)
    engine.receive(SERVER, server[:-1], 20)
    assert engine.events() == []
    engine.receive(SERVER, server[-1:] + mini(PING, ping()), 30)
    link, seen = engine.events()
    assert isinstance(link, LinkEnded)
    assert (link.time_ns, seen.time_ns) == (30, 30)
    fed = ChannelEngine()
    fed.feed(CLIENT, stream_with_holes(client + mini(PONG, PONG_BODY), cuts=[len(client)], time_step_ns=10))
    fed.feed(SERVER, stream_with_holes(server + mini(PING, ping()), cuts=[len(server)], time_step_ns=50))
    assert fed.events()[0].time_ns == 0


def test_a_client_may_say_much_before_the_server_is_fed() -> None:
    link = link_stage(ChannelType.WEBDAV)
    upload = b"".join(mini(101, bytes(60_000)) for _ in range(10))
    engine = whole({CLIENT: link[0] + upload, SERVER: link[1]})
    index = engine.index(CLIENT)
    assert index is not None
    assert len(index) == 10
    assert not len(engine.defects)


def test_a_hole_in_the_ticket_costs_nothing_but_certainty() -> None:
    client, server = link_stage(ChannelType.DISPLAY)
    said = {CLIENT: client + mini(PONG, PONG_BODY), SERVER: server + mini(PING, ping())}
    engine = whole(said, {CLIENT: [(len(client) - 100, 50)]})
    assert engine.link is not None
    assert engine.link.status is LinkStatus.ESTABLISHED
    assert [len(engine.index(side) or ()) for side in Side] == [1, 1]
    assert [d.kind.value for d in engine.defects] == ["bytes_missing"]


def test_a_link_that_never_ends_is_a_defect() -> None:
    client, _ = link_stage()
    engine = whole({CLIENT: client, SERVER: b""})
    assert engine.link is not None
    assert engine.link.status is LinkStatus.INCOMPLETE
    assert [d.kind.value for d in engine.defects] == ["link_malformed"]
    assert engine.index(SERVER) is None


def test_a_server_without_its_client_needs_to_be_told_the_channel() -> None:
    _, server = link_stage(ChannelType.CURSOR)
    said = stream_of(server + mini(105) + mini(PING, ping()))
    for fallback, messages in ((ChannelType.CURSOR, 2), (None, None)):
        engine = ChannelEngine(fallback=fallback)
        engine.feed(CLIENT, None)
        engine.feed(SERVER, said)
        index = engine.index(SERVER)
        assert (None if index is None else len(index)) == messages
        assert len(engine.defects) == (messages is None)


def test_after_sasl_the_bytes_may_be_wrapped_and_are_not_taken_for_messages() -> None:
    random.seed(3)
    engine = whole({CLIENT: SASL[0] + random.randbytes(5000), SERVER: SASL[1] + random.randbytes(50_000)})
    assert [len(engine.index(side) or ()) for side in Side] == [0, 0]
    framer = engine.framer(SERVER)
    assert framer is not None
    assert framer.unparsed_bytes == 50_000


# -- handing over -----------------------------------------------------------------------------------------


def test_misuse_is_an_exception() -> None:
    engine = ChannelEngine()
    with pytest.raises(UsageError, match="gap of -1"):
        engine.gap(CLIENT, -1, 0)
    engine.receive(CLIENT, b"R", 0)
    with pytest.raises(UsageError, match="fed before"):
        engine.feed(CLIENT, stream_of(b""))
    engine.close(CLIENT, 0)
    engine.close(CLIENT, 0)
    with pytest.raises(UsageError, match="closed"):
        engine.receive(CLIENT, b"E", 0)
    with pytest.raises(UsageError, match="fed whole"):
        ChannelEngine(assumed=assumed(units=True)).receive(SERVER, b"", 0)


def test_events_of_both_sides_are_merged_by_time() -> None:
    engine = ChannelEngine(assumed=assumed())
    for n in range(4):
        engine.receive(SERVER, mini(PING, ping(n)), 10 * n)
        engine.receive(CLIENT, mini(PONG, ping(n)), 10 * n + 5)
    engine.close(SERVER, 100)
    engine.close(CLIENT, 90)
    events = engine.events()
    assert [e.time_ns for e in events] == [0, 5, 10, 15, 20, 25, 30, 35, 90, 100]
    assert engine.events() == []


def test_holes_are_told_where_they_are() -> None:
    engine = ChannelEngine(assumed=assumed())
    data = b"".join(mini(STREAM_DATA, stream_data(100)) for _ in range(5))
    engine.feed(SERVER, stream_with_holes(data, [(0, 118), (300, 10)]))
    kinds = [(type(e).__name__, getattr(e, "partial", None)) for e in engine.events()]
    seen = "MessageSeen"
    assert kinds == [
        ("BytesMissing", None),
        (seen, False),
        ("BytesMissing", None),
        (seen, True),
        (seen, False),
        (seen, False),
        ("SideClosed", None),
    ]


def test_a_megabyte_byte_by_byte_is_looked_at_once() -> None:
    engine = ChannelEngine(assumed=assumed())
    framer = engine.framer(SERVER)
    assert framer is not None
    body = mini(STREAM_DATA, stream_data(200_000))
    looks = 0
    advance = framer.advance

    def counting(*args: object, **more: object) -> int:
        nonlocal looks
        looks += 1
        return advance(*args, **more)  # type: ignore[arg-type]

    framer.advance = counting  # type: ignore[method-assign]
    for _ in range(5):
        for byte in body:
            engine.receive(SERVER, bytes((byte,)), 0)
    engine.close(SERVER, 0)
    assert [e.size for e in engine.events() if isinstance(e, MessageSeen)] == [200_012] * 5
    assert looks < 100


def test_what_was_told_is_forgotten() -> None:
    link = link_stage(ChannelType.DISPLAY)
    engine = ChannelEngine()
    engine.receive(CLIENT, link[0], 0)
    engine.receive(SERVER, link[1], 0)
    message = mini(STREAM_DATA, stream_data(10_000))
    for n in range(200):
        engine.receive(SERVER, message[: n * 7], n)
        engine.receive(SERVER, message[n * 7 :], n)
        seen = [e for e in engine.events() if isinstance(e, MessageSeen)]
        assert [(e.serial, e.body) for e in seen] == [(n + 1, message[6:])]
    index = engine.index(SERVER)
    assert index is not None
    assert len(index.stream.file) < 100_000


def test_a_growing_stream_forgets_whole_chunks_and_keeps_positions() -> None:
    growing = GrowingStream()
    for n in range(10):
        growing.append(bytes([n]) * 10, 10 - n)
    before = growing.view()
    assert not growing.forget(20)
    assert growing.forget(57)
    after = growing.view()
    assert after.position.tolist() == [50, 60, 70, 80, 90]
    assert after.read(55, 65) == before.read(55, 65) == b"\5" * 5 + b"\6" * 5
    growing.append(b"end", 0)
    assert growing.view().read(95, 200) == b"\x09" * 5 + b"end"
    assert growing.view().time_ns.tolist() == [10] * 6


def test_begins_with_link() -> None:
    assert begins_with_link(stream_of(link_message()))
    assert not begins_with_link(stream_of(b"RED"))


def test_a_message_that_has_begun_is_known_by_its_header() -> None:
    engine = ChannelEngine()
    client, server = link_stage(ChannelType.DISPLAY)
    engine.receive(CLIENT, client, 0)
    assert engine.unfinished(SERVER) is None
    engine.receive(SERVER, server, 0)
    ping, data = mini(PING, PONG_BODY), mini(STREAM_DATA, stream_data(1000))
    found = []
    for piece in (ping[:5], ping[5:7], ping[7:], data[:6], data[6:900], data[900:] + ping[:6]):
        engine.receive(SERVER, piece, 0)
        engine.events()
        found.append(engine.unfinished(SERVER))
    begun, frame = (PING, len(PONG_BODY)), (STREAM_DATA, len(data) - 6)
    assert found == [None, begun, None, frame, frame, begun]
    assert engine.unfinished(CLIENT) is None
