"""The manifest as a file: what it looks like, that nothing is lost in it, and what is wrong with a damaged one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.errors import InputError
from spicereplay.golden.digest import grid_bytes
from spicereplay.golden.manifest import (
    KINDS,
    MISSING,
    REFUSED,
    VERSION,
    Entry,
    Key,
    Manifest,
    beside,
    parse,
    read_manifest,
    to_text,
)
from spicereplay.limits import Limits

SIMPLE = "simplejpeg 1.9.0 x86_64"
JPEG_HASH = "0ff1e2d3c4b5a697"
ENTRIES = (
    Entry(Key(0, "display/0", 4, "image", "lz_rgb"), 9184, 64, 32, "rgb32", "5a3b0e18c6f1d207", grid=b"\1\2\3\4"),
    Entry(Key(0, "display/0", 9, "image", "quic"), 9900, 31, 33, "-", REFUSED),
    Entry(Key(0, "display/0", 9, "image", "quic", 1), 9900, 31, 33, "-", REFUSED),
    Entry(Key(0, "display/0", 12, "image", "jpeg"), 9990, 8, 8, "yuv", JPEG_HASH, (SIMPLE,), b"abc", "01020304"),
    Entry(Key(0, "display/0", 13, "image", "from_cache"), 11000, 8, 8, "-", MISSING),
    Entry(Key(1, "cursor/0", 2, "shape", "alpha"), 70, 24, 24, "argb", "1111222233334444"),
)  # fmt: skip
MANIFEST = Manifest(
    998729,
    "46985cdea344e786",
    "spicereplay 0.1.0 x86_64",
    256,
    ENTRIES,
    {(0, "display/0"): 40, (1, "cursor/0"): 3},
    {"lz_rgb": 0.54},
)
TEXT = """\
spicereplay-golden 2
capture 998729 46985cdea344e786
recorded spicereplay 0.1.0 x86_64
states 256
library A simplejpeg 1.9.0 x86_64
speed lz_rgb 0.54
channel 0 display/0 40
image 4 9184 lz_rgb 64x32 rgb32 5a3b0e18c6f1d207 #AQIDBA
image 9 9900 quic 31x33 - refused
image 9 9900 quic 31x33 - refused
image 12 9990 jpeg 8x8 yuv A:0ff1e2d3c4b5a697 ~YWJj ?01020304
image 13 11000 from_cache 8x8 - missing
channel 1 cursor/0 3
shape 2 70 alpha 24x24 argb 1111222233334444
"""
VERSION_1 = """\
spicereplay-golden 1
capture 998729 46985cdea344e786
recorded spicereplay 0.1.0 x86_64
states 256
library A simplejpeg 1.9.0 x86_64
image 0 display/0 4 9184 lz_rgb 64x32 rgb32 5a3b0e18c6f1d207 #AQIDBA
shape 1 cursor/0 2 70 alpha 24x24 argb 1111222233334444
image 0 display/0 9 9900 quic 31x33 - refused
image 0 display/0 9 9900 quic 31x33 - refused
image 0 display/0 12 9990 jpeg 8x8 yuv A:0ff1e2d3c4b5a697 ~YWJj ?01020304
image 0 display/0 13 11000 from_cache 8x8 - missing
"""


def same(one: Manifest, other: Manifest) -> bool:
    return to_text(one) == to_text(other)


def test_it_is_text_that_a_person_can_read_and_compare() -> None:
    assert to_text(MANIFEST) == TEXT
    read = parse(TEXT)
    assert sorted(read.entries, key=lambda e: e.key) == sorted(ENTRIES, key=lambda e: e.key)
    assert (read.size, read.check, read.every, read.recorded) == (
        998729,
        "46985cdea344e786",
        256,
        MANIFEST.recorded,
    )
    assert read.channels == MANIFEST.channels
    assert read.speeds == MANIFEST.speeds


def test_the_order_of_the_entries_does_not_matter() -> None:
    assert same(replace(MANIFEST, entries=ENTRIES[::-1]), MANIFEST)


def test_a_manifest_of_version_1_is_still_read() -> None:
    read = parse(VERSION_1)
    assert sorted(read.entries, key=lambda e: e.key) == sorted(ENTRIES, key=lambda e: e.key)
    assert read.speeds == {}
    assert read.channels == {}  # that version did not say
    assert to_text(read).startswith(f"spicereplay-golden {VERSION}\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no golden manifest"),
        ("{}", "no golden manifest"),
        ("spicereplay-golden two\n", "no golden manifest"),
        ("spicereplay-golden ²\n", "no golden manifest"),
        ("spicereplay-golden 0\n", "version 0"),
        (TEXT.replace("golden 2", "golden 3"), "version 3; this program knows up to 2"),
        ("spicereplay-golden 2\n", "'capture' or 'states' is missing"),
        (TEXT.replace("states 256", "states 0"), "'capture' or 'states' is missing"),
        (TEXT.replace("capture 998729", "capture many"), "line 2 is damaged"),
        (TEXT.replace("A:0ff1", "Q:0ff1"), "line 11 is damaged"),
        (TEXT.replace("5a3b0e18c6f1d207", "5a3b0e18c6f1d2"), "line 8 is damaged"),
        (TEXT.replace("64x32", "64x"), "line 8 is damaged"),
        (TEXT.replace("#AQIDBA", "#A*"), "line 8 is damaged"),
        (TEXT.replace("#AQIDBA", "%AQIDBA"), "line 8 is damaged"),
        (TEXT.replace("channel 0 display/0 40\n", ""), "line 7 is damaged"),
        (TEXT.replace("shape 2", "shapely 2"), "line 14 is damaged"),
        (f"spicereplay-golden {'9' * 5000}\n", "no golden manifest"),
        (TEXT.replace("channel 0 display/0 40", f"channel 0 display/0 {'9' * 5000}"), "line 7 is damaged"),
        (TEXT.replace("channel 0 display/0 40", "channel 0 display/0 -4"), "line 7 is damaged"),
        (TEXT.replace("channel 0 display/0 40", "channel 0 display/0 4_0"), "line 7 is damaged"),
        (TEXT.replace("states 256", "states 256\nspeed quic nan"), "line 5 is damaged"),
        (TEXT.replace("states 256", "states 256\nspeed quic inf"), "line 5 is damaged"),
        (TEXT.replace("states 256", "states 256\nspeed quic 0"), "line 5 is damaged"),
        (TEXT.replace("#AQIDBA", "#AQID"), "line 8 is damaged"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_said(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r"x\.golden") as raised:
        parse(text, "x.golden")
    assert says in str(raised.value)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.golden"
    path.write_text(TEXT)
    assert same(read_manifest(path), MANIFEST)
    with pytest.raises(InputError, match="more than 100 bytes"):
        read_manifest(path, Limits(manifest_bytes=100))


@pytest.mark.parametrize(
    ("capture", "manifest"),
    [
        ("a/x.pcap", "a/x.pcap.golden"),
        ("a/dir", "a/dir.golden"),
        ("x.zip", "x.zip.golden"),
        ("/", "/.golden"),
    ],
)
def test_it_lies_beside_its_capture(capture: str, manifest: str) -> None:
    assert beside(Path(capture)) == Path(manifest)


def test_that_of_the_present_folder_lies_outside_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert beside(Path()) == tmp_path.parent / f"{tmp_path.name}.golden"


numbers = st.integers(0, 10**9)
words = st.text("abcdefghijklmnopqrstuvwxyz_0123456789/", min_size=1, max_size=12)
libraries = st.lists(st.sampled_from(["a 1", "b 2 x86_64", "pyav h264 (FFmpeg 8.1) x"]), unique=True).map(
    sorted
)
keys = st.builds(
    Key, st.integers(0, 3), st.sampled_from(["display/0", "cursor/1"]), numbers, st.sampled_from(KINDS), words
)


@st.composite
def made_entries(draw: st.DrawFn) -> Entry:
    width, height = draw(st.integers(0, 99999)), draw(st.integers(0, 99999))
    made_by = tuple(draw(libraries))
    length = draw(st.sampled_from((0, *grid_bytes((width, height), means=bool(made_by)))))
    return Entry(
        draw(keys),
        draw(numbers),
        width,
        height,
        draw(words),
        draw(st.binary(min_size=8, max_size=8)).hex(),
        made_by,
        draw(st.binary(min_size=length, max_size=length)),
        draw(st.binary(max_size=4)).hex(),
    )


entries = made_entries()


@settings(max_examples=60)
@given(
    st.lists(entries, max_size=12, unique_by=lambda e: e.key), st.dictionaries(words, st.floats(0.001, 999))
)
def test_nothing_is_lost_in_the_file(some: list[Entry], speeds: dict[str, float]) -> None:
    speeds = {codec: float(f"{ratio:.3g}") for codec, ratio in speeds.items()}
    written = Manifest(1, "00", "me", 7, tuple(some), {}, speeds)
    read = parse(to_text(written))
    assert sorted(read.entries, key=lambda e: e.key) == sorted(some, key=lambda e: e.key)
    assert read.speeds == speeds
    assert same(read, parse(to_text(read)))


@settings(max_examples=100)
@given(st.data())
def test_a_damaged_file_is_refused_or_read_but_nothing_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT) - 1))
    text = TEXT[:at] + data.draw(st.characters()) + TEXT[at + data.draw(st.integers(0, 3)) :]
    try:
        parse(text)
    except InputError as error:
        assert str(error)  # noqa: PT017  (only what kind of error it is matters)
