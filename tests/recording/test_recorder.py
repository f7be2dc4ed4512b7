"""What was recorded of running connections reads back; what could not be written is a hole, and is told."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.protocol.enums import ChannelType, LinkError, ServerCommon, Side
from spicereplay.protocol.link import (
    MECHANISM_SASL,
    authentication,
    link_message,
    link_reply,
    link_result,
)
from spicereplay.recording.masking import LinkMask
from spicereplay.recording.recorder import Form, Recorder, Sink, Trouble
from spicereplay.recording.rolling import CONTINUED, Rotation
from spicereplay.replay import replay

START_NS = 1_760_000_000_000_000_000
CLIENT, SERVER = Endpoint("127.0.0.1", 40_000), Endpoint("127.0.0.1", 5930)
MINI = 0b1011
TICKET = b"\xa5" * 128
SASL = 0b1101
PING = struct.pack("<HIIQ", ServerCommon.PING, 12, 7, 99)


def opening(
    channel: ChannelType = ChannelType.MAIN, ticket: bytes = b"\xa5" * 128
) -> list[tuple[Side, bytes]]:
    return [
        (Side.CLIENT, link_message(channel, 0, common_caps=(MINI,), channel_caps=(0,))),
        (Side.SERVER, link_reply(bytes(162), common_caps=(MINI,), channel_caps=(0,))),
        (Side.CLIENT, authentication(ticket, selection=True)),
        (Side.SERVER, link_result(LinkError.OK)),
    ]


def speak(sink: Sink, said: list[tuple[Side, bytes]], at: int = 0) -> None:
    for number, (side, data) in enumerate(said):
        sink.data(side, data, START_NS + at + number)


def pings(path: Path) -> int:
    with replay(path) as found:
        return sum(len(log.server) for session in found.sessions for log in session.channels)


def test_it_reads_back_as_what_was_said(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with Recorder.open(path, started_ns=START_NS, interface="test") as recorder:
        sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
        speak(sink, opening())
        for number in range(5):
            sink.data(Side.SERVER, PING, START_NS + 1000 + number)
        sink.close(START_NS + 2000, Side.SERVER)
        sink.close(START_NS + 3000)
    assert recorder.trouble() == []
    with replay(path) as found:
        (log,) = found.sessions[0].channels
        assert log.name == "main/0"
        assert log.server.time_ns.tolist() == [START_NS + 1000 + number for number in range(5)]
        assert log.server.body(0) == PING[6:]
        assert log.closed_by == "both"


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_ticket_is_zeroed_however_the_bytes_are_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.pcapng"
    with Recorder.open(path, started_ns=START_NS) as recorder:
        sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
        pieces = [(side, data[i : i + cut]) for side, data in opening() for i in range(0, len(data), cut)]
        speak(sink, pieces)
        speak(sink, [(Side.CLIENT, b"\x03\x00\x0c\x00\x00\x00" + PING[6:])], 10_000)
    assert TICKET[:8] not in path.read_bytes()
    with replay(path) as found:
        (log,) = found.sessions[0].channels
        assert len(log.client) == 1, "what follows the ticket is recorded as it was"


def test_what_a_sasl_exchange_says_is_zeroed_and_its_lengths_are_not() -> None:
    mask = LinkMask()
    secret = b"user\0password"
    said = [
        (Side.CLIENT, link_message(ChannelType.MAIN, 0, common_caps=(SASL,), channel_caps=())),
        (Side.SERVER, link_reply(bytes(162), common_caps=(SASL,), channel_caps=())),
        (Side.CLIENT, struct.pack("<I", MECHANISM_SASL)),
        (Side.SERVER, struct.pack("<I5s", 5, b"PLAIN")),
        (
            Side.CLIENT,
            struct.pack("<I5s", 5, b"PLAIN") + struct.pack(f"<I{len(secret)}s", len(secret), secret),
        ),
        (Side.SERVER, struct.pack("<IB", 0, 1) + link_result(LinkError.OK)),
    ]
    kept = [mask.take(side, data) for side, data in said]
    assert [len(data) for data in kept] == [len(data) for _, data in said]
    assert kept[4] == struct.pack("<I5x", 5) + struct.pack(f"<I{len(secret)}x", len(secret))
    assert mask.over
    assert mask.take(Side.CLIENT, PING) == PING


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Side), st.binary(min_size=1, max_size=300)), max_size=8))
def test_whatever_comes_keeps_its_length(said: list[tuple[Side, bytes]]) -> None:
    mask = LinkMask()
    for side, data in said:
        kept = mask.take(side, data)
        assert len(kept) == len(data)
        if side is Side.SERVER:
            assert kept == data


def test_later_files_can_be_read_alone(tmp_path: Path) -> None:
    """Turning over falls in the middle of messages, too; each begins anew in the next file."""
    path = tmp_path / "d"
    total = 400
    with Recorder.open(path, started_ns=START_NS, rotation=Rotation(bytes=8_000)) as recorder:
        sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
        speak(sink, opening())
        stream = PING * total
        for at in range(0, len(stream), 25):
            sink.data(Side.SERVER, stream[at : at + 25], START_NS + 1000 + at)
    files = sorted(path.iterdir())
    assert len(files) > 3
    seen = 0
    for number, file in enumerate(files):
        with replay(file) as found:
            (log,) = found.sessions[0].channels
            assert log.link is not None
            assert not log.gaps
            whole = ~log.server.partial
            seen += int(whole.sum())
        assert (CONTINUED.encode() in file.read_bytes()) == bool(number)
        assert TICKET[:8] not in file.read_bytes()
    assert seen == total


def test_a_disk_that_does_not_keep_up_costs_a_hole_and_not_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pcapng"
    recorder = Recorder.open(path, started_ns=START_NS, queue_bytes=20_000)
    sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
    speak(sink, opening())
    message = struct.pack("<HI", ServerCommon.MIGRATE_DATA, 5000) + bytes(5000)
    for number in range(20):
        sink.data(Side.SERVER, message, START_NS + 1000 + number)
    recorder.close()
    lost = recorder.lost_bytes
    assert lost > 0
    assert lost % len(message) == 0
    (trouble,) = recorder.trouble()
    assert trouble.lost_bytes == lost
    assert "does not keep up" in trouble.text
    with replay(path) as found:
        (log,) = found.sessions[0].channels
        assert len(log.server) == 20 - lost // len(message)


def test_a_disk_that_hangs_is_told_while_it_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that writes waits; what is left out meanwhile is known all the same."""
    path = tmp_path / "x.pcapng"
    recorder = Recorder.open(path, started_ns=START_NS, queue_bytes=20_000)
    go_on, real = threading.Event(), os.write

    def hanging(fd: int, data: memoryview) -> int:
        go_on.wait(20)
        return real(fd, data)

    monkeypatch.setattr(os, "write", hanging)
    sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
    speak(sink, opening())
    for number in range(200):
        sink.data(Side.SERVER, PING * 50, START_NS + 1000 + number)
    (told,) = recorder.trouble()
    assert "does not keep up" in told.text
    assert told.lost_bytes == recorder.lost_bytes > 0
    sink.data(Side.SERVER, PING * 50, START_NS + 2000)
    assert recorder.trouble() == [], "once a second"
    go_on.set()
    recorder.close()
    assert told.lost_bytes + sum(trouble.lost_bytes for trouble in recorder.trouble()) == recorder.lost_bytes
    assert pings(path) > 50


def test_a_full_disk_is_told_and_what_follows_is_behind_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pcapng"
    recorder = Recorder.open(path, started_ns=START_NS)
    sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
    speak(sink, [*opening(), (Side.SERVER, PING)])
    wait_for(path, 600)
    real, room = os.write, [40]

    def full(fd: int, data: memoryview) -> int:
        """Take a part of a packet, and then nothing."""
        if room[0]:
            taken, room[0] = real(fd, data[: room[0]]), 0
            return taken
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    sink.data(Side.SERVER, PING, START_NS + 2000)
    told = wait_for_trouble(recorder)
    monkeypatch.setattr(os, "write", real)
    sink.data(Side.SERVER, PING, START_NS + 3000)
    recorder.close()
    assert "No space left" in told.text
    assert told.lost_bytes == recorder.lost_bytes > 0
    with replay(path) as found:
        (log,) = found.sessions[0].channels
        assert [gap.length for gap in log.gaps] == [len(PING)]
        assert len(log.server) == 2


@pytest.mark.parametrize("rotation", [Rotation(bytes=4_000), Rotation(seconds=1)])
def test_a_full_disk_is_not_littered_with_files_of_which_nothing_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotation: Rotation
) -> None:
    """It takes empty files still. What was to go into the next file is lost, counted, and told."""
    second = 1_000_000_000
    said = PING * 100
    recorder = Recorder.open(tmp_path, started_ns=START_NS, rotation=rotation)
    sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
    speak(sink, [*opening(), (Side.SERVER, PING)])
    wait_for(tmp_path / "000001.pcapng", 600)
    real = os.write

    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    lost = 0
    for number in range(2, 9):
        sink.data(Side.SERVER, said, START_NS + number * 2 * second)
        while recorder.lost_bytes == lost:
            time.sleep(0.01)
        lost = recorder.lost_bytes
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(os, "write", real)
    for number in range(20, 30):
        sink.data(Side.SERVER, said, START_NS + number * 2 * second)
        time.sleep(0.05)
    recorder.close()
    assert recorder.lost_bytes == sum(trouble.lost_bytes for trouble in recorder.trouble()) >= 7 * len(said)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2, "with room on the disk they follow each other again"
    assert sum(pings(file) for file in files) == 1 + 10 * 100


def test_a_pipe_whose_reader_leaves_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    """What a pipe has taken of a packet cannot be cut off again."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with Recorder.open(path, started_ns=START_NS, force=True) as recorder:
        sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
        speak(sink, opening())
        os.close(reading)
        sink.data(Side.SERVER, PING, START_NS + 1000)
        assert "Broken pipe" in wait_for_trouble(recorder).text
        sink.data(Side.SERVER, PING, START_NS + 2000)
    assert recorder.lost_bytes > 0


def test_a_connection_whose_beginning_is_lost_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pcapng"
    recorder = Recorder.open(path, started_ns=START_NS)
    real = os.write

    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
    speak(sink, [*opening(), (Side.SERVER, PING)])
    wait_for_trouble(recorder)
    monkeypatch.setattr(os, "write", real)
    sink.data(Side.SERVER, PING, START_NS + 3000)
    recorder.close()
    with replay(path) as found:
        (log,) = found.sessions[0].channels
        assert log.link is not None
        assert len(log.server) == 1


def test_killed_it_has_lost_no_more_than_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    code = f"""
import sys, time
from pathlib import Path
from recording.test_recorder import *
recorder = Recorder.open(Path({str(path)!r}), started_ns=START_NS)
sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS)
speak(sink, opening() + [(Side.SERVER, PING)] * 50)
time.sleep(0.1)
print("said", flush=True)
time.sleep(60)
"""
    tests = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": tests}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"said\n"
        child.send_signal(signal.SIGKILL)
    assert pings(path) == 50


def test_rylls_form_reads_back_as_one_of_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with Recorder.open(path, started_ns=START_NS, form=Form.RYLL) as recorder:
        sink = recorder.connection(CLIENT, SERVER, "main/0", START_NS, channel=ChannelType.MAIN)
        speak(sink, opening())
        speak(sink, [(Side.SERVER, PING), (Side.SERVER, PING * 10_000), (Side.SERVER, PING)], 5_000_000)
        port = recorder.connection(CLIENT, SERVER, "port/0", START_NS, channel=ChannelType.PORT)
        speak(port, opening(ChannelType.PORT), 6_000_000)
    assert [trouble.text for trouble in recorder.trouble()] == [
        "port/0: ryll's form has no file for this channel; it is not recorded"
    ]
    with replay(path) as found:
        (log,) = (log for log in found.sessions[0].channels if len(log.server))
        assert len(log.server) == 10_002
        assert not log.gaps
    with pytest.raises(OutputExistsError):
        Recorder.open(path, started_ns=START_NS, form=Form.RYLL)


def test_ends_that_are_no_addresses_get_some(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with Recorder.open(path, started_ns=START_NS) as recorder:
        for label in ("main/0", "main/1"):
            sink = recorder.connection(Endpoint("", 0), Endpoint("/run/a.sock", 0), label, START_NS)
            speak(sink, [*opening(), (Side.SERVER, PING)])
    assert pings(path) == 2


def test_remarks_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with Recorder.open(path, started_ns=START_NS) as recorder:
        recorder.comment("the flap begins", START_NS)
    assert b"the flap begins" in path.read_bytes()


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        Recorder.open(path, started_ns=START_NS)
    assert path.read_bytes() == b"mine"
    Recorder.open(path, started_ns=START_NS, force=True).close()
    assert path.read_bytes() != b"mine"
    with pytest.raises(UsageError):
        Recorder.open(tmp_path / "no" / "x.pcapng", started_ns=START_NS)


def wait_for(path: Path, size: int) -> None:
    for _ in range(500):
        if path.stat().st_size >= size:
            return
        time.sleep(0.01)
    raise AssertionError("nothing is written")


def wait_for_trouble(recorder: Recorder) -> Trouble:
    for _ in range(500):
        if found := recorder.trouble():
            return found[0]
        time.sleep(0.01)
    raise AssertionError("no trouble was told")
