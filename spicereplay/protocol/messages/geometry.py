"""Points, boxes and the clip: what messages of several channels share.

Source: spice-wire.md 1; spice.proto.
"""

from __future__ import annotations

from typing import Annotated

from spicereplay.defects import DefectKind
from spicereplay.protocol.enums import ClipType
from spicereplay.protocol.wire import I16, I32, U32, Counted, Enum8, Structure, When, derived, structure


@structure
class Point(Structure):
    """A place on a surface, px."""

    x: I32
    y: I32


@structure
class Point16(Structure):
    """A place on a surface, px."""

    x: I16
    y: I16


@structure
class PointFix(Structure):
    """A place on a path, 28.4 fixed point."""

    x: I32
    y: I32


@structure
class Rect(Structure):
    """A box, px; `bottom` and `right` lie outside."""

    top: I32
    left: I32
    bottom: I32
    right: I32


@structure
class Transform(Structure):
    """The first two rows of a 3x3 matrix, 16.16 fixed point; maps destination to source as pixman does."""

    t00: U32
    t01: U32
    t02: U32
    t10: U32
    t11: U32
    t12: U32


@structure
class Clip(Structure):
    """What a drawing is limited to. With type RECTS and no rectangle nothing is drawn."""

    type: Enum8[ClipType]
    num_rects: U32 = derived()
    rects: Annotated[
        tuple[Rect, ...] | None,
        When("type", ClipType.RECTS),
        Counted("num_rects", limit="rects", over=DefectKind.RECTS_OVER_MESSAGE),
    ]
