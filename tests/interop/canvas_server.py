"""Just enough of a SPICE server to have a real client draw: link stage, main channel, one display channel."""

from __future__ import annotations

import socket
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from spicereplay.protocol.enums import ChannelType, MouseMode
from spicereplay.protocol.messages import common, main
from spicereplay.protocol.messages.display import SurfaceCreate
from spicereplay.protocol.wire import build

SYSTEM_PYTHON = "/usr/bin/python3"
CLIENT = Path(__file__).with_name("spice_gtk_canvas.py")
PATIENCE_S = 20
SESSION_ID = 0x5E55
COMMON_CAPS = 0b1011  # AUTH_SELECTION, AUTH_SPICE, MINI_HEADER
DISPLAY_CAPS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5  # MONITORS_CONFIG, COMPOSITE, A8_SURFACE, LZ4_COMPRESSION

# A 1024-bit RSA public key that nobody has the private half of: the client's ticket is not looked at.
_KEY_HEAD = bytes.fromhex("30819f300d06092a864886f70d010101050003818d0030818902818100")
PUBLIC_KEY = _KEY_HEAD + b"\xc5" * 127 + b"\xc7" + bytes.fromhex("0203010001")


def client_missing() -> str | None:
    """Return why spice-gtk's canvas cannot be had here; None where it can."""
    check = (
        "import gi; gi.require_version('SpiceClientGLib', '2.0'); from gi.repository import SpiceClientGLib"
    )
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", check], capture_output=True, text=True, timeout=60)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["gi does not load"])[-1]


@dataclass
class Connection:
    """One channel of the client, after the link stage; mini headers."""

    socket: socket.socket
    channel: int

    def send(self, *messages: object) -> None:
        """Send messages as built from their declarations."""
        chunks = []
        for message in messages:
            body = build(message)
            chunks.append(struct.pack("<HI", message.TYPES[0], len(body)) + body)  # type: ignore[attr-defined]
        self.socket.sendall(b"".join(chunks))

    def receive(self) -> tuple[int, bytes]:
        """Return type and body of the client's next message."""
        kind, size = struct.unpack("<HI", _exactly(self.socket, 6))
        return kind, _exactly(self.socket, size)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("the client has gone")
        data += more
    return bytes(data)


def _link(sock: socket.socket) -> Connection:
    """Carry out the server's part of the link stage, whatever the ticket."""
    magic, _, _, size = struct.unpack("<4s3I", _exactly(sock, 16))
    assert magic == b"REDQ"
    channel = _exactly(sock, size)[4]
    caps = struct.pack("<I", COMMON_CAPS)
    caps += struct.pack("<I", DISPLAY_CAPS if channel == ChannelType.DISPLAY else 0)
    reply = struct.pack("<I", 0) + PUBLIC_KEY + struct.pack("<3I", 1, 1, 178) + caps
    sock.sendall(struct.pack("<4s3I", b"REDQ", 2, 2, len(reply)) + reply)
    _exactly(sock, 4 + 128)
    sock.sendall(struct.pack("<I", 0))
    return Connection(sock, channel)


class SpiceGtkCanvas:
    """A spice-gtk client connected to us. A context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        port = self._listener.getsockname()[1]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        self._client = subprocess.Popen(
            [SYSTEM_PYTHON, str(CLIENT), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._connections: list[Connection] = []
        self._pings = 0
        try:
            main_channel = self._accept()
            main_channel.send(
                main.Init(
                    session_id=SESSION_ID,
                    display_channels_hint=1,
                    supported_mouse_modes=MouseMode.CLIENT,
                    current_mouse_mode=MouseMode.CLIENT,
                    agent_connected=0,
                    agent_tokens=0,
                    multi_media_time=1,
                    ram_hint=16 << 20,
                ),
                main.ChannelsList(channels=(main.ChannelId(type=ChannelType.DISPLAY, id=0),)),
            )
            self.display = self._accept()
            self.display.receive()  # INIT
        except BaseException:
            self.close()
            raise

    def _accept(self) -> Connection:
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(_link(sock))
        return self._connections[-1]

    def draw(self, *messages: object) -> None:
        """Have the client carry out display messages, and wait until it has."""
        self._pings += 1
        self.display.send(*messages, common.Ping(id=self._pings, timestamp=0, data=b""))
        while True:
            try:
                kind, body = self.display.receive()
            except OSError as error:
                raise ConnectionError(f"{error}; the client's last words: {self.complaints()}") from None
            if kind == common.Pong.TYPES[0] and struct.unpack_from("<I", body)[0] == self._pings:
                return

    def picture(self) -> npt.NDArray[np.uint8]:
        """Return the rows of the client's primary surface as it lies in memory, (height, stride) uint8."""
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(b"dump\n")
        self._client.stdin.flush()
        head = self._client.stdout.readline().split()
        assert len(head) == 5, "the client has no primary surface"
        height, stride, size = int(head[1]), int(head[2]), int(head[4])
        return np.frombuffer(self._client.stdout.read(size), np.uint8).reshape(height, stride)

    def complaints(self) -> str:
        """Return the end of what the client wrote on its standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-1000:].strip()

    def close(self) -> None:
        """Hang up and end the client."""
        for connection in self._connections:
            connection.socket.close()
        self._listener.close()
        for pipe in (self._client.stdin, self._client.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._client.wait(5)
        except subprocess.TimeoutExpired:
            self._client.kill()
            self._client.wait()
        self._errors.close()

    def __enter__(self) -> SpiceGtkCanvas:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def surface(surface_id: int, width: int, height: int, format: int) -> SurfaceCreate:
    """Return the message that creates a surface; number 0 is the primary one."""
    return SurfaceCreate(
        surface_id=surface_id, width=width, height=height, format=format, flags=int(surface_id == 0)
    )
