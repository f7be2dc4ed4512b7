"""Type numbers to declarations, per channel and side; and messages inside messages."""

import pytest

from spicereplay.defects import DefectKind
from spicereplay.limits import Limits
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ResourceType, ServerCommon, ServerDisplay, Side
from spicereplay.protocol.messages import common, display, headers, main, playback, port
from spicereplay.protocol.messages.common import SubMessage, sub_messages
from spicereplay.protocol.wire import Message, UnknownMessage, build

SERVER, CLIENT = Side.SERVER, Side.CLIENT


@pytest.mark.parametrize(
    ("channel", "side", "type", "name", "cls"),
    [
        (ChannelType.MAIN, SERVER, 103, "INIT", main.Init),
        (ChannelType.MAIN, SERVER, 109, "AGENT_DATA", main.AgentData),
        (ChannelType.MAIN, CLIENT, 107, "AGENT_DATA", main.AgentData),
        (ChannelType.MAIN, CLIENT, 109, "MIGRATE_END", main.ClientMigrateEnd),
        (ChannelType.DISPLAY, SERVER, 122, "STREAM_CREATE", display.StreamCreate),
        (ChannelType.DISPLAY, SERVER, 4, "PING", common.Ping),
        (ChannelType.DISPLAY, CLIENT, 101, "INIT", display.Init),
        (ChannelType.RECORD, CLIENT, 101, "DATA", playback.Data),
        (ChannelType.RECORD, SERVER, 103, "VOLUME", playback.Volume),
        (ChannelType.USBREDIR, CLIENT, 101, "DATA", port.Data),
        (ChannelType.USBREDIR, SERVER, 201, "UNKNOWN_201", None),
        (ChannelType.WEBDAV, SERVER, 201, "INIT", port.Init),
        (ChannelType.PORT, SERVER, 202, "EVENT", port.Event),
        (ChannelType.PORT, CLIENT, 201, "EVENT", port.Event),
        (ChannelType.TUNNEL, CLIENT, 1, "ACK_SYNC", common.AckSync),
        (ChannelType.TUNNEL, SERVER, 101, "UNKNOWN_101", None),
        (ChannelType.PLAYBACK, CLIENT, 101, "UNKNOWN_101", None),
    ],
)
def test_numbers_mean_messages(channel: ChannelType, side: Side, type: int, name: str, cls: object) -> None:
    assert registry.message_name(channel, side, type) == name
    assert registry.message_class(channel, side, type) is cls


def test_every_type_of_every_registry_is_declared_and_every_message_is_in_one() -> None:
    spoken = {(kinds, kind) for kinds, _, _ in registry.SPOKEN for kind in kinds}
    declared = [
        (type(kind), kind)
        for cls in registry.iter_declarations()
        if issubclass(cls, Message) and cls.__module__ != "spicereplay.protocol.agent"
        for kind in cls.TYPES
    ]
    assert set(declared) == spoken
    assert len(declared) == len(spoken), "a type is declared twice"


def test_every_declaration_says_what_it_is() -> None:
    assert [
        cls for cls in registry.iter_declarations() if not cls.__doc__ or cls.__doc__.startswith(cls.__name__)
    ] == []


def test_sizes_for_a_framer() -> None:
    known = registry.known_types(ChannelType.DISPLAY, SERVER)
    assert known[ServerDisplay.STREAM_DESTROY] == (4, 4)
    assert known[ServerDisplay.MARK] == (0, 0)
    assert known[ServerDisplay.DRAW_COPY] == (57, None)
    assert known[ServerCommon.SET_ACK] == (8, 8)
    assert 101 not in registry.known_types(ChannelType.PLAYBACK, CLIENT)


def test_a_body_becomes_its_message() -> None:
    parsed = registry.parse_message(ChannelType.MAIN, SERVER, 106, b"\x01\0\0\0")
    assert parsed.message == main.MultiMediaTime(1)


def test_a_message_of_an_unknown_type_keeps_its_bytes() -> None:
    parsed = registry.parse_message(ChannelType.DISPLAY, SERVER, 323, memoryview(b"abc"))
    assert parsed.message == UnknownMessage(323, b"abc")
    assert [(p.kind, p.detail) for p in parsed.problems] == [
        (DefectKind.MESSAGE_UNKNOWN, "display has no message 323 from the server")
    ]
    assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == b"abc"


# --- messages inside a message --------------------------------------------------------------------


def sub(type: int, body: bytes, stated: int | None = None) -> bytes:
    return build(headers.MiniDataHeader(type, len(body) if stated is None else stated)) + body


def test_the_messages_of_a_list_in_its_order() -> None:
    inval = build(display.InvalList((display.ResourceID(ResourceType.PIXMAP, 7),)))
    wait = build(common.WaitForChannels((common.ChannelWait(2, 1, 40),)))
    # bodies in the other order than the list, as spice-server stores them
    first = sub(ServerDisplay.INVAL_LIST, inval)
    body = build(common.List((10 + len(first), 10), first + sub(ServerCommon.WAIT_FOR_CHANNELS, wait)))
    found, problems = sub_messages(body)
    assert problems == []
    assert [(m.type, body[m.offset : m.offset + m.size]) for m in found] == [(5, wait), (105, inval)]


def test_a_size_that_lies_is_cut_at_the_end() -> None:
    inval = build(display.InvalList((display.ResourceID(ResourceType.PIXMAP, 7),)))
    body = build(common.List((6,), sub(ServerDisplay.INVAL_LIST, inval, stated=8 + 16)))
    assert sub_messages(body) == ([SubMessage(105, 12, 24, len(inval))], [])
    cut = registry.parse_message(ChannelType.DISPLAY, SERVER, 105, body[12:])
    assert cut.problems == ()


def test_a_sub_list_of_a_full_header_lies_anywhere_in_the_body() -> None:
    main_body = build(display.StreamDestroy(1))
    carried = sub(ServerDisplay.INVAL_PALETTE, bytes(8))
    body = main_body + carried + b"\x01\0" + len(main_body).to_bytes(4, "little")
    at = len(main_body) + len(carried)
    assert sub_messages(body, at) == ([SubMessage(107, 10, 8, 8)], [])


@pytest.mark.parametrize(
    ("body", "at", "detail"),
    [
        (b"", 0, "the list begins at 0 of 0"),
        (b"\x01\0", 9, "the list begins at 9 of 2"),
        (b"\x01", 0, "size: needs 2 bytes, 1 are left"),
        (b"\xff\xff", 0, "sub_messages: 65535 entries of at least 4 bytes, 0 bytes are left"),
        (b"\x01\0\x00\0\0\0", 0, "entry 0 begins at 0, inside the list itself"),
        (b"\x01\0\x05\0\0\0" + bytes(8), 0, "entry 0 begins at 5, inside the list itself"),
        (b"\x01\0\x06\0\0\0\x01", 0, "entry 0 begins at 6 of 7"),
        (b"\x01\0\xff\xff\xff\xff", 0, "entry 0 begins at 4294967295 of 6"),
        (b"\x01\0\x06\0\0\0" + b"\x08\0\x0c\0\0\0", 0, "entry 0 at 6 is a list again"),
    ],
)
def test_a_list_that_is_not_well_formed(body: bytes, at: int, detail: str) -> None:
    found, problems = sub_messages(body, at)
    assert found == []
    assert [(p.kind, p.detail) for p in problems] == [(DefectKind.SUB_MESSAGES_MALFORMED, detail)]


def test_one_bad_entry_does_not_cost_the_others() -> None:
    body = build(common.List((99, 10), sub(ServerDisplay.INVAL_PALETTE, bytes(8))))
    found, problems = sub_messages(body)
    assert [m.type for m in found] == [107]
    assert len(problems) == 1


def test_a_list_over_the_limit() -> None:
    body = build(common.List((14,) * 3, sub(ServerDisplay.MARK, b"")))
    assert len(sub_messages(body, limits=Limits(sub_messages=3))[0]) == 3
    found, problems = sub_messages(body, limits=Limits(sub_messages=2))
    assert (found, [p.kind for p in problems]) == ([], [DefectKind.OVER_LIMIT])
