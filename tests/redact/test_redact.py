"""Captures and reports made fit for strangers: nothing private is left, and they show the same."""

import json
import struct
import zipfile
from pathlib import Path

import dpkt
import pytest
from redact.hunt import found_again, secrets_of
from redact.talk import SECRETS, VM, Talk, write_secrets
from typer.testing import CliRunner

from spicereplay.analysis.timeline import Tables
from spicereplay.capture.writer import PcapngWriter
from spicereplay.cli.app import app
from spicereplay.errors import NoSpiceError, OutputExistsError, UsageError
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.messages import common, main
from spicereplay.protocol.registry import iter_declarations
from spicereplay.protocol.wire import Message
from spicereplay.redact import redact as module
from spicereplay.redact.messages import ELSEWHERE, PLAIN, REPLACED
from spicereplay.redact.redact import RedactionFailed, redact
from spicereplay.redact.what import Choices, Kind, Screen, Sound
from spicereplay.replay import replay

ROOT = Path(__file__).parent.parent.parent
CAPTURES = sorted((ROOT / "fixtures/captures").glob("*/capture.pcap*[pz]"))
MADE = sorted((ROOT / "fixtures").glob("made/*.pcap"))
HOSTILE = sorted(p for e in ("pcap", "pcapng", "zip") for p in (ROOT / "fixtures/hostile").glob(f"*.{e}"))
REPORTS = [
    *sorted((ROOT / "fixtures/bugreports").glob("*.zip")),
    ROOT / "fixtures/bugreports/capture-dir-dropped/capture",
    ROOT / "fixtures/bugreports/auto-snapshots-g2/auto-snapshots",
]
SHARED = [
    *sorted((ROOT.parent / "shared").glob("captures/*/capture.pcap")),
    *sorted((ROOT.parent / "shared").glob("bugreports/*/*.zip")),
    *sorted((ROOT.parent / "shared").glob("bugreports/*/capture")),
    *sorted((ROOT.parent / "shared").glob("bugreports/*/auto-snapshots")),
]
INPUTS = [*CAPTURES, *MADE, *HOSTILE, *REPORTS]
MODES = [Screen.BLANK, Screen.BLUR, Screen.BLANK, Screen.KEEP]


def name_of(path: Path) -> str:
    return path.name if path.name != "capture.pcap" else path.parent.name


def new_ones(paths: list[Path]) -> list[Path]:
    """Return the recordings that are no copies of fixtures."""
    known = {path.stat().st_size: path.read_bytes() for path in INPUTS if path.is_file()}
    return [
        path for path in paths if not (path.is_file() and known.get(path.stat().st_size) == path.read_bytes())
    ]


def in_turn(paths: list[Path]) -> list[object]:
    """Give each recording one of the modes, and an id that says so."""
    return [
        pytest.param(path, MODES[n % len(MODES)], id=f"{name_of(path)}-{MODES[n % len(MODES)]}")
        for n, path in enumerate(paths)
    ]


def redact_and_hunt(source: Path, screen: Screen, target: Path) -> None:
    """Have a recording redacted, which checks it, and search the result in a way of our own."""
    keys = source.parent / "keys.log"
    done = redact(source, target, choices=Choices(screen), keylog=keys if keys.exists() else None)
    assert done.path == target
    secrets = secrets_of(source, pictures=screen is Screen.BLANK)
    assert found_again(target, secrets) == []


@pytest.mark.parametrize(("source", "screen"), in_turn([*CAPTURES, *MADE, *REPORTS]))
def test_every_fixture_passes_its_check(source: Path, screen: Screen, tmp_path: Path) -> None:
    redact_and_hunt(source, screen, tmp_path / "out")


@pytest.mark.parametrize(("source", "screen"), in_turn(HOSTILE))
def test_every_hostile_file_passes_its_check(source: Path, screen: Screen, tmp_path: Path) -> None:
    redact(source, tmp_path / "out", choices=Choices(screen))


@pytest.mark.shared
@pytest.mark.parametrize(("source", "screen"), in_turn(new_ones(SHARED)))
def test_every_shared_recording_passes_its_check(
    source: Path, screen: Screen, tmp_path: Path, shared: Path
) -> None:
    redact_and_hunt(source, screen, tmp_path / "out")


def test_a_capture_that_nobody_can_open_shows_its_connections_alone(fixtures: Path, tmp_path: Path) -> None:
    mixed = fixtures / "captures/tls-mixed-channels/capture.pcap"
    with replay(mixed) as found:
        port = found.other[0].port
    source, target = tmp_path / "tls.pcap", tmp_path / "out.pcapng"
    with mixed.open("rb") as old, source.open("wb") as new:
        packets = dpkt.pcap.Reader(old)
        writer = dpkt.pcap.Writer(new, linktype=packets.datalink())
        for time, frame in packets:
            segment = dpkt.ethernet.Ethernet(frame).data.data
            if port in (segment.sport, segment.dport):
                writer.writepkt(frame, time)
    done = redact(source, target)
    assert done.counts[Kind.ENCRYPTED]
    with replay(source, require_spice=False) as before, replay(target, require_spice=False) as after:
        assert before.other == after.other
        assert [each.what for each in after.other] == ["tls"] * 2


def test_what_is_neither_spice_nor_tls_is_refused(fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / "empty.pcapng"
    with source.open("wb") as file:
        PcapngWriter(file)
    with pytest.raises(NoSpiceError, match="no SPICE in 0 packets"):
        redact(source, tmp_path / "out.pcapng")
    assert not (tmp_path / "out.pcapng").exists()


def test_findings_and_messages_stay_and_pictures_do_not(fixtures: Path, tmp_path: Path) -> None:
    source, target = fixtures / "captures/flap-mjpeg/capture.pcap", tmp_path / "out.pcapng"
    redact(source, target)
    with replay(source) as before, replay(target) as after:
        old, new = Tables(before), Tables(after)
        for name in ("messages", "channels", "streams", "draws", "tcp_events", "acks", "flaps"):
            columns = [c for c in old[name].columns if not c.startswith("decode_ms")]
            assert old[name][columns].equals(new[name][columns]), name
        assert list(old["findings"]["code"]) == list(new["findings"]["code"])
    from spicereplay import api

    with api.open(target) as capture:
        assert capture.frame_at("end").pixels[..., :3].max() <= 1


def test_a_blurred_video_is_blocks(fixtures: Path, tmp_path: Path) -> None:
    from spicereplay import api

    source, target = fixtures / "captures/flap-mjpeg/capture.pcap", tmp_path / "out.pcapng"
    redact(source, target, choices=Choices(Screen.BLUR))
    with api.open(target) as capture:
        # The video is at (400, 300); what lies within one block of it has one colour, but for rounding.
        block = capture.frame_at(17.5).pixels[332:364, 432:464, :3].astype(int)
    assert block.max() > 0
    assert (block.max(axis=(0, 1)) - block.min(axis=(0, 1))).max() <= 2


def test_what_the_user_wants_kept_is_kept(fixtures: Path, tmp_path: Path) -> None:
    source, target = fixtures / "captures/qemu-guest-audio-opus/capture.pcap", tmp_path / "out.pcapng"
    redact(source, target, choices=Choices(Screen.KEEP, Sound.KEEP))
    with replay(source) as before, replay(target) as after:
        for name in (ChannelType.DISPLAY, ChannelType.PLAYBACK):
            old, new = (found.sessions[0].of(name)[0].server for found in (before, after))
            assert [old.body(row) for row in range(len(old))] == [new.body(row) for row in range(len(new))]


def test_every_message_is_decided_about() -> None:
    declared = {
        cls
        for cls in iter_declarations()
        if issubclass(cls, Message) and not cls.__module__.endswith("agent")
    }
    assert declared == PLAIN | set(REPLACED) | set(ELSEWHERE)
    assert not PLAIN & set(REPLACED)


# --- a capture full of secrets ------------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A capture in which something private is in every corner."""
    target = tmp_path / "secrets.pcapng"
    write_secrets(target)
    return target


def test_nothing_of_a_capture_full_of_secrets_is_left(secrets: Path, tmp_path: Path) -> None:
    before = secrets.read_bytes()
    target = tmp_path / "shown.pcapng"
    done = redact(secrets, target)
    after = target.read_bytes()
    for secret in SECRETS:
        assert secret in before
        assert secret not in after
    assert done.counts[Kind.KEYS] == 8
    assert done.counts[Kind.ADDRESSES] == 2
    assert done.counts[Kind.PACKETS] == 1
    assert b"keyboard channel is insecure" in after
    assert b"192.0.2." not in after, "addresses are numbers in packets"


def test_keys_names_and_addresses_have_pseudonyms(secrets: Path, tmp_path: Path) -> None:
    target = tmp_path / "shown.pcapng"
    redact(secrets, target)
    with replay(target) as found:
        tables = Tables(found, reveal_keys=True)
        assert set(tables["inputs"]["key"].dropna()) == {"39", "b9"}
        logs = [log for session in found.sessions for log in session.channels]
        assert {log.client_address.split(":")[0] for log in logs} <= {"192.0.2.1", "192.0.2.2"}
        assert {int(log.server_address.split(":")[1]) for log in logs} == {5930}
        index = next(log for log in logs if log.channel is ChannelType.MAIN).server
        bodies = {int(index.type[row]): index.body(row) for row in range(len(index))}
        assert bodies[main.Name.TYPES[0]] == struct.pack("<I", len(VM) + 1) + b"x" * len(VM) + b"\0"
        assert set(tables["agent_messages"]["type"]) == {"CLIPBOARD", "FILE_XFER_START", "FILE_XFER_DATA"}


def test_a_retransmission_is_neutral_too(secrets: Path, tmp_path: Path) -> None:
    target = tmp_path / "shown.pcapng"
    redact(secrets, target)
    with replay(secrets) as before, replay(target) as after:
        old, new = Tables(before)["tcp"], Tables(after)["tcp"]
        assert old["retransmitted_bytes"].sum() > 0
        assert old.equals(new)


# --- bug reports --------------------------------------------------------------------------------------------


def test_a_report_keeps_its_figures_and_loses_its_words(fixtures: Path, tmp_path: Path) -> None:
    source, target = fixtures / "bugreports/display-flap-g2.zip", tmp_path / "shown.zip"
    redact(source, target)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target) as new:
        assert old.namelist() == new.namelist()
        before, after = (json.loads(z.read("metadata.json")) for z in (old, new))
        assert old.read("session.json").split() == new.read("session.json").split()
        notices = [n["message"] for n in json.loads(new.read("notifications.json"))]
    assert before["target_host"] == "desktop.example.org"
    assert after["target_host"] == "host1.example"
    assert after["description"] == "(redacted)"
    assert {k for k in before if before[k] != after[k]} == {"target_host", "description"}
    assert notices[0] == "Connected to host1.example:5900"


# --- the command, and when it fails -------------------------------------------------------------------------


def test_the_command_says_what_it_replaced(fixtures: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.pcapng"
    source = fixtures / "captures/xspice-agent/capture.pcap"
    run = CliRunner().invoke(app, ["redact", str(source), "-o", str(target)])
    assert run.exit_code == 0
    assert run.stdout == f"{target}\n"
    assert "replaced: 2 clipboard contents" in run.stderr
    again = CliRunner().invoke(app, ["redact", str(source), "-o", str(target)])
    assert again.exit_code == 2


def test_a_result_that_fails_its_check_is_not_kept(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(pieces: object, outputs: object, travelling: object) -> set[bytes]:
        return {b"password"}

    monkeypatch.setattr(module, "left_over", leaking)
    source, target = fixtures / "captures/xspice-agent/capture.pcap", tmp_path / "out.pcapng"
    run = CliRunner().invoke(app, ["redact", str(source), "-o", str(target)])
    assert run.exit_code == 1
    assert "was not kept" in run.stderr
    assert not list(tmp_path.iterdir())
    with pytest.raises(RedactionFailed):
        redact(source, target)


def test_the_input_is_never_replaced(secrets: Path) -> None:
    with pytest.raises(OutputExistsError):
        redact(secrets, secrets)
    with pytest.raises(UsageError, match="replace the input"):
        redact(secrets, secrets, force=True)
    assert secrets.stat().st_size > 0


def test_a_leak_is_found(fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spicereplay.redact import messages

    def forgetful(how: object, message: Message) -> Message:
        return message

    # The name is learned, and stays in a notice: the search must see it.
    monkeypatch.setitem(messages.REPLACED, common.Notify, (forgetful, Kind.NOTICES))
    target = tmp_path / "out.pcapng"
    source = tmp_path / "in.pcapng"
    with source.open("wb") as file:
        talk = Talk(PcapngWriter(file), ChannelType.MAIN, 50_000)
        talk.say(
            Side.SERVER,
            main.Init(7, 1, main.MouseMode(3), main.MouseMode(2), 0, 10, 5000, 0),
            main.Name(VM.encode() + b"\0"),
            common.Notify(1, 1, 1, 0, f"{VM} is low on memory".encode(), b"\0"),
        )
    with pytest.raises(RedactionFailed, match="still there"):
        redact(source, target)
    assert not target.exists()
