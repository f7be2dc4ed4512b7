"""The multiplex of a webdav channel: which HTTP requests passed, and no word of what they said.

Programs of the guest speak HTTP to a folder that the client shares, each over a connection with a number. Method,
status, sizes and times are kept; names of files, headers and contents are let go of as they pass.

Source: spice-wire.md 15; phodav bin/spice-webdavd.c; spice-gtk src/channel-webdav.c.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import Side
from spicereplay.protocol.http import METHODS, STATUS_LINE, HttpMessage, HttpReader

_FRAME: Final = struct.Struct("<qH")
"""Number of the connection, and how many bytes follow; none of them means that the connection is over."""
_SEARCHED: Final = 1024
"""Bytes that are kept while no frame is known: one and the first line in it, which may come byte by byte."""
_KNOWN_REQUEST: Final = re.compile(
    b"(?:%s) [^ \r\n]{1,4096} HTTP/1\\.[01]\r?\n" % "|".join(sorted(METHODS)).encode()
)
"""A request line that can be told from what stands before it: bytes of the frame's header may be letters too."""


class WebdavOutcome(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    """No complete response came before the capture ended."""
    BROKEN = "broken"
    """The connection was closed before the response was complete."""
    UNKNOWN = "unknown"
    """Bytes are missing or malformed, and the response may be among them."""


@dataclass(frozen=True, slots=True)
class WebdavRequest:
    """One request and its response; times in nanoseconds, sizes in bytes of HTTP with heads."""

    client: int
    """Number of the connection in the multiplex."""
    method: str
    """One of `http.METHODS`, or `OTHER`."""
    status: int | None
    outcome: WebdavOutcome
    request_bytes: int
    response_bytes: int
    """Interim responses included."""
    start_ns: int
    """When the first line of the request was there."""
    asked_ns: int | None
    """When all of the request was there."""
    answer_ns: int | None
    """When the first line of the final response was there."""
    end_ns: int | None
    """When all of the response was there."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request whose fate is open."""

    request: HttpMessage
    start_ns: int
    asked_ns: int | None = None
    response: HttpMessage | None = None
    answer_ns: int | None = None
    interim_bytes: int = 0


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection of the multiplex."""

    readers: dict[Side, HttpReader]
    open: deque[_Exchange] = field(default_factory=deque)
    """In the order of the requests, which is that of the responses. Source: RFC 9112 9.3.2."""


@dataclass(slots=True)
class _Direction:
    """The frames of one side, up to now."""

    synchronised: bool
    rest: bytes = b""
    """The beginning of a frame's header; where not synchronised, the last bytes seen."""
    client: int = 0
    left: int = 0
    """Bytes of the frame that are still to come."""
    skipped: int = 0


@dataclass(slots=True)
class WebdavTalk:
    """Both directions of one webdav channel. Memory is bounded by `limits`, not by what passes.

    A stream that begins in the middle, or that lacks bytes, is read on from the next frame that begins an HTTP
    message; `skipped` says how many bytes were passed over.
    """

    limits: Limits = DEFAULT_LIMITS
    defects: DefectLog = field(default_factory=DefectLog)
    where: str = "webdav"
    complete: bool = True
    """Whether the first bytes fed are the first of the channel."""
    _directions: dict[Side, _Direction] = field(init=False)
    _connections: dict[int, _Connection] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._directions = {side: _Direction(self.complete) for side in Side}

    def skipped(self, side: Side) -> int:
        """Return the bytes of one side that belong to no frame that was read."""
        return self._directions[side].skipped + len(self._directions[side].rest)

    def feed(self, side: Side, data: bytes, time_ns: int) -> Iterator[WebdavRequest]:
        """Yield the requests whose fate these bytes decide. To be run to its end before more is fed."""
        direction = self._directions[side]
        data, direction.rest = direction.rest + data, b""
        at = 0
        if not direction.synchronised:
            start = _frame_of_http(side, data)
            direction.synchronised = start is not None
            at = max(0, len(data) - _SEARCHED) if start is None else start
            direction.skipped += at
            if start is None:
                direction.rest = data[at:]
                return
        while at < len(data):
            if direction.left:
                piece = data[at : at + direction.left]
                at += len(piece)
                direction.left -= len(piece)
                yield from self._deliver(side, direction.client, piece, time_ns)
            elif len(data) - at < _FRAME.size:
                direction.rest = data[at:]
                return
            else:
                direction.client, direction.left = _FRAME.unpack_from(data, at)
                at += _FRAME.size
                if not direction.left:
                    yield from self._close(direction.client, time_ns)

    def lost(self, side: Side) -> Iterator[WebdavRequest]:
        """Yield the requests of which nothing more can be told, because bytes of `side` are missing here."""
        direction = self._directions[side]
        direction.skipped += len(direction.rest)
        direction.synchronised, direction.rest, direction.left = False, b"", 0
        for client, connection in self._connections.items():
            connection.readers[side].lost()
            yield from _give_up(client, connection, WebdavOutcome.UNKNOWN)

    def close(self) -> Iterator[WebdavRequest]:
        """Yield the requests that are open when the port is closed, and with it all connections; begin anew."""
        for client, connection in self._connections.items():
            yield from _give_up(client, connection, WebdavOutcome.BROKEN)
        self._connections.clear()
        for side in Side:
            self._directions[side] = _Direction(True, skipped=self.skipped(side))

    def finish(self) -> Iterator[WebdavRequest]:
        """Yield the requests that are open when the capture ends."""
        for client, connection in self._connections.items():
            yield from _give_up(client, connection, WebdavOutcome.UNANSWERED)
        self._connections.clear()

    def _close(self, client: int, time_ns: int) -> Iterator[WebdavRequest]:
        connection = self._connections.pop(client, None)
        if connection is None:
            return
        for response in connection.readers[Side.CLIENT].close():
            yield from _answered(client, connection, response, time_ns)
        yield from _give_up(client, connection, WebdavOutcome.BROKEN)

    def _deliver(self, side: Side, client: int, data: bytes, time_ns: int) -> Iterator[WebdavRequest]:
        connection = self._connections.get(client)
        if connection is None:
            if len(self._connections) >= self.limits.webdav_clients:
                self._note(
                    DefectKind.OVER_LIMIT, side, f"over {self.limits.webdav_clients} connections", time_ns
                )
                return
            readers = {each: HttpReader(each is Side.SERVER, self.limits) for each in Side}
            connection = self._connections[client] = _Connection(readers)
        reader = connection.readers[side]
        for message in reader.feed(data):
            if side is Side.CLIENT:
                yield from _answered(client, connection, message, time_ns)
            elif message.complete:
                # A request that was answered before it was complete is open no more.
                for exchange in connection.open:
                    if exchange.request is message:
                        exchange.asked_ns = time_ns
            elif len(connection.open) < self.limits.webdav_pending:
                connection.open.append(_Exchange(message, time_ns))
            else:
                over = f"over {self.limits.webdav_pending} requests wait for their responses"
                self._note(DefectKind.OVER_LIMIT, side, over, time_ns)
        if reader.problem is not None:
            self._note(DefectKind.WEBDAV_MALFORMED, side, f"HTTP: {reader.problem}", time_ns)
            yield from _give_up(client, connection, WebdavOutcome.UNKNOWN)

    def _note(self, kind: DefectKind, side: Side, detail: str, time_ns: int) -> None:
        self.defects.add(kind, f"{self.where} from {side}", detail, time_ns=time_ns)


def _answered(
    client: int, connection: _Connection, response: HttpMessage, time_ns: int
) -> Iterator[WebdavRequest]:
    """Take in a response that began or is complete; a final one that is complete settles its request."""
    if not connection.open:
        return  # The request was before the capture, or in a hole.
    exchange = connection.open[0]
    interim = response.status < 200
    if response.complete and interim:
        exchange.interim_bytes += response.size
    elif response.complete and exchange.response is response:
        connection.open.popleft()
        yield _settled(client, exchange, WebdavOutcome.ANSWERED, time_ns)
    elif not response.complete:
        response.bodiless = exchange.request.method == "HEAD"
        if not interim:
            exchange.response, exchange.answer_ns = response, time_ns


def _give_up(client: int, connection: _Connection, outcome: WebdavOutcome) -> Iterator[WebdavRequest]:
    while connection.open:
        yield _settled(client, connection.open.popleft(), outcome, None)


def _settled(client: int, exchange: _Exchange, outcome: WebdavOutcome, end_ns: int | None) -> WebdavRequest:
    response = exchange.response
    return WebdavRequest(
        client=client,
        method=exchange.request.method,
        status=None if response is None else response.status,
        outcome=outcome,
        request_bytes=exchange.request.size,
        response_bytes=exchange.interim_bytes + (0 if response is None else response.size),
        start_ns=exchange.start_ns,
        asked_ns=exchange.asked_ns,
        answer_ns=exchange.answer_ns,
        end_ns=end_ns,
    )


def _frame_of_http(side: Side, data: bytes) -> int | None:
    """Return where a frame begins whose first bytes begin an HTTP message; None where that cannot be told."""
    form = _KNOWN_REQUEST if side is Side.SERVER else STATUS_LINE
    for found in form.finditer(data, _FRAME.size):
        start = found.start() - _FRAME.size
        _, size = _FRAME.unpack_from(data, start)
        if size >= len(found[0]):
            return start
    return None
