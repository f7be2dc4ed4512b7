"""Decoders of other programs, found through entry points, so that the same captures can judge them.

A package names its decoder in its metadata:

    [project.entry-points."spicereplay.decoders"]
    myclient = "myclient.spicereplay:decode"

and `spicereplay golden check --decoder myclient` gives it every compressed image and frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from spicereplay.errors import UsageError
from spicereplay.golden.digest import Pixels, plain
from spicereplay.golden.observe import Seen
from spicereplay.protocol.enums import BitmapFlags, JpegAlphaFlags
from spicereplay.protocol.messages.images import BinaryData, Bitmap, Image, JpegAlpha, LzPlt, ZlibGlz

GROUP: Final = "spicereplay.decoders"
"""The group of entry points."""


class Decode(Protocol):
    """What an entry point of the group leads to: a callable with this signature."""

    def __call__(
        self, codec: str, data: bytes, width: int, height: int, **facts: Any
    ) -> npt.NDArray[np.uint8] | None:
        """Decode one image or frame.

        `codec` is SPICE's name in lower case: `quic`, `lz_rgb`, `lz_plt`, `glz_rgb`, `zlib_glz_rgb`, `lz4`, `jpeg`,
        `jpeg_alpha`, `bitmap`, `mjpeg`, `vp8`, `h264`, `vp9`, `h265`. `data` are the compressed bytes as they were
        sent, `width` and `height` what the image descriptor says (of a frame: its size).

        Facts are given by keyword, and more may come, so take `**facts`: `session` (str: what is alike belongs
        together; keep the images that GLZ refers to under it), `stream` (str: of a frame; keep a video decoder under
        it), `palette` ((n,) uint32 0x00RRGGBB, or None), `top_down` (bool: of `bitmap` and `jpeg_alpha`, whose data
        does not say it), `bitmap_format` and `stride` (int: of `bitmap`), `jpeg_size` (int: bytes of the JPEG in
        `jpeg_alpha`), `inflated_size` (int: of `zlib_glz_rgb`).

        Return (height, width, 3) uint8 B, G, R or (height, width, 4) B, G, R, A with the top row first (a frame:
        rows in the order of the stream); None for what this decoder does not do, which is then not judged. Raise
        whatever says best why data cannot be decoded: it is reported as a failure.
        """


@dataclass(frozen=True, slots=True)
class Failure:
    """A decoder gave no picture although it should have."""

    why: str


@dataclass(frozen=True, slots=True)
class ForeignDecoder:
    """A decoder of another program."""

    name: str
    version: str
    """Of the package that brings it; empty where unknown."""
    decode: Decode

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()

    def picture(self, seen: Seen, session: str) -> Pixels | Failure | None:
        """Return what it makes of an image or frame that our own decoder made `seen` of; None: it does not do that.

        Format, whether alpha counts, and which pixels are unknown are taken from `seen`.
        """
        ours = seen.pixels
        assert ours is not None
        assert seen.source is not None
        data, facts = _parts(seen)
        width, height = seen.size
        try:
            got: object = self.decode(seen.key.what, data, width, height, session=session, **facts)
        # Whatever another program's code raises is its failure to decode, and what this is here to report. A way out
        # of the process would end the check before it has said so, with an exit status of the decoder's choice.
        except (Exception, SystemExit) as error:
            return Failure(f"{type(error).__name__}: {error}")
        if got is None:
            return None
        if not isinstance(got, np.ndarray) or got.dtype != np.uint8 or got.ndim != 3:
            return Failure(f"it returned {_described(got)}, not a (height, width, 3 or 4) uint8 array")
        if got.shape[:2] != (height, width) or got.shape[2] not in (3, 4):
            return Failure(f"it returned {_described(got)} for a picture of {width}×{height} pixels")
        bgra = np.full((height, width, 4), 255, np.uint8)
        bgra[..., : got.shape[2]] = got
        return plain(bgra, ours.format, ours.alpha, ours.unknown)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    return f"a {type(value).__name__}"


def _parts(seen: Seen) -> tuple[bytes, dict[str, Any]]:
    """Return compressed bytes and the facts that go with them."""
    source = seen.source
    if not isinstance(source, Image):
        return bytes(source or b""), {"stream": seen.stream}
    facts: dict[str, Any] = {}
    match source.data:
        case Bitmap(data=data):
            top_down = bool(source.data.flags & BitmapFlags.TOP_DOWN)
            facts = {
                "bitmap_format": int(source.data.format),
                "stride": source.data.stride,
                "top_down": top_down,
            }
        case JpegAlpha(data=data):
            facts = {
                "jpeg_size": source.data.jpeg_size,
                "top_down": bool(source.data.flags & JpegAlphaFlags.TOP_DOWN),
            }
        case ZlibGlz(data=data):
            facts = {"inflated_size": source.data.glz_data_size}
        case LzPlt(data=data) | BinaryData(data=data):
            pass
        case _:
            data = b""
    if isinstance(source.data, Bitmap | LzPlt):
        facts["palette"] = None if seen.palette is None else np.array(seen.palette, np.uint32)
    return bytes(data), facts


def installed() -> list[EntryPoint]:
    """Return the entry points of other programs' decoders, by name; nothing is imported."""
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def load_decoder(name: str, points: Callable[[], list[EntryPoint]] = installed) -> ForeignDecoder:
    """Return the decoder called `name`.

    Raises `UsageError` where none is called so, or it cannot be imported.
    """
    found = {point.name: point for point in points()}
    if name not in found:
        there = ", ".join(found) or "none"
        raise UsageError(f"no decoder is called {name!r}; installed in the group {GROUP!r}: {there}")
    point = found[name]
    try:
        decode = point.load()
    # Importing runs another program's code, which may fail in any way.
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"decoder {name} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(decode):
        raise UsageError(f"decoder {name} ({point.value}) is not callable")
    return ForeignDecoder(name, point.dist.version if point.dist is not None else "", decode)
