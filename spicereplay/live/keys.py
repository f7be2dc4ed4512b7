"""Names and letters to scan codes of a PC keyboard with the US layout.

Source: IBM PC scan code set 1, as spice-wire.md 12 uses it; keys with the 0xe0 prefix have `EXTENDED` added.
"""

from __future__ import annotations

from typing import Final

from spicereplay.client.inputs import EXTENDED
from spicereplay.errors import UsageError

SHIFT: Final = 0x2A
_ROWS: Final = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
"""The first key's code, and the signs of the row without and with Shift."""
_SIGNS: Final = {
    sign: (first + at, shifted)
    for first, plain, upper in _ROWS
    for shifted, signs in ((False, plain), (True, upper))
    for at, sign in enumerate(signs)
} | {" ": (0x39, False), "\n": (0x1C, False), "\t": (0x0F, False), "\b": (0x0E, False)}

KEYS: Final = {
    "esc": 0x01,
    "backspace": 0x0E,
    "tab": 0x0F,
    "enter": 0x1C,
    "ctrl": 0x1D,
    "shift": SHIFT,
    "alt": 0x38,
    "space": 0x39,
    "capslock": 0x3A,
    **{f"f{n}": 0x3A + n for n in range(1, 11)},
    "numlock": 0x45,
    "scrolllock": 0x46,
    "f11": 0x57,
    "f12": 0x58,
    "rightshift": 0x36,
    "rightctrl": EXTENDED + 0x1D,
    "altgr": EXTENDED + 0x38,
    "home": EXTENDED + 0x47,
    "up": EXTENDED + 0x48,
    "pageup": EXTENDED + 0x49,
    "left": EXTENDED + 0x4B,
    "right": EXTENDED + 0x4D,
    "end": EXTENDED + 0x4F,
    "down": EXTENDED + 0x50,
    "pagedown": EXTENDED + 0x51,
    "insert": EXTENDED + 0x52,
    "delete": EXTENDED + 0x53,
    "super": EXTENDED + 0x5B,
    "menu": EXTENDED + 0x5D,
} | {sign: code for sign, (code, shifted) in _SIGNS.items() if not shifted and sign > " "}


def chord(text: str) -> tuple[int, ...]:
    """Return the scan codes of keys held together, `ctrl+alt+delete`. Raises `UsageError`."""
    names = text.lower().split("+") if text != "+" else ["="]
    unknown = [name for name in names if name not in KEYS]
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is no key; keys are letters, digits, {', '.join(sorted(KEYS)[-12:])} …"
        )
    return tuple(KEYS[name] for name in names)


def strokes(text: str) -> tuple[tuple[int, bool], ...]:
    """Return the scan code of each sign of a text, and whether Shift is held. Raises `UsageError`."""
    unknown = [sign for sign in text if sign not in _SIGNS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not on a US keyboard, so it cannot be typed")
    return tuple(_SIGNS[sign] for sign in text)
