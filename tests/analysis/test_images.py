"""What became of every image, and the caches over time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from display.made import bitmap, copy, create, from_cache, glz_copy, glz_literals, image
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis import schema
from spicereplay.analysis.images import SAMPLE_NS, Observed, observe_images
from spicereplay.analysis.latency import ALL_SIZES, LARGEST, decode_latencies, size_class
from spicereplay.analysis.timeline import Tables
from spicereplay.defects import DefectKind
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, ImageFlags, ImageType
from spicereplay.protocol.messages import display as m
from spicereplay.protocol.messages import images as i
from spicereplay.replay import Replay, replay

RED = 0xFF0000


def said(at: float, message: object) -> Said:
    return Said(at, int(message.TYPES[0]), message)  # type: ignore[attr-defined]


def observed(*messages: Said, limits: Limits = DEFAULT_LIMITS, workers: int = 2) -> Observed:
    ticks = itertools.count(0, 500_000)
    log = session(channel(ChannelType.DISPLAY, messages))
    return observe_images([log], ORIGIN_NS, limits, workers=workers, clock=lambda: next(ticks))


def glz(data: bytes, width: int = 1) -> i.Image:
    return image(ImageType.GLZ_RGB, i.BinaryData(data=data), width, 1)


def kept(image_id: int, flags: int = ImageFlags.CACHE_ME) -> i.Image:
    return bitmap([[RED, RED]], image_id=image_id, flags=flags)


STORY = (
    said(1, create(0, 4, 4)),
    said(2, copy(bitmap([[RED]], image_id=5), 0, 0, 1, 1)),
    said(3, copy(kept(6), 1, 0, 3, 1)),
    said(4, copy(from_cache(6, 2, 1), 1, 2, 3, 3)),
    said(5, copy(from_cache(77, 2, 1), 1, 2, 3, 3)),
    said(6, copy(glz(glz_literals(0, [RED], 1, 1)), 0, 0, 1, 1)),
    said(7, copy(image(ImageType.QUIC, i.BinaryData(data=b"no QUIC"), 9, 8), 0, 0, 1, 1)),
)


def test_every_image_is_a_row_with_its_codec_place_and_cache_use() -> None:
    images = observed(*STORY).images
    rows = images[["time_s", "image_id", "codec", "cache", "decoded", "width", "height", "bytes"]]
    assert rows.to_numpy().tolist() == [
        [2.0, 5, "bitmap", "none", True, 1, 1, 4],
        [3.0, 6, "bitmap", "stored", True, 2, 1, 8],
        [4.0, 6, "from_cache", "hit", True, 2, 1, 0],
        [5.0, 77, "from_cache", "miss", False, 2, 1, 0],
        [6.0, 7, "glz_rgb", "none", True, 1, 1, 37],
        [7.0, 7, "quic", "none", False, 9, 8, 7],
    ]
    assert images[["left", "top", "right", "bottom"]].to_numpy().tolist()[2] == [1, 2, 3, 3]
    assert set(images["surface_id"]) == {0}
    assert images["backend"].tolist() == ["raw", "raw", "cache", "cache", "kernel", ""]


def test_decode_times_are_those_of_what_was_decoded() -> None:
    took = observed(*STORY).images["decode_ms"]
    assert took.isna().tolist() == [False, False, True, True, False, True]
    assert (took.dropna() > 0).all()


def test_the_caches_over_time() -> None:
    cache = observed(*STORY).cache
    assert cache[["time_s", "images", "bytes", "hits", "misses", "puts"]].to_numpy().tolist() == [
        [3.0, 1, 8, 0, 0, 1],
        [4.0, 1, 8, 1, 0, 1],
        [5.0, 1, 8, 1, 1, 1],
        [6.0, 1, 8, 1, 1, 1],
    ]
    assert cache["glz_images"].tolist() == [0, 0, 0, 1]
    assert cache["glz_bytes"].tolist() == [0, 0, 0, 4]


def test_what_the_server_ordered_is_told_from_what_the_cap_threw_out() -> None:
    messages = [said(1, create(0, 4, 4)), *(said(2 + n, copy(kept(n), 0, 0, 2, 1)) for n in range(4))]
    gone = said(8, m.InvalAllPixmaps(wait_list=()))
    cache = observed(*messages, gone, limits=Limits(image_cache_bytes=20)).cache
    assert cache["images"].tolist() == [1, 2, 2, 2, 0]
    assert cache["evicted"].tolist() == [0, 0, 1, 2, 2]
    assert cache["invalidated"].tolist() == [0, 0, 0, 0, 2]


def test_many_changes_at_once_are_one_row() -> None:
    messages = [said(2 + n / 1000, copy(kept(n), 0, 0, 2, 1)) for n in range(250)]
    cache = observed(said(1, create(0, 4, 4)), *messages).cache
    assert len(cache) == 4
    assert (np.diff(cache["time_s"])[:-1] >= SAMPLE_NS / 1e9 - 1e-9).all()
    assert cache["images"].iloc[-1] == 250


def test_a_replaced_lossy_image_counts_as_stored() -> None:
    images = observed(
        said(1, create(0, 4, 4)), said(2, copy(kept(6, ImageFlags.CACHE_REPLACE_ME), 1, 0, 3, 1))
    ).images
    assert images["cache"].tolist() == ["stored"]


def test_what_cannot_be_known_is_a_defect_with_its_image() -> None:
    missing = glz(glz_copy(9, 3, 1, 1, 1))
    defects = list(observed(*STORY, said(8, copy(missing, 0, 0, 1, 1))).defects)
    kinds = [defect.kind for defect in defects]
    assert kinds == [DefectKind.CACHE_MISS, DefectKind.CODEC_DATA_SHORT, DefectKind.GLZ_REFERENCE_MISSING]
    assert "0x4d" in defects[0].detail
    assert "image 6" in defects[2].detail


def test_sessions_without_a_display_give_no_rows() -> None:
    found = observe_images([session(channel(ChannelType.MAIN))], ORIGIN_NS, DEFAULT_LIMITS)
    assert (len(found.images), len(found.cache)) == (0, 0)
    assert found.images.columns.tolist() == schema.TABLES["images"].names


@pytest.mark.parametrize("name", ["desktop-jpeg-zlib-wan", "qemu-boot-lz4", "qemu-guest-desktop-lz4"])
def test_images_of_recorded_sessions_are_those_another_program_counted(fixtures: Path, name: str) -> None:
    folder = fixtures / "captures" / name
    oracle = json.loads((folder / "oracle.json").read_text())["sessions"][0]
    display = next(c for c in oracle["channels"] if c["channel"] == "display")["display"]
    with replay(folder / "capture.pcap") as found:
        images = Tables(found)["images"]
    assert images["decoded"].all()
    by_codec = images.groupby("codec", observed=True)
    assert {k.upper(): n for k, n in by_codec.size().items()} == display["images"]
    sizes = {k.upper(): n for k, n in by_codec["bytes"].sum().items() if n}
    assert sizes == {k: n for k, n in display["image_bytes"].items() if n}


def test_without_decoding_there_are_no_rows(fixtures: Path) -> None:
    with replay(fixtures / "captures" / "qemu-boot-lz4" / "capture.pcap") as found:
        tables = Tables(found, decode=False)
        assert len(tables["images"]) == len(tables["cache"]) == 0


# --- latencies --------------------------------------------------------------------------------------------


def test_latencies_are_told_by_codec_and_size() -> None:
    ticks = itertools.count(0, 1_000_000)
    large = bitmap(np.full((100, 100), RED).tolist())
    messages = [*STORY, said(8, copy(large, 0, 0, 4, 4)), said(9, copy(large, 0, 0, 4, 4))]
    found = Replay(Path("x"), "pcap", [session(channel(ChannelType.DISPLAY, messages))], ORIGIN_NS, ORIGIN_NS)
    rows = decode_latencies(found, clock=lambda: next(ticks))
    told = {(row.codec, row.size): (row.count, row.median_ms, row.max_ms) for row in rows}
    assert told == {
        ("bitmap", "up to 64×64"): (2, 1.0, 1.0),
        ("bitmap", "up to 256×256"): (2, 1.0, 1.0),
        ("bitmap", ALL_SIZES): (4, 1.0, 1.0),
        ("glz_rgb", "up to 64×64"): (1, 1.0, 1.0),
    }
    rate = next(row.mpx_per_s for row in rows if row.size == "up to 256×256")
    assert rate == pytest.approx(10.0)


def test_sizes_have_classes() -> None:
    assert size_class(1) == size_class(64 * 64) == "up to 64×64"
    assert size_class(64 * 64 + 1) == "up to 256×256"
    assert size_class(1 << 20) == "up to 1024×1024"
    assert size_class((1 << 20) + 1) == LARGEST


def test_without_a_display_there_is_nothing_to_measure() -> None:
    found = Replay(Path("x.pcap"), "pcap", [session(channel(ChannelType.MAIN))], ORIGIN_NS, ORIGIN_NS)
    with pytest.raises(InputError, match="nothing to decode"):
        decode_latencies(found)
