"""What bounds the sizes that an input may ask for.

Every size that comes off the wire or out of a file is held against one of these before memory is taken or a
loop is entered. Going over a limit costs a named defect (`DefectKind.OVER_LIMIT` or a more specific one), never
the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from spicereplay.units import KIB, MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one replay or live session. All of them are inclusive."""

    # protocol
    message_bytes: int = 256 * MIB
    """Body of one SPICE message. A 16-bit screen of 8192x8192 raw pixels is 128 MiB."""
    link_bytes: int = 4096
    """Link message or reply after its 16-byte header. Source: spice server/reds.cpp, reds_handle_read_header_done."""
    sub_messages: int = 1024
    """Entries of one LIST or sub-message list."""
    rects: int = 65_536
    """Rectangles of one clip."""
    palette_entries: int = 256
    """Colours of one palette: the widest palette index is 8 bits."""
    path_segments: int = 65_536
    """Segments of one stroke path."""
    glyphs: int = 65_535
    """Glyphs of one string (the count is 16 bits)."""
    agent_message_bytes: int = 64 * MIB
    """Data of one agent message (a clipboard image, say)."""

    # display
    image_side_px: int = 16_384
    """Width or height of one image or frame."""
    image_pixels: int = 64 * MIB
    """Pixels of one image or frame."""
    surfaces: int = 1024
    """Surfaces of one display channel. Source: spice server/display-limits.h, NUM_SURFACES."""
    streams: int = 64
    """Streams of one display channel. Source: spice server/display-limits.h (50), spice-wire.md 10.1 (64)."""
    image_cache_bytes: int = 256 * MIB
    """Decoded bytes held by the image cache of a session."""
    glz_window_bytes: int = 256 * MIB
    """Decoded bytes held by the GLZ window of a session."""
    glz_window_images: int = 256 * KIB
    """How far apart the ids of images in the GLZ window may lie."""
    palette_cache_entries: int = 4096
    """Palettes held per display channel; the server keeps 128."""
    cursor_cache_entries: int = 4096
    """Cursor shapes held per cursor channel."""

    # sound and tunnels
    audio_channels: int = 8
    """Channels of one run of sound; spice-server sends 2."""
    audio_rate_hz: int = 192_000
    """Samples per second of one run of sound; spice-server sends 48,000 or 44,100."""
    sound_runs: int = 16_384
    """Runs of sound (START..STOP) of one channel."""
    audio_packet_bytes: int = MIB
    """One packet of sound; spice-server's have 1920 bytes at most."""
    wav_bytes: int = 16 * KIB * MIB
    """Size of an exported WAV file, a day of stereo at 48 kHz."""
    usbredir_packet_bytes: int = 128 * MIB + KIB
    """One usbredir packet after its header. Source: usbredir usbredirparser/usbredirparser.c, MAX_PACKET_SIZE."""
    usbredir_pending: int = 65_536
    """usbredir requests of one channel that wait for their answer."""
    webdav_clients: int = 1024
    """Connections inside one webdav channel."""
    webdav_pending: int = 1024
    """HTTP requests of one such connection that wait for their answer."""
    http_line_bytes: int = 64 * KIB
    """One line of an HTTP header inside a webdav channel."""

    # containers
    zip_members: int = 10_000
    """Members of one zip."""
    zip_member_bytes: int = 2048 * MIB
    """Inflated size of one capture inside a zip or gzip file."""
    zip_json_bytes: int = 8 * MIB
    """Inflated size of one JSON member of a bug report; real ones have 50 KiB, and parsed they grow twentyfold."""
    json_items: int = 100_000
    """Entries of one list or object in a JSON member of a bug report."""
    zip_image_bytes: int = 128 * MIB
    """Inflated size of one picture of a bug report."""
    zip_ratio: int = 200
    """Inflated over stored size of one member larger than 1 MiB."""
    snapshots: int = 4096
    """Zips of one auto-snapshot directory."""
    pcapng_block_bytes: int = 64 * MIB
    """One pcapng block."""
    packet_bytes: int = 16 * MIB
    """Captured length of one packet. Offloading makes 64 KiB ordinary; more than 262,144 is already odd."""
    interfaces: int = 65_536
    """Interfaces of one pcapng section."""
    flows: int = 1_000_000
    """TCP connections of one capture."""
    tcp_events: int = 20_000
    """Rows of `tcp_events`, and of `tcp_stalls`, of one TCP connection; the rest is counted in `tcp`."""
    fragment_bytes: int = 64 * MIB
    """IP fragments waiting for the rest of their datagram."""

    # secrets
    key_log_bytes: int = 512 * MIB
    """TLS key logs of one input, the given one and those inside it; only what is looked for is kept of them."""
    tls_handshake_bytes: int = 256 * KIB
    """One TLS handshake message; chains of certificates are the longest."""

    # golden manifests
    manifest_bytes: int = 256 * MIB
    """One golden manifest; a line is about 60 bytes, for each picture."""

    # reports of trouble
    defects_per_kind: int = 100
    """Defects of one kind and place that are kept one by one; the rest are counted."""
    text_chars: int = 64 * KIB
    """Characters kept of any text that came from the input."""


DEFAULT_LIMITS: Final = Limits()
