from __future__ import annotations

import zlib

import numpy as np
import pytest
from display.made import bitmap, from_cache, glz_copy, glz_literals, hex_rows, image
from support.lz_tokens import glz_header, glz_match, literals

from spicereplay.codecs.base import Decoded
from spicereplay.codecs.lz import LzType
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.display.cache import PaletteCache
from spicereplay.display.images import NotYetError, SessionImages, decode_alone, independent, matters_unseen
from spicereplay.display.records import ImageRecord, Place
from spicereplay.display.region import Box
from spicereplay.display.surfaces import Picture, WordFormat
from spicereplay.limits import Limits
from spicereplay.protocol.enums import BitmapFlags, BitmapFormat, ImageFlags, ImageType
from spicereplay.protocol.messages import images as i

PLACE = Place(1_000, 2, 0, Box(0, 0, 2, 1))


class Reading:
    """A session's images with everything they report."""

    def __init__(self, **options: object) -> None:
        self.records: list[ImageRecord] = []
        self.defects = DefectLog()
        self.palettes = PaletteCache()
        self.images = SessionImages(self.defects, record=self.records.append, **options)  # type: ignore[arg-type]

    def read(self, wanted: i.Image, *, rgb16: bool = False) -> Picture | None:
        return self.images.read(wanted, PLACE, self.palettes, rgb16=rgb16)

    @property
    def kinds(self) -> list[DefectKind]:
        return [defect.kind for defect in self.defects]


def palette_image(
    indices: bytes, palette: i.Palette | None, palette_id: int | None = None, flags: int = 0
) -> i.Image:
    data = i.Bitmap(
        format=BitmapFormat.FMT_8BIT,
        flags=BitmapFlags.TOP_DOWN | flags,
        x=len(indices),
        y=1,
        stride=len(indices),
        palette_id=palette_id,
        palette=palette,
        data=indices,
    )
    return image(ImageType.BITMAP, data, len(indices), 1)


def test_a_bitmap_and_its_record() -> None:
    ticks = iter((100, 350))
    reading = Reading(clock=lambda: next(ticks))
    picture = reading.read(bitmap([[0x112233, 0x445566]]))
    assert picture is not None
    assert (picture.format, hex_rows(picture.words)) == (WordFormat.X888, [["112233", "445566"]])
    assert reading.records == [
        ImageRecord(1_000, 2, "bitmap", 2, 1, 8, 250, "raw", False, 0, PLACE.box, image_id=7)
    ]


def test_high_bits_make_an_image_usable_as_argb() -> None:
    reading = Reading()
    picture = reading.read(bitmap([[0x112233]], flags=ImageFlags.HIGH_BITS_SET))
    assert picture is not None
    assert hex_rows(picture.words) == [["ff112233"]]


def test_a_cached_image_comes_back_with_its_high_bits() -> None:
    reading = Reading()
    reading.read(bitmap([[5]], image_id=9, flags=ImageFlags.CACHE_ME | ImageFlags.HIGH_BITS_SET))
    picture = reading.read(from_cache(9, 1, 1, lossless=True))
    assert picture is not None
    assert hex_rows(picture.words) == [["ff000005"]]
    last = reading.records[-1]
    assert (last.codec, last.cache_hit, last.backend, last.size_bytes) == (
        "from_cache_lossless",
        True,
        "cache",
        0,
    )


def test_a_miss_names_the_image() -> None:
    reading = Reading()
    assert reading.read(from_cache(0xABC, 4, 4)) is None
    defect = next(iter(reading.defects))
    assert defect.kind == DefectKind.CACHE_MISS
    assert "0xabc" in defect.detail
    assert not reading.records[-1].decoded
    assert not reading.records[-1].cache_hit


def test_a_miss_after_an_eviction_of_ours_says_so() -> None:
    reading = Reading(limits=Limits(image_cache_bytes=4))
    for image_id in (1, 2):
        reading.read(bitmap([[0]], image_id=image_id, flags=ImageFlags.CACHE_ME))
    assert reading.read(from_cache(1, 1, 1)) is None
    assert "4 bytes of image cache" in next(iter(reading.defects)).detail


def test_lossless_is_not_served_with_lossy() -> None:
    reading = Reading()
    lossy = Picture(np.zeros((1, 1), np.uint32), WordFormat.X888)
    reading.images.cache.put(3, lossy, lossy=True)
    assert reading.read(from_cache(3, 1, 1)) is lossy
    assert reading.read(from_cache(3, 1, 1, lossless=True)) is None
    assert reading.kinds == [DefectKind.CACHE_MISS]
    reading.read(bitmap([[1]], image_id=3, flags=ImageFlags.CACHE_REPLACE_ME))
    assert reading.read(from_cache(3, 1, 1, lossless=True)) is not None


def test_with_other_channels_a_missing_image_is_waited_for() -> None:
    reading = Reading(may_wait=True)
    with pytest.raises(NotYetError):
        reading.read(from_cache(1, 1, 1))
    assert not reading.records
    assert not len(reading.defects)


def test_palettes_are_cached_and_found_again() -> None:
    reading = Reading()
    palette = i.Palette(unique=77, ents=(0x000001, 0x0000FF))
    first = reading.read(palette_image(b"\0\1", palette, flags=BitmapFlags.PAL_CACHE_ME))
    again = reading.read(palette_image(b"\1\0", None, 77, flags=BitmapFlags.PAL_FROM_CACHE))
    assert first is not None
    assert again is not None
    assert hex_rows(first.words) == [["1", "ff"]]
    assert hex_rows(again.words) == [["ff", "1"]]


def test_a_palette_of_a_16_bit_surface_holds_555() -> None:
    picture = Reading().read(palette_image(b"\0", i.Palette(unique=1, ents=(0x7C00,))), rgb16=True)
    assert picture is not None
    assert hex_rows(picture.words) == [["ff0000"]]


def test_a_missing_palette_and_indices_beyond_one_are_defects() -> None:
    reading = Reading()
    assert reading.read(palette_image(b"\0", None, 5, flags=BitmapFlags.PAL_FROM_CACHE)) is None
    assert reading.read(palette_image(b"\0", None)) is None
    assert reading.kinds == [DefectKind.PALETTE_MISSING] * 2
    assert reading.read(palette_image(b"\0\7", i.Palette(unique=1, ents=(3,)))) is not None
    assert reading.kinds[-1] == DefectKind.CODEC_DATA


def glz(image_id: int, data: bytes) -> i.Image:
    return image(ImageType.GLZ_RGB, i.BinaryData(data=data), 2, 1, image_id=image_id)


def test_glz_images_refer_to_earlier_ones() -> None:
    reading = Reading()
    reading.read(glz(1, glz_literals(0, [0x112233, 0x445566], 2, 1)))
    picture = reading.read(glz(2, glz_copy(1, 1, 2, 2, 1)))
    assert picture is not None
    assert hex_rows(picture.words) == [["112233", "445566"]]
    assert not len(reading.defects)


def test_inside_zlib_they_are_the_same() -> None:
    reading = Reading()
    data = glz_literals(0, [0x112233, 0x445566], 2, 1)
    packed = i.ZlibGlz(glz_data_size=len(data), data=zlib.compress(data))
    picture = reading.read(image(ImageType.ZLIB_GLZ_RGB, packed, 2, 1))
    assert picture is not None
    assert hex_rows(picture.words) == [["112233", "445566"]]
    assert reading.records[-1].codec == "zlib_glz_rgb"


def test_what_refers_to_an_image_never_seen_is_unknown_not_black() -> None:
    reading = Reading()
    picture = reading.read(glz(8, glz_copy(5, 3, 2, 2, 1)))
    assert picture is not None
    assert picture.unknown is not None
    assert picture.unknown.all()
    defect = next(iter(reading.defects))
    assert defect.kind == DefectKind.GLZ_REFERENCE_MISSING
    assert "image 2" in defect.detail


def test_an_image_with_alpha_is_known_where_it_does_not_refer_to_what_was_never_seen() -> None:
    reading = Reading()
    copied = glz_match(1, 0, 3, 0)
    data = glz_header(LzType.RGBA, 2, 1, 5, 5) + literals(b"abc") + copied + literals(b"\x10", b"\x20")
    picture = reading.read(glz(8, data))
    assert picture is not None
    assert picture.unknown is not None
    assert picture.unknown.tolist() == [[False, True]]
    assert picture.words[0, 0] == 0x10636261
    assert [defect.kind for defect in reading.defects] == [DefectKind.GLZ_REFERENCE_MISSING]


def test_with_other_channels_a_reference_is_waited_for_and_nothing_changes() -> None:
    reading = Reading(may_wait=True)
    with pytest.raises(NotYetError):
        reading.read(glz(8, glz_copy(1, 1, 2, 2, 1)))
    reading.read(glz(7, glz_literals(0, [1, 2], 2, 1)))
    picture = reading.read(glz(8, glz_copy(1, 1, 2, 2, 1)))
    assert picture is not None
    assert picture.unknown is None


@pytest.mark.parametrize(
    ("kind", "data", "defect"),
    [
        (ImageType.QUIC, b"nothing", DefectKind.CODEC_DATA_SHORT),
        (ImageType.LZ_RGB, b"\0" * 40, DefectKind.CODEC_DATA),
        (ImageType.JPEG, b"\xff\xd8", DefectKind.CODEC_DATA_SHORT),
        (ImageType.LZ4, b"\1\x63", DefectKind.CODEC_UNSUPPORTED),
        (ImageType.GLZ_RGB, b"", DefectKind.CODEC_DATA_SHORT),
    ],
)
def test_data_that_does_not_decode_is_a_defect(kind: ImageType, data: bytes, defect: DefectKind) -> None:
    reading = Reading()
    assert reading.read(image(kind, i.BinaryData(data=data), 2, 2, flags=ImageFlags.CACHE_ME)) is None
    assert reading.kinds == [defect]
    assert [(record.decoded, record.backend) for record in reading.records] == [(False, "")]
    assert len(reading.images.cache) == 0


def test_an_image_of_a_type_nobody_knows() -> None:
    reading = Reading()
    assert reading.read(image(55, None)) is None  # type: ignore[arg-type]
    assert reading.kinds == [DefectKind.CODEC_UNSUPPORTED]
    assert reading.records[0].codec == "type_55"


def test_dimensions_beyond_the_limits_are_refused() -> None:
    reading = Reading(limits=Limits(image_side_px=1))
    assert reading.read(bitmap([[1, 2]])) is None
    assert reading.kinds == [DefectKind.IMAGE_OVER_LIMIT]


def test_images_can_be_decoded_by_somebody_else() -> None:
    asked: list[int] = []

    def decode(wanted: i.Image, palette: object) -> Decoded:
        asked.append(wanted.descriptor.id)
        return decode_alone(wanted, None, Limits())

    reading = Reading(decode=decode)
    assert reading.read(bitmap([[1]], image_id=4)) is not None
    assert asked == [4]


def test_which_images_stand_alone_and_which_must_be_taken_in_unseen() -> None:
    plain, cached = bitmap([[1]]), bitmap([[1]], flags=ImageFlags.CACHE_ME)
    chained = glz(1, glz_literals(0, [1, 2], 2, 1))
    assert [independent(one) for one in (plain, cached, chained, from_cache(1, 1, 1))] == [
        True,
        True,
        False,
        False,
    ]
    assert [matters_unseen(one) for one in (plain, cached, chained)] == [False, True, True]
    brings = palette_image(b"\0", i.Palette(unique=1, ents=(1,)), flags=BitmapFlags.PAL_CACHE_ME)
    assert matters_unseen(brings)


def mask_image(data: i.Bitmap | None, *, image_id: int = 5, flags: int = 0) -> i.Image:
    if data is None:
        return from_cache(image_id, 3, 1)
    return image(ImageType.BITMAP, data, data.x, data.y, image_id=image_id, flags=flags)


def one_bit(data: bytes, format: int = BitmapFormat.FMT_1BIT_BE) -> i.Bitmap:
    return i.Bitmap(
        format=format,
        flags=BitmapFlags.TOP_DOWN,
        x=3,
        y=1,
        stride=1,
        palette_id=None,
        palette=None,
        data=data,
    )


def test_masks_are_bits_and_can_be_cached() -> None:
    reading = Reading()
    bits = reading.images.read_mask(mask_image(one_bit(b"\xa0"), flags=ImageFlags.CACHE_ME), PLACE)
    assert bits is not None
    assert bits.tolist() == [[True, False, True]]
    again = reading.images.read_mask(mask_image(None), PLACE)
    assert again is not None
    assert (again == bits).all()
    little = reading.images.read_mask(mask_image(one_bit(b"\x03", BitmapFormat.FMT_1BIT_LE)), PLACE)
    assert little is not None
    assert little.tolist() == [[True, True, False]]


def test_masks_that_are_none() -> None:
    reading = Reading()
    lz = image(ImageType.LZ_RGB, i.BinaryData(data=b""), 1, 1)
    assert reading.images.read_mask(lz, PLACE) is None
    assert reading.images.read_mask(mask_image(one_bit(b"")), PLACE) is None
    assert reading.images.read_mask(mask_image(None), PLACE) is None
    assert reading.kinds == [DefectKind.CODEC_UNSUPPORTED, DefectKind.CODEC_DATA_SHORT, DefectKind.CACHE_MISS]
