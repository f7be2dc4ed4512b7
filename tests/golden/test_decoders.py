"""Another program's decoder, found through its package's metadata, is judged with our captures."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from PIL import Image

from spicereplay.errors import UsageError
from spicereplay.golden.check import Options, Outcome, Verdict, check, check_all
from spicereplay.golden.decoders import GROUP, installed, load_decoder

TOY = '''
"""A client's decoder: raw bitmaps and LZ4, JPEG by another library."""
import struct
import lz4.block
import numpy as np

BYTES = {6: 2, 7: 3, 8: 4, 9: 4}


def decode(codec, data, width, height, **facts):
    if codec == "bitmap" and facts["bitmap_format"] in (8, 9):
        rows = np.frombuffer(data, np.uint8).reshape(height, facts["stride"])[:, : width * 4]
        picture = rows.reshape(height, width, 4)
        return picture if facts["top_down"] else picture[::-1]
    if codec == "lz4" and data[1] in (8, 9):
        raw = lz4.block.decompress(data[6 : 6 + struct.unpack(">I", data[2:6])[0]], width * height * 4)
        picture = np.frombuffer(raw, np.uint8).reshape(height, width, 4)
        return picture if data[0] else picture[::-1]
    if codec in ("jpeg", "mjpeg"):
        import io
        from PIL import Image
        with Image.open(io.BytesIO(data)) as image:
            return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
    if codec == "h265":
        raise SystemExit(0)
    if codec == "lz_plt":
        assert facts["palette"].dtype == np.uint32 and len(facts["palette"]) == 256
        raise RuntimeError("palettes are not done yet")
    if codec == "quic":
        return np.zeros((height, width, 3), np.uint8)
    if codec == "glz_rgb":
        assert facts["session"]
        return np.zeros((height + 1, width, 3), np.uint8)
    if codec == "vp8":
        assert facts["stream"].startswith("display/0/2#")
        return "a picture"
    return None


broken = None


def __getattr__(name):
    if name == "late":
        raise OSError("no such library")
    if name == "leaving":
        raise SystemExit(0)
    raise AttributeError(name)
'''
POINTS = f"[{GROUP}]\n" + "".join(
    f"{name} = toyclient:{at}\n"
    for name, at in (("toy", "decode"), ("broken", "broken"), ("late", "late"), ("leaving", "leaving"))
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip would install it."""
    place = tmp_path / "site-packages"
    info = place / "toyclient-1.2.dist-info"
    info.mkdir(parents=True)
    (place / "toyclient.py").write_text(dedent(TOY))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyclient\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(place))


def said_of(outcome: Outcome, codec: str) -> str:
    return next(each.what for each in outcome.differences if each.key.what == codec)


@pytest.mark.usefixtures("toy")
def test_each_picture_is_judged_failed_or_left_out(fixtures: Path, tmp_path: Path) -> None:
    outcome = check(fixtures / "made/every-codec.pcap", Options(tmp_path / "pictures", "toy"))
    assert outcome.verdict is Verdict.DIFFERENT
    assert outcome.wrong == {"quic": 17, "glz_rgb": 12, "lz_plt": 15, "vp8": 3, "h265": 3}
    assert outcome.compared["quic"] == 19  # two of them are black
    assert outcome.compared["bitmap"] == 2
    assert outcome.compared["lz4"] == 2
    assert (outcome.compared["jpeg"], outcome.compared["mjpeg"]) == (4, 3)
    assert outcome.not_judged == {"bitmap": 2, "lz4": 2, "lz_rgb": 24, "h264": 3, "vp9": 3}
    assert "surface" not in outcome.compared
    assert said_of(outcome, "lz_plt") == "toy 1.2 failed: RuntimeError: palettes are not done yet"
    assert said_of(outcome, "h265") == "toy 1.2 failed: SystemExit: 0"
    assert "returned an array of shape" in said_of(outcome, "glz_rgb")
    assert "returned a str, not a (height, width, 3 or 4) uint8 array" in said_of(outcome, "vp8")
    quic = next(each for each in outcome.differences if each.key.what == "quic")
    sheet, expected, got = quic.pictures  # ours is the recorded one, so it is the true picture
    with Image.open(expected) as true, Image.open(got) as black:
        assert true.getextrema() != black.getextrema()
        assert black.convert("RGB").getextrema() == ((0, 0),) * 3
    assert sheet.exists()


@pytest.mark.usefixtures("toy")
def test_what_it_decodes_rightly_holds_also_in_other_processes(fixtures: Path) -> None:
    captures = [fixtures / "captures/qemu-boot-lz4/capture.pcap", fixtures / "hostile/tcp-overlap.pcap"]
    boot, bitmaps = check_all(captures, Options(decoder="toy"), jobs=2)
    assert boot.verdict is Verdict.HELD
    assert boot.sentence == "91 pictures as recorded; 1 not judged"
    assert bitmaps.compared == {"bitmap": 12}


@pytest.mark.usefixtures("toy")
def test_a_decoder_that_does_nothing_of_a_capture_has_not_passed(fixtures: Path) -> None:
    outcome = check(fixtures / "captures/xspice-agent/capture.pcap", Options(decoder="toy"))
    assert outcome.verdict is Verdict.NOTHING
    assert outcome.sentence == "toy 1.2 does none of its pictures (1 lz_rgb)"


@pytest.mark.usefixtures("toy")
def test_a_decoder_that_is_not_there_or_cannot_be_loaded_is_the_users_mistake() -> None:
    assert [point.name for point in installed()] == ["broken", "late", "leaving", "toy"]
    assert load_decoder("toy").label == "toy 1.2"
    with pytest.raises(UsageError, match=r"no decoder is called 'tyo'.*broken, late, leaving, toy"):
        load_decoder("tyo")
    with pytest.raises(UsageError, match="is not callable"):
        load_decoder("broken")
    with pytest.raises(UsageError, match="cannot be loaded: OSError: no such library"):
        load_decoder("late")
    with pytest.raises(UsageError, match="cannot be loaded: SystemExit: 0"):
        load_decoder("leaving")
