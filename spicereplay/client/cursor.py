"""The cursor channel of a client: it answers nothing of its own; what it would hold is counted.

Source: spice-wire.md 13; spice-gtk src/channel-cursor.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType, CursorFlags
from spicereplay.protocol.messages import cursor
from spicereplay.protocol.messages.geometry import Point16
from spicereplay.protocol.wire import Message


@dataclass(frozen=True, slots=True)
class CursorDiagnostics:
    """What the cursor channel knows. Source: ryll-formats.md 5.6."""

    x: int
    """px; where the server last put it."""
    y: int
    visible: bool
    cache: tuple[cursor.CursorHeader, ...]
    """Shapes that the server may use again, in the order in which they came."""
    cache_misses: int
    """Uses of a shape that is not there."""


class CursorClient(ChannelClient):
    """The cursor channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self._cache: dict[int, cursor.CursorHeader] = {}
        self._position = Point16(0, 0)
        self._visible = False
        self._misses = 0

    def diagnostics(self) -> CursorDiagnostics:
        """Return what the channel knows."""
        return CursorDiagnostics(
            self._position.x, self._position.y, self._visible, tuple(self._cache.values()), self._misses
        )

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the cursor channel."""
        match message:
            case cursor.Init():
                self._cache.clear()
                self._set(message.position, message.visible, message.cursor)
            case cursor.Set():
                self._set(message.position, message.visible, message.cursor)
            case cursor.Move():
                self._position = message.position
                self._visible = True
            case cursor.Hide():
                self._visible = False
            case cursor.Reset():
                self._cache.clear()
                self._visible = False
            case cursor.InvalOne():
                self._cache.pop(message.id, None)
            case cursor.InvalAll():
                self._cache.clear()

    def _set(self, position: Point16, visible: int, shape: cursor.Cursor) -> None:
        self._position, self._visible = position, bool(visible)
        header = shape.header
        if header is None:
            return
        if shape.flags & CursorFlags.FROM_CACHE:
            self._misses += header.unique not in self._cache
        elif shape.flags & CursorFlags.CACHE_ME and len(self._cache) < DEFAULT_LIMITS.cursor_cache_entries:
            self._cache[header.unique] = header
