"""Messages of the cursor channel. Source: spice-wire.md 13; spice.proto, CursorChannel."""

from __future__ import annotations

from typing import Annotated

from spicereplay.protocol.enums import CursorFlags, CursorType, ServerCursor
from spicereplay.protocol.messages.geometry import Point16
from spicereplay.protocol.wire import (
    U8,
    U16,
    U64,
    Enum8,
    Enum16,
    Message,
    Rest,
    Structure,
    When,
    message,
    structure,
)


@structure
class CursorHeader(Structure):
    """Which shape, how large, and where in it the pointer points."""

    unique: U64
    """Key in the cursor cache."""
    type: Enum8[CursorType]
    width: U16
    height: U16
    hot_spot_x: U16
    hot_spot_y: U16


@structure
class Cursor(Structure):
    """A cursor's shape; with FROM_CACHE the header alone."""

    flags: Enum16[CursorFlags]
    header: Annotated[CursorHeader | None, When("flags", CursorFlags.NONE, unless=True)]
    data: Rest = b""


@message(ServerCursor.INIT)
class Init(Message):
    """The first message."""

    position: Point16
    trail_length: U16
    trail_frequency: U16
    visible: U8
    cursor: Cursor


@message(ServerCursor.RESET)
class Reset(Message):
    """No cursor, and forget all shapes."""


@message(ServerCursor.SET)
class Set(Message):
    """A new shape."""

    position: Point16
    visible: U8
    cursor: Cursor


@message(ServerCursor.MOVE)
class Move(Message):
    """The cursor moves there (server mouse mode)."""

    position: Point16


@message(ServerCursor.HIDE)
class Hide(Message):
    """The cursor is not to be seen."""


@message(ServerCursor.TRAIL)
class Trail(Message):
    """The cursor leaves a trail."""

    length: U16
    frequency: U16


@message(ServerCursor.INVAL_ONE)
class InvalOne(Message):
    """Forget this shape."""

    id: U64


@message(ServerCursor.INVAL_ALL)
class InvalAll(Message):
    """Forget all shapes."""
