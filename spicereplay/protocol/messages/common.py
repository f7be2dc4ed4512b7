"""Messages of every channel, and the lists of messages inside a message.

Source: spice-wire.md 3, 4; spice.proto.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from spicereplay.defects import DefectKind
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import (
    ClientCommon,
    LinkError,
    MigrateFlags,
    NotifySeverity,
    NotifyVisibility,
    ServerCommon,
)
from spicereplay.protocol.messages.headers import MiniDataHeader
from spicereplay.protocol.wire import (
    U8,
    U16,
    U32,
    U64,
    Counted,
    Enum32,
    Message,
    Problem,
    Rest,
    Structure,
    derived,
    message,
    parse,
    structure,
)


@structure
class ChannelWait(Structure):
    """Wait until that channel has processed its message with that serial."""

    channel_type: U8
    channel_id: U8
    message_serial: U64


@message(ServerCommon.MIGRATE)
class Migrate(Message):
    """The channel is about to move to another host."""

    flags: Enum32[MigrateFlags]


@message(ServerCommon.MIGRATE_DATA, ClientCommon.MIGRATE_DATA)
class MigrateData(Message):
    """State of the channel for the other host; the client hands it on unread."""

    data: Rest


@message(ServerCommon.SET_ACK)
class SetAck(Message):
    """From now on acknowledge every `window` messages."""

    generation: U32
    window: U32


@message(ServerCommon.PING)
class Ping(Message):
    """Answer with PONG. `timestamp` is µs in the network test, ns elsewhere (spice-wire.md 4.4)."""

    id: U32
    timestamp: U64
    data: Rest = b""


@message(ServerCommon.WAIT_FOR_CHANNELS, slack=True)
class WaitForChannels(Message):
    """Handle nothing further on this channel until all of these are reached.

    As a sub-message its stated size is too large (spice-wire.md 3, "lying sub-message size").
    """

    wait_count: U8 = derived()
    wait_list: Annotated[tuple[ChannelWait, ...], Counted("wait_count")]


@message(ServerCommon.DISCONNECTING, ClientCommon.DISCONNECTING)
class Disconnecting(Message):
    """The sender is about to close the channel."""

    time_stamp: U64
    reason: Enum32[LinkError]


@message(ServerCommon.NOTIFY)
class Notify(Message):
    """Words for the user."""

    time_stamp: U64
    severity: Enum32[NotifySeverity]
    visibilty: Enum32[NotifyVisibility]
    """The spelling is that of the SPICE definition."""
    what: U32
    message_len: U32 = derived()
    message: Annotated[bytes, Counted("message_len")]
    terminator: Rest = b""
    """The NUL that spice-server sends after the text without counting it."""


@message(ServerCommon.LIST)
class List(Message):
    """Messages inside a message; `sub_messages` (the function) finds them."""

    size: U16 = derived()
    sub_messages: Annotated[tuple[U32, ...], Counted("size", limit="sub_messages")]
    """Offsets of their headers from the start of the body."""
    data: Rest = b""
    """Everything after the offsets: the sub-messages, in any order."""


@message(ServerCommon.BASE_LAST)
class BaseLast(Message):
    """Marks the end of the common types; nobody sends it."""


@message(ClientCommon.ACK_SYNC)
class AckSync(Message):
    """SET_ACK `generation` has been seen."""

    generation: U32


@message(ClientCommon.ACK)
class Ack(Message):
    """As many messages as the window says have been received."""


@message(ClientCommon.PONG)
class Pong(Message):
    """The answer to PING: its id and timestamp without its padding."""

    id: U32
    timestamp: U64


@message(ClientCommon.MIGRATE_FLUSH_MARK)
class MigrateFlushMark(Message):
    """Everything before this was sent to the old host."""


# --- messages inside a message -----------------------------------------------------------------------


class SubMessage(NamedTuple):
    """Where one sub-message lies within the body of its carrier."""

    type: int
    offset: int
    """Of its own body, from the start of the carrier's."""
    stated_size: int
    """What its header says; spice-server overstates INVAL_LIST and WAIT_FOR_CHANNELS."""
    size: int
    """`stated_size`, cut off at the end of the carrier's body."""


def sub_messages(
    body: bytes | memoryview, at: int = 0, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[list[SubMessage], list[Problem]]:
    """Find the sub-messages of the list at byte `at` of `body`, in the order of the list.

    That is 0 for a LIST, and `sub_list` of a full header for any other message. An entry that lies outside
    the body, runs into the list itself or is a list again is left out and noted.

    Source: spice-wire.md 3; spice-gtk src/spice-channel.c, spice_channel_recv_msg.
    """
    view = memoryview(body)
    bad = DefectKind.SUB_MESSAGES_MALFORMED
    if at >= len(view):
        return [], [Problem(bad, f"the list begins at {at} of {len(view)}", at)]
    listed = parse(List, view[at:], limits=limits)
    if listed.message is None:
        kinds = {DefectKind.OVER_LIMIT: DefectKind.OVER_LIMIT}
        return [], [Problem(kinds.get(kind, bad), text, at + place) for kind, text, place in listed.problems]
    offsets = listed.message.sub_messages
    list_end = at + 2 + 4 * len(offsets)
    found: list[SubMessage] = []
    problems: list[Problem] = []
    for index, offset in enumerate(offsets):
        start = offset + MiniDataHeader.MIN_SIZE
        place = at + 2 + 4 * index
        if start > len(view):
            problems.append(Problem(bad, f"entry {index} begins at {offset} of {len(view)}", place))
            continue
        if offset < list_end and start > at:
            problems.append(Problem(bad, f"entry {index} begins at {offset}, inside the list itself", place))
            continue
        header = parse(MiniDataHeader, view[offset:start]).message
        assert header is not None, "the bounds were checked above"
        if header.type == ServerCommon.LIST:
            problems.append(Problem(bad, f"entry {index} at {offset} is a list again", place))
            continue
        found.append(SubMessage(header.type, start, header.size, min(header.size, len(view) - start)))
    return found, problems
