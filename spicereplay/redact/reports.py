"""The files of a bug report besides its capture: JSON, screenshots, and what has to stay away.

Numbers say how the client was doing and stay. Texts stay where the declaration of the report knows them and does not
call them private; hosts and addresses in them get their pseudonyms. What nobody declared is replaced.
Source: ryll-formats.md 2 to 8 and 14; `bugreport.schema`.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from spicereplay.limits import Limits
from spicereplay.redact.blocks import SIDE
from spicereplay.redact.pseudonyms import Pseudonyms

HIDDEN: Final = "(redacted)"
_NEUTRAL_KEY: Final = 0x39
_HOSTS: Final = ("target_host",)
_WORDS: Final = ("description",)
_KEPT_TEXTS: Final = frozenset(
    {
        "ryll_version",
        "ryll_git_sha",
        "platform_os",
        "platform_arch",
        "report_type",
        "channel",
        "timestamp",
        "triggered_at",
        "capture_started",
        "image_type",
        "mjpeg_decoder_backend",
        "video_decoder_backend",
        "event_type",
        "gap_key",
        "kind",
        "severity",
        "source",
        "visibility",
        "name",
        "platform",
        "error_kind",
        "codec",
        "mode",
        "Disconnect",
        "Spice",
    }
)
"""Members whose texts are of a small set, versions, or times."""
_CLEANED_TEXTS: Final = frozenset({"message", "reason", "error_message"})
"""Members whose texts are the client's own words, in which hosts may stand."""
_PATH: Final = re.compile(r"(?:~|\b[A-Za-z]:|(?<![\w/]))[\\/](?:[^\s\\/:'\",;)]+[\\/])*[^\s\\/:'\",;)]+")
"""Paths of files, with and without a drive: they hold names of users."""
_QUOTED: Final = re.compile(r"\"[^\"\n]*\"|'[^'\n]{2,}'")


@dataclass(slots=True)
class Cleaned:
    """Makes the JSON files of reports neutral, and remembers which texts went."""

    names: Pseudonyms
    limits: Limits
    removed: list[str] = field(default_factory=list)
    count: int = 0

    def learn(self, value: Any) -> None:
        """Note the names that a file of a report tells."""
        if isinstance(value, dict):
            for name, each in value.items():
                if name in _HOSTS and isinstance(each, str):
                    self.names.host(each)
                else:
                    self.learn(each)
        elif isinstance(value, list):
            for each in value:
                self.learn(each)

    def json(self, data: bytes) -> bytes:
        """Return a JSON file made neutral, laid out as the client does; for what is no JSON the beginning of one."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            self.count += 1
            return b"{"
        return json.dumps(self.value(value, ""), indent=2, ensure_ascii=False).encode()

    def value(self, value: Any, name: str) -> Any:
        """Return a value of the member `name` made neutral."""
        if isinstance(value, dict):
            return {self._member(key): self.value(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, name) for each in value]
        if name == "scancode" and isinstance(value, int) and not isinstance(value, bool):
            return self._put(value, _NEUTRAL_KEY | value & 0x80)
        return self._text(value, name) if isinstance(value, str) else value

    def _member(self, name: str) -> str:
        """Return the name of a member: opcodes and identifiers stay."""
        return (
            name
            if re.fullmatch(r"[A-Za-z0-9_ .-]{1,64}", name) and not self.names.holds_private(name)
            else HIDDEN
        )

    def _text(self, text: str, name: str) -> str:
        if name in _HOSTS:
            return str(self._put(text, self.names.host(text)))
        if name in _KEPT_TEXTS:
            made = self.names.cleaned(text)
        elif name in _CLEANED_TEXTS:
            made = _QUOTED.sub('"…"', _PATH.sub("…", self.names.cleaned(text)))
        else:
            made = HIDDEN if text else text
        return str(self._put(text, made))

    def _put(self, old: Any, new: Any) -> Any:
        if old != new:
            self.count += 1
            if isinstance(old, str):
                self.removed.append(old)
        return new


def neutral_png(data: bytes, limits: Limits, *, blurred: bool) -> bytes | None:
    """Return a picture with the size of a PNG, black or in blocks; None for what is none, or is over the limit."""
    from PIL import Image, UnidentifiedImageError

    made = None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            width, height = picture.size
            if blurred and width * height <= limits.image_pixels:
                small = picture.convert("RGB").resize(
                    (-(-width // SIDE), -(-height // SIDE)), Image.Resampling.BOX
                )
                made = small.resize((width, height), Image.Resampling.NEAREST)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    if width * height > limits.image_pixels:
        return None
    out = io.BytesIO()
    (made or Image.new("RGB", (width, height))).save(out, "PNG")
    return out.getvalue()
