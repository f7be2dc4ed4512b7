"""Captures are held to their manifests: what passes, what does not, and what is said about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spicereplay.codecs import jpeg
from spicereplay.codecs.base import Decoded
from spicereplay.codecs.jpeg import MjpegStream
from spicereplay.codecs.video import FfmpegStream
from spicereplay.display import composite, draws, images, scaling
from spicereplay.display import cursor as cursors
from spicereplay.errors import NoSpiceError
from spicereplay.golden.check import Options, Verdict, check, check_all
from spicereplay.golden.digest import Pixels, digest
from spicereplay.golden.manifest import beside, parse, read_manifest, to_text
from spicereplay.golden.observe import LOSSY
from spicereplay.golden.record import identity, record, record_anew

CAPTURES = ("made/every-codec.pcap", "made/every-draw.pcap", "captures/desktop-jpeg-zlib-wan/capture.pcap")


@pytest.fixture
def at_hand(fixtures: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a fixture and its manifest to where they may be changed."""

    def copy(name: str) -> Path:
        source = fixtures / name
        for file in (source, beside(source)):
            shutil.copy(file, tmp_path / file.name)
        return tmp_path / source.name

    return copy


def flipped(picture: Any) -> Any:
    """A picture with one bit of one pixel the other way round."""
    if not isinstance(picture, Decoded):
        return picture
    pixels = picture.pixels.copy()
    middle = pixels.shape[0] // 2, pixels.shape[1] // 2
    # Of a picture that is alpha alone the colours count for nothing.
    pixels[*middle, 3 if picture.alpha and not pixels[..., :3].any() else 1] ^= 1
    return replace(picture, pixels=pixels)


def wrongly(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **named: flipped(function(*args, **named))


# --- one bit ----------------------------------------------------------------------------------------------

CODECS = [
    (images, "decode_quic", CAPTURES[0], "quic"),
    (images, "decode_lz", CAPTURES[0], "lz_rgb"),
    (images, "decode_lz", CAPTURES[0], "lz_plt"),
    (images, "decode_glz", CAPTURES[0], "glz_rgb"),
    (images, "decode_glz", CAPTURES[2], "zlib_glz_rgb"),
    (images, "decode_lz4", CAPTURES[0], "lz4"),
    (images, "decode_jpeg", CAPTURES[0], "jpeg"),
    (images, "decode_jpeg_alpha", CAPTURES[2], "jpeg_alpha"),
    (images, "decode_bitmap", CAPTURES[0], "bitmap"),
    (MjpegStream, "decode", CAPTURES[0], "mjpeg"),
    (FfmpegStream, "decode", CAPTURES[0], "vp8"),
    (FfmpegStream, "decode", CAPTURES[0], "h264"),
    (FfmpegStream, "decode", CAPTURES[0], "vp9"),
    (FfmpegStream, "decode", CAPTURES[0], "h265"),
]


def recorded_here(capture: Path, folder: Path) -> Path:
    """Copy a capture and record it: lossy pictures are then those of the libraries of this machine."""
    copy = folder / capture.name
    shutil.copy(capture, copy)
    beside(copy).write_text(to_text(record(copy)))
    return copy


@pytest.mark.parametrize(("owner", "name", "capture", "codec"), CODECS, ids=[codec for *_, codec in CODECS])
def test_one_wrong_bit_of_a_codec_is_found_and_shown(
    owner: Any,
    name: str,
    capture: str,
    codec: str,
    fixtures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = recorded_here(fixtures / capture, tmp_path) if codec in LOSSY else fixtures / capture
    monkeypatch.setattr(owner, name, wrongly(getattr(owner, name)))
    outcome = check(path, Options(pictures=tmp_path))
    assert outcome.verdict is Verdict.DIFFERENT
    assert outcome.wrong[codec] == outcome.compared[codec]
    first = next(each for each in outcome.differences if each.key.what == codec)
    assert first.key.kind in ("image", "frame")
    assert codec in str(first)
    assert "expected" in str(first)
    sheet, got = first.pictures
    with Image.open(got) as pixels, Image.open(sheet) as shown:
        assert pixels.size == first.size
        assert min(shown.size) > 60


class Instead:
    """A module in which one function is another."""

    def __init__(self, module: Any, name: str, function: Any) -> None:
        self._module, self._name, self._function = module, name, function

    def __getattr__(self, name: str) -> Any:
        return self._function if name == self._name else getattr(self._module, name)


def test_one_wrong_bit_of_blending_names_the_message(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = written_wrong(composite.blending.combine, 0)
    monkeypatch.setattr(composite, "blending", Instead(composite.blending, "combine", wrong))
    outcome = check(fixtures / "made/every-draw.pcap", Options(pictures=tmp_path))
    assert outcome.verdict is Verdict.DIFFERENT
    assert outcome.wrong["DRAW_COMPOSITE"]
    assert outcome.wrong["DRAW_ALPHA_BLEND"]
    first = outcome.differences[0]
    assert first.key.kind == "draw"
    assert "what DRAW_" in str(first)
    assert first.pictures


def test_one_wrong_bit_of_scaling_names_the_message(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = written_wrong(scaling.sampling.sample, 1)
    monkeypatch.setattr(scaling, "sampling", Instead(scaling.sampling, "sample", wrong))
    outcome = check(fixtures / "made/every-draw.pcap")
    assert outcome.verdict is Verdict.DIFFERENT
    assert outcome.differences[0].key.kind == "draw"


def written_wrong(kernel: Callable[..., Any], out: int) -> Callable[..., Any]:
    """Have a kernel write one bit wrong into the array that is its argument number `out`."""

    def wrong(*args: Any) -> Any:
        result = kernel(*args)
        if args[out].size:
            args[out].reshape(-1)[args[out].size // 2] ^= np.uint32(1 << 20)
        return result

    return wrong


def test_a_wrong_copy_shows_in_the_next_state_of_the_surface(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = draws.drawing.copy_bits

    def wrong(surface: Any, *args: Any) -> None:
        copy(surface, *args)
        surface.words[5, 5] ^= 1

    monkeypatch.setattr(draws.drawing, "copy_bits", wrong)
    outcome = check(fixtures / "captures/ticket/capture.pcap")
    assert set(outcome.wrong) == {"surface"}
    assert outcome.differences[0].key.kind == "state"


def test_a_wrong_cursor_is_found(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = cursors._DECODERS[0]

    def wrong(*args: Any) -> Any:
        pixels, inverts = decoder(*args)
        pixels[0, 0, 0] ^= 1
        return pixels, inverts

    monkeypatch.setitem(cursors._DECODERS, 0, wrong)
    outcome = check(fixtures / "made/every-codec.pcap")
    assert outcome.wrong == {"cursor": 1}
    assert str(outcome.differences[0].key) == "session 0 cursor/0 message 0: shape alpha"


# --- what holds -------------------------------------------------------------------------------------------


def test_every_fixture_is_as_recorded_and_nothing_is_written(fixtures: Path) -> None:
    manifests = {path: path.stat().st_mtime_ns for path in fixtures.rglob("*.golden")}
    captures = [path.with_name(path.name.removesuffix(".golden")) for path in manifests]
    outcomes = check_all(captures, jobs=1)
    assert [str(o.capture) + o.sentence for o in outcomes if o.verdict.failed] == []
    assert {path: path.stat().st_mtime_ns for path in fixtures.rglob("*.golden")} == manifests
    compared = {group for outcome in outcomes for group in outcome.compared}
    assert compared >= {codec for *_, codec in CODECS} | {"surface", "cursor", "DRAW_ALPHA_BLEND"}


def test_recording_again_gives_the_same_manifest(fixtures: Path) -> None:
    for name in CAPTURES:
        known = read_manifest(beside(fixtures / name))
        again = record(fixtures / name, speeds=known.speeds)
        assert (again.size, again.check, again.channels) == (known.size, known.check, known.channels)
        lossless = [[entry for entry in each.entries if not entry.lossy] for each in (again, known)]
        assert sorted(lossless[0], key=lambda e: e.key) == sorted(lossless[1], key=lambda e: e.key)
        if {entry.libraries for entry in again.entries} == {entry.libraries for entry in known.entries}:
            assert to_text(again) == beside(fixtures / name).read_text()


def test_a_manifest_is_small(fixtures: Path) -> None:
    for manifest in fixtures.glob("captures/*/*.golden"):
        capture = manifest.with_name(manifest.name.removesuffix(".golden"))
        assert manifest.stat().st_size < 0.105 * capture.stat().st_size


def test_several_at_a_time_give_what_one_at_a_time_gives(fixtures: Path) -> None:
    captures = [
        fixtures / name for name in ("hostile/tcp-overlap.pcap", "hostile/no.pcap", "hostile/websocket.pcap")
    ]
    heard: list[tuple[str, int, int]] = []
    both = check_all(captures, jobs=2, done=lambda o, done, total: heard.append((o.verdict, done, total)))
    assert both == check_all(captures, jobs=1)
    assert [outcome.capture for outcome in both] == captures
    assert [(done, total) for _, done, total in heard] == [(1, 3), (2, 3), (3, 3)]


def test_what_has_no_picture_neither_passes_nor_fails(fixtures: Path) -> None:
    outcome = check(fixtures / "bugreports/no-pcap-g1.zip")
    assert outcome.verdict is Verdict.NOTHING
    assert not outcome.verdict.failed
    assert outcome.sentence == "no picture in this capture"


# --- what does not hold -----------------------------------------------------------------------------------


def test_a_missing_manifest_fails_and_is_not_made(at_hand: Callable[[str], Path]) -> None:
    capture = at_hand("made/every-codec.pcap")
    beside(capture).unlink()
    outcome = check(capture)
    assert outcome.verdict is Verdict.NO_MANIFEST
    assert outcome.verdict.failed
    assert not beside(capture).exists()


def test_a_damaged_manifest_fails(at_hand: Callable[[str], Path]) -> None:
    capture = at_hand("made/every-codec.pcap")
    beside(capture).write_text("{}")
    assert check(capture).verdict is Verdict.BAD_MANIFEST


def test_another_capture_is_not_compared(at_hand: Callable[[str], Path]) -> None:
    capture = at_hand("made/every-codec.pcap")
    data = bytearray(capture.read_bytes())
    data[5000] ^= 1
    capture.write_bytes(data)
    assert check(capture).verdict is Verdict.OTHER_CAPTURE


def test_a_capture_that_is_gone_or_cannot_be_read_any_more_fails(at_hand: Callable[[str], Path]) -> None:
    capture = at_hand("made/every-codec.pcap")
    capture.write_bytes(b"")
    size, check_sum = identity(capture)
    manifest = replace(read_manifest(beside(capture)), size=size, check=check_sum)
    beside(capture).write_text(to_text(manifest))
    assert check(capture).verdict is Verdict.UNREADABLE
    with pytest.raises(ValueError, match="empty"):
        record(capture)
    capture.unlink()
    assert check(capture).verdict is Verdict.UNREADABLE


def test_what_came_unexpected_and_what_did_not_come_differ(at_hand: Callable[[str], Path]) -> None:
    capture = at_hand("made/every-codec.pcap")
    text = beside(capture).read_text()
    lines = text.splitlines(keepends=True)
    quic = [line for line in lines if " quic " in line]
    moved = quic[1].split(" ")
    moved[2] = str(int(moved[2]) + 1)
    changed = text.replace(quic[0], quic[0].replace("image ", "image 9")).replace(quic[1], " ".join(moved))
    changed = changed.replace("channel 0 cursor/0 7", "channel 0 cursor/0 8")
    beside(capture).write_text(changed)
    outcome = check(capture)
    said = [each.what for each in outcome.differences]
    assert outcome.wrong == {"quic": 3, "message count": 1}
    assert said[0].startswith("expected nothing, got gray 97×101")
    assert said[1].startswith("the message was recorded at byte")
    assert said[2].endswith("got nothing")
    assert str(outcome.differences[3]) == (
        "session 0 cursor/0: how many messages there are at byte 0: expected 8 messages from the server, got 7"
    )


def test_data_that_decodes_although_it_did_not_differs(
    fixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = images.decode_quic

    def lenient(data: Any, *, limits: Any, size: Any) -> Decoded:
        try:
            return decode(data, limits=limits, size=size)
        except ValueError:
            return Decoded(
                np.zeros((size[1], size[0], 4), np.uint8), "kernel", images.PixelFormat.RGB32, False
            )

    monkeypatch.setattr(images, "decode_quic", lenient)
    outcome = check(fixtures / "hostile/codecs-cut.pcap")
    assert outcome.wrong["quic"] == 1
    assert "expected refused, got" in outcome.differences[0].what


# --- lossy pictures ---------------------------------------------------------------------------------------


def other_library(monkeypatch: pytest.MonkeyPatch, decode: Callable[..., Any], name: str = "other") -> None:
    info = jpeg.BackendInfo(name, "1.0", "")
    backend = jpeg.JpegBackend(info, decode)
    monkeypatch.setattr(jpeg, "select", lambda _=None: backend)


def test_another_library_may_differ_a_little(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_library(monkeypatch, jpeg.select("pyav").decode)
    outcome = check(fixtures / CAPTURES[2])
    assert outcome.verdict is Verdict.HELD
    assert outcome.tolerated["jpeg_alpha"] == 16
    assert outcome.tolerated["surface"] > 0  # what the pictures were painted on
    assert "within tolerance of another library" in outcome.sentence


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("red and blue swapped", lambda p: p[..., [2, 1, 0, 3]]),
        ("the range of video", lambda p: (p.astype(np.float32) * 219 / 255 + 16).astype(np.uint8)),
        ("no colour", lambda p: np.repeat(p[..., 1:2], 4, axis=2)),
        ("upside down", lambda p: p[::-1]),
    ],
)
def test_another_library_must_not_differ_much(
    what: str, spoil: Callable[[Any], Any], fixtures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = jpeg.select("simplejpeg").decode
    other_library(monkeypatch, lambda *args: np.ascontiguousarray(spoil(decode(*args))))
    outcome = check(fixtures / CAPTURES[2])
    assert outcome.wrong["jpeg_alpha"] > 8, what
    assert "block means" in outcome.differences[0].what


def test_the_same_library_must_not_differ_unless_that_is_asked_for(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = recorded_here(fixtures / CAPTURES[0], tmp_path)
    monkeypatch.setattr(images, "decode_jpeg", wrongly(images.decode_jpeg))
    strict = check(capture)
    assert strict.wrong["jpeg"] == 4
    assert "from the same library; the same block means" in strict.differences[0].what
    tolerant = check(capture, Options(tolerant=True))
    assert tolerant.verdict is Verdict.HELD
    assert tolerant.tolerated["jpeg"] == 4


def test_the_manifest_of_a_folder_is_of_all_its_files(fixtures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "capture"
    shutil.copytree(fixtures / "bugreports/capture-dir-dropped/capture", folder)
    before = identity(folder)
    assert before == identity(fixtures / "bugreports/capture-dir-dropped/capture")
    (folder / "metadata.json").write_text("{}")
    assert identity(folder) != before


def test_a_capture_without_spice_cannot_be_recorded(fixtures: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.write_bytes((fixtures / "hostile/clip-rects.pcap").read_bytes()[:24])
    with pytest.raises(NoSpiceError):
        record(empty)


def test_states_can_be_closer_together(fixtures: Path) -> None:
    capture = fixtures / "captures/ticket/capture.pcap"
    few, many = record(capture, every=1024), record(capture, every=64)
    counts = [sum(entry.key.kind == "state" for entry in each.entries) for each in (few, many)]
    assert counts[0] < counts[1] / 8
    assert parse(to_text(many)).every == 64


# --- pictures that stay, processes that do not -----------------------------------------------------------


def test_the_picture_that_is_shown_is_the_one_that_was_wrong(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a surface with alpha the pixels are the surface's own, and the next message draws over them."""
    wrong = written_wrong(composite.blending.combine, 0)
    monkeypatch.setattr(composite, "blending", Instead(composite.blending, "combine", wrong))
    outcome = check(fixtures / "made/every-composite.pcap.gz", Options(pictures=tmp_path))
    for difference in outcome.differences:
        if difference.key.what == "DRAW_COMPOSITE" and difference.pictures:
            with Image.open(difference.pictures[1]) as got:
                bgra = np.asarray(got)[..., [2, 1, 0, 3]]
            assert difference.what.endswith(digest(Pixels(bgra, "a888", True)))


def test_a_process_that_falls_over_fails_its_own_capture_alone(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "toys-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[spicereplay.decoders]\nfragile = fragile_toy:decode\n")
    (tmp_path / "fragile_toy.py").write_text(
        "import os\n\n\ndef decode(codec, data, width, height, **facts):\n"
        "    if codec == 'quic':\n        os._exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    captures = [fixtures / "made/every-codec.pcap", fixtures / "hostile/websocket.pcap"]
    for jobs in (1, 2):
        fell, other = check_all(captures, Options(decoder="fragile"), jobs=jobs)
        assert fell.verdict is Verdict.CRASHED
        assert fell.verdict.failed
        assert fell.sentence == "the process that checked it with decoder fragile crashed"
        assert other.verdict is Verdict.NOTHING


def test_a_manifest_inside_a_directory_is_no_part_of_it(fixtures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "capture"
    shutil.copytree(fixtures / "bugreports/capture-dir-dropped/capture", copy)
    before = identity(copy)
    (copy / "bug-reports" / "some.zip.golden").write_text("not part of the capture")
    assert identity(copy) == before


def test_recording_anew_keeps_what_was_chosen_and_measured(fixtures: Path, tmp_path: Path) -> None:
    capture = tmp_path / "x.pcap"
    shutil.copy(fixtures / "hostile/websocket.pcap", capture)
    path = beside(capture)
    _, text, changed = record_anew(capture, path, every=2, speeds={"lz_rgb": 3.5})
    assert changed
    assert record_anew(capture, path)[1:] == (text, False)
    assert (read_manifest(path).every, read_manifest(path).speeds) == (2, {"lz_rgb": 3.5})
    path.write_text("damaged")
    assert record_anew(capture, path)[0].every == 256
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []
