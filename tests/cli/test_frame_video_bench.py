"""The verbs that show the guest's screen, as other tools call them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.command import run
from support.pcapfile import tcp_frame, write_pcap

import spicereplay as sr


@pytest.fixture
def boot(fixtures: Path) -> Path:
    return fixtures / "captures" / "qemu-boot-lz4" / "capture.pcap"


@pytest.fixture
def wan(fixtures: Path) -> Path:
    return fixtures / "captures" / "desktop-jpeg-zlib-wan" / "capture.pcap"


def pixels(path: Path) -> np.ndarray:
    image = Image.open(path)
    assert image.mode == "RGBA"
    return np.asarray(image)


# --- frame --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qemu-boot-lz4", "qemu-guest-desktop-lz4", "video-vp8", "reconnect"])
def test_the_last_frame_is_the_servers_own_screenshot(tmp_path: Path, fixtures: Path, name: str) -> None:
    folder = fixtures / "captures" / name
    done = run("frame", folder / "capture.pcap", "--at", "end", "-o", tmp_path / "x.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'x.png'}\n", "")
    got, want = pixels(tmp_path / "x.png"), np.asarray(Image.open(folder / "final.png").convert("RGB"))
    assert (got[..., 3] == 255).all()
    assert np.array_equal(got[..., :3], want)


def test_a_frame_is_named_after_the_input_and_the_moment(
    tmp_path: Path, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("frame", boot).stdout == "capture-end.png\n"
    assert run("frame", boot, "--at", "2.5").stdout == "capture-2.5s.png\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["capture-2.5s.png", "capture-end.png"]


def test_an_existing_picture_is_kept_without_force(tmp_path: Path, boot: Path) -> None:
    out = tmp_path / "x.png"
    out.write_bytes(b"mine")
    done = run("frame", boot, "-o", out)
    assert (done.returncode, out.read_bytes()) == (2, b"mine")
    assert "--force" in done.stderr
    assert run("frame", boot, "-o", out, "--force").returncode == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_capture_cut_at_its_beginning_says_what_is_unknown_and_claims_nothing_wrong(
    tmp_path: Path, wan: Path
) -> None:
    whole, cut, out = tmp_path / "whole.png", tmp_path / "cut.pcap", tmp_path / "cut.png"
    assert run("frame", wan, "-o", whole).returncode == 0
    cut.write_bytes(without_beginning(wan.read_bytes(), 0.4))
    done = run("frame", cut, "-o", out)
    assert done.returncode == 0
    first, *why = done.stderr.splitlines()
    assert "pixels" in first
    assert "are unknown, within (" in first
    assert why
    assert all(line.startswith("spicereplay: why: ") for line in why)
    got = pixels(out)
    known = got[..., 3] == 255
    assert 0 < known.sum() < known.size
    assert np.array_equal(got[known], pixels(whole)[: got.shape[0], : got.shape[1]][known])


def without_beginning(capture: bytes, share: float) -> bytes:
    """Return a pcap file without the first packets."""
    records, at = [], 24
    while at < len(capture):
        length = int.from_bytes(capture[at + 8 : at + 12], "little")
        records.append(capture[at : at + 16 + length])
        at += 16 + length
    return capture[:24] + b"".join(records[int(len(records) * share) :])


@pytest.mark.parametrize("at", ["never", "-3", "nan", ""])
def test_a_moment_that_is_none_is_wrong_usage(tmp_path: Path, boot: Path, at: str) -> None:
    done = run("frame", boot, "--at", at, "-o", tmp_path / "x.png")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_moment_after_the_end_is_the_end_and_that_is_said(tmp_path: Path, boot: Path) -> None:
    done = run("frame", boot, "--at", "1000", "-o", tmp_path / "x.png")
    assert done.returncode == 0
    assert "the capture ends at" in done.stderr


@pytest.mark.parametrize(
    "words", [("--surface", "9"), ("--monitor", "9"), ("--channel-id", "9"), ("--session", "9")]
)
def test_a_screen_that_is_not_there_is_wrong_usage(
    tmp_path: Path, boot: Path, words: tuple[str, str]
) -> None:
    done = run("frame", boot, "-o", tmp_path / "x.png", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("spicereplay: ")
    assert run("frame", boot, "-o", tmp_path / "x.png", "--surface", "0", "--monitor", "0").returncode == 2


def test_surface_monitor_and_cursor_can_be_asked_for(tmp_path: Path, boot: Path) -> None:
    for n, words in enumerate((["--surface", "0"], ["--monitor", "0"], ["--cursor"], ["--channel-id", "0"])):
        done = run("frame", boot, "-o", tmp_path / f"{n}.png", *words)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["frame", "video", "bench"])
def test_an_input_without_a_display_is_told_in_one_line(tmp_path: Path, fixtures: Path, verb: str) -> None:
    report = fixtures / "bugreports" / "no-pcap-g1.zip"
    words = [verb, report] if verb == "bench" else [verb, report, "-o", tmp_path / "x"]
    done = run(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no display channel" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["frame", "video", "bench"])
def test_an_input_without_spice_is_told_in_one_line(tmp_path: Path, verb: str) -> None:
    path = write_pcap(tmp_path / "web.pcap", [tcp_frame(b"GET / HTTP/1.1\r\n\r\n", sequence=1)])
    words = [verb, path] if verb == "bench" else [verb, path, "-o", tmp_path / "x"]
    done = run(*words)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1


# --- the Python contract --------------------------------------------------------------------------------


def test_a_notebook_gets_the_same_picture(tmp_path: Path, wan: Path) -> None:
    assert run("frame", wan, "--at", "6", "-o", tmp_path / "x.png").returncode == 0
    with sr.open(wan) as capture:
        picture = capture.frame_at(6)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape == (*picture.unknown.shape, 4)
        assert np.array_equal(picture.pixels, pixels(tmp_path / "x.png"))
        shown = Image.open(io.BytesIO(picture._repr_png_()))
        assert shown.size == picture.pixels.shape[1::-1]
        assert not np.array_equal(capture.frame_at("end").pixels, picture.pixels)


# --- video ------------------------------------------------------------------------------------------------


def test_a_movie_plays_at_the_times_of_the_capture(
    tmp_path: Path, boot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(boot, tmp_path / "boot.pcap")
    done = run("video", "boot.pcap")
    assert (done.returncode, done.stdout) == (0, "boot.mp4\n")
    assert "frames of" in done.stderr
    with av.open("boot.mp4") as container, sr.open("boot.pcap") as capture:
        stream = container.streams.video[0]
        assert stream.time_base <= 1 / 1000
        times = [float(frame.pts * frame.time_base) for frame in container.decode(stream)]
        assert times[0] == 0
        assert times[-1] == pytest.approx(capture.duration_s, abs=0.001)
        drawn = capture.messages.query("name == 'DRAW_COPY'")["time_s"]
        assert all(abs(drawn - time).min() < 0.001 for time in times[2:-1])
        assert min(np.diff(times)) > 0
    assert run("video", "boot.pcap").returncode == 2
    assert run("video", "boot.pcap", "--force", "--cursor").returncode == 0


# --- bench ------------------------------------------------------------------------------------------------

KEYS = {"codec", "backend", "size", "count", "median_ms", "p95_ms", "p99_ms", "max_ms", "mpx_per_s"}


def test_latencies_are_counted_per_codec_size_and_decoder(fixtures: Path, wan: Path) -> None:
    done = run("bench", wan, "--json")
    assert done.returncode == 0
    rows = json.loads(done.stdout)
    assert all(set(row) == KEYS for row in rows)
    assert all(0 < row["median_ms"] <= row["p95_ms"] <= row["p99_ms"] <= row["max_ms"] for row in rows)
    oracle = json.loads((wan.parent / "oracle.json").read_text())
    display = next(c for c in oracle["sessions"][0]["channels"] if c["channel"] == "display")
    for codec, count in display["display"]["images"].items():
        mine = [row for row in rows if row["codec"] == codec.lower()]
        for backend in {row["backend"] for row in mine}:
            counts = {row["size"]: row["count"] for row in mine if row["backend"] == backend}
            assert counts.pop("all", count) == count
            assert sum(counts.values()) == count
    backends = {row["backend"].split()[0] for row in rows if row["codec"] == "jpeg_alpha"}
    assert backends >= {"simplejpeg", "pyav", "pillow"}


def test_video_frames_are_measured_too(fixtures: Path) -> None:
    done = run("bench", fixtures / "captures" / "video-vp8" / "capture.pcap")
    assert done.returncode == 0
    header, *rows = done.stdout.splitlines()
    assert header.split()[:3] == ["codec", "decoder", "size"]
    assert [row for row in rows if row.startswith("vp8") and "pyav" in row]
