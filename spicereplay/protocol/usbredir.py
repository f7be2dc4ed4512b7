"""The usbredir protocol inside a usbredir channel: which packets passed, and no word of what is in them.

The device is at the client (the protocol's *usb-host*), the guest uses it through the server (its *usb-guest*). Of a
packet only the header and the first few bytes are looked at, for endpoint and status; what devices and guest say to
each other is counted and let go of.

Source: usbredir docs/usb-redirection-protocol.md 0.7 ("protocol" below); usbredirparser/usbredirproto.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side


class UsbPacketType(IntEnum):
    """Packets. Source: protocol, "Packet type list"."""

    HELLO = 0
    DEVICE_CONNECT = 1
    DEVICE_DISCONNECT = 2
    RESET = 3
    INTERFACE_INFO = 4
    EP_INFO = 5
    SET_CONFIGURATION = 6
    GET_CONFIGURATION = 7
    CONFIGURATION_STATUS = 8
    SET_ALT_SETTING = 9
    GET_ALT_SETTING = 10
    ALT_SETTING_STATUS = 11
    START_ISO_STREAM = 12
    STOP_ISO_STREAM = 13
    ISO_STREAM_STATUS = 14
    START_INTERRUPT_RECEIVING = 15
    STOP_INTERRUPT_RECEIVING = 16
    INTERRUPT_RECEIVING_STATUS = 17
    ALLOC_BULK_STREAMS = 18
    FREE_BULK_STREAMS = 19
    BULK_STREAMS_STATUS = 20
    CANCEL_DATA_PACKET = 21
    FILTER_REJECT = 22
    FILTER_FILTER = 23
    DEVICE_DISCONNECT_ACK = 24
    START_BULK_RECEIVING = 25
    STOP_BULK_RECEIVING = 26
    BULK_RECEIVING_STATUS = 27
    CONTROL_PACKET = 100
    BULK_PACKET = 101
    ISO_PACKET = 102
    INTERRUPT_PACKET = 103
    BUFFERED_BULK_PACKET = 104


class UsbStatus(IntEnum):
    """How a transfer ended; any other number is an error too. Source: protocol, "Status code list"."""

    SUCCESS = 0
    CANCELLED = 1
    INVAL = 2
    IOERROR = 3
    STALL = 4
    TIMEOUT = 5
    BABBLE = 6


CAP_64BITS_IDS: Final = 5
"""Capability under which, when both ends have it, ids are 64 bits wide. Source: protocol, "usb_redir_hello"."""
ENDPOINT_IN: Final = 0x80
"""Set in the number of an endpoint from which the device sends. Source: USB 2.0 9.6.6, bEndpointAddress."""


class _Shape(NamedTuple):
    """What is fixed about one type of packet."""

    sender: Side | None
    """None: both ends send it."""
    sizes: tuple[int, ...]
    """Of the type's own header; several where a capability adds fields."""
    data: bool = False
    """Whether data may follow that header."""
    endpoint: int | None = None
    """Offset of the endpoint in that header."""
    status: int | None = None
    """Offset of the status in that header."""
    length: tuple[int, int] | None = None
    """Offset and size of the length of the data in that header, for packets that have data in one direction only."""


_HOST, _GUEST = Side.CLIENT, Side.SERVER
_T = UsbPacketType
_SHAPES: Final[Mapping[int, _Shape]] = {
    _T.HELLO: _Shape(None, (64,), data=True),
    _T.DEVICE_CONNECT: _Shape(_HOST, (8, 10)),
    _T.DEVICE_DISCONNECT: _Shape(_HOST, (0,)),
    _T.RESET: _Shape(_GUEST, (0,)),
    _T.INTERFACE_INFO: _Shape(_HOST, (132,)),
    _T.EP_INFO: _Shape(_HOST, (96, 160, 288)),
    _T.SET_CONFIGURATION: _Shape(_GUEST, (1,)),
    _T.GET_CONFIGURATION: _Shape(_GUEST, (0,)),
    _T.CONFIGURATION_STATUS: _Shape(_HOST, (2,), status=0),
    _T.SET_ALT_SETTING: _Shape(_GUEST, (2,)),
    _T.GET_ALT_SETTING: _Shape(_GUEST, (1,)),
    _T.ALT_SETTING_STATUS: _Shape(_HOST, (3,), status=0),
    _T.START_ISO_STREAM: _Shape(_GUEST, (3,), endpoint=0),
    _T.STOP_ISO_STREAM: _Shape(_GUEST, (1,), endpoint=0),
    _T.ISO_STREAM_STATUS: _Shape(_HOST, (2,), endpoint=1, status=0),
    _T.START_INTERRUPT_RECEIVING: _Shape(_GUEST, (1,), endpoint=0),
    _T.STOP_INTERRUPT_RECEIVING: _Shape(_GUEST, (1,), endpoint=0),
    _T.INTERRUPT_RECEIVING_STATUS: _Shape(_HOST, (2,), endpoint=1, status=0),
    _T.ALLOC_BULK_STREAMS: _Shape(_GUEST, (8,)),
    _T.FREE_BULK_STREAMS: _Shape(_GUEST, (4,)),
    _T.BULK_STREAMS_STATUS: _Shape(_HOST, (9,), status=8),
    _T.CANCEL_DATA_PACKET: _Shape(_GUEST, (0,)),
    _T.FILTER_REJECT: _Shape(_GUEST, (0,)),
    _T.FILTER_FILTER: _Shape(None, (0,), data=True),
    _T.DEVICE_DISCONNECT_ACK: _Shape(_GUEST, (0,)),
    _T.START_BULK_RECEIVING: _Shape(_GUEST, (10,), endpoint=8),
    _T.STOP_BULK_RECEIVING: _Shape(_GUEST, (5,), endpoint=4),
    _T.BULK_RECEIVING_STATUS: _Shape(_HOST, (6,), endpoint=4, status=5),
    _T.CONTROL_PACKET: _Shape(None, (10,), data=True, endpoint=0, status=3, length=(8, 2)),
    _T.BULK_PACKET: _Shape(None, (8, 10), data=True, endpoint=0, status=1, length=(2, 2)),
    _T.ISO_PACKET: _Shape(None, (4,), data=True, endpoint=0, status=1, length=(2, 2)),
    _T.INTERRUPT_PACKET: _Shape(None, (4,), data=True, endpoint=0, status=1, length=(2, 2)),
    _T.BUFFERED_BULK_PACKET: _Shape(_HOST, (10,), data=True, endpoint=8, status=9, length=(4, 4)),
}

ANSWERS: Final[Mapping[int, int]] = {
    _T.SET_CONFIGURATION: _T.CONFIGURATION_STATUS,
    _T.GET_CONFIGURATION: _T.CONFIGURATION_STATUS,
    _T.SET_ALT_SETTING: _T.ALT_SETTING_STATUS,
    _T.GET_ALT_SETTING: _T.ALT_SETTING_STATUS,
    _T.START_ISO_STREAM: _T.ISO_STREAM_STATUS,
    _T.STOP_ISO_STREAM: _T.ISO_STREAM_STATUS,
    _T.START_INTERRUPT_RECEIVING: _T.INTERRUPT_RECEIVING_STATUS,
    _T.STOP_INTERRUPT_RECEIVING: _T.INTERRUPT_RECEIVING_STATUS,
    _T.ALLOC_BULK_STREAMS: _T.BULK_STREAMS_STATUS,
    _T.FREE_BULK_STREAMS: _T.BULK_STREAMS_STATUS,
    _T.START_BULK_RECEIVING: _T.BULK_RECEIVING_STATUS,
    _T.STOP_BULK_RECEIVING: _T.BULK_RECEIVING_STATUS,
    _T.CONTROL_PACKET: _T.CONTROL_PACKET,
    _T.BULK_PACKET: _T.BULK_PACKET,
    _T.INTERRUPT_PACKET: _T.INTERRUPT_PACKET,
}
"""Requests of the guest, and the packet with the same id that answers each. Iso packets get no answer."""

_HEAD: Final = {False: struct.Struct("<III"), True: struct.Struct("<IIQ")}
"""Type, length and id, by whether ids have 64 bits. Source: protocol, "Basic packet structure"."""
_HELLO: Final = _HEAD[False]
"""A hello has 32-bit ids always: who sends it cannot know yet. Source: protocol, "usb_redir_hello"."""
_VERSION_BYTES: Final = 64
_OWN: Final = 10
"""Bytes after the header that are looked at: the longest type header that holds an endpoint, a status or a length."""
_HELLO_OWN: Final = _VERSION_BYTES + 4


@dataclass(frozen=True, slots=True)
class UsbPacket:
    """One packet that was there whole."""

    side: Side
    type: int
    id: int
    size: int
    """Bytes, the header included."""
    start_ns: int
    """When its first byte arrived."""
    end_ns: int
    """When its last byte arrived."""
    endpoint: int | None
    """None where this type of packet has none."""
    status: int | None
    """None where this type of packet has none, or its sender does not set it."""

    @property
    def name(self) -> str:
        """The definition's name in lower case, `bulk_packet`."""
        return type_name(self.type)


def type_name(type: int) -> str:
    """Return the definition's name of a packet type in lower case, without its prefix."""
    return UsbPacketType(type).name.lower()


class _Header(NamedTuple):
    type: int
    length: int
    id: int
    head: int
    """Bytes of the header itself."""


@dataclass(slots=True)
class _Direction:
    """What one end sent, up to now."""

    synchronised: bool
    rest: bytes = b""
    """The beginning of a packet of which too little is there."""
    rest_ns: int = 0
    header: _Header | None = None
    own: bytes = b""
    """First bytes after the header."""
    start_ns: int = 0
    left: int = 0
    """Bytes of the packet that are still to come."""
    wide: bool | None = None
    """Whether its hello has the capability of 64-bit ids; None before it."""
    skipped: int = 0


@dataclass(slots=True)
class UsbredirTalk:
    """Both directions of one usbredir channel. Memory does not grow with what passes.

    A stream whose beginning is there begins with a hello. One that begins in the middle, or after lost bytes, is read
    on from the next message that begins with what can only be a packet; `skipped` says how many bytes were passed
    over, and where neither hello was seen the width of ids is learned from there too.
    """

    limits: Limits = DEFAULT_LIMITS
    defects: DefectLog = field(default_factory=DefectLog)
    where: str = "usbredir"
    complete: bool = True
    """Whether the first bytes fed are the first of the channel."""
    _directions: dict[Side, _Direction] = field(init=False)
    _learned: bool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._directions = {side: _Direction(self.complete) for side in Side}

    def skipped(self, side: Side) -> int:
        """Return the bytes of one side that belong to no packet that was read, those of unfinished ones included."""
        direction = self._directions[side]
        return direction.skipped + self._unfinished(direction)

    def lost(self, side: Side) -> None:
        """Say that bytes of `side` are missing at this point."""
        direction = self._directions[side]
        direction.skipped += self._unfinished(direction)
        direction.rest, direction.header, direction.left = b"", None, 0
        direction.synchronised = False

    @staticmethod
    def _unfinished(direction: _Direction) -> int:
        header = direction.header
        return len(direction.rest) + (0 if header is None else header.head + header.length - direction.left)

    def feed(self, side: Side, data: bytes, time_ns: int) -> Iterator[UsbPacket]:
        """Yield the packets that these bytes complete. To be run to its end before more is fed."""
        direction = self._directions[side]
        began = bool(direction.rest)
        data, direction.rest = direction.rest + data, b""
        at = 0
        while True:
            if direction.header is not None:
                taken = min(direction.left, len(data) - at)
                direction.own += data[at : at + min(taken, _HELLO_OWN - len(direction.own))]
                at += taken
                direction.left -= taken
                if direction.left:
                    return
                yield self._finish(direction, direction.header, side, time_ns)
            if at == len(data):
                return
            if not direction.synchronised:
                if at or not self._boundary(side, data):
                    direction.skipped += len(data) - at
                    return
                direction.synchronised = True
            if not began or at:
                direction.start_ns = time_ns
            header = _header(data, at, self._wide())
            if header is None:
                direction.rest = data[at:]
                return
            if not self._allowed(side, header):
                self._malformed(side, header, time_ns)
                direction.synchronised = False
                direction.skipped += len(data) - at
                return
            at += header.head
            direction.header, direction.left, direction.own = header, header.length, b""

    def _finish(self, direction: _Direction, header: _Header, side: Side, time_ns: int) -> UsbPacket:
        shape, own = _SHAPES[header.type], direction.own
        direction.header = None
        if header.type == UsbPacketType.HELLO:
            # Capabilities after the first word are of a later version.
            capabilities = int.from_bytes(own[_VERSION_BYTES:_HELLO_OWN], "little")
            direction.wide = bool(capabilities >> CAP_64BITS_IDS & 1)
        return UsbPacket(
            side,
            header.type,
            header.id,
            header.head + header.length,
            direction.start_ns,
            time_ns,
            None if shape.endpoint is None else own[shape.endpoint],
            None if shape.status is None or side is not _HOST else own[shape.status],
        )

    def _agreed(self) -> bool | None:
        """Return whether the hellos make ids 64 bits wide, for which it takes both; None where they do not tell."""
        said = [direction.wide for direction in self._directions.values()]
        if False in said:
            return False
        return None if None in said else True

    def _wide(self) -> bool:
        agreed = self._agreed()
        return bool(self._learned if agreed is None else agreed)

    def _allowed(self, side: Side, header: _Header) -> bool:
        shape = _SHAPES.get(header.type)
        if (
            shape is None
            or shape.sender not in (None, side)
            or header.length > self.limits.usbredir_packet_bytes
        ):
            return False
        return header.length in shape.sizes or (shape.data and header.length > shape.sizes[0])

    def _malformed(self, side: Side, header: _Header, time_ns: int) -> None:
        self.defects.add(
            DefectKind.USBREDIR_MALFORMED,
            f"{self.where} from {side}",
            f"no packet begins with type {header.type} and length {header.length}",
            time_ns=time_ns,
        )

    # -- beginning in the middle --------------------------------------------------------------------------

    def _boundary(self, side: Side, data: bytes) -> bool:
        """Say whether a packet begins at the beginning of `data`; learn the width of ids where that shows it.

        Both ends write one packet at a time, and a message carries what was written, so packets and messages mostly
        begin together. Source: spice-gtk src/channel-usbredir.c, usbredir_write_callback; QEMU hw/usb/redirect.c.
        """
        agreed = self._agreed()
        likely = self._learned is not False
        # What was learned from one packet may be unlearned; what both hellos say stays.
        widths = (likely, not likely) if agreed is None else (agreed,)
        chains = [(wide, *self._chain(side, data, wide)) for wide in widths]
        fitting = [chain for chain in chains if chain[1]]
        if not fitting:
            return False
        wide, packets, _ = max(fitting, key=lambda chain: chain[2])
        if any(header.type != UsbPacketType.HELLO for header in packets):
            self._learned = wide
        return True

    def _chain(self, side: Side, data: bytes, wide: bool) -> tuple[list[_Header], bool]:
        """Return the headers of the packets that `data` begins with, and whether the last one ends where it ends.

        No headers: something else is in it.
        """
        found: list[_Header] = []
        at = 0
        while header := _header(data, at, wide):
            at += header.head
            if not self._allowed(side, header) or not _consistent(header, data[at : at + _OWN]):
                return [], False
            found.append(header)
            at += header.length
        return found, at == len(data)


def _header(data: bytes, at: int, wide: bool) -> _Header | None:
    """Return the header that begins at byte `at`; None where not all of it is there."""
    form = _HELLO if data[at : at + 4] == bytes(4) else _HEAD[wide]
    if len(data) - at < form.size:
        return None
    type_, length, identity = form.unpack_from(data, at)
    return _Header(type_, length, identity, form.size)


def _consistent(header: _Header, own: bytes) -> bool:
    """Say whether the length that a packet with data states is that of its data, or it has none.

    Source: protocol, "usb_redir_control_packet" and those after it.
    """
    shape = _SHAPES[header.type]
    if shape.length is None or header.length in shape.sizes:
        return True
    offset, size = shape.length
    if len(own) < offset + size:
        return False
    stated = int.from_bytes(own[offset : offset + size], "little")
    # The upper half of a long bulk packet's length lies elsewhere.
    mask = (1 << 8 * size) - 1
    return any((header.length - own_size) & mask == stated for own_size in shape.sizes)
