"""Recordings that were damaged before somebody wants to show them: what is private goes, what went wrong stays."""

import random
import struct
import zipfile
from pathlib import Path

import pytest

from spicereplay.analysis.timeline import Tables
from spicereplay.errors import InputError
from spicereplay.protocol.enums import ServerDisplay
from spicereplay.redact.broken import numbers_of
from spicereplay.redact.leaks import Travelling, left_over
from spicereplay.redact.link_stage import link_head
from spicereplay.redact.redact import redact
from spicereplay.replay import replay

DROPPED = "bugreports/capture-dir-dropped/capture/display-0.pcap"


def damaged(data: bytes, seed: int) -> bytes:
    """Return bytes of which some were flipped, lost or overwritten."""
    chance = random.Random(seed)
    made = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        at = chance.randrange(len(made))
        match chance.randrange(3):
            case 0:
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                del made[at : at + chance.randrange(1, 2000)]
            case 2:
                made[at : at + 4] = b"\xff" * 4
    return bytes(made)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        # Messages after lost ones must not be found where none were.
        ("made/every-draw.pcap", 5),
        ("made/every-draw.pcap", 8),
        ("made/every-codec.pcap", 0),
        ("captures/ticket/capture.pcap", 9),
        # A draw message that cannot be taken apart says where it draws.
        ("made/every-codec.pcap", 9),
        # Headers of packets and members of a zip seem to be contents.
        ("captures/ticket/capture.pcap", 6),
        ("bugreports/display-flap-g2.zip", 0),
        ("bugreports/display-flap-g2.zip", 2),
        ("bugreports/display-flap-g2.zip", 9),
    ],
)
def test_a_damaged_recording_passes_its_check(name: str, seed: int, fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / Path(name).name
    source.write_bytes(damaged((fixtures / name).read_bytes(), seed))
    redact(source, tmp_path / f"out{source.suffix}")


def test_what_was_wrong_with_the_file_alone_is_said_to_be_gone(fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / "ticket.pcap"
    source.write_bytes(damaged((fixtures / "captures/ticket/capture.pcap").read_bytes(), 8))
    done = redact(source, tmp_path / "out.pcapng")
    assert done.remarks == ("faults of the file itself are not in it any more: packet_cut, packet_malformed",)


@pytest.mark.parametrize("name", ["flap-mjpeg", "video-vp8"])
def test_a_frame_that_no_decoder_takes_stays_one(name: str, fixtures: Path, tmp_path: Path) -> None:
    """It may be what somebody looks for."""
    capture = fixtures / f"captures/{name}/capture.pcap"
    with replay(capture) as found:
        display = found.sessions[0].of(_display())[0].server
        rows = display.rows(ServerDisplay.STREAM_DATA)
        bodies = [display.body(row) for row in rows[20:60:5]]
    data = bytearray(capture.read_bytes())
    for body in bodies:
        # The head of the frame, behind stream, time and size.
        at = data.find(body[:200])
        if at >= 0:
            data[at + 12 : at + 100] = b"\x55" * 88
    source = tmp_path / "broken.pcap"
    source.write_bytes(data)
    redact(source, tmp_path / "out.pcapng")
    with replay(source) as before, replay(tmp_path / "out.pcapng") as after:
        old, new = (Tables(found)["frames"]["outcome"].astype(str).tolist() for found in (before, after))
        assert old == new
        assert "failed" in old


def test_one_wrong_address_does_not_make_a_report_another(fixtures: Path, tmp_path: Path) -> None:
    """ryll's recordings are known by their addresses; a packet with another one is nobody's."""
    source = tmp_path / "report.zip"
    with (
        zipfile.ZipFile(fixtures / "bugreports/display-flap-g2.zip") as old,
        zipfile.ZipFile(source, "w") as new,
    ):
        for name in old.namelist():
            data = bytearray(old.read(name))
            if name == "traffic.pcap":
                # Behind the file's head, the record's, and Ethernet's: the sender in the IP header of a packet.
                order = ">" if data[:1] == b"\xa1" else "<"
                second = 24 + 16 + struct.unpack_from(f"{order}I", data, 24 + 8)[0]
                data[second + 16 + 14 + 12 + 3] ^= 0x40
            new.writestr(name, data)
    redact(source, tmp_path / "out.zip")
    with replay(source) as before, replay(tmp_path / "out.zip") as after:
        assert len(before.captures[0].connections) == len(after.captures[0].connections) == 2
        tables = Tables(before), Tables(after)
        assert tables[0]["messages"]["time_s"].equals(tables[1]["messages"]["time_s"])


def test_whatever_is_wrong_nothing_is_raised_but_what_is_named(fixtures: Path, tmp_path: Path) -> None:
    from spicereplay.redact.redact import RedactionFailed

    data = (fixtures / "made/every-draw.pcap").read_bytes()
    passed = 0
    for seed in range(100, 120):
        source = tmp_path / "in.pcap"
        source.write_bytes(damaged(data, seed))
        try:
            redact(source, tmp_path / "out.pcapng", force=True)
            passed += 1
        except (InputError, RedactionFailed):
            assert not (tmp_path / "out.pcapng").exists() or passed
    assert passed >= 15


# --- parts --------------------------------------------------------------------------------------------------


def _display() -> int:
    from spicereplay.protocol.enums import ChannelType

    return ChannelType.DISPLAY


def draw_copy(clip: bytes, image: bytes) -> bytes:
    """Return a DRAW_COPY of surface 7 whose image stands behind its fields, at once."""
    base = struct.pack("<I4i", 7, 1, 2, 3, 4) + clip
    fields = struct.pack("<I4iHB", len(base) + 36, 0, 0, 8, 8, 8, 0) + bytes(13)
    return base + fields + image


NO_CLIP = b"\0"
TWO_RECTS = b"\1" + struct.pack("<I8i", 2, *range(8))
QUIC_HEAD = struct.pack("<QBBII", 0x1122334455, 1, 0, 640, 480) + struct.pack("<I", 9999)


@pytest.mark.parametrize("clip", [NO_CLIP, TWO_RECTS], ids=["no clip", "two rectangles"])
def test_a_broken_draw_keeps_its_place_and_the_head_of_its_image(clip: bytes) -> None:
    body = draw_copy(clip, QUIC_HEAD + b"what was on the screen")
    made = numbers_of(body, (), ServerDisplay.DRAW_COPY)
    assert len(made) == len(body)
    assert made.startswith(body[: 20 + len(clip)])
    assert QUIC_HEAD in made
    assert made.endswith(bytes(22))


@pytest.mark.parametrize("stop", range(0, 140, 3))
def test_a_draw_may_be_cut_anywhere(stop: int) -> None:
    body = draw_copy(TWO_RECTS, QUIC_HEAD + b"what was on the screen")[:stop]
    made = numbers_of(body, (), ServerDisplay.DRAW_COPY)
    assert len(made) == len(body)
    assert b"screen" not in made


def test_a_message_that_does_not_draw_keeps_nothing_behind_its_fault() -> None:
    assert numbers_of(b"secret", (), None) == bytes(6)


def test_of_a_link_stage_that_cannot_be_read_the_fixed_numbers_stay() -> None:
    message = b"REDQ" + struct.pack("<IIIIBBIII", 2, 2, 150, 7, 2, 0, 70_000, 1, 18) + bytes(range(32))
    assert link_head(message + b"ticket" * 30) == message
    reply = b"REDQ" + struct.pack("<III", 2, 2, 5000) + bytes(4) + b"K" * 162 + bytes(12)
    made = link_head(reply + b"what came then")
    assert len(made) == len(reply)
    assert b"KK" not in made
    assert link_head(b"HTTP/1.1 200 OK") == b""


@pytest.mark.parametrize(
    ("textual", "payload", "stays", "found"),
    [
        (False, False, False, False),  # in the header of a packet
        (False, True, True, False),  # a number of another message
        (False, True, False, True),  # a picture's bytes, in a packet
        (True, False, False, True),  # a text, anywhere
        (True, True, True, True),
    ],
)
def test_what_is_no_text_counts_where_it_can_have_been_left(
    textual: bool, payload: bool, stays: bool, found: bool
) -> None:
    secret = bytes(range(50, 58))
    travelling = Travelling(
        lambda: [(secret, secret)] if stays else [(secret, bytes(8))],
        lambda: [b"...", secret] if payload else [b"..."],
    )
    left = left_over(lambda: [(secret, bytes(8), textual)], lambda: [b"ab" + secret + b"cd"], travelling)
    assert left == ({secret} if found else set())
