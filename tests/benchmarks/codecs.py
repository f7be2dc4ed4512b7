"""How fast the image codecs are, on one core. Writes `reports/codecs.md`.

    make bench-codecs

Pictures of 1920×1080 in RGB32, encoded here: by the tests' own encoders, liblz4, zlib and libjpeg. Every figure is the
median of several runs, with memcpy of the same bytes beside it for scale. Nothing here is a test.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lz4.block
import numpy as np
import simplejpeg
from support.lz_encoder import encode_glz, encode_lz
from support.pictures import CONTENTS, Pixels, picture
from support.quic_encoder import encode_quic

import spicereplay
from spicereplay.codecs import jpeg_backends
from spicereplay.codecs.base import Decoded
from spicereplay.codecs.bitmap import BitmapFormat
from spicereplay.codecs.glz import decode_glz, inflate_glz
from spicereplay.codecs.jpeg import decode_jpeg
from spicereplay.codecs.lz import decode_lz
from spicereplay.codecs.lz4 import decode_lz4
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.select import backends
from spicereplay.codecs.video import FFMPEG_NAMES
from spicereplay.codecs.window import GlzWindow

ROOT: Final = Path(__file__).parents[2]
SIZE: Final = 1920, 1080
SECONDS: Final = 1.0
"""How long each figure is measured, at least `RUNS` runs."""
RUNS: Final = 9
SCROLLED: Final = 16
"""Rows by which a picture moved since the one before."""
LZ4_ROWS: Final = 64
"""Rows of one block."""
QUALITY: Final = 85
REFERENCE: Final = {"QUIC": "58 / 96 / 638 / –", "LZ": "350 / 735 / 3000 / –"}
"""Mpx/s of SPICE's own C decoders for photo, text and synthetic pictures on a two-core machine of the class this was
written on; their pictures were others of the same kinds."""

VIDEO: Final = {codec.name for codec in FFMPEG_NAMES}

Decode = Callable[[], object]


def median(run: Decode) -> float:
    """Return the median time of `run` in seconds, after one run that is not counted."""
    run()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < RUNS or time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def glz_of(data: bytes, before: Pixels | None, *, packed: bool) -> Callable[[], Decoded]:
    """Return what decodes one GLZ image beside the image before, into a window of its own."""
    words = None if before is None else np.ascontiguousarray(before).view(np.uint32).reshape(-1)
    stream = zlib.compress(data, 1) if packed else data

    def decode() -> Decoded:
        window = GlzWindow()
        if words is not None:
            window.add(0, words, 0)
        return decode_glz(inflate_glz(stream, len(data)) if packed else data, window, size=SIZE)

    return decode


def lz4_of(pixels: Pixels) -> bytes:
    """Return pixels as SPICE sends them in LZ4: blocks that go on with the dictionary of those before."""
    raw, row = pixels.tobytes(), 4 * pixels.shape[1]
    out = bytes((1, BitmapFormat.RGB32))
    for at in range(0, len(raw), LZ4_ROWS * row):
        part, before = raw[at : at + LZ4_ROWS * row], raw[max(0, at - 65536) : at]
        block = lz4.block.compress(part, store_size=False, dict=before)
        out += len(block).to_bytes(4) + block
    return out


def decoders(pixels: Pixels) -> dict[str, tuple[int, Callable[[], Decoded]]]:
    """Return for each codec the size of its stream and what decodes it."""
    quic, lz, blocks = encode_quic(pixels), encode_lz(pixels), lz4_of(pixels)
    before = np.ascontiguousarray(np.roll(pixels, SCROLLED, axis=0))
    glz, after = encode_glz(pixels, 0), encode_glz(pixels, 1, before, -SCROLLED * SIZE[0])
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), QUALITY, "BGRA")
    found: dict[str, tuple[int, Callable[[], Decoded]]] = {
        "QUIC": (len(quic), lambda: decode_quic(quic, size=SIZE)),
        "LZ": (len(lz), lambda: decode_lz(lz, size=SIZE)),
        "GLZ, alone": (len(glz), glz_of(glz, None, packed=False)),
        "GLZ, scrolled": (len(after), glz_of(after, before, packed=False)),
        "ZLIB_GLZ, alone": (len(zlib.compress(glz, 1)), glz_of(glz, None, packed=True)),
        "LZ4": (len(blocks), lambda: decode_lz4(blocks, size=SIZE)),
    }
    for info in jpeg_backends.available():
        backend = jpeg_backends.select(info.name)
        found[f"JPEG, {info.name}"] = (
            len(jpeg),
            lambda backend=backend: decode_jpeg(jpeg, backend=backend, size=SIZE),
        )
    for name, (_, decode) in found.items():
        if not name.startswith("JPEG"):
            assert (decode().pixels[:, :, :3] == pixels[:, :, :3]).all(), name
    return found


def measured() -> dict[str, dict[str, tuple[float, float]]]:
    """Return for each codec and content Mpx/s, and bits a pixel of its stream."""
    mega = SIZE[0] * SIZE[1] / 1e6
    table: dict[str, dict[str, tuple[float, float]]] = {}
    for content in CONTENTS:
        pixels = picture(content, *SIZE)
        print(f"encoding {content}", flush=True)
        room = np.empty_like(pixels)
        rates = {"memcpy": (mega / median(lambda room=room, pixels=pixels: np.copyto(room, pixels)), 32.0)}
        for name, (size, decode) in decoders(pixels).items():
            rates[name] = mega / median(decode), size * 8 / mega / 1e6
            print(f"{name:20} {content:10} {rates[name][0]:8.0f} Mpx/s", flush=True)
        for name, rate in rates.items():
            table.setdefault(name, {})[content] = rate
    return table


def report(table: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Return the report's text."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.strip()
    versions = [
        f"{info.name} {info.version}"
        for row in backends()
        if row.codec not in VIDEO
        for info in row.available
    ]
    lines = [
        "# Speed of the image codecs",
        "",
        f"`make bench-codecs` at commit {commit}: spicereplay {spicereplay.__version__},"
        f" Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}, one core.",
        f"Backends: {', '.join(dict.fromkeys(versions))}.",
        "",
        f"Mpx/s (millions of pixels in a second) of {SIZE[0]}×{SIZE[1]} RGB32, for the whole call from bytes to an",
        "array of pixels; in brackets the stream's bits a pixel. All pictures are made from numbers: a photo's soft",
        "shapes and grain, lines of glyphs, windows on a fading background, noise. *Scrolled* refers to the picture",
        f"before, which lies {SCROLLED} rows lower. JPEG has quality {QUALITY}. The reference is SPICE's own C",
        "decoder, measured with other pictures of these kinds on another day: compare it in size, not in digits.",
        "",
        f"| codec | {' | '.join(CONTENTS)} | reference |",
        f"|---|{'---|' * len(CONTENTS)}---|",
    ]
    for name, rates in table.items():
        cells = (f"{rates[content][0]:,.0f} ({rates[content][1]:.1f})" for content in CONTENTS)
        lines.append(f"| {name} | {' | '.join(cells)} | {REFERENCE.get(name, '')} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write the report."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    text = report(measured())
    (ROOT / "reports").mkdir(exist_ok=True)
    (ROOT / "reports" / "codecs.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
