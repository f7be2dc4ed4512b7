"""spice-gtk's canvas as a program: connects to a server on loopback and hands over its pictures when asked.

Runs under the distribution's Python, which has the GLib binding. Argument: the port. Each line `dump` on standard
input is answered on standard output by a line `width height stride format bytes` and the bytes of the primary
surface as they are in memory, or by a line `none`.
"""

import ctypes
import sys

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib  # noqa: E402

MAIN, DISPLAY = 1, 2
connect_signal = GObject.Object.connect  # Session.connect and Channel.connect are SPICE's own


class Canvas:
    def __init__(self, port: str) -> None:
        self.loop = GLib.MainLoop()
        self.primary = None
        self.session = SpiceClientGLib.Session()
        for name, value in (("host", "127.0.0.1"), ("port", port), ("enable-audio", False)):
            self.session.set_property(name, value)
        self.session.set_property("enable-usbredir", False)
        connect_signal(self.session, "channel-new", self.channel_new)
        connect_signal(self.session, "disconnected", lambda *_: self.loop.quit())
        GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, self.asked)

    def channel_new(self, session, channel) -> None:
        kind = channel.get_property("channel-type")
        if kind == DISPLAY:
            connect_signal(channel, "display-primary-create", self.primary_create)
            connect_signal(channel, "display-primary-destroy", self.primary_destroy)
        if kind != MAIN:
            SpiceClientGLib.Channel.connect(channel)

    def primary_create(self, channel, format, width, height, stride, shmid, data) -> None:
        self.primary = (int(format), width, height, stride, data)

    def primary_destroy(self, channel) -> None:
        self.primary = None

    def asked(self, source, condition) -> bool:
        line = sys.stdin.buffer.raw.read(5)
        if not line:
            self.loop.quit()
            return False
        out = sys.stdout.buffer
        if self.primary is None:
            out.write(b"none\n")
        else:
            format, width, height, stride, data = self.primary
            raw = ctypes.string_at(data, stride * height)
            out.write(b"%d %d %d %d %d\n" % (width, height, stride, format, len(raw)) + raw)
        out.flush()
        return True

    def run(self) -> None:
        self.session.connect()
        self.loop.run()


if __name__ == "__main__":
    Canvas(sys.argv[1]).run()
