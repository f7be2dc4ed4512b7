"""A display channel of a client: its caches and preferences, and reports on its video streams.

Source: spice-wire.md 7.2, 7.7 and 11; spice-gtk src/channel-display.c.
"""

from __future__ import annotations

from typing import Final

from spicereplay.client.channel import ChannelClient
from spicereplay.protocol.caps import DisplayCap, has
from spicereplay.protocol.enums import ClientDisplay
from spicereplay.protocol.messages import display
from spicereplay.units import MIB

CACHE_ID: Final = 1
WINDOW_LEAST: Final = 12 * MIB
WINDOW_MOST: Final = 64 * MIB
"""Bytes of the GLZ window. Source: spice-wire.md 7.2; spice-gtk src/spice-session.c."""


def glz_window_pixels(ram_hint: int) -> int:
    """Return the GLZ window that spice-gtk asks for: half of the guest's video memory, 12 to 64 MiB."""
    return max(WINDOW_LEAST, min(WINDOW_MOST, ram_hint // 2)) // 4


class DisplayClient(ChannelClient):
    """A display channel."""

    def on_linked(self, now_ns: int) -> None:
        """Send INIT, which must come first, and each preference once where the server knows it."""
        options = self.options
        window = options.glz_window_pixels
        if window is None:
            window = glz_window_pixels(self.shared.ram_hint)
        init = display.Init(CACHE_ID, options.image_cache_pixels, CACHE_ID, window)
        self.send(ClientDisplay.INIT, init)
        known = self.link.server_channel_caps if self.link is not None else ()
        if options.preferred_compression is not None and has(known or (), DisplayCap.PREF_COMPRESSION):
            self.send(
                ClientDisplay.PREFERRED_COMPRESSION,
                display.PreferredCompression(options.preferred_compression),
            )
        if options.preferred_codecs and has(known or (), DisplayCap.PREF_VIDEO_CODEC_TYPE):
            self.send(
                ClientDisplay.PREFERRED_VIDEO_CODEC_TYPE,
                display.PreferredVideoCodecType(options.preferred_codecs),
            )
