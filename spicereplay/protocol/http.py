"""One direction of an HTTP/1 connection: where its messages begin and end, and nothing of what they say.

Source: RFC 9112 (HTTP/1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits

METHODS: Final = frozenset(
    (
        *("OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "PATCH", "CONNECT"),
        *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"),
    )
)
"""Methods that are named; any other is `OTHER`, because it could be any text. Source: RFC 9110 9, RFC 4918 9."""
_METHOD_WORDS: Final = tuple(f"{method} ".encode() for method in sorted(METHODS))
REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) [^ \r\n]{1,4096} HTTP/1\.[01]\r?\n")
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?= |\r?\n)[^\r\n]{0,4096}\r?\n")
_SEARCHED: Final = 1024
"""Bytes of a line that are kept while it is not known whether a message begins with it."""


@dataclass(slots=True, eq=False)
class HttpMessage:
    """One request or response."""

    method: str = ""
    """Of a request: one of `METHODS`, or `OTHER`."""
    status: int = 0
    """Of a response."""
    size: int = 0
    """Bytes so far, head included."""
    complete: bool = False
    bodiless: bool = False
    """Has no body, whatever its head says: the response to a HEAD. For the caller to set, who knows the request."""


class _State(Enum):
    """What the next byte belongs to."""

    FIRST_LINE = auto()
    FIELDS = auto()
    BODY = auto()
    CHUNK_SIZE = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    TO_CLOSE = auto()
    """A body that ends with the connection."""
    LOST = auto()
    """Nobody knows, until a message begins at the beginning of a line or of bytes that are fed."""


@dataclass(slots=True, eq=False)
class HttpReader:
    """Finds the messages in what one side of a connection sent; keeps at most one line of it."""

    requests: bool
    """Whether this side sends requests; else it sends responses."""
    limits: Limits = DEFAULT_LIMITS
    problem: str | None = None
    """What was wrong with the bytes fed last; after that everything is passed over until a message begins."""
    _state: _State = field(init=False, default=_State.FIRST_LINE)
    _line: bytearray = field(init=False, default_factory=bytearray)
    _left: int = field(init=False, default=0)
    _length: int | None = field(init=False, default=None)
    _chunked: bool = field(init=False, default=False)
    _message: HttpMessage | None = field(init=False, default=None)

    def lost(self) -> None:
        """Say that bytes are missing here."""
        self._state, self._message = _State.LOST, None
        self._line.clear()

    def feed(self, data: bytes) -> Iterator[HttpMessage]:
        """Yield each message twice: when its first line is there, and when all of it is."""
        self.problem = None
        if self._state is _State.LOST:
            data = bytes(self._line) + data
            self._line.clear()
            if not (REQUEST_LINE if self.requests else STATUS_LINE).match(data):
                if self._may_begin(data):
                    self._line += data
                return
            self._state = _State.FIRST_LINE
        at = 0
        while at < len(data) and self.problem is None:
            if self._state in (_State.BODY, _State.TO_CLOSE):
                taken = len(data) - at
                if self._state is _State.BODY:
                    taken = min(taken, self._left)
                    self._left -= taken
                    if not self._left:
                        self._state = _State.CHUNK_END if self._chunked else _State.FIRST_LINE
                self._count(taken)
                at += taken
            else:
                end = data.find(b"\n", at) + 1
                self._line += data[at : end or len(data)]
                at = end or len(data)
                if len(self._line) > self.limits.http_line_bytes:
                    self.problem = f"a line of more than {self.limits.http_line_bytes} bytes"
                elif end:
                    yield from self._take_line()
            if self._state is _State.FIRST_LINE and self._message is not None:
                yield self._completed(self._message)
        if self.problem is not None:
            self.lost()

    def _may_begin(self, data: bytes) -> bool:
        """Say whether more bytes could make a first line out of `data`."""
        if b"\n" in data or len(data) >= _SEARCHED:
            return False
        return any(
            data.startswith(word[: len(data)]) for word in (_METHOD_WORDS if self.requests else (b"HTTP/1.",))
        )

    def close(self) -> Iterator[HttpMessage]:
        """Yield the message that the end of the connection completes, if there is one."""
        if self._state is _State.TO_CLOSE and self._message is not None:
            yield self._completed(self._message)

    def _completed(self, message: HttpMessage) -> HttpMessage:
        message.complete = True
        self._message = None
        return message

    def _count(self, size: int) -> None:
        if self._message is not None:
            self._message.size += size

    def _take_line(self) -> Iterator[HttpMessage]:
        line, size = bytes(self._line.rstrip(b"\r\n")), len(self._line)
        self._line.clear()
        state = self._state
        if state is _State.FIRST_LINE:
            # Empty lines before a request are allowed. Source: RFC 9112 2.2.
            if not line and self.requests:
                return
            self._message = self._begun(line + b"\n")
            if self._message is None:
                return
            self._count(size)
            yield self._message
            self._state, self._length, self._chunked = _State.FIELDS, None, False
            return
        self._count(size)
        if state is _State.FIELDS:
            if line:
                self._take_field(line)
            else:
                self._begin_body()
        elif state is _State.CHUNK_SIZE:
            number = line.split(b";", 1)[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", number):
                self.problem = "a chunk without a size"
                return
            self._left = int(number, 16)
            self._state = _State.BODY if self._left else _State.TRAILERS
        elif state is _State.CHUNK_END:
            if line:
                self.problem = "a chunk longer than its size"
            self._state = _State.CHUNK_SIZE
        elif not line:
            self._state = _State.FIRST_LINE

    def _begun(self, line: bytes) -> HttpMessage | None:
        if self.requests:
            request = REQUEST_LINE.fullmatch(line)
            if request:
                method = request[1].decode("ascii")
                return HttpMessage(method=method if method in METHODS else "OTHER")
            self.problem = "no request line where a request has to begin"
            return None
        response = STATUS_LINE.fullmatch(line)
        if response:
            return HttpMessage(status=int(response[1]))
        self.problem = "no status line where a response has to begin"
        return None

    def _take_field(self, line: bytes) -> None:
        """Take in the two fields that say how long a body is. Source: RFC 9112 6."""
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name == b"transfer-encoding":
            self._chunked = value.lower().endswith(b"chunked")
        elif name == b"content-length":
            if re.fullmatch(rb"[0-9]{1,18}", value):
                self._length = int(value)
            else:
                self.problem = "a length that is no number"

    def _begin_body(self) -> None:
        """Decide what follows the fields. Source: RFC 9112 6.3."""
        message = self._message
        assert message is not None, "fields follow a first line"
        if message.bodiless or 100 <= message.status < 200 or message.status in (204, 304):
            self._state = _State.FIRST_LINE
        elif self._chunked:
            self._state = _State.CHUNK_SIZE
        elif self._length is not None:
            self._left = self._length
            self._state = _State.BODY if self._left else _State.FIRST_LINE
        else:
            self._state = _State.FIRST_LINE if self.requests else _State.TO_CLOSE
