"""Every exception the package raises on purpose.

    SpiceReplayError
    ├── InputError            the input cannot be used at all            (exit code 3)
    │   ├── NotACaptureError  not a capture, bug report or directory of them
    │   ├── NoSpiceError      a readable capture without any SPICE in it
    │   └── ConnectionFailed  no connection to a live server
    │       ├── Unreachable       nobody answers there
    │       ├── ProxyFailed       the proxy does not let us through
    │       ├── TlsFailed         the server's certificate, or TLS itself
    │       ├── WebSocketFailed   no WebSocket is to be had
    │       ├── NotSpice          what answers does not speak SPICE, or stopped in the middle of it
    │       ├── LinkRefused       the server speaks SPICE and says no
    │       └── AccessDenied      the password, or what takes its place
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


class ConnectionFailed(InputError):
    """No connection to a live server; the message says what, where, and what to do."""


class Unreachable(ConnectionFailed):
    """Nobody answers at that address, or not in time."""


class ProxyFailed(ConnectionFailed):
    """The proxy cannot be used, or does not let us through."""


class TlsFailed(ConnectionFailed):
    """The encrypted connection failed: a certificate that is not trusted, for one."""


class WebSocketFailed(ConnectionFailed):
    """The server gives no WebSocket."""


class NotSpice(ConnectionFailed):
    """What answers does not speak SPICE, or stopped in the middle of its first words."""


class LinkRefused(ConnectionFailed):
    """The server speaks SPICE and says no; `code` is its `LinkError`."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class AccessDenied(LinkRefused):
    """The password was wrong, has expired, or another way of showing who one is is asked for."""


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
