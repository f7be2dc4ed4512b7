"""Text from the input, made fit to be shown.

Whatever a capture or bug report holds may contain terminal escapes, line breaks that forge output, or marks that turn
the reading direction around. Nothing of it is dropped: it is shown as the escape a programmer would write.
"""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1 controls
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible and bidirectional
    "\ud800-\udfff\U000e0000-\U000e007f]"  # surrogates and tags
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def printable(text: str, limit: int = 2000) -> str:
    """Return `text` with unsafe characters as visible escapes, cut after `limit` characters with an ellipsis."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSAFE.sub(_escape, cut)
