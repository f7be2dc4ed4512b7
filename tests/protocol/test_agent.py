"""Agent records and the slices they travel in."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.defects import DefectKind
from spicereplay.limits import Limits
from spicereplay.protocol.agent import (
    AgentAssembler,
    AgentHeader,
    AgentMessage,
    AnnounceCapabilities,
    Clipboard,
    ClipboardGrab,
    ClipboardRelease,
    FileXferData,
    FileXferStatus,
    Reply,
    SelectionPrefix,
    parse_record,
    record_name,
    slices,
)
from spicereplay.protocol.enums import (
    AgentResult,
    AgentType,
    ClipboardSelection,
    ClipboardType,
    FileXferResult,
)
from spicereplay.protocol.wire import UnknownMessage, build

REPLY = Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS)
SECRET = Clipboard(None, ClipboardType.UTF8_TEXT, b"hunter2")


def whole(record: object, *, protocol: int = 1, kind: int | None = None) -> bytes:
    data = build(record)
    return build(AgentHeader(protocol, record.TYPES[0] if kind is None else kind, 0, len(data))) + data


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "serial", "data", "record"),
    [
        (False, False, "01000000 6869", Clipboard(None, ClipboardType.UTF8_TEXT, b"hi")),
        (
            True,
            False,
            "01000000 01000000 6869",
            Clipboard(SelectionPrefix(ClipboardSelection.PRIMARY), ClipboardType.UTF8_TEXT, b"hi"),
        ),
        (
            True,
            True,
            "00000000 07000000 01000000 02000000",
            ClipboardGrab(
                SelectionPrefix(ClipboardSelection.CLIPBOARD),
                7,
                (ClipboardType.UTF8_TEXT, ClipboardType.IMAGE_PNG),
            ),
        ),
        (False, True, "07000000", ClipboardGrab(None, 7, ())),
        (False, False, "", ClipboardRelease(None)),
        (
            False,
            False,
            "05000000 04000000 0010000000000000",
            FileXferStatus(5, FileXferResult.NOT_ENOUGH_SPACE, b"\0\x10\0\0\0\0\0\0"),
        ),
    ],
)
def test_clipboard_records_begin_with_what_was_agreed(
    selection: bool, serial: bool, data: str, record: object
) -> None:
    parsed = parse_record(
        record.TYPES[0],
        bytes.fromhex(data),
        clipboard_selection=selection,
        clipboard_grab_serial=serial,
    )
    assert parsed.problems == ()
    assert parsed.message == record
    assert build(record) == bytes.fromhex(data)


def test_a_record_of_an_unknown_type_keeps_its_bytes() -> None:
    parsed = parse_record(99, b"abc", clipboard_selection=False, clipboard_grab_serial=False)
    assert parsed.message == UnknownMessage(99, b"abc")
    assert record_name(99) == "UNKNOWN_99"
    assert record_name(2) == "MONITORS_CONFIG"


# --- slices ---------------------------------------------------------------------------------------


def test_one_record_in_one_slice() -> None:
    assert AgentAssembler().feed(whole(REPLY), 5) == [AgentMessage(3, 8, 0, build(REPLY), 5, 5, 1)]


def test_a_record_over_several_slices_has_two_times() -> None:
    pieces = slices(FileXferData(1, 5000, bytes(5000)))
    assert [len(piece) for piece in pieces] == [2048, 2048, 936]
    assembler = AgentAssembler()
    assert assembler.feed(pieces[0], 10) == []
    assert assembler.feed(pieces[1], 20) == []
    assert assembler.feed(pieces[2], 30) == [AgentMessage(12, 5012, 0, None, 10, 30, 3)]


def test_several_records_in_one_slice_and_a_header_cut_in_two() -> None:
    stream = whole(REPLY) + whole(ClipboardRelease(None)) + whole(REPLY)
    assembler = AgentAssembler()
    first = assembler.feed(stream[:50], 1)
    second = assembler.feed(stream[50:], 2)
    assert [(m.type, m.chunks, m.first_time_ns, m.last_time_ns) for m in first] == [
        (3, 1, 1, 1),
        (9, 1, 1, 1),
    ]
    assert [(m.type, m.chunks, m.first_time_ns, m.last_time_ns) for m in second] == [(3, 2, 1, 2)]


@given(st.lists(st.sampled_from([REPLY, SECRET, ClipboardRelease(None)]), max_size=6), st.randoms())
def test_the_slicing_does_not_matter(records: list[object], chance: random.Random) -> None:
    stream = b"".join(whole(record) for record in records)
    cuts = sorted(chance.randrange(len(stream) + 1) for _ in range(8)) if stream else []
    assembler = AgentAssembler()
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += assembler.feed(stream[start:stop], 0)
    assert [m.type for m in found] == [record.TYPES[0] for record in records]
    assert [m.size for m in found] == [len(build(record)) for record in records]
    assert not assembler.defects.kept


# --- what is private stays private ----------------------------------------------------------------


def test_clipboards_and_files_are_counted_and_not_kept() -> None:
    assembler = AgentAssembler()
    (clip,) = assembler.feed(whole(SECRET), 0)
    assert (clip.size, clip.data) == (11, None)
    (caps,) = assembler.feed(whole(AnnounceCapabilities(1, (3,))), 0)
    assert caps.data == build(AnnounceCapabilities(1, (3,)))


def test_a_caller_may_ask_for_more() -> None:
    (clip,) = AgentAssembler(keep_data=lambda kind: True).feed(whole(SECRET), 0)
    assert clip.data == build(SECRET)


def test_nothing_private_waits_in_a_half_assembled_record() -> None:
    assembler = AgentAssembler()
    assembler.feed(whole(SECRET)[:-1], 0)
    assert b"hunter" not in repr(assembler._record).encode()


# --- trouble --------------------------------------------------------------------------------------


def test_after_a_gap_the_next_header_counts() -> None:
    pieces = slices(FileXferData(1, 5000, bytes(5000)))
    assembler = AgentAssembler()
    assembler.feed(pieces[0], 0)
    assembler.reset()
    assert assembler.feed(pieces[2], 1) == []
    assert [m.type for m in assembler.feed(whole(REPLY), 2)] == [3]
    assert not assembler.defects.kept


def test_a_header_that_is_none() -> None:
    assembler = AgentAssembler(where="main/0 from server, agent")
    assert assembler.feed(whole(REPLY, protocol=7), 3) == []
    (defect,) = assembler.defects.kept
    assert (defect.kind, defect.where, defect.time_ns) == (
        DefectKind.AGENT_MALFORMED,
        "main/0 from server, agent",
        3,
    )
    assert assembler.feed(b"still nonsense", 4) == []
    assert [m.type for m in assembler.feed(whole(REPLY), 5)] == [3]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        whole(REPLY)[:19],
        whole(REPLY, kind=200),
        build(AgentHeader(1, 3, 1, 8)) + bytes(8),
        build(AgentHeader(1, 3, 0, 0xFFFFFFFF)),
    ],
)
def test_what_does_not_look_like_a_header_is_skipped(data: bytes) -> None:
    assembler = AgentAssembler()
    assembler.reset()
    assert assembler.feed(data, 0) == []
    assert [m.type for m in assembler.feed(whole(REPLY), 0)] == [3]


def test_a_record_over_the_limit_is_followed_and_not_kept() -> None:
    assembler = AgentAssembler(limits=Limits(agent_message_bytes=100), keep_data=lambda kind: True)
    big = whole(FileXferData(1, 0, bytes(200)))
    assert assembler.feed(big[:100], 0) == []
    (message,) = assembler.feed(big[100:], 1)
    assert (message.size, message.data) == (212, None)
    assert [defect.kind for defect in assembler.defects] == [DefectKind.OVER_LIMIT]
    assert len(assembler.feed(whole(REPLY), 2)) == 1


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    assembler = AgentAssembler()
    for time_ns, piece in enumerate(pieces):
        assembler.feed(piece, time_ns)
