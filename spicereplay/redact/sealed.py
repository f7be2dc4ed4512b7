"""TLS that nobody opened: records and their sizes stay, what is in them does not.

Source: RFC 8446 5.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from spicereplay.bytestream import ByteStream
from spicereplay.replay.identify import is_tls_record

_HEADER: Final = 5
_HANDSHAKE: Final = 22


def neutral_tls(stream: ByteStream) -> Iterator[tuple[int, bytes]]:
    """Yield `(position, bytes)` of what a stream becomes: headers of records, and zeros.

    Of a handshake record the type of its first message stays, by which client and server are told apart; in place of
    a record that is encrypted that byte says nothing. Behind missing bytes no record can be told.
    """
    end = 0
    carried = b""
    known = True
    for at, piece in stream.pieces(0, stream.end):
        known = known and at <= end
        made = bytearray(len(piece))
        made[: len(carried)] = carried[: len(piece)]
        carried = carried[len(piece) :]
        place = end - at if known else len(piece)
        while known and place < len(piece):
            head = stream.read(at + place, at + place + _HEADER + 1)
            if not is_tls_record(head):
                known = False
                break
            kept = head if head[0] == _HANDSHAKE and at + place == 0 else head[:_HEADER]
            fits = kept[: len(piece) - place]
            made[place : place + len(fits)] = fits
            carried = kept[len(fits) :]
            place += _HEADER + int.from_bytes(head[3:5], "big")
        end = at + place
        yield at, bytes(made)
