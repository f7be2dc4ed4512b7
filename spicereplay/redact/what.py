"""What is taken out of a recording, and what the user may choose about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Screen(StrEnum):
    """What becomes of pictures."""

    KEEP = "keep"
    BLUR = "blur"
    """Blocks of one colour each, where the codec and the size in bytes allow; else blank."""
    BLANK = "blank"
    """One colour."""


class Sound(StrEnum):
    """What becomes of sound."""

    KEEP = "keep"
    SILENCE = "silence"


class Kind(StrEnum):
    """What was taken out, as the summary names it."""

    KEYS = "keystrokes"
    CLIPBOARD = "clipboard contents"
    FILES = "transferred files"
    AGENT = "other guest agent data"
    TICKETS = "tickets and keys"
    NAMES = "names, UUIDs and hosts"
    NOTICES = "notices"
    IMAGES = "images"
    FRAMES = "video frames"
    CURSORS = "cursor shapes"
    DRAWING = "glyphs and colours"
    SOUND = "packets of sound"
    USB = "USB payloads"
    WEBDAV = "shared folder payloads"
    PORT = "port payloads"
    SMARTCARD = "smartcard payloads"
    UNREAD = "stretches that belong to no message"
    ENCRYPTED = "stretches of unread TLS"
    PACKETS = "packets of other protocols"
    ADDRESSES = "addresses"
    REPORTED = "values of the client's report"
    SCREENSHOTS = "screenshots"
    MEMBERS = "files left out"


TEXTUAL = frozenset(
    {
        Kind.KEYS,
        Kind.CLIPBOARD,
        Kind.FILES,
        Kind.AGENT,
        Kind.TICKETS,
        Kind.NAMES,
        Kind.NOTICES,
        Kind.USB,
        Kind.WEBDAV,
        Kind.PORT,
        Kind.SMARTCARD,
        Kind.REPORTED,
    }
)
"""What may hold words: eight bytes of it that are not all the same count as found again."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose. The defaults are the safe ones."""

    screen: Screen = Screen.BLANK
    sound: Sound = Sound.SILENCE


SAFE = Choices()
"""What is chosen unless the user says otherwise."""
