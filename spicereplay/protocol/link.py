"""The link stage: what both sides say before the first message.

`parse_link` is a pure function of the bytes seen so far from each side, so it gives the same answer however they
were cut; call it again when there are more. Source: spice-wire.md 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType, LinkError, Side

MAGIC: Final = b"REDQ"
HEADER_BYTES: Final = 16
LINK_MESS_BYTES: Final = 18
LINK_REPLY_BYTES: Final = 178
TICKET_BYTES: Final = 128
MECHANISM_SPICE: Final = 1
MECHANISM_SASL: Final = 2
CAP_AUTH_SELECTION: Final = 0
CAP_MINI_HEADER: Final = 3
SASL_TEXT_BYTES: Final = 64 * 1024
"""Longest SASL item accepted; the server's own limits are lower."""


class LinkStatus(StrEnum):
    """How far the link stage got."""

    INCOMPLETE = "incomplete"
    ESTABLISHED = "established"
    REFUSED = "refused"
    """The server answered with an error; no message follows."""
    MALFORMED = "malformed"
    """The bytes break the rules of the link stage."""


@dataclass(frozen=True, slots=True)
class Link:
    """What the link stage of one connection says.

    A side that the capture lacks leaves its fields at None. Capabilities are the raw 32-bit words.
    """

    status: LinkStatus
    client_bytes: int
    """Bytes of the client's stream that belong to the link stage."""
    server_bytes: int
    connection_id: int | None = None
    channel: ChannelType | int | None = None
    channel_id: int | None = None
    client_common_caps: tuple[int, ...] | None = None
    client_channel_caps: tuple[int, ...] | None = None
    server_common_caps: tuple[int, ...] | None = None
    server_channel_caps: tuple[int, ...] | None = None
    reply_error: int | None = None
    mechanism: int | None = None
    result: int | None = None
    detail: str = ""
    """What is wrong, when it is malformed or refused."""

    @property
    def mini_header(self) -> bool:
        """Whether both sides announced the 6-byte header; a side not seen is taken to announce it (every server
        does, and so does every client in use)."""
        sides = (self.client_common_caps, self.server_common_caps)
        return all(words is None or caps.has(words, CAP_MINI_HEADER) for words in sides)

    def cap_names(self, side: Side) -> list[str] | None:
        """Names of the channel capabilities of `side`; None where it was not seen."""
        words = self.client_channel_caps if side is Side.CLIENT else self.server_channel_caps
        if words is None:
            return None
        return caps.enum_names(caps.registry(self.channel) if self.channel is not None else None, words)

    def common_cap_names(self, side: Side) -> list[str] | None:
        """Names of the common capabilities of `side`; None where it was not seen."""
        words = self.client_common_caps if side is Side.CLIENT else self.server_common_caps
        return None if words is None else caps.names(None, words)


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


class _More(Exception):
    """The link stage needs bytes that are not there yet."""


class _Wrong(Exception):
    """The bytes break the rules."""


class _Reader:
    """Takes bytes off the front of what one side sent."""

    def __init__(self, data: bytes, seen: bool) -> None:
        self.data, self.at, self.seen = data, 0, seen

    def peek(self, count: int) -> bytes:
        if len(self.data) - self.at < count:
            raise _More
        return self.data[self.at : self.at + count]

    def take(self, count: int) -> bytes:
        piece = self.peek(count)
        self.at += count
        return piece

    def item(self) -> bytes:
        """Take a SASL item: u32 length and as many bytes."""
        size = _u32(self.take(4), 0)
        if size > SASL_TEXT_BYTES:
            raise _Wrong(f"SASL item of {size} bytes; the limit is {SASL_TEXT_BYTES}")
        return self.take(size)


def _link_body(reader: _Reader, who: str, least: int, most: int) -> bytes:
    head = reader.take(HEADER_BYTES)
    if head[:4] != MAGIC:
        raise _Wrong(f"{who} begins with {head[:4].hex(' ')} instead of REDQ")
    size = _u32(head, 12)
    if not least <= size <= most:
        raise _Wrong(f"{who} of {size} bytes; {least} to {most} are possible")
    return reader.take(size)


def _cap_words(body: bytes, counts_at: int, who: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    common, channel, offset = _u32(body, counts_at), _u32(body, counts_at + 4), _u32(body, counts_at + 8)
    if offset + 4 * (common + channel) > len(body):
        raise _Wrong(f"{who} announces {common} + {channel} capability words at {offset}, past its {len(body)} bytes")
    words = tuple(_u32(body, offset + 4 * i) for i in range(common + channel))
    return words[:common], words[common:]


def parse_link(
    client: bytes | None,
    server: bytes | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> Link:
    """Return what the bytes seen so far say; None stands for a side that the capture does not hold.

    `Link.status` is `INCOMPLETE` while more bytes are needed. Sizes never exceed `limits.link_bytes` plus the
    authentication that follows. Source: spice-wire.md 2.1 to 2.5.
    """
    c = _Reader(client or b"", client is not None)
    s = _Reader(server or b"", server is not None)
    fields: dict[str, object] = {}
    try:
        status, detail = _stages(c, s, fields, limits)
    except _More:
        status, detail = LinkStatus.INCOMPLETE, ""
    except _Wrong as wrong:
        status, detail = LinkStatus.MALFORMED, str(wrong)
    return Link(status=status, client_bytes=c.at, server_bytes=s.at, detail=detail, **fields)  # type: ignore[arg-type]


def _stages(c: _Reader, s: _Reader, fields: dict[str, object], limits: Limits) -> tuple[LinkStatus, str]:
    if c.seen:
        mess = _link_body(c, "link message", LINK_MESS_BYTES, limits.link_bytes)
        kind = mess[4]
        fields["connection_id"] = _u32(mess, 0)
        fields["channel"] = ChannelType(kind) if kind in ChannelType.__members__.values() else kind
        fields["channel_id"] = mess[5]
        common, channel = _cap_words(mess, 6, "link message")
        fields["client_common_caps"], fields["client_channel_caps"] = common, channel
    if s.seen:
        reply = _link_body(s, "link reply", LINK_REPLY_BYTES, limits.link_bytes)
        fields["reply_error"] = error = _u32(reply, 0)
        if error:
            return LinkStatus.REFUSED, f"link reply: {error_name(error)}"
        common, channel = _cap_words(reply, 166, "link reply")
        fields["server_common_caps"], fields["server_channel_caps"] = common, channel
    return _authentication(c, s, fields)


def _authentication(c: _Reader, s: _Reader, fields: dict[str, object]) -> tuple[LinkStatus, str]:
    words = [fields.get("client_common_caps"), fields.get("server_common_caps")]
    selection = all(w is None or caps.has(w, CAP_AUTH_SELECTION) for w in words)  # type: ignore[arg-type]
    mechanism = MECHANISM_SPICE
    if c.seen and selection:
        if s.seen and s.data[s.at : s.at + 4] == MAGIC:
            return _late_refusal(s, fields)
        mechanism = _u32(c.take(4), 0)
        fields["mechanism"] = mechanism
    if mechanism == MECHANISM_SASL:
        return _sasl(c, s, fields)
    if c.seen:
        c.take(TICKET_BYTES)
    if not s.seen:
        return LinkStatus.ESTABLISHED, ""
    if s.peek(4) == MAGIC:
        return _late_refusal(s, fields)
    fields["result"] = result = _u32(s.take(4), 0)
    if result:
        return LinkStatus.REFUSED, f"link result: {error_name(result)}"
    return LinkStatus.ESTABLISHED, ""


def _late_refusal(s: _Reader, fields: dict[str, object]) -> tuple[LinkStatus, str]:
    """An error reply in place of the result word. Source: spice-wire.md 2.5."""
    reply = _link_body(s, "second link reply", LINK_REPLY_BYTES, DEFAULT_LIMITS.link_bytes)
    fields["result"] = error = _u32(reply, 0)
    return LinkStatus.REFUSED, f"link reply instead of a result: {error_name(error)}"


def _sasl(c: _Reader, s: _Reader, fields: dict[str, object]) -> tuple[LinkStatus, str]:
    """Follow a SASL exchange; afterwards the stream is wrapped unless TLS carries it."""
    if not (c.seen and s.seen):
        raise _Wrong("SASL with one direction missing cannot be followed")
    s.item()
    c.item()
    c.item()
    while True:
        s.item()
        if s.take(1) == b"\x01":
            break
        c.item()
    fields["result"] = result = _u32(s.take(4), 0)
    if result:
        return LinkStatus.REFUSED, f"SASL: {s.item()[:200].rstrip(bytes(1)).decode('utf-8', 'replace')}"
    return LinkStatus.ESTABLISHED, ""


def error_name(code: int) -> str:
    """Return `PERMISSION_DENIED (7)`, or `error 42` for a code the definition does not know."""
    return f"{LinkError(code).name} ({code})" if code in LinkError.__members__.values() else f"error {code}"
