"""What client and guest agent said to each other: clipboards, files, names.

Headers of records stay, and so does all of the records that hold nothing private; of the others the fields that say
how much of what follows. Source: spice-wire.md 6; `protocol.agent`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from spicereplay.limits import Limits
from spicereplay.protocol.agent import PROTOCOL, RECORDS, AgentHeader
from spicereplay.protocol.enums import AgentType
from spicereplay.protocol.wire import parse
from spicereplay.redact.what import Kind

_HEAD: Final = AgentHeader.MIN_SIZE
FILLER: Final = b"x"
"""What private data becomes: text for those who expect text."""
_KEPT_BYTES: Final[dict[int, int]] = {
    AgentType.MOUSE_STATE: 1 << 32,
    AgentType.MONITORS_CONFIG: 1 << 32,
    AgentType.REPLY: 8,
    AgentType.CLIPBOARD: 8,
    AgentType.DISPLAY_CONFIG: 8,
    AgentType.ANNOUNCE_CAPABILITIES: 1 << 32,
    AgentType.CLIPBOARD_GRAB: 1 << 32,
    AgentType.CLIPBOARD_REQUEST: 8,
    AgentType.CLIPBOARD_RELEASE: 4,
    AgentType.FILE_XFER_START: 4,
    AgentType.FILE_XFER_STATUS: 20,
    AgentType.FILE_XFER_DATA: 12,
    AgentType.CLIENT_DISCONNECTED: 0,
    AgentType.MAX_CLIPBOARD: 4,
    AgentType.AUDIO_VOLUME_SYNC: 1 << 32,
    AgentType.GRAPHICS_DEVICE_INFO: 0,
}
"""How many bytes of a record's data are numbers that say nothing private. A CLIPBOARD without a selection begins with
its type and then has contents: its second word is replaced, see `_kept`."""
_KINDS: Final = {
    AgentType.CLIPBOARD: Kind.CLIPBOARD,
    AgentType.FILE_XFER_START: Kind.FILES,
    AgentType.FILE_XFER_DATA: Kind.FILES,
}
_SIZE_LINE: Final = re.compile(rb"(?m)^(\[[a-z-]+\]|size=\d+)\r?$")
"""The lines of a FILE_XFER_START that stay. Source: spice-gtk src/channel-main.c, file_xfer_task."""
_TYPE_WORDS: Final = 6
"""Clipboard types there are are below. Source: vd_agent.h, VD_AGENT_CLIPBOARD_*."""


@dataclass(slots=True)
class AgentDirection:
    """The agent's byte stream of one side, record by record; it mirrors `protocol.agent.AgentAssembler`."""

    limits: Limits
    synchronised: bool = True
    _head: bytearray = field(default_factory=bytearray)
    _type: int = 0
    _done: int = 0
    """Data bytes of the record under way that are behind."""
    _left: int = 0
    _text: bytearray = field(default_factory=bytearray)
    """First data bytes of the record under way."""

    def reset(self) -> None:
        """Say that bytes are missing: up to the next record's header nothing can be told."""
        self.synchronised = False
        self._head.clear()
        self._left = 0

    def pass_on(self, data: bytes) -> tuple[bytes, Kind]:
        """Return what one AGENT_DATA body becomes, and what was in it."""
        out = bytearray()
        kind = Kind.AGENT
        if not self.synchronised:
            if not _looks_like_header(data, self.limits):
                return FILLER * len(data), kind
            self.synchronised = True
        at = 0
        while at < len(data):
            if not self._left:
                piece = data[at : at + _HEAD - len(self._head)]
                self._head += piece
                out += piece
                at += len(piece)
                if len(self._head) == _HEAD:
                    header = parse(AgentHeader, bytes(self._head)).message
                    assert header is not None, "it has as many bytes as it needs"
                    self._head.clear()
                    if header.protocol != PROTOCOL:
                        self.reset()
                        return bytes(out) + FILLER * (len(data) - at), kind
                    self._type, self._left, self._done = header.type, header.size, 0
                    self._text.clear()
                continue
            piece = data[at : at + self._left]
            kind = _KINDS.get(AgentType(self._type), Kind.AGENT) if self._type in RECORDS else Kind.AGENT
            out += self._neutral(piece)
            self._left -= len(piece)
            self._done += len(piece)
            at += len(piece)
        return bytes(out), kind

    def _neutral(self, piece: bytes) -> bytes:
        self._text += piece[: max(0, 16 - len(self._text))]
        kept = max(0, min(len(piece), self._kept() - self._done))
        rest = piece[kept:]
        if self._type == AgentType.FILE_XFER_START and rest:
            return piece[:kept] + _start_lines(rest)
        return piece[:kept] + FILLER * len(rest)

    def _kept(self) -> int:
        if self._type == AgentType.CLIPBOARD:
            # With a selection: its byte, three of 0, the type. Without: the type, and contents at once.
            selection = len(self._text) >= 8 and self._text[0] < 3 and not any(self._text[1:4])
            typed = selection and int.from_bytes(self._text[4:8], "little") < _TYPE_WORDS
            return 8 if typed else 4
        return _KEPT_BYTES.get(self._type, 0)


def _start_lines(text: bytes) -> bytes:
    """Return a key file of which only group and size stay; names of keys do, their values do not."""
    out = bytearray()
    for line in text.splitlines(keepends=True):
        bare = line.rstrip(b"\r\n\0")
        if _SIZE_LINE.fullmatch(bare):
            out += line
            continue
        name, equals, _ = bare.partition(b"=")
        known = name if equals and name in (b"name", b"size") else b""
        head = known + b"=" if known else b""
        out += head + FILLER * (len(bare) - len(head)) + line[len(bare) :]
    return bytes(out)


def _looks_like_header(data: bytes, limits: Limits) -> bool:
    header = parse(AgentHeader, data[:_HEAD]).message
    return (
        header is not None
        and header.protocol == PROTOCOL
        and header.type in RECORDS
        and header.opaque == 0
        and header.size <= limits.agent_message_bytes
    )
