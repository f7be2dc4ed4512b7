"""The link stage: what both sides say before the first message.

`parse_link` is a pure function of the bytes seen so far from each side, so it gives the same answer however they
were cut; call it again when there are more. It serves an observer, and either side, which hands in what it has
sent itself. `link_message`, `link_reply` and the like build what each side sends. Source: spice-wire.md 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import caps
from spicereplay.protocol.enums import ChannelType, LinkError, Side
from spicereplay.protocol.messages.link import LinkHeader, LinkMess, LinkReply
from spicereplay.protocol.wire import build

MAGIC: Final = b"REDQ"
HEADER_BYTES: Final = 16
LINK_MESS_BYTES: Final = 18
LINK_REPLY_BYTES: Final = 178
MAJOR_VERSION: Final = 2
MINOR_VERSION: Final = 2
PUBLIC_KEY_BYTES: Final = 162
TICKET_BYTES: Final = 128
MECHANISM_SPICE: Final = 1
MECHANISM_SASL: Final = 2
CAP_AUTH_SELECTION: Final = 0
CAP_MINI_HEADER: Final = 3
CAP_AUTH_SPICE: Final = 1
CAP_AUTH_SASL: Final = 2
SASL_ITEM_BYTES: Final = 64 * 1024
"""Longest SASL item accepted; a Kerberos token, the longest in use, has a few thousand bytes."""
SASL_ROUNDS: Final = 64
"""Challenges accepted in one SASL exchange; mechanisms in use need one to three."""


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
    waits_for: Side | None = None
    """Whose bytes are needed next, while it is incomplete."""
    needs_bytes: int = 0
    """How long the stream of that side must be before another look can tell more."""

    @property
    def mini_header(self) -> bool:
        """Whether both sides announced the 6-byte header.

        A side not seen is taken to announce it: every server does, and so does every client in use.
        """
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
    """The link stage needs bytes of a side that are not there yet."""

    def __init__(self, side: Side, stop: int) -> None:
        super().__init__(side, stop)
        self.side, self.stop = side, stop


class _Wrong(Exception):
    """The bytes break the rules."""


class _Reader:
    """Takes bytes off the front of what one side sent."""

    def __init__(self, side: Side, data: bytes | None) -> None:
        self.side, self.data, self.at, self.seen = side, data or b"", 0, data is not None

    def peek(self, count: int) -> bytes:
        if len(self.data) - self.at < count:
            raise _More(self.side, self.at + count)
        return self.data[self.at : self.at + count]

    def take(self, count: int) -> bytes:
        piece = self.peek(count)
        self.at += count
        return piece

    def word(self) -> int:
        return _u32(self.take(4), 0)

    def item(self) -> bytes:
        """Take a SASL item: u32 length and as many bytes."""
        size = self.word()
        if size > SASL_ITEM_BYTES:
            raise _Wrong(f"SASL item of {size} bytes; the limit is {SASL_ITEM_BYTES}")
        return self.take(size)


@dataclass(slots=True)
class _Told:
    """What the stages have told so far; the fields are those of `Link`."""

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
        raise _Wrong(
            f"{who} announces {common} + {channel} capability words at {offset}, past its {len(body)} bytes"
        )
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
    c, s = _Reader(Side.CLIENT, client), _Reader(Side.SERVER, server)
    told = _Told()
    detail, waits_for, needs_bytes = "", None, 0
    try:
        status, detail = _stages(c, s, told, limits)
    except _More as more:
        status, waits_for, needs_bytes = LinkStatus.INCOMPLETE, more.side, more.stop
    except _Wrong as wrong:
        status, detail = LinkStatus.MALFORMED, str(wrong)
    return Link(
        status=status,
        client_bytes=c.at,
        server_bytes=s.at,
        connection_id=told.connection_id,
        channel=told.channel,
        channel_id=told.channel_id,
        client_common_caps=told.client_common_caps,
        client_channel_caps=told.client_channel_caps,
        server_common_caps=told.server_common_caps,
        server_channel_caps=told.server_channel_caps,
        reply_error=told.reply_error,
        mechanism=told.mechanism,
        result=told.result,
        detail=detail,
        waits_for=waits_for,
        needs_bytes=needs_bytes,
    )


def _stages(c: _Reader, s: _Reader, told: _Told, limits: Limits) -> tuple[LinkStatus, str]:
    if c.seen:
        mess = _link_body(c, "link message", LINK_MESS_BYTES, limits.link_bytes)
        kind = mess[4]
        words = _cap_words(mess, 6, "link message")
        told.connection_id = _u32(mess, 0)
        told.channel = ChannelType(kind) if kind in ChannelType.__members__.values() else kind
        told.channel_id = mess[5]
        told.client_common_caps, told.client_channel_caps = words
    if s.seen:
        reply = _link_body(s, "link reply", LINK_REPLY_BYTES, limits.link_bytes)
        told.reply_error = error = _u32(reply, 0)
        if error:
            return LinkStatus.REFUSED, f"link reply: {error_name(error)}"
        told.server_common_caps, told.server_channel_caps = _cap_words(reply, 166, "link reply")
    return _authentication(c, s, told, limits)


def _authentication(c: _Reader, s: _Reader, told: _Told, limits: Limits) -> tuple[LinkStatus, str]:
    both = (told.client_common_caps, told.server_common_caps)
    selection = all(words is None or caps.has(words, CAP_AUTH_SELECTION) for words in both)
    mechanism = MECHANISM_SPICE
    if c.seen and selection:
        if s.data.startswith(MAGIC, s.at):
            return _late_refusal(s, told, limits)
        mechanism = told.mechanism = c.word()
    elif not c.seen and selection and _offers_sasl_alone(told.server_common_caps):
        mechanism = MECHANISM_SASL
    if mechanism == MECHANISM_SASL:
        return _sasl(c, s, told, limits)
    if c.seen:
        c.take(TICKET_BYTES)
    if not s.seen:
        return LinkStatus.ESTABLISHED, ""
    if s.peek(4) == MAGIC:
        return _late_refusal(s, told, limits)
    told.result = result = s.word()
    if result:
        return LinkStatus.REFUSED, f"link result: {error_name(result)}"
    return LinkStatus.ESTABLISHED, ""


def _offers_sasl_alone(words: tuple[int, ...] | None) -> bool:
    """Whether a server wants SASL. Source: spice-wire.md 2.4: it announces exactly one of the two."""
    return words is not None and caps.has(words, CAP_AUTH_SASL) and not caps.has(words, CAP_AUTH_SPICE)


def _late_refusal(s: _Reader, told: _Told, limits: Limits) -> tuple[LinkStatus, str]:
    """Take an error reply in place of the result word. Source: spice-wire.md 2.5."""
    reply = _link_body(s, "second link reply", LINK_REPLY_BYTES, limits.link_bytes)
    told.result = error = _u32(reply, 0)
    return LinkStatus.REFUSED, f"link reply instead of a result: {error_name(error)}"


def _sasl(c: _Reader, s: _Reader, told: _Told, limits: Limits) -> tuple[LinkStatus, str]:
    """Follow a SASL exchange; afterwards the stream is wrapped unless TLS carries it."""
    if not (c.seen and s.seen):
        raise _Wrong("SASL with one direction missing cannot be followed")
    if s.peek(4) == MAGIC:
        return _late_refusal(s, told, limits)
    s.item()
    c.item()
    c.item()
    for _ in range(SASL_ROUNDS):
        s.item()
        if s.take(1) == b"\x01":
            break
        c.item()
    else:
        raise _Wrong(f"SASL is not over after {SASL_ROUNDS} rounds")
    told.result = result = s.word()
    if result:
        return LinkStatus.REFUSED, f"SASL: {s.item()[:200].rstrip(bytes(1)).decode('utf-8', 'replace')}"
    return LinkStatus.ESTABLISHED, ""


# --- what either side sends ---------------------------------------------------------------------------


def _with_header(body: bytes) -> bytes:
    return build(LinkHeader(MAGIC, MAJOR_VERSION, MINOR_VERSION, len(body))) + body


def link_message(
    channel: ChannelType,
    channel_id: int,
    *,
    connection_id: int = 0,
    common_caps: tuple[int, ...] = (),
    channel_caps: tuple[int, ...] = (),
) -> bytes:
    """Return what a client begins with; `connection_id` is 0 for the first main channel, else MAIN_INIT's session id.

    Capabilities are words, as `caps.words` makes them.
    """
    words = (*common_caps, *channel_caps)
    counts = len(common_caps), len(channel_caps)
    return _with_header(build(LinkMess(connection_id, channel, channel_id, *counts, words)))


def link_reply(
    public_key: bytes, *, common_caps: tuple[int, ...] = (), channel_caps: tuple[int, ...] = ()
) -> bytes:
    """Return a server's answer to a link message that it accepts; `public_key` as in `ticket.TicketKey`."""
    words = (*common_caps, *channel_caps)
    counts = len(common_caps), len(channel_caps)
    return _with_header(build(LinkReply(LinkError.OK, public_key, *counts, words)))


def link_refusal(error: LinkError) -> bytes:
    """Return a server's answer to a link message, or in place of a result, that it refuses; it closes afterwards."""
    return _with_header(build(LinkReply(error, bytes(PUBLIC_KEY_BYTES), 0, 0, None)))


def authentication(ticket: bytes, *, selection: bool) -> bytes:
    """Return what a client sends to authenticate with a ticket.

    `selection` says whether both sides announced AUTH_SELECTION: then the mechanism is named first.
    """
    return (MECHANISM_SPICE.to_bytes(4, "little") if selection else b"") + ticket


def link_result(error: LinkError) -> bytes:
    """Return a server's last word of the link stage."""
    return int(error).to_bytes(4, "little")


def error_name(code: int) -> str:
    """Return `PERMISSION_DENIED (7)`, or `error 42` for a code the definition does not know."""
    return f"{LinkError(code).name} ({code})" if code in LinkError.__members__.values() else f"error {code}"
