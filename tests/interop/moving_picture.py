"""A video on an X server: a picture at one place, 25 times a second, as a player draws it.

It is spoken in X's own protocol over the server's socket, so that nothing has to be installed for it.

Source: X Window System Protocol, X version 11 release 7.7, appendix B: connection setup, CreateGC, PutImage.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final

import numpy as np
from interop.xspice import PATIENCE_S, Xspice

WIDTH: Final = 256
HEIGHT: Final = 192
"""So that a picture of 32-bit pixels fits into one request, 256 KiB."""
LEFT: Final = 320
TOP: Final = 240
FRAMES_PER_S: Final = 25
_CREATE_GC: Final = 55
_PUT_IMAGE: Final = 72
_ZPIXMAP: Final = 2
_DEPTH: Final = 24
_DIFFERENT: Final = 50
"""Pictures, shown over and over."""


def picture(number: int) -> bytes:
    """Return 32-bit pixels, B, G, R, unused: waves that wander under some grain, which looks like a video."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    grain = np.random.default_rng(number).integers(0, 12, (HEIGHT, WIDTH), np.uint8)
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    for channel, phase in enumerate(
        ((x + 5 * number) / 31, (y - 3 * number) / 23, (x + y + 7 * number) / 47)
    ):
        pixels[:, :, channel] = (100 * np.sin(phase) + 120).astype(np.uint8) + grain
    return pixels.tobytes()


def _receive(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        assert piece, "the X server has hung up"
        data += piece
    return data


def _connect(display: str) -> tuple[socket.socket, int, int]:
    """Return a connection, the root window, and an id for something new."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(f"/tmp/.X11-unix/X{display.removeprefix(':')}")
    connection.sendall(struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0))
    success, words = struct.unpack("<B5xH", _receive(connection, 8))
    told = _receive(connection, 4 * words)
    assert success == 1, told
    (free,) = struct.unpack_from("<I", told, 4)
    (vendor_bytes,) = struct.unpack_from("<H", told, 16)
    formats = told[21]
    screen = 32 + (vendor_bytes + 3) // 4 * 4 + 8 * formats
    (root,) = struct.unpack_from("<I", told, screen)
    return connection, root, free


def _show(connection: socket.socket, root: int, context: int, ended: threading.Event) -> None:
    pictures = [picture(number) for number in range(_DIFFERENT)]
    connection.sendall(struct.pack("<BxHIII", _CREATE_GC, 4, context, root, 0))
    words = 6 + WIDTH * HEIGHT
    head = struct.pack(
        "<BBHIIHHhhBBxx", _PUT_IMAGE, _ZPIXMAP, words, root, context, WIDTH, HEIGHT, LEFT, TOP, 0, _DEPTH
    )
    number = 0
    while not ended.wait(1 / FRAMES_PER_S):
        connection.sendall(head + pictures[number % _DIFFERENT])
        number += 1


@contextlib.contextmanager
def moving_picture(server: Xspice) -> Iterator[None]:
    """Show one on a server's root window for as long as the context lasts."""
    connection, root, free = _connect(server.display)
    ended = threading.Event()
    showing = threading.Thread(target=_show, args=(connection, root, free, ended))
    with connection:
        showing.start()
        try:
            yield
        finally:
            ended.set()
            showing.join()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(f"the X server answers {connection.recv(32)!r}")
