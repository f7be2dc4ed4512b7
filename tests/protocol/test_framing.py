"""Messages are found past holes and damage, and none is invented."""

import random
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spicewire import (
    Real,
    full,
    mini,
    ping,
    real_streams,
    rows,
    stream_data,
    stream_with_holes,
    sub_list,
)

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol._kernels import framing as kernel
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.framing import Framer, nothing
from spicereplay.protocol.index import MessageIndex

DISPLAY = ChannelType.DISPLAY
FIXTURES = Path(__file__).parent.parent.parent / "fixtures"
STREAM_DATA, STREAM_CLIP, PING, LIST, INVAL_LIST, WAIT, DRAW_COPY = 123, 124, 4, 8, 105, 5, 304
CLIP_NONE = struct.pack("<IB", 0, 0)


def framed(
    stream: ByteStream,
    channel: ChannelType = DISPLAY,
    side: Side = Side.SERVER,
    *,
    trusted: bool = True,
    units: bool = False,
    mini_header: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[MessageIndex, Framer, DefectLog]:
    defects = DefectLog()
    framer = Framer(
        channel,
        side,
        mini_header=mini_header,
        start=0,
        trusted=trusted,
        units=units,
        limits=limits,
        defects=defects,
        where="display/0 from server",
    )
    framer.advance(stream, final=True)
    return framer.index(stream), framer, defects


def kinds(defects: DefectLog) -> dict[str, int]:
    return {kind.value: n for (kind, _), n in defects.counts.items()}


def video(count: int, size: int = 500) -> list[bytes]:
    return [mini(STREAM_DATA, stream_data(size)) for _ in range(count)]


# -- whole streams ----------------------------------------------------------------------------------------


def test_every_message_is_a_row() -> None:
    messages = [mini(PING, ping()), *video(3), mini(102)]
    index, framer, defects = framed(stream_of(b"".join(messages)))
    assert index.type.tolist() == [PING, STREAM_DATA, STREAM_DATA, STREAM_DATA, 102]
    assert index.size.tolist() == [len(m) - 6 for m in messages]
    assert index.serial.tolist() == [1, 2, 3, 4, 5]
    assert [index.body(i) for i in range(5)] == [m[6:] for m in messages]
    assert not len(defects)
    assert framer.unparsed_bytes == 0


def test_a_message_has_the_time_of_the_chunk_that_completes_it() -> None:
    data = b"".join(video(3, 100))
    index, _, _ = framed(stream_with_holes(data, cuts=[50, 118, 200, 300], time_step_ns=10))
    # They end at 118, 236 and 354; the chunks at 50, 118, 200, 300 and 354.
    assert index.time_ns.tolist() == [10, 30, 40]


def test_nothing_is_an_index_without_rows() -> None:
    assert len(nothing(ChannelType.INPUTS, Side.CLIENT)) == 0


def test_a_stream_cut_off_leaves_a_partial_message() -> None:
    data = b"".join(video(2))
    index, framer, defects = framed(stream_of(data[:-100]))
    assert index.partial.tolist() == [False, True]
    assert len(index.body(1)) == 412
    assert kinds(defects) == {"message_incomplete": 1}
    assert framer.unparsed_bytes == 0


def test_a_header_cut_off_is_no_message() -> None:
    index, framer, defects = framed(stream_of(b"".join(video(2)) + b"\x7b\x00\x01"))
    assert len(index) == 2
    assert framer.unparsed_bytes == 3
    assert kinds(defects) == {"message_incomplete": 1}


def test_a_trusted_stream_may_have_messages_nobody_knows() -> None:
    messages = [*video(1), mini(9999, b"new"), *video(1)]
    index, _, defects = framed(stream_of(b"".join(messages)))
    assert index.type.tolist() == [STREAM_DATA, 9999, STREAM_DATA]
    assert not len(defects)


def test_a_size_over_the_limit_costs_that_message() -> None:
    limits = replace(DEFAULT_LIMITS, message_bytes=1000)
    data = b"".join([*video(2), mini(STREAM_DATA, stream_data(2000)), *video(4)])
    index, framer, defects = framed(stream_of(data), limits=limits)
    assert len(index) == 6
    assert not index.partial.any()
    assert framer.unparsed_bytes == 2018
    assert kinds(defects) == {"over_limit": 1, "framing_lost": 1}


# -- holes ------------------------------------------------------------------------------------------------

TEN = [mini(PING, ping()), *video(4), mini(STREAM_CLIP, CLIP_NONE), *video(4)]
STARTS = np.cumsum([0, *map(len, TEN)]).tolist()

Place = tuple[int, str | int]
"""A message and where in it: at its `start`, in the `middle` or at the `end` of its header, or a byte of its body."""

HOLES: dict[str, tuple[list[tuple[Place, Place]], list[int], list[int]]] = {
    # name: holes, messages found, those that are partial
    "in a body": ([((2, 50), (2, 150))], [*range(10)], [2]),
    "two in one body": ([((2, 50), (2, 150)), ((2, 200), (2, 207))], [*range(10)], [2]),
    "a whole body": ([((2, "end"), (3, "start"))], [*range(10)], [2]),
    "to the exact end of a message": ([((2, 50), (3, "start"))], [*range(10)], [2]),
    "a whole message": ([((2, "start"), (3, "start"))], [0, 1, *range(3, 10)], []),
    "several whole messages": ([((2, "start"), (5, "start"))], [0, 1, *range(5, 10)], []),
    "a header": ([((2, "start"), (2, "end"))], [0, 1, *range(3, 10)], []),
    "half a header": ([((2, "middle"), (2, "end"))], [0, 1, *range(3, 10)], []),
    "over the border into a body": ([((2, 100), (3, 100))], [0, 1, 2, *range(4, 10)], [2]),
    "over several messages": ([((2, 100), (5, "middle"))], [0, 1, 2, *range(6, 10)], [2]),
    "at the start": ([((0, "start"), (1, 82))], [*range(2, 10)], []),
    "at the end": ([((9, 50), (10, "start"))], [*range(10)], [9]),
    "two far apart": ([((2, "start"), (2, "end")), ((8, 20), (8, 30))], [0, 1, *range(3, 10)], [8]),
}


@pytest.mark.parametrize("name", HOLES)
@pytest.mark.parametrize("header_bytes", [6, 18])
def test_a_hole_costs_what_it_held(name: str, header_bytes: int) -> None:
    holes, found, partial = HOLES[name]
    messages = TEN
    if header_bytes == 18:
        messages = [full(n + 1, int.from_bytes(m[:2], "little"), m[6:]) for n, m in enumerate(TEN)]
    starts = np.cumsum([0, *map(len, messages)]).tolist()

    def position(place: Place) -> int:
        message, where = place
        inside = {"start": 0, "middle": header_bytes // 2, "end": header_bytes}
        return int(starts[message] + (inside[where] if isinstance(where, str) else header_bytes + where))

    edges = [(position(a), position(b)) for a, b in holes]
    stream = stream_with_holes(b"".join(messages), [(a, b - a) for a, b in edges])
    index, framer, _ = framed(stream, mini_header=header_bytes == 6)
    assert [at for at, _, _ in rows(index, header_bytes=header_bytes)] == [starts[i] for i in found]
    assert [found[i] for i in np.flatnonzero(index.partial)] == partial
    if header_bytes == 18:
        assert index.serial.tolist() == [i + 1 for i in found]
    assert framer.unparsed_bytes <= sum(len(messages[i]) for i in range(10) if i not in found)


def test_what_a_lost_header_leaves_is_counted() -> None:
    _, framer, defects = framed(stream_with_holes(b"".join(TEN), [(STARTS[2], 6)]))
    assert framer.unparsed_bytes == len(TEN[2]) - 6
    assert kinds(defects) == {"framing_lost": 1}


def test_behind_a_hole_a_message_nobody_knows_is_one_if_known_ones_follow() -> None:
    messages = [*video(2), mini(9999, b"new" * 9), *video(3)]
    starts = np.cumsum([0, *map(len, messages)]).tolist()
    index, framer, _ = framed(stream_with_holes(b"".join(messages), [(starts[0] + 30, 20)]))
    assert index.type.tolist() == [STREAM_DATA, STREAM_DATA, 9999, *[STREAM_DATA] * 3]
    assert framer.unparsed_bytes == 0


@settings(max_examples=60)
@given(st.data())
def test_with_a_hole_anywhere_no_message_is_invented(data: st.DataObject) -> None:
    total = STARTS[-1]
    at = data.draw(st.integers(0, total - 1))
    length = data.draw(st.integers(1, total - at))
    index, framer, _ = framed(stream_with_holes(b"".join(TEN), [(at, length)]))
    true = {(STARTS[i], int.from_bytes(m[:2], "little"), len(m) - 6) for i, m in enumerate(TEN)}
    found = rows(index)
    assert set(found) <= true
    present = total - length
    claimed = sum(min(size + 6, present) for _, _, size in found)
    assert framer.unparsed_bytes <= present
    assert framer.unparsed_bytes + claimed >= present


# -- bytes that are missing without a hole ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "length", "left"),
    [
        (50, 100, range(10)),  # within message 3
        (400, 600, [*range(4), *range(5, 10)]),  # the end of message 3 and the head of message 4
        (100, 1000, [*range(4), *range(7, 10)]),  # the end of 3, all of 4 and 5, the head of 6
    ],
)
def test_silent_loss_marks_the_message_before_and_finds_the_next(
    start: int, length: int, left: list[int]
) -> None:
    data = b"".join(TEN)
    at = STARTS[3] + start
    index, framer, defects = framed(stream_of(data[:at] + data[at + length :]), trusted=False)
    moved = [STARTS[i] - (length if STARTS[i] > at else 0) for i in left]
    assert [position for position, _, _ in rows(index)] == moved
    assert np.flatnonzero(index.partial).tolist() == [3]
    assert kinds(defects)["bytes_missing_silently"] == 1
    assert len(framer.holes) == 1
    assert framer.holes[0].length is None


def test_random_bytes_hold_no_message() -> None:
    random.seed(7)
    for channel in (DISPLAY, ChannelType.MAIN, ChannelType.INPUTS, ChannelType.USBREDIR):
        for side in Side:
            data = random.randbytes(100_000)
            index, framer, _ = framed(stream_of(data), channel, side, trusted=False)
            assert len(index) == 0
            assert framer.unparsed_bytes == len(data)


# -- streams that begin in the middle ---------------------------------------------------------------------


@cache
def recorded() -> list[Real]:
    return real_streams(FIXTURES / "captures", ["qemu-guest-desktop-lz4", "flap-mjpeg", "xspice-agent"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_from_any_byte_of_a_recorded_stream_only_true_messages_are_found(data: st.DataObject) -> None:
    real = data.draw(st.sampled_from(recorded()))
    cut = data.draw(st.integers(0, len(real.data) - 1))
    index, framer, _ = framed(stream_of(real.data[cut:]), real.channel, real.side, trusted=False)
    true = [message for message in real.messages if message[0] >= cut]
    found = rows(index, -cut)
    assert set(found) <= set(true)
    if found:  # and from the first one on, all of them
        assert found == true[-len(found) :]
        assert framer.unparsed_bytes == found[0][0] - cut


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_holes_anywhere_in_a_recorded_stream_invent_no_message(data: st.DataObject) -> None:
    real = data.draw(st.sampled_from(recorded()))
    holes, at = [], 0
    for _ in range(data.draw(st.integers(1, 4))):
        if at < len(real.data) - 1:
            start = data.draw(st.integers(at, len(real.data) - 2))
            length = data.draw(st.integers(1, min(5000, len(real.data) - 1 - start)))
            holes.append((start, length))
            at = start + length + 1
    index, _, _ = framed(stream_with_holes(real.data, holes), real.channel, real.side)
    true = {m for m in real.messages if not any(a <= m[0] < a + n or m[0] < a < m[0] + 6 for a, n in holes)}
    assert set(rows(index)) <= set(real.messages)
    untouched = {m for m in true if all(a >= m[0] + 6 + m[2] for a, _ in holes)}
    assert untouched <= set(rows(index))


# -- packets that are whole messages ----------------------------------------------------------------------


def packets(*payloads: bytes, holes: tuple[int, ...] = ()) -> ByteStream:
    """Each payload is one packet; those with the numbers in `holes` are missing."""
    ends = np.cumsum([0, *map(len, payloads)]).tolist()
    return stream_with_holes(b"".join(payloads), [(ends[i], len(payloads[i])) for i in holes], cuts=ends)


def cut(message: bytes, segment: int) -> list[bytes]:
    return [message[i : i + segment] for i in range(0, len(message), segment)]


@pytest.mark.parametrize("segment", [65_495, 65_481])
@pytest.mark.parametrize("size", [65_465, 65_469, 65_477, 65_478, 130_000, 196_467])
def test_a_large_message_in_all_its_segments_is_whole(segment: int, size: int) -> None:
    parts = [*video(1), *cut(mini(STREAM_DATA, stream_data(size)), segment), *video(1)]
    index, framer, defects = framed(packets(*parts), trusted=False, units=True)
    assert index.size.tolist() == [512, size + 12, 512]
    assert not index.partial.any()
    assert not framer.tails
    assert not len(defects)


def test_the_tail_of_a_message_that_lost_its_head_is_no_message() -> None:
    big = cut(mini(DRAW_COPY, bytes(199_994)), 65_495)
    assert [len(part) for part in big] == [65_495, 65_495, 65_495, 3515]
    stream = packets(*video(1), *big, *video(2), holes=(1, 2, 3))
    index, framer, _ = framed(stream, trusted=False, units=True)
    assert index.type.tolist() == [STREAM_DATA] * 3
    assert [(tail.length) for tail in framer.tails] == [3515]
    assert framer.unparsed_bytes == 0


def test_tails_follow_each_other() -> None:
    stream = packets(b"\x11" * 1000, b"\x22" * 400, b"\x11" * 1000, b"\x22" * 300, *video(2), holes=(0, 2))
    index, framer, _ = framed(stream, trusted=False, units=True)
    assert len(index) == 2
    assert [tail.length for tail in framer.tails] == [400, 300]
    assert framer.unparsed_bytes == 0


def test_a_whole_message_lost_between_two_others() -> None:
    index, framer, _ = framed(packets(*video(3), holes=(1,)), trusted=False, units=True)
    assert len(index) == 2
    assert not framer.tails


@pytest.mark.parametrize("size", [511, 513, 600, 2**32 - 1])
def test_a_packet_whose_size_lies_costs_that_packet(size: int) -> None:
    liar = struct.pack("<HI", STREAM_DATA, size) + stream_data(500)
    index, framer, _ = framed(packets(*video(2), liar, *video(2)), trusted=False, units=True)
    assert [at for at, _, _ in rows(index)] == [0, 518, 3 * 518, 4 * 518]
    assert framer.unparsed_bytes == len(liar)


def test_a_message_over_the_limit_is_not_searched_forever() -> None:
    limits = replace(DEFAULT_LIMITS, message_bytes=100)
    index, framer, _ = framed(
        packets(mini(102), *video(2), mini(102)), trusted=False, units=True, limits=limits
    )
    assert index.type.tolist() == [102, 102]
    assert framer.unparsed_bytes == 2 * 518


def test_messages_nobody_knows_are_units_too() -> None:
    index, _, _ = framed(packets(mini(9999, b"new"), *video(1)), trusted=False, units=True)
    assert index.type.tolist() == [9999, STREAM_DATA]


# -- messages inside messages -----------------------------------------------------------------------------

WAIT_BODY = struct.pack("<BBBQ", 1, 2, 0, 7)
INVAL_BODY = struct.pack("<HBQ", 1, 1, 99)


def test_the_entries_of_a_list_are_rows_behind_it() -> None:
    data = mini(LIST, sub_list((WAIT, WAIT_BODY), (INVAL_LIST, INVAL_BODY))) + mini(102)
    index, _, defects = framed(stream_of(data))
    assert index.type.tolist() == [LIST, WAIT, INVAL_LIST, 102]
    assert index.sub.tolist() == [False, True, True, False]
    assert index.serial.tolist() == [1, 1, 1, 2]
    assert [index.body(i) for i in (1, 2)] == [WAIT_BODY, INVAL_BODY]
    assert not len(defects)


def test_sub_messages_of_a_full_header_come_before_their_carrier() -> None:
    body = stream_data(40)
    body += sub_list((WAIT, WAIT_BODY), (INVAL_LIST, INVAL_BODY), at=len(body))
    data = full(41, STREAM_DATA, body, sub_list=52) + full(50, 102)
    index, _, _ = framed(stream_of(data), mini_header=False)
    assert index.type.tolist() == [WAIT, INVAL_LIST, STREAM_DATA, 102]
    assert index.sub.tolist() == [True, True, False, False]
    assert index.serial.tolist() == [41, 41, 41, 50]


def test_a_size_that_lies_is_cut_at_the_end_of_the_carrier() -> None:
    data = mini(LIST, sub_list((INVAL_LIST, INVAL_BODY), stated=24)) + mini(102)
    index, _, _ = framed(stream_of(data))
    assert index.type.tolist() == [LIST, INVAL_LIST, 102]
    assert index.size[1] == len(INVAL_BODY)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff",
        struct.pack("<HI", 1, 0),
        struct.pack("<HI", 1, 4_000_000),
        sub_list((LIST, b"\0\0")),
        b"\1",
    ],
)
def test_a_malformed_list_is_one_defect_however_often_it_is_looked_at(body: bytes) -> None:
    stream = stream_of(mini(LIST, body) + mini(102))
    index, framer, defects = framed(stream)
    assert index.type.tolist() == [LIST, 102]
    assert len(defects) == 1
    framer.index(stream)
    assert len(defects) == 1


def test_a_list_with_a_hole_in_it_is_not_taken_apart() -> None:
    data = mini(LIST, sub_list((WAIT, WAIT_BODY))) + mini(102)
    index, _, _ = framed(stream_with_holes(data, [(10, 3)]))
    assert index.type.tolist() == [LIST, 102]
    assert index.partial.tolist() == [True, False]


# -- reading columns --------------------------------------------------------------------------------------


def test_prefixes_read_one_field_of_many_messages_and_fill_up_with_zeros() -> None:
    data = b"".join([mini(STREAM_DATA, stream_data(n, stream=n)) for n in range(5)] + [mini(125, b"\x05\0")])
    index, _, _ = framed(stream_with_holes(data, cuts=range(7, len(data), 7)))
    fields = np.dtype([("stream", "<u4"), ("time", "<u4"), ("size", "<u4")])
    told = index.prefixes(np.arange(6), fields)
    assert told["stream"].tolist() == [0, 1, 2, 3, 4, 5]
    assert told["size"].tolist() == [0, 1, 2, 3, 4, 0]
    assert len(index.prefixes(np.arange(0), fields)) == 0
    backwards = index.prefixes(np.arange(6)[::-1], fields)
    assert backwards["stream"].tolist() == [5, 4, 3, 2, 1, 0]


def releasing() -> tuple[Framer, list[tuple[int, int]]]:
    """Return a framer and the spans of the file that it lets go."""
    released: list[tuple[int, int]] = []
    framer = Framer(
        DISPLAY,
        Side.SERVER,
        mini_header=True,
        start=0,
        trusted=True,
        units=False,
        limits=DEFAULT_LIMITS,
        defects=DefectLog(),
        where="",
        release=lambda start, stop: released.append((start, stop)),
    )
    return framer, released


def test_the_file_is_let_go_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spicereplay.protocol.framing.WINDOW", 2000)
    monkeypatch.setattr("spicereplay.protocol.index.WINDOW_BYTES", 2000)
    data = b"".join(video(40))
    stream = stream_with_holes(data, cuts=range(100, len(data), 100))
    framer, released = releasing()
    framer.advance(stream, final=True)
    assert len(released) >= 9
    assert max(stop - start for start, stop in released) < 3000
    assert released[0][0] == 0
    assert released[-1][1] > len(data) - 1000
    released.clear()
    index = framer.index(stream)
    assert (
        index.prefixes(index.rows(STREAM_DATA), np.dtype([("stream", "<u4")]))["stream"].tolist() == [0] * 40
    )
    assert len(released) >= 9
    assert len(index.between(0, 1)) == 40
    assert index.take(np.array([3])).release is not None


def test_bytes_strewn_over_a_file_are_let_go_as_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that sends little has its bytes all over the file: what counts is how much of the file was touched."""
    monkeypatch.setattr("spicereplay.protocol.framing.WINDOW", 2000)
    monkeypatch.setattr("spicereplay.protocol.index.WINDOW_BYTES", 2000)
    message = mini(102)
    each, count = 500, 40
    starts = np.arange(count, dtype=np.int64)
    stream = ByteStream(
        file=message.ljust(each, b"\0") * count,
        spill=b"",
        position=starts * len(message),
        offset=starts * each,
        length=np.full(count, len(message), np.int64),
        time_ns=starts,
        packet=starts,
    )
    framer, released = releasing()
    framer.advance(stream, final=True)
    index = framer.index(stream)
    assert len(index) == count
    for read in (
        lambda: index.prefixes(np.arange(count), np.dtype([("byte", "u1")])),
        lambda: list(index.bodies(np.arange(count))),
        lambda: None,
    ):
        assert len(released) >= 7
        assert max(stop - start for start, stop in released) < 3000
        assert released[-1][1] > (count - 9) * each
        released.clear()
        read()


def test_bodies_are_those_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spicereplay.protocol.index.WINDOW_BYTES", 300)
    data = b"".join(video(8))
    index = replace(framed(stream_of(data))[0], release=lambda start, stop: None)
    for wanted in (np.arange(len(index)), np.arange(len(index))[::-1], np.arange(0)):
        assert list(index.bodies(wanted)) == [index.body(row) for row in wanted.tolist()]


# -- the kernel's own manners -----------------------------------------------------------------------------


def test_the_kernel_refuses_arrays_that_do_not_fit() -> None:
    bytes_, one, two = np.zeros(4, np.uint8), np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="chunk arrays differ"):
        kernel.find_boundary(bytes_, bytes_, one, two, one, 0, 0, 4, 6, one, one, 3, True)
    with pytest.raises(ValueError, match="bounds differ"):
        kernel.find_boundary(bytes_, bytes_, one, one, one, 0, 0, 4, 6, one, two, 3, True)
    with pytest.raises(ValueError, match="neither 6 nor 18"):
        kernel.count_chain(bytes_, bytes_, one, one, one, 0, 0, 7, one, one, 3, True)
    with pytest.raises(ValueError, match="negative"):
        kernel.count_chain(bytes_, bytes_, one, one, one, -1, 0, 6, one, one, 3, True)
    with pytest.raises(ValueError, match="arrays differ in length"):
        kernel.gather(bytes_, bytes_, one, one, one, one, two, np.zeros((1, 4), np.uint8))


def test_chunks_that_point_outside_the_file_are_holes() -> None:
    stream = stream_of(b"".join(video(3)))
    broken = replace(stream, file=stream.chunk_bytes(0)[:100])
    index, _, _ = framed(broken)
    assert index.body(0) == b"" if len(index) else True


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(list(ChannelType)),
    st.sampled_from(list(Side)),
    st.booleans(),
    st.data(),
)
def test_any_bytes_with_any_holes_are_framed_without_complaint(
    noise: bytes, channel: ChannelType, side: Side, mini_header: bool, data: st.DataObject
) -> None:
    body = mini(PING, ping()) + noise + mini(PING, ping())
    at = data.draw(st.integers(0, len(body) - 1))
    stream = stream_with_holes(
        body, [(at, data.draw(st.integers(0, len(body) - at)))], cuts=[at // 2, 30, 60]
    )
    for trusted, units in ((True, False), (False, False), (False, True)):
        index, framer, _ = framed(
            stream, channel, side, trusted=trusted, units=units, mini_header=mini_header
        )
        assert 0 <= framer.unparsed_bytes <= stream.captured_bytes
        assert len(index) == len(index.time_ns)
