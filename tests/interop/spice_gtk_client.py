"""spice-glib as a program: connects to a server on loopback, joins every channel, leaves when its input ends.

Runs under the distribution's Python, which has the GLib binding. Options are properties of SpiceSession:
`port=5900 tls-port=5901 password=x ca-file=x cert-subject=x`. On standard output it prints a line per event:
`marked`, `event CHANNEL NAME`, `gone`. A line `keys 30 48` on its input presses and releases these keys.
"""

import os
import sys

import gi

gi.require_version("SpiceClientGLib", "2.0")
from gi.repository import GLib, GObject, SpiceClientGLib  # noqa: E402

MAIN, DISPLAY, INPUTS = 1, 2, 3
connect_signal = GObject.Object.connect  # Session.connect and Channel.connect are SPICE's own


class Client:
    def __init__(self, options: list[str]) -> None:
        self.loop = GLib.MainLoop()
        self.inputs = None
        self.session = SpiceClientGLib.Session()
        chosen = dict(option.split("=", 1) for option in options)
        for name, value in {"host": "127.0.0.1", **chosen}.items():
            self.session.set_property(name, value)
        if "cert-subject" in chosen:
            self.session.set_property("verify", SpiceClientGLib.SessionVerify.SUBJECT)
        self.session.set_property("enable-usbredir", False)
        connect_signal(self.session, "channel-new", self.channel_new)
        connect_signal(self.session, "disconnected", lambda *_: self.leave())
        GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, self.told)

    def channel_new(self, session, channel) -> None:
        kind = channel.get_property("channel-type")
        connect_signal(channel, "channel-event", lambda _, event: say("event", kind, event.value_nick))
        if kind == DISPLAY:
            connect_signal(channel, "display-mark", lambda *_: say("marked"))
        if kind == INPUTS:
            self.inputs = channel
        if kind != MAIN:
            SpiceClientGLib.Channel.connect(channel)

    def told(self, source, condition) -> bool:
        words = os.read(source, 1000).split()
        if not words:
            self.session.disconnect()
            GLib.timeout_add(300, self.leave)
            return False
        for code in map(int, words[1:]):
            self.inputs.key_press(code)
            self.inputs.key_release(code)
        return True

    def leave(self) -> None:
        say("gone")
        self.loop.quit()


def say(*words) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    client = Client(sys.argv[1:])
    if not SpiceClientGLib.Session.connect(client.session):
        sys.exit("connect failed")
    client.loop.run()
