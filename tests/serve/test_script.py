"""What of a recording is played, what is made up, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import observed
from support.observed import Said

from spicereplay.defects import DefectKind
from spicereplay.display.model import DisplayModel
from spicereplay.errors import InputError, UsageError
from spicereplay.protocol import registry
from spicereplay.protocol.enums import ChannelType, ServerCommon, ServerDisplay, ServerMain, Side
from spicereplay.protocol.link import Link, LinkStatus
from spicereplay.protocol.messages import main
from spicereplay.protocol.messages.display import SurfaceCreate
from spicereplay.replay import Replay, replay
from spicereplay.serve import script_of
from spicereplay.serve.beginning import client_clock_ms, display_begins, missing_beginning
from spicereplay.serve.part import Part
from spicereplay.session.log import ChannelLog, Gap, GapCause

MAIN, DISPLAY = ChannelType.MAIN, ChannelType.DISPLAY
SURFACE = Said(
    1, ServerDisplay.SURFACE_CREATE, SurfaceCreate(surface_id=0, width=8, height=8, format=32, flags=1)
)
DRAW = Said(2, ServerDisplay.DRAW_BLACKNESS, bytes(34))


def drawn(part: Part) -> DisplayModel:
    """Feed a display's part to our own model, as a client would be fed."""
    model = DisplayModel()
    for line in range(len(part)):
        parsed = registry.parse_message(DISPLAY, Side.SERVER, int(part.type[line]), part.body(line))
        if parsed.message is not None:
            model.handle(part.channel_id, parsed.message, int(part.time_ns[line]))
    return model


# --- refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("captures/tls-mixed-channels/capture.pcap", "the main channel is not in it"),
        ("bugreports/display-flap-evicted-g1.zip", "begins after display/0 created its surface"),
    ],
)
def test_a_recording_without_its_beginning_is_refused_with_the_way_out(
    fixtures: Path, name: str, why: str
) -> None:
    with replay(fixtures / name) as opened:
        with pytest.raises(InputError, match=why) as refused:
            script_of(opened)
        assert "--synthetic-beginning" in str(refused.value)
        assert script_of(opened, synthetic_beginning=True).remarks


def test_a_recording_without_a_display_is_refused(fixtures: Path) -> None:
    with (
        replay(fixtures / "bugreports" / "disconnect-main-g2.zip") as opened,
        pytest.raises(InputError, match="no display channel"),
    ):
        script_of(opened, synthetic_beginning=True)


@pytest.mark.parametrize("number", [-1, 4])
def test_a_session_that_is_not_there_is_the_callers_mistake(fixtures: Path, number: int) -> None:
    with (
        replay(fixtures / "captures" / "reconnect" / "capture.pcap") as opened,
        pytest.raises(UsageError, match="there are 4"),
    ):
        script_of(opened, number)


def test_without_a_number_the_last_session_is_played(fixtures: Path) -> None:
    with replay(fixtures / "captures" / "reconnect" / "capture.pcap") as opened:
        assert script_of(opened).session.number == 3
        assert script_of(opened, 1).session.number == 1


@pytest.mark.parametrize(
    ("said", "gap_at", "begins"),
    [
        ([SURFACE, DRAW], None, True),
        ([DRAW, SURFACE], None, False),
        ([DRAW], None, False),
        ([], None, True),
        ([SURFACE, DRAW], 0, False),
        ([SURFACE, DRAW], 25, True),
        ([], 0, False),
    ],
    ids=["whole", "draws-first", "never-created", "silent", "gap-before", "gap-after", "gap-alone"],
)
def test_when_a_display_has_its_beginning(said: list[Said], gap_at: int | None, begins: bool) -> None:
    gaps = [] if gap_at is None else [Gap(Side.SERVER, 0, gap_at, 1, GapCause.NOT_CAPTURED)]
    gaps = [gap if gap_at else Gap(Side.SERVER, 0, -1, 1, GapCause.NOT_CAPTURED) for gap in gaps]
    assert display_begins(observed.channel(DISPLAY, said, gaps=gaps)) is begins


def test_what_main_lacks_is_named() -> None:
    display = observed.channel(DISPLAY, [SURFACE])
    init = Said(0, ServerMain.INIT, bytes(32))
    no_init = observed.channel(MAIN, [Said(0, ServerMain.UUID, bytes(16))])
    no_list = observed.channel(MAIN, [init])
    whole = observed.channel(MAIN, [init, Said(0, ServerMain.CHANNELS_LIST, bytes(4))])
    assert "INIT" in missing_beginning(observed.session(no_init, display))[0]
    assert "CHANNELS_LIST" in missing_beginning(observed.session(no_list, display))[0]
    assert missing_beginning(observed.session(whole, display)) == []


# --- made up ----------------------------------------------------------------------------------------------------


def test_a_main_channel_can_be_made_up(fixtures: Path) -> None:
    with replay(fixtures / "captures" / "tls-mixed-channels" / "capture.pcap") as opened:
        part = script_of(opened, synthetic_beginning=True).parts[MAIN, 0]
        assert part.type.tolist() == [ServerMain.INIT, ServerMain.CHANNELS_LIST]
        assert part.opening == 2
        listed = registry.parse_message(MAIN, Side.SERVER, ServerMain.CHANNELS_LIST, part.body(1)).message
        assert isinstance(listed, main.ChannelsList)
        assert {(c.type, c.id) for c in listed.channels} == {(2, 0), (4, 0)}


@pytest.mark.parametrize("name", ["display-flap-evicted-g1", "large-segment-loss-g1", "nulls-g1"])
def test_what_is_left_of_a_damaged_recording_can_be_carried_out(fixtures: Path, name: str) -> None:
    """A client is sent nothing that refers to what it never got."""
    with replay(fixtures / "bugreports" / f"{name}.zip") as opened:
        script = script_of(opened, synthetic_beginning=True)
        model = drawn(script.parts[DISPLAY, 0])
        missing = (
            DefectKind.GLZ_REFERENCE_MISSING,
            DefectKind.CACHE_MISS,
            DefectKind.PALETTE_MISSING,
            DefectKind.SURFACE_UNKNOWN,
            DefectKind.STREAM_UNKNOWN,
        )
        assert [defect for defect in model.defects if defect.kind in missing] == []
        assert any("left out" in remark for remark in script.remarks)
        assert model.screen(0) is not None


def recording(*channels: ChannelLog) -> Replay:
    return Replay(Path("made.pcap"), "pcap", [observed.session(*channels)], observed.ns(0), observed.ns(60))


def test_a_list_of_later_channels_is_no_beginning() -> None:
    later = main.ChannelsList(channels=(main.ChannelId(type=9, id=0),))
    mid = observed.channel(MAIN, [Said(3, ServerMain.CHANNELS_LIST, later)])
    script = script_of(recording(mid, observed.channel(DISPLAY, [SURFACE])), synthetic_beginning=True)
    part = script.parts[MAIN, 0]
    assert part.type.tolist() == [ServerMain.INIT, ServerMain.CHANNELS_LIST, ServerMain.CHANNELS_LIST]
    assert part.opening == 2
    assert set(script.parts) == {(MAIN, 0), (DISPLAY, 0), (ChannelType.USBREDIR, 0)}
    assert script.awaited == {(MAIN, 0), (DISPLAY, 0)}


def test_of_a_channel_that_was_opened_again_the_longer_time_is_played() -> None:
    whole = observed.channel(
        MAIN, [Said(0, ServerMain.INIT, bytes(32)), Said(0, ServerMain.CHANNELS_LIST, bytes(4))]
    )
    short, long = observed.channel(DISPLAY, [SURFACE]), observed.channel(DISPLAY, [SURFACE, DRAW])
    refused = observed.channel(DISPLAY, [SURFACE] * 5, link=Link(LinkStatus.REFUSED, 0, 0))
    script = script_of(recording(whole, short, long, refused))
    assert script.parts[DISPLAY, 0].log is long
    assert script.remarks == ("display/0 was opened again: the time with most messages is played",)


def test_made_up_surfaces_are_as_large_as_what_is_drawn(fixtures: Path) -> None:
    with replay(fixtures / "bugreports" / "nulls-g1.zip") as opened:
        part = script_of(opened, synthetic_beginning=True).parts[DISPLAY, 0]
    assert part.type[:3].tolist() == [ServerCommon.SET_ACK, ServerDisplay.SURFACE_CREATE, ServerDisplay.MARK]
    assert part.opening == 1
    create = registry.parse_message(DISPLAY, Side.SERVER, ServerDisplay.SURFACE_CREATE, part.body(1)).message
    assert isinstance(create, SurfaceCreate)
    assert create.width > 100
    assert create.height > 100


# --- the client's clock -----------------------------------------------------------------------------------------


def test_the_clients_clock_runs_from_what_set_it_last() -> None:
    init = bytes(24) + (1000).to_bytes(4, "little") + bytes(4)
    log = observed.channel(
        MAIN,
        [Said(0, ServerMain.INIT, init), Said(5, ServerMain.MULTI_MEDIA_TIME, (9000).to_bytes(4, "little"))],
    )
    session = observed.session(log)
    assert client_clock_ms(session, observed.ns(2)) == 3000
    assert client_clock_ms(session, observed.ns(6)) == 10_000


def test_without_main_it_is_concluded_from_the_first_frame() -> None:
    frame = (0).to_bytes(4, "little") + (7000).to_bytes(4, "little") + bytes(4)
    session = observed.session(observed.channel(DISPLAY, [Said(3, ServerDisplay.STREAM_DATA, frame)]))
    assert client_clock_ms(session, observed.ns(1)) == 7000 - 400 - 2000
    assert client_clock_ms(observed.session(observed.channel(DISPLAY)), 0) == 400


def test_times_never_fall(fixtures: Path) -> None:
    with replay(fixtures / "captures" / "qemu-guest-desktop-lz4" / "capture.pcap") as opened:
        script = script_of(opened)
        for part in script.parts.values():
            assert (np.diff(part.time_ns) >= 0).all()
        assert script.start_ns <= script.end_ns
        assert script.duration_s == pytest.approx(17.2, abs=0.1)
