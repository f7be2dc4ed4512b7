"""What passed inside usbredir and webdav channels, as tables."""

import dataclasses
import json
import struct

import lz4.block
import numpy as np
import pytest
from support.observed import ORIGIN_NS, Said, channel, ns, session

from spicereplay.analysis.timeline import Tables
from spicereplay.analysis.tunnels import slices
from spicereplay.analysis.usbredir import usbredir
from spicereplay.analysis.webdav import webdav
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, ClientPort, ServerPort, Side
from spicereplay.protocol.usbredir import CAP_64BITS_IDS, UsbPacketType, UsbStatus
from spicereplay.replay import replay
from spicereplay.session.log import Gap, GapCause

DATA, COMPRESSED = 101, 102


def said(at, data, **given):
    return Said(at, DATA, data, **given)


def lz4ed(at, data):
    block = lz4.block.compress(data, store_size=False)
    return Said(at, COMPRESSED, struct.pack("<BI", 1, len(data)) + block)


def carried(server=(), client=(), defects=None, limits=DEFAULT_LIMITS, kind=ChannelType.WEBDAV, **given):
    log = channel(kind, server, client, **given)
    return list(slices(log, limits, defects if defects is not None else DefectLog()))


# --- the byte streams ---------------------------------------------------------------------------------


def test_both_sides_come_in_order_of_time():
    got = carried([said(1, b"a"), said(3, b"c")], [said(2, b"b"), said(3, b"d")])
    assert [(str(s.side), s.data) for s in got] == [
        ("server", b"a"),
        ("client", b"b"),
        ("server", b"c"),
        ("client", b"d"),
    ]
    assert got[0].time_ns == ns(1)


def test_compressed_slices_are_blocks_by_themselves():
    text = b"the same words again and again " * 50
    plain = Said(2, COMPRESSED, b"\0" + b"as it is")
    assert [s.data for s in carried([lz4ed(1, text), plain, lz4ed(3, text)])] == [text, b"as it is", text]


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<BI", 1, 100) + b"\xff\xff\xff",
        struct.pack("<BI", 1, 5000) + lz4.block.compress(bytes(100), store_size=False),
        struct.pack("<BI", 1, 0),
        struct.pack("<BI", 1, 2**31) + b"x",
        struct.pack("<BI", 9, 3) + b"abc",
    ],
)
def test_what_does_not_decompress_is_a_defect_and_a_hole(body):
    defects = DefectLog()
    got = carried([Said(1, COMPRESSED, body), said(2, b"x")], defects=defects)
    assert [s.data for s in got] == [None, b"x"]
    assert [(d.kind, d.where) for d in defects.kept] == [("message_malformed", "webdav/0 from server")]


def test_compressed_slices_are_held_against_the_limit():
    assert carried([lz4ed(1, bytes(5000))], limits=Limits(message_bytes=4999))[0].data is None


def test_missing_bytes_are_told():
    hole = Gap(Side.SERVER, ns(2), 1, 7, GapCause.NOT_CAPTURED)
    got = carried([said(1, b"ab"), said(2, b"cd"), said(3, b"ef", partial=True)], gaps=[hole])
    assert [s.data for s in got] == [b"ab", None, b"cd", None]


def test_a_closed_port_is_told():
    got = carried([Said(1, ServerPort.EVENT, b"\1")], [Said(2, ClientPort.EVENT, b"\0"), said(3, b"x")])
    assert [(str(s.side), s.data, s.closed) for s in got] == [("server", None, True), ("client", b"x", False)]


# --- usbredir -----------------------------------------------------------------------------------------

T = UsbPacketType


def packet(kind, identity=0, body=b""):
    return struct.pack("<III" if kind == T.HELLO else "<IIQ", kind, len(body), identity) + body


HELLO = packet(T.HELLO, body=bytes(64) + (1 << CAP_64BITS_IDS).to_bytes(4, "little"))


def bulk(identity, endpoint=2, status=0, data=b""):
    return packet(T.BULK_PACKET, identity, struct.pack("<BBHIH", endpoint, status, len(data), 0, 0) + data)


def interrupt(identity, endpoint, status=0):
    return packet(T.INTERRUPT_PACKET, identity, struct.pack("<BBH", endpoint, status, 0))


def usb(server, client, **given):
    defects = given.pop("defects", DefectLog())
    limits = given.pop("limits", DEFAULT_LIMITS)
    log = channel(ChannelType.USBREDIR, server, client, **given)
    frame = usbredir([session(log)], ORIGIN_NS, limits, defects)
    return frame.set_index([frame["from"].astype(str), frame["packet"].astype(str)])


def test_packets_are_counted_by_kind_and_requests_find_their_answers():
    table = usb(
        [said(0.1, HELLO), *(said(1 + i, bulk(i, data=bytes(100))) for i in range(4))],
        [
            said(0.1, HELLO),
            said(1.01, bulk(0)),
            said(2.02, bulk(1, status=UsbStatus.STALL)),
            said(3.03, bulk(2, status=UsbStatus.IOERROR)),
            said(3.04, bulk(77, status=UsbStatus.CANCELLED)),
        ],
    )
    asked, answered = table.loc["server", "bulk_packet"], table.loc["client", "bulk_packet"]
    assert (asked["count"], asked["bytes"]) == (4, 4 * 126)
    assert (asked["first_s"], asked["last_s"]) == (1.0, 4.0)
    assert (asked["answered"], asked["unanswered"]) == (3, 1)
    assert asked["answer_ms_median"] == pytest.approx(20)
    assert asked["answer_ms_max"] == pytest.approx(30)
    assert (answered["stalled"], answered["errors"], answered["cancelled"]) == (1, 1, 1)
    assert table.loc["server", "hello"]["count"] == 1


def test_what_a_device_sends_unasked_answers_nothing():
    table = usb(
        [said(0.1, HELLO), said(1, interrupt(0, 0x01))],
        [said(0.2, HELLO), said(1.5, interrupt(0, 0x81)), said(2, interrupt(0, 0x01))],
    )
    assert table.loc["server", "interrupt_packet"]["answer_ms_max"] == pytest.approx(1000)
    assert table.loc["client", "interrupt_packet"]["count"] == 2


def test_configurations_are_answered_by_another_kind():
    table = usb(
        [said(0.1, HELLO), said(1, packet(T.SET_CONFIGURATION, 9, b"\1"))],
        [said(0.2, HELLO), said(1.25, packet(T.CONFIGURATION_STATUS, 9, b"\0\1"))],
    )
    assert table.loc["server", "set_configuration"]["answer_ms_max"] == pytest.approx(250)


def test_what_cannot_be_told_apart_is_a_row_of_its_own():
    table = usb([said(1, b"the rest of a packet"), said(2, bulk(1, data=b"x"))], [], link=None)
    row = table.loc["server", "unread"]
    assert (row["count"], row["bytes"]) == (0, 20)
    assert table.loc["server", "bulk_packet"]["count"] == 1


def test_a_hole_leaves_no_request_unanswered_that_might_have_been():
    hole = Gap(Side.CLIENT, ns(2), len(HELLO) - 1, 50, GapCause.NOT_CAPTURED)
    table = usb([said(0.1, HELLO), said(1, bulk(1))], [said(0.2, HELLO), said(2, bulk(5))], gaps=[hole])
    assert table.loc["server", "bulk_packet"]["unanswered"] == 0


def test_waiting_requests_are_limited():
    table = usb(
        [said(0.1, HELLO), said(1, b"".join(bulk(i) for i in range(5)))],
        [said(0.2, HELLO), said(2, b"".join(bulk(i) for i in range(5)))],
        limits=Limits(usbredir_pending=2),
    )
    assert table.loc["server", "bulk_packet"][["answered", "unanswered"]].tolist() == [2, 3]


def test_a_recorded_channel_without_a_device(fixtures):
    with replay(fixtures / "captures" / "qemu-guest-audio-opus" / "capture.pcap") as found:
        frame = Tables(found, decode=False)["usbredir"]
    assert frame[["channel_id", "from", "packet", "count", "bytes"]].values.tolist() == [
        [number, side, "hello", 1, 80] for number in (0, 1) for side in ("server", "client")
    ]


RECORDED = {
    # Counted in the recording by hand; the CD drive answers with status 0 throughout.
    ("server", "hello"): 1,
    ("server", "reset"): 2,
    ("server", "set_configuration"): 1,
    ("server", "control_packet"): 4,
    ("server", "bulk_packet"): 18,
    ("client", "hello"): 1,
    ("client", "device_connect"): 1,
    ("client", "interface_info"): 1,
    ("client", "ep_info"): 1,
    ("client", "configuration_status"): 1,
    ("client", "control_packet"): 4,
    ("client", "bulk_packet"): 18,
}


def test_a_recorded_cd_drive(fixtures):
    with replay(fixtures / "captures" / "usb-webdav" / "capture.pcap.gz") as found:
        tables = Tables(found, decode=False)
        frame, defects = tables["usbredir"], tables["defects"]
    counts = zip(frame["from"].astype(str), frame["packet"].astype(str), frame["count"], strict=True)
    assert {(side, name): count for side, name, count in counts} == RECORDED
    asked = frame[frame["answered"] > 0]
    assert asked["packet"].tolist() == ["set_configuration", "control_packet", "bulk_packet"]
    assert (asked["answered"] == asked["count"]).all()
    assert asked["answer_ms_max"].between(0.001, 5).all()
    assert not frame[["errors", "stalled", "cancelled", "unanswered"]].to_numpy().any()
    assert not len(defects)


def later(log, share):
    """Return what a recorder would have that began in the middle: no handshake, the last messages of both sides."""
    cut = {
        side: log.index(side).take(np.arange(round(len(log.index(side)) * share), len(log.index(side))))
        for side in Side
    }
    return dataclasses.replace(log, link=None, server=cut[Side.SERVER], client=cut[Side.CLIENT])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_a_recorded_cd_drive_from_the_middle_on(fixtures, share):
    with replay(fixtures / "captures" / "usb-webdav" / "capture.pcap.gz") as found:
        (log,) = found.sessions[0].of(ChannelType.USBREDIR)
        log = later(log, share)
        defects = DefectLog()
        frame = usbredir([session(log)], ORIGIN_NS, DEFAULT_LIMITS, defects)
        sent = sum(len(piece.data) for piece in slices(log, DEFAULT_LIMITS, defects))
    assert frame["bytes"].sum() == sent
    assert "unread" not in set(frame["packet"])
    assert not defects.kept


# --- webdav -------------------------------------------------------------------------------------------


def frame_of(client, data=b""):
    return struct.pack("<qH", client, len(data)) + data


GET = b"GET /secret.txt HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def dav(server, client, **given):
    return webdav(
        [session(channel(ChannelType.WEBDAV, server, client, **given))],
        ORIGIN_NS,
        DEFAULT_LIMITS,
        DefectLog(),
    )


def test_one_row_per_request():
    table = dav(
        [said(1, frame_of(4, GET)), said(2, frame_of(5, GET)), Said(5, ServerPort.EVENT, b"\1")],
        [said(1.5, frame_of(4, OK[:-1])), said(2.5, frame_of(4, OK[-1:]))],
    )
    assert table["time_s"].tolist() == [1.0, 2.0]
    assert table["outcome"].tolist() == ["answered", "broken"]
    assert table["status"].tolist()[0] == 200
    assert table["response_ms"].tolist()[0] == pytest.approx(500)
    assert table["duration_ms"].tolist()[0] == pytest.approx(1500)
    assert table["status"].isna().tolist() == [False, True]
    assert "secret" not in table.to_csv()


def test_a_hole_makes_open_requests_unknown():
    hole = Gap(Side.CLIENT, ns(2), -1, 50, GapCause.NOT_CAPTURED)
    table = dav([said(1, frame_of(4, GET))], [said(2, frame_of(4, b"abc"))], gaps=[hole])
    assert table["outcome"].tolist() == ["unknown"]


def test_recorded_requests(fixtures):
    folder = fixtures / "captures" / "usb-webdav"
    truth = json.loads((folder / "truth.json").read_text())["requests"]
    with replay(folder / "capture.pcap.gz") as found:
        table = Tables(found, decode=False)["webdav"]
    told = table[["client", "method", "status"]].to_dict("records")
    assert told == [{name: request[name] for name in ("client", "method", "status")} for request in truth]
    assert (table["outcome"] == "answered").all()
    assert (table["response_ms"] > 0).all()
    assert (table["duration_ms"] >= table["response_ms"]).all()


def test_recorded_requests_from_the_middle_on(fixtures):
    with replay(fixtures / "captures" / "usb-webdav" / "capture.pcap.gz") as found:
        (log,) = found.sessions[0].of(ChannelType.WEBDAV)
        # The guest writes byte by byte: the cut lies in the second request, the answers to it and the first are gone.
        table = webdav([session(later(log, 0.4))], ORIGIN_NS, DEFAULT_LIMITS, DefectLog())
    assert table["method"].tolist() == ["GET", "GET"]
    assert table["client"].tolist() == [11, 13]
