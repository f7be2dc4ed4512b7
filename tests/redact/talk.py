"""A capture in which something private is in every corner."""

import struct
from pathlib import Path

from spicereplay.capture.connection import Endpoint
from spicereplay.capture.frames import path, tcp_frame
from spicereplay.capture.writer import PcapngWriter
from spicereplay.protocol import agent
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.messages import common, inputs, main, port
from spicereplay.protocol.wire import Message, build
from spicereplay.recording.handshake import FILLER_KEY

CLIENT, SERVER = Endpoint("10.20.30.40", 50_123), Endpoint("10.20.30.41", 5930)
VM, HOST, TEXT = "accounting-vm-7", "kvm12.corp.internal", "launch code 8431-xk"
SECRETS = [
    VM.encode(),
    HOST.encode(),
    TEXT.encode(),
    b"O=Corp, CN=kvm12",
    bytes([10, 20, 30, 40]),
    bytes([10, 20, 30, 41]),
    b"10.20.30.41",
    b"tell nobody",
    b"intranet",
    bytes(range(100, 116)),
    b"\x77" * 120 + b"ticket",
]


USB, FOLDER = b"serial number 00A7 of the vault's key disk", b"/holidays/2026/tickets.pdf"
SECRETS += [USB, FOLDER, b"eve-laptop", b"shared only with my boss"]


class Talk:
    """Writes one TCP connection as it would be captured, in packets of Ethernet."""

    def __init__(self, writer: PcapngWriter, channel: ChannelType, port: int) -> None:
        self.writer = writer
        self.time_ns = 1_700_000_000_000_000_000 + port
        client = Endpoint(CLIENT.address, port)
        self.ways = {Side.CLIENT: path(client, SERVER), Side.SERVER: path(SERVER, client)}
        self.sequence = {Side.CLIENT: 100, Side.SERVER: 900}
        caps = struct.pack("<I", 0b1011)
        mess = struct.pack("<IBBIII", 0, channel, 0, 1, 0, 18) + caps
        reply = struct.pack("<I162sIII", 0, FILLER_KEY, 1, 0, 178) + caps
        self.send(Side.CLIENT, b"REDQ" + struct.pack("<III", 2, 2, len(mess)) + mess)
        self.send(Side.SERVER, b"REDQ" + struct.pack("<III", 2, 2, len(reply)) + reply)
        self.send(Side.CLIENT, struct.pack("<I", 1) + b"\x77" * 120 + b"ticket\0\0")
        self.send(Side.SERVER, bytes(4))

    def send(self, side: Side, data: bytes, again: bytes | None = None) -> None:
        """Send bytes; `again` are the bytes of a retransmission."""
        for payload in (data, *(() if again is None else (again,))):
            self.time_ns += 1_000_000
            frame = tcp_frame(
                self.ways[side],
                payload,
                sequence=self.sequence[side],
                acknowledgement=self.sequence[side.other],
                flags=0x18,
            )
            self.writer.write(frame, self.time_ns, comment="tell nobody")
        self.sequence[side] += len(data)

    def say(self, side: Side, *messages: Message, again: bool = False) -> None:
        """Send messages with mini headers."""
        for message in messages:
            body = build(message)
            spoken = [t for t in message.TYPES if type(t).__name__.startswith(side.name.capitalize())]
            data = struct.pack("<HI", spoken[0], len(body)) + body
            self.send(side, data, data if again else None)


def write_secrets(target: Path) -> None:
    """Write the capture: a main, an inputs, a usbredir and a webdav channel, and a packet that is no SPICE."""
    with target.open("wb") as file:
        writer = PcapngWriter(file, interface="intranet", hardware="intranet", comment="tell nobody")
        # A question for a name, which is no SPICE.
        writer.write(b"\2" * 12 + b"\x08\x06" + b"intranet".ljust(46, b"\0"), 1_699_999_999_000_000_000)
        talk = Talk(writer, ChannelType.MAIN, CLIENT.port)
        talk.say(
            Side.SERVER,
            main.Init(7, 1, main.MouseMode(3), main.MouseMode(2), 1, 10, 5000, 0),
            main.Name(VM.encode() + b"\0"),
            main.Uuid(bytes(range(100, 116))),
            common.Notify(1, 1, 1, 0, f"{VM} is low on memory".encode(), b"\0"),
            common.Notify(2, 1, 1, 0, b"keyboard channel is insecure", b"\0"),
            common.Notify(3, 1, 1, 0, b"lost 10.20.30.41", b"\0"),
            main.MigrateSwitchHost(5930, 5931, HOST.encode() + b"\0", b"O=Corp, CN=kvm12\0"),
        )
        talk.say(Side.CLIENT, main.AgentStart(10))
        for data in agent.slices(agent.Clipboard(None, 1, TEXT.encode())):
            talk.say(Side.CLIENT, main.AgentData(data), again=True)
        start = f"[vdagent-file-xfer]\nname={TEXT}.odt\nsize=12\n\0".encode()
        for record in (agent.FileXferStart(4, start), agent.FileXferData(4, 12, b"tell nobody!")):
            for data in agent.slices(record):
                talk.say(Side.CLIENT, main.AgentData(data))
        keys = Talk(writer, ChannelType.INPUTS, CLIENT.port + 1)
        keys.say(Side.SERVER, inputs.Init(0))
        for code in (0x1E, 0x30, 0x2E, 0x48E0):
            keys.say(Side.CLIENT, inputs.KeyDown(code), inputs.KeyUp(code | 0x80))
        usb = Talk(writer, ChannelType.USBREDIR, CLIENT.port + 2)
        usb.say(Side.CLIENT, port.Data(_usb(0, b"usbredirhost 0.13".ljust(64, b"\0") + bytes(4))))
        usb.say(Side.SERVER, port.Data(_usb(0, b"qemu usb-redir 7.2".ljust(64, b"\0") + bytes(4))))
        usb.say(Side.CLIENT, port.Data(_usb(101, struct.pack("<BBHII", 0x81, 0, 41, 1, 0)[:8] + USB)))
        web = Talk(writer, ChannelType.WEBDAV, CLIENT.port + 3)
        for side, http in (
            (Side.SERVER, b"GET " + FOLDER + b" HTTP/1.1\r\nHost: eve-laptop\r\n\r\n"),
            (Side.CLIENT, b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nshared only with my boss"),
        ):
            web.say(side, port.Data(struct.pack("<qH", 3, len(http)) + http))


def _usb(kind: int, data: bytes) -> bytes:
    return struct.pack("<III", kind, len(data), 7) + data
