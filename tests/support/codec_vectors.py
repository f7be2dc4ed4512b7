"""Streams made by the SPICE reference encoders, and what the reference decoder gives for them."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spicereplay.codecs.base import Decoded
from spicereplay.codecs.glz import decode_glz
from spicereplay.codecs.lz import decode_lz
from spicereplay.codecs.palette import expand_rgb16, indices, palette_of
from spicereplay.codecs.quic import decode_quic
from spicereplay.codecs.window import GlzWindow

GREYS = palette_of(range(256))
"""A palette under which a pixel's blue byte is its index."""


@dataclass(frozen=True)
class Vector:
    folder: Path
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def size(self) -> tuple[int, int]:
        return self.facts["width"], self.facts["height"]

    @property
    def data(self) -> bytes:
        return (self.folder / f"{self.name}.bin").read_bytes()

    def decode(self, window: GlzWindow) -> Decoded:
        match self.facts["codec"]:
            case "quic":
                return decode_quic(self.data, size=self.size)
            case "lz":
                return decode_lz(self.data, size=self.size, palette=GREYS)
        return decode_glz(self.data, window, size=self.size)

    def expected(self) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """What the pixels should be, top row first, and in which of their four bytes that counts."""
        raw = np.frombuffer(gzip.decompress((self.folder / f"{self.name}.raw.gz").read_bytes()), np.uint8)
        width, height = self.size
        pixels = np.zeros((height, width, 4), np.uint8)
        kind, counts = self.facts["type"], [0, 1, 2]
        if kind.startswith("PLT"):
            bits = int(kind[3])
            pixels[:, :, 0] = indices(raw.reshape(height, self.facts["stride"]), width, bits, True)
        elif kind == "RGB16":
            pixels = expand_rgb16(raw.view("<u2")).view(np.uint8).reshape(height, width, 4)
        elif kind == "GRAY":
            pixels[:] = raw.reshape(height, width, 1)
        elif kind == "A8":
            pixels[:, :, 3] = raw.reshape(height, width)
            counts = [0, 1, 2, 3]
        elif kind == "XXXA":
            pixels[:, :, 3] = raw.reshape(height, width, -1)[:, :, -1]
            counts = [3]
        else:
            pixels = raw.reshape(height, width, 4)
            counts = [0, 1, 2, 3] if kind == "RGBA" else [0, 1, 2]
        return (pixels if self.facts.get("top_down", 1) else pixels[::-1]), counts

    def wrong_pixels(self, window: GlzWindow) -> int:
        """Decode, and count the pixels that are not as expected."""
        pixels, counts = self.expected()
        return int((self.decode(window).pixels[:, :, counts] != pixels[:, :, counts]).any(axis=2).sum())


def vectors_in(folder: Path) -> list[Vector]:
    """All vectors of a folder; those that share a dictionary in their order."""
    facts = json.loads((folder / "index.json").read_text())
    facts.sort(key=lambda f: (f["codec"], f.get("sequence", ""), f.get("order", 0), f["name"]))
    return [Vector(folder, f) for f in facts]
