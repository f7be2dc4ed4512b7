"""Every exception the package raises on purpose.

    SpiceReplayError
    ├── InputError            the input cannot be used at all            (exit code 3)
    │   ├── NotACaptureError  not a capture, bug report or directory of them
    │   └── NoSpiceError      a readable capture without any SPICE in it
    ├── UsageError            the caller asked for something impossible  (exit code 2)
    │   └── OutputExistsError an output file is already there
    └── DecodeError           compressed data that its codec cannot decode

What the *peer* did wrong inside a usable capture is never an exception: it is a `Defect`
(see `spicereplay.defects`). `DecodeError` is the one place where a codec, called directly, speaks up; whoever
replays a session turns it into a defect.
"""

from __future__ import annotations


class SpiceReplayError(Exception):
    """Base of all errors below."""


class InputError(SpiceReplayError, ValueError):
    """The input cannot be used; the message says what it is, what was expected and what to do."""


class NotACaptureError(InputError):
    """The input is neither a capture, nor a bug report, nor a directory of them."""


class NoSpiceError(InputError):
    """The capture was read, and there is no SPICE in it; the message says what was there instead."""


class UsageError(SpiceReplayError, ValueError):
    """The caller asked for something that cannot be done."""


class OutputExistsError(UsageError):
    """An output file exists already and was not to be overwritten."""


class DecodeError(SpiceReplayError, ValueError):
    """Compressed data that cannot be decoded.

    `reason` is one of the short rule names in `spicereplay.defects.DefectKind`; `offset` is the byte within
    the compressed data at which decoding stopped, where the codec knows it.
    """

    def __init__(self, message: str, *, reason: str = "codec_data", offset: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.offset = offset
