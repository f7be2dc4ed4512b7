"""The inputs channel of a client: keys, buttons and motion, when somebody asks for them, and nothing unasked.

Source: spice-wire.md 12; spice-gtk src/channel-inputs.c.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.errors import UsageError
from spicereplay.protocol.caps import InputsCap
from spicereplay.protocol.enums import (
    ChannelType,
    ClientInputs,
    KeyModifiers,
    MouseButton,
    MouseButtonMask,
    MouseMode,
)
from spicereplay.protocol.messages import inputs
from spicereplay.protocol.wire import Message
from spicereplay.units import NS_PER_S

MOTION_BUNCH: Final = 4
"""Motions and positions that one MOUSE_MOTION_ACK stands for. Source: spice-protocol, SPICE_INPUT_MOTION_ACK_BUNCH."""
MOTIONS_OUTSTANDING: Final = 2 * MOTION_BUNCH
"""Unacknowledged ones at most; meanwhile motions are added up, and of positions the last one counts."""
EVENTS: Final = 50
"""Source: ryll-formats.md 5.5, `recent_events`."""
EXTENDED: Final = 0x100
"""Added to the scan code of a key that has the 0xe0 prefix. Source: spice-gtk, spice_inputs_channel_key_press."""
PREFIX: Final = 0xE0
BREAK: Final = 0x80
I32_MOST: Final = 2**31 - 1

_NO_MASK: Final = frozenset({MouseButton.UP, MouseButton.DOWN})
"""A wheel is never held down. Source: spice-gtk, spice_inputs_channel_button_press."""


class InputKind(StrEnum):
    """What somebody did."""

    KEY_DOWN = "key_down"
    KEY_UP = "key_up"
    BUTTON_DOWN = "button_down"
    BUTTON_UP = "button_up"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class InputEvent:
    """One thing that somebody did."""

    time_ns: int
    kind: InputKind
    x: int
    """Of the pointer in px; of a motion, how far."""
    y: int
    buttons: int
    """Those held down, a `MouseButtonMask`."""
    scancode: int | None
    """None: not a key, or `ClientOptions.remember_keys` is off."""


@dataclass(frozen=True, slots=True)
class InputsDiagnostics:
    """What the inputs channel knows. Source: ryll-formats.md 5.5. Times in ns; None: never."""

    buttons: int
    modifiers: int | None
    """The guest's keyboard locks; None: not told."""
    motions_outstanding: int
    """Motions and positions sent and not acknowledged."""
    motions_merged: int
    """Moves that were not sent by themselves, because too many were outstanding."""
    moves_refused: int
    """Moves that the mouse mode does not allow."""
    last_key_ns: int | None
    events: tuple[InputEvent, ...]
    """The last `EVENTS`, oldest first."""
    restatements: int
    """KEY_MODIFIERS sent because nothing happened."""
    last_restatement_ns: int | None


class InputsClient(ChannelClient):
    """The inputs channel."""

    def __init__(self, channel: ChannelType, channel_id: int, options: ClientOptions, shared: Shared) -> None:
        super().__init__(channel, channel_id, options, shared)
        self.buttons = MouseButtonMask(0)
        """Buttons held down."""
        self.locks: int | None = None
        """The guest's keyboard locks, `KeyModifiers`; None: not told."""
        self._motion = [0, 0]
        self._position: tuple[int, int, int] | None = None
        self._pointer = (0, 0)
        self._outstanding = 0
        self._merged = self._refused = 0
        self._events: deque[InputEvent] = deque(maxlen=EVENTS)
        self._last_key_ns: int | None = None
        self._restatements = 0
        self._restated_ns: int | None = None
        self._linked_ns: int | None = None

    # --- what somebody asks for ------------------------------------------------------------------------

    def key(self, scancode: int, *, down: bool, now_ns: int) -> None:
        """Press or release a key.

        `scancode` is of PC set 1, 0x01 to 0x7f, with `EXTENDED` added where it has the 0xe0 prefix. Raises
        `UsageError` for anything else.
        """
        code = _wire_code(scancode, down=down)
        self._now_ns = now_ns
        if down:
            self.send(ClientInputs.KEY_DOWN, inputs.KeyDown(code))
        else:
            self.send(ClientInputs.KEY_UP, inputs.KeyUp(code))
        self._note_key(scancode, down=down)

    def press_and_release(self, scancode: int, now_ns: int) -> None:
        """Strike a key, in one message where the server can take it. Raises as `key`."""
        if not self.server_has(InputsCap.KEY_SCANCODE):
            self.key(scancode, down=True, now_ns=now_ns)
            self.key(scancode, down=False, now_ns=now_ns)
            return
        size = 1 if scancode < EXTENDED else 2
        codes = (_wire_code(scancode, down=down).to_bytes(size, "little") for down in (True, False))
        self._now_ns = now_ns
        self.send(ClientInputs.KEY_SCANCODE, b"".join(codes))
        self._note_key(scancode, down=True)
        self._note_key(scancode, down=False)

    def modifiers(self, locks: KeyModifiers, now_ns: int) -> None:
        """Set the guest's keyboard locks."""
        self._now_ns = now_ns
        self.send(ClientInputs.KEY_MODIFIERS, inputs.KeyModifiersChange(locks))

    def motion(self, dx: int, dy: int, now_ns: int) -> bool:
        """Move the pointer by so many px; whether the mouse mode allows it (SERVER)."""
        if not self._allowed(MouseMode.SERVER):
            return False
        self._now_ns = now_ns
        x, y = self._motion
        self._motion = [_within(x + dx), _within(y + dy)]
        self._note(InputKind.MOVE, dx, dy)
        self._move()
        return True

    def position(self, x: int, y: int, now_ns: int, *, display_id: int = 0) -> bool:
        """Move the pointer to a place of a display, in px; whether the mouse mode allows it (CLIENT)."""
        if x < 0 or y < 0:
            raise UsageError(f"no pointer can be at {x}, {y}")
        if not self._allowed(MouseMode.CLIENT):
            return False
        self._now_ns = now_ns
        self._position = (x, y, display_id)
        self._pointer = (x, y)
        self._note(InputKind.MOVE, x, y)
        self._move()
        return True

    def button(self, button: MouseButton, *, down: bool, now_ns: int) -> None:
        """Press or release a button, or turn the wheel a notch (UP and DOWN, pressed and released)."""
        self._now_ns = now_ns
        bit = MouseButtonMask(0) if button in _NO_MASK else MouseButtonMask(1 << (button - 1))
        self.buttons = self.buttons | bit if down else self.buttons & ~bit
        # The button counts where the pointer is: what was held back goes first, however much is outstanding.
        self._flush()
        if down:
            self.send(ClientInputs.MOUSE_PRESS, inputs.MousePress(button, self.buttons))
        else:
            self.send(ClientInputs.MOUSE_RELEASE, inputs.MouseRelease(button, self.buttons))
        self._note(InputKind.BUTTON_DOWN if down else InputKind.BUTTON_UP, *self._pointer)

    # --- what the driver calls -------------------------------------------------------------------------

    def on_linked(self, now_ns: int) -> None:
        """Send nothing: no lock is changed unasked."""
        self._linked_ns = now_ns

    def deadline(self) -> int | None:
        """Return when the keyboard locks are stated again because nothing happened; None: they are not."""
        seconds = self.options.restate_modifiers_s
        if seconds is None or self.locks is None or self._linked_ns is None:
            return None
        last = max(self._linked_ns, self.counting.last_received_ns or 0, self.counting.last_sent_ns or 0)
        return last + max(1, round(seconds * NS_PER_S))

    def tick(self, now_ns: int) -> None:
        """State the keyboard locks as the guest has them, if it is time to."""
        super().tick(now_ns)
        due = self.deadline()
        if due is not None and now_ns >= due and self.locks is not None:
            self._restatements += 1
            self._restated_ns = now_ns
            self.send(ClientInputs.KEY_MODIFIERS, inputs.KeyModifiersChange(KeyModifiers(self.locks)))

    def diagnostics(self) -> InputsDiagnostics:
        """Return what the channel knows."""
        return InputsDiagnostics(
            buttons=int(self.buttons),
            modifiers=self.locks,
            motions_outstanding=self._outstanding,
            motions_merged=self._merged,
            moves_refused=self._refused,
            last_key_ns=self._last_key_ns,
            events=tuple(self._events),
            restatements=self._restatements,
            last_restatement_ns=self._restated_ns,
        )

    def on_message(self, type: int, message: Message, now_ns: int) -> None:
        """Take in a message of the inputs channel."""
        match message:
            case inputs.Init():
                self.locks = int(message.keyboard_modifiers)
            case inputs.KeyModifiersChange():
                self.locks = int(message.modifiers)
            case inputs.MouseMotionAck():
                self._outstanding = max(0, self._outstanding - MOTION_BUNCH)
                self._flush()

    # --- motion ----------------------------------------------------------------------------------------

    def _allowed(self, mode: MouseMode) -> bool:
        """Say whether moves of that mode count now; before INIT none does."""
        allowed = self.shared.mouse_mode == mode
        self._refused += not allowed
        return allowed

    def _move(self) -> None:
        if self._outstanding < MOTIONS_OUTSTANDING:
            self._flush()
        else:
            self._merged += 1

    def _flush(self) -> None:
        """Send the moves that were held back, relative ones first. Source: spice-gtk, inputs_handle_ack."""
        dx, dy = self._motion
        if dx or dy:
            self._motion = [0, 0]
            self._outstanding += 1
            self.send(ClientInputs.MOUSE_MOTION, inputs.MouseMotion(dx, dy, self.buttons))
        if self._position is not None:
            (x, y, display_id), self._position = self._position, None
            self._outstanding += 1
            self.send(ClientInputs.MOUSE_POSITION, inputs.MousePosition(x, y, self.buttons, display_id))

    # --- what is remembered ----------------------------------------------------------------------------

    def _note_key(self, scancode: int, *, down: bool) -> None:
        self._last_key_ns = self._now_ns
        shown = scancode if self.options.remember_keys else None
        self._note(InputKind.KEY_DOWN if down else InputKind.KEY_UP, *self._pointer, shown)

    def _note(self, kind: InputKind, x: int, y: int, scancode: int | None = None) -> None:
        self._events.append(InputEvent(self._now_ns, kind, x, y, int(self.buttons), scancode))


def _wire_code(scancode: int, *, down: bool) -> int:
    """Return a key's code as KEY_DOWN and KEY_UP carry it: its bytes, the first one lowest."""
    if not 0 < scancode & ~EXTENDED < BREAK:
        raise UsageError(
            f"{scancode:#x} is no scan code; they are 0x01 to 0x7f, and 0x101 to 0x17f with prefix"
        )
    last = scancode & ~EXTENDED | (0 if down else BREAK)
    return PREFIX | last << 8 if scancode & EXTENDED else last


def _within(value: int) -> int:
    return max(-I32_MOST, min(I32_MOST, value))
