"""Messages of the inputs channel. Source: spice-wire.md 12; spice.proto, InputsChannel."""

from __future__ import annotations

from spicereplay.protocol.enums import ClientInputs, KeyModifiers, MouseButton, MouseButtonMask, ServerInputs
from spicereplay.protocol.wire import I32, U8, U32, Enum8, Enum16, Message, Rest, message


@message(ServerInputs.INIT)
class Init(Message):
    """The first message: the guest's keyboard locks."""

    keyboard_modifiers: Enum16[KeyModifiers]


@message(ServerInputs.KEY_MODIFIERS, ClientInputs.KEY_MODIFIERS)
class KeyModifiersChange(Message):
    """The sender's keyboard locks have changed."""

    modifiers: Enum16[KeyModifiers]


@message(ServerInputs.MOUSE_MOTION_ACK)
class MouseMotionAck(Message):
    """Four more motions or positions have been taken."""


@message(ClientInputs.KEY_DOWN)
class KeyDown(Message):
    """A key goes down; up to four scan code bytes, the least significant first."""

    code: U32


@message(ClientInputs.KEY_UP)
class KeyUp(Message):
    """A key comes up; the code has its break bit set."""

    code: U32


@message(ClientInputs.KEY_SCANCODE)
class KeyScancode(Message):
    """Raw PC scan codes."""

    data: Rest


@message(ClientInputs.MOUSE_MOTION)
class MouseMotion(Message):
    """The pointer moves by that much (server mouse mode)."""

    dx: I32
    dy: I32
    buttons_state: Enum16[MouseButtonMask]


@message(ClientInputs.MOUSE_POSITION)
class MousePosition(Message):
    """The pointer moves there (client mouse mode)."""

    x: U32
    y: U32
    buttons_state: Enum16[MouseButtonMask]
    display_id: U8


@message(ClientInputs.MOUSE_PRESS)
class MousePress(Message):
    """A button goes down."""

    button: Enum8[MouseButton]
    buttons_state: Enum16[MouseButtonMask]


@message(ClientInputs.MOUSE_RELEASE)
class MouseRelease(Message):
    """A button comes up."""

    button: Enum8[MouseButton]
    buttons_state: Enum16[MouseButtonMask]
