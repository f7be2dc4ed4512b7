"""Every decoder of every codec beside each other: agreement, and speed as a ratio."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from spicereplay.codecs import jpeg
from spicereplay.golden.decoders import ForeignDecoder
from spicereplay.golden.matrix import (
    LEAST_WORK,
    MUST_BE_RECORDED,
    Row,
    calibrate,
    matrix,
    relative_speeds,
    too_slow,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    def toy(codec: str, data: bytes, width: int, height: int, **facts: object) -> None:
        if codec == "quic":
            raise ValueError

    toys = [ForeignDecoder("toy", "1", toy)]
    return matrix(ROOT / "fixtures/made/every-codec.pcap", decoders=toys, repeats=1)


def of(rows: list[Row], codec: str) -> dict[str, Row]:
    return {
        row.decoder.split()[0] if codec == "jpeg" else row.decoder: row for row in rows if row.codec == codec
    }


def test_every_codec_has_the_decoder_that_is_used_first(rows: list[Row]) -> None:
    codecs = [row.codec for row in rows]
    assert codecs == sorted(codecs)
    used = {row.codec: row.pictures for row in rows if row.reference}
    assert used == {
        "bitmap": 4, "glz_rgb": 12, "h264": 3, "h265": 3, "jpeg": 4, "lz4": 4, "lz_plt": 15, "lz_rgb": 24,
        "mjpeg": 3, "quic": 19, "vp8": 3, "vp9": 3,
    }  # fmt: skip
    assert all(row.ratio and row.ratio > 0 for row in rows if row.pictures)


def test_jpeg_goes_through_every_library_here(rows: list[Row]) -> None:
    found = of(rows, "jpeg")
    assert set(found) >= {info.name for info in jpeg.available()}
    assert found["simplejpeg"].agreement == "is used"
    assert (
        found["pyav"].agreement.startswith("1 of 4 exact, the rest from ")
        or "exact" in found["pyav"].agreement
    )
    assert found["pyav"].least_psnr_db > 20


def test_video_goes_through_threads_and_says_which_devices_are_missing(rows: list[Row]) -> None:
    found = of(rows, "h264")
    assert found["pyav, 2 threads by slice"].agreement == "exact"
    assert found["pyav, 2 threads by frame"].exact + found["pyav, 2 threads by frame"].withheld == 3
    devices = [row for name, row in found.items() if name.startswith("pyav on ")]
    assert len(devices) == 3
    assert all(row.missing.startswith("missing: ") or row.pictures for row in devices)


def test_other_programs_decoders_stand_beside_ours(rows: list[Row]) -> None:
    toys = {row.codec: row for row in rows if row.decoder == "toy 1"}
    assert toys["quic"].refused == 19
    assert toys["quic"].agreement == "nothing decoded, 19 refused"
    assert toys["lz4"].agreement == "it does not do that"


def test_another_build_agrees_as_a_whole(fixtures: Path) -> None:
    rows = matrix(fixtures / "hostile/tcp-overlap.pcap", against=ROOT, repeats=1)
    assert [(row.codec, row.agreement) for row in rows] == [("bitmap", "is used"), ("bitmap", "exact")]
    assert str(ROOT) in rows[1].decoder


def test_a_capture_without_pictures_has_no_rows(fixtures: Path) -> None:
    assert matrix(fixtures / "bugreports/no-pcap-g1.zip", repeats=1) == []


def test_speeds_are_ratios_to_work_of_the_same_run() -> None:
    ticks = iter(range(0, 10**9, 1000))
    per_byte = calibrate(lambda: next(ticks))
    assert 0 < per_byte < 0.01  # 1000 ns for about a megabyte


def test_what_is_too_quick_is_not_recorded(fixtures: Path) -> None:
    assert relative_speeds(fixtures / "hostile/tcp-overlap.pcap", repeats=1) == {}
    assert set(relative_speeds(fixtures / "captures/video-vp8/capture.pcap", repeats=1)) >= {"vp8"}


USED = Row("quic", "kernel", 9, 10**6, 9, took_ns=3 * 10**7, reference=True, calibration_ns=1.0)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (replace(USED, recorded=20.0), ""),
        (
            replace(USED, recorded=14.0),
            "quic: 2.14 times as slow as recorded (14 then, 30 now, at most 2 times",
        ),
        (replace(USED, recorded=None), "quic: no speed is recorded"),
        (replace(USED, recorded=None, took_ns=int(MUST_BE_RECORDED) - 1), ""),
        (replace(USED, reference=False, recorded=1.0), ""),
        (replace(USED, pixels=0, recorded=1.0), ""),
    ],
)
def test_only_what_became_slower_than_was_recorded_is_too_slow(row: Row, says: str) -> None:
    sentences = too_slow([row], 2)
    assert len(sentences) == bool(says)
    assert all(says in sentence for sentence in sentences)
    assert LEAST_WORK < MUST_BE_RECORDED


def test_agreement_in_words() -> None:
    row = Row("jpeg", "x", 4, 10, 4)
    assert row.agreement == "exact"
    assert replace(row, exact=1, least_psnr_db=30.04).agreement == "1 of 4 exact, the rest from 30.0 dB"
    assert replace(row, exact=0, least_psnr_db=math.inf, refused=2).agreement == "0 of 4 exact, 2 refused"
    assert replace(row, pictures=0, exact=0).agreement == "nothing decoded"
    assert replace(row, withheld=1).agreement == "exact, 1 withheld"
