r"""Timed actions for a session without a user.

One action a line: when, what, and its words; `#` begins a comment. Times are seconds since the session began, or
with `+` since the action before.

    0.5   move 120 80            pointer to a place (the guest has to allow it: mouse mode CLIENT)
    +0    motion -10 5           pointer by so much (mouse mode SERVER)
    +0.1  click [left|middle|right]
    +0.1  button left down       or up
    +0    wheel down 3           or up
    1.0   type "ls -l\n"         as on a US keyboard; quoted with " or ', and \n \t \\ are what they are in C
    1.5   key ctrl+alt+f2        press, and release in the opposite order
    1.5   press shift            and later: release shift
    2.0   resize 1280x720        ask the guest's agent for a screen of that size
    3.0   screenshot name.png
    9.5   quit
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spicereplay.errors import InputError, UsageError
from spicereplay.live.keys import chord, strokes
from spicereplay.protocol.enums import MouseButton
from spicereplay.units import MIB

MOST_BYTES: Final = MIB
MOST_SECONDS: Final = 10_000_000
_BUTTONS: Final = {"left": MouseButton.LEFT, "middle": MouseButton.MIDDLE, "right": MouseButton.RIGHT}
_WHEEL: Final = {"up": MouseButton.UP, "down": MouseButton.DOWN}
_ESCAPES: Final = (("\\\\", "\0"), ("\\n", "\n"), ("\\t", "\t"), ("\0", "\\"))


@dataclass(frozen=True, slots=True)
class Key:
    """Keys pressed in this order, and released in the opposite one; `down` alone or `up` alone is one of the two."""

    codes: tuple[int, ...]
    down: bool = True
    up: bool = True


@dataclass(frozen=True, slots=True)
class Type:
    """A text, key by key: scan codes, and whether Shift is held."""

    strokes: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Move:
    """The pointer, to a place in px, or by so many px (`relative`)."""

    x: int
    y: int
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Button:
    """A button pressed, released, or both, `times` times."""

    button: MouseButton
    down: bool = True
    up: bool = True
    times: int = 1


@dataclass(frozen=True, slots=True)
class Resize:
    """A screen of another size, in px."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Shoot:
    """A picture of the screen."""

    path: Path


@dataclass(frozen=True, slots=True)
class Quit:
    """The end of the session."""


Action = Key | Type | Move | Button | Resize | Shoot | Quit


@dataclass(frozen=True, slots=True)
class Timed:
    """An action, and when: seconds since the session began."""

    at_s: float
    action: Action


def read_script(path: Path) -> tuple[Timed, ...]:
    """Read a file of actions. Raises `InputError` where it cannot be read, `UsageError` naming the wrong line."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: longer than {MOST_BYTES:,} bytes; that is no script")
    return parse_script(data.decode("utf-8", "replace"), path.name)


def parse_script(text: str, name: str = "script") -> tuple[Timed, ...]:
    """Return the actions of a text, by time. Raises `UsageError` naming the wrong line."""
    found: list[Timed] = []
    at_s = 0.0
    for number, line in enumerate(text.splitlines(), 1):
        try:
            lexer = shlex.shlex(line, posix=True)
            lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", "#"
            words = list(lexer)
            if words:
                at_s = _time(words[0], at_s)
                found.append(Timed(at_s, _action(words[1:])))
        except UsageError as error:
            raise UsageError(f"{name}, line {number}: {error}") from None
        except ValueError:
            raise UsageError(f"{name}, line {number}: a quotation is not closed") from None
    return tuple(sorted(found, key=lambda timed: timed.at_s))


def _time(word: str, before_s: float) -> float:
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise UsageError(f"{word!r} is no time; a line begins with seconds")
    return before_s + value if word.startswith("+") else value


def _action(words: list[str]) -> Action:
    match words:
        case ["key", keys]:
            return Key(chord(keys))
        case ["press", keys]:
            return Key(chord(keys), up=False)
        case ["release", keys]:
            return Key(chord(keys), down=False)
        case ["type", text]:
            return Type(strokes(_unescaped(text)))
        case ["move", x, y]:
            return Move(_number(x, 0), _number(y, 0))
        case ["motion", x, y]:
            return Move(_number(x), _number(y), relative=True)
        case ["click"]:
            return Button(MouseButton.LEFT)
        case ["click", button] if button in _BUTTONS:
            return Button(_BUTTONS[button])
        case ["button", button, ("down" | "up") as way] if button in _BUTTONS:
            return Button(_BUTTONS[button], down=way == "down", up=way == "up")
        case ["wheel", ("up" | "down") as way]:
            return Button(_WHEEL[way])
        case ["wheel", ("up" | "down") as way, times]:
            return Button(_WHEEL[way], times=_number(times, 1, 1000))
        case ["resize", size] if size.count("x") == 1:
            width, height = size.split("x")
            return Resize(_number(width, 1, 16_384), _number(height, 1, 16_384))
        case ["screenshot", path] if path:
            return Shoot(Path(path))
        case ["quit"]:
            return Quit()
    raise UsageError(f"{' '.join(words) or 'nothing'!r} is no action")


def _number(word: str, least: int = -32_768, most: int = 32_767) -> int:
    try:
        value = int(word)
    except ValueError:
        raise UsageError(f"{word!r} is no number") from None
    if not least <= value <= most:
        raise UsageError(f"{value} is not within {least} and {most}")
    return value


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES:
        text = text.replace(written, meant)
    return text
