"""The sound of a session as a WAV file."""

import json
import struct
import wave
from types import SimpleNamespace

import av
import numpy as np
import pytest
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.errors import InputError, UsageError
from spicereplay.export import wav
from spicereplay.export.wav import write_wav
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ChannelType, ClientRecord, ServerPlayback, ServerRecord
from spicereplay.replay import replay

RATE = 48_000


def sound(path):
    """Read a WAV file with the standard library: rate, (samples, channels)."""
    with wave.open(str(path)) as file:
        assert file.getsampwidth() == 2
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return file.getframerate(), frames.reshape(-1, file.getnchannels())


def loudest_hz(samples):
    mono = samples.astype(float).mean(axis=1)
    return np.argmax(np.abs(np.fft.rfft(mono * np.hanning(len(mono))))) * RATE / len(mono)


def recorded(*said, client=(), kind=ChannelType.PLAYBACK):
    log = session(channel(kind, said, client))
    return SimpleNamespace(sessions=[log], start_time_ns=ORIGIN_NS, path=SimpleNamespace(name="x.pcap"))


def mode(number=1):
    return Said(0, ServerPlayback.MODE, struct.pack("<IH", 0, number))


def start(at, mm=0, channels=2, rate=RATE):
    return Said(at, ServerPlayback.START, struct.pack("<IHII", channels, 1, rate, mm))


def packet(at, mm, values):
    return Said(at, ServerPlayback.DATA, struct.pack("<I", mm) + np.asarray(values, "<i2").tobytes())


def block(value, frames=480, channels=2):
    return np.full((frames, channels), value)


def test_a_sound_lies_at_its_time(tmp_path):
    source = recorded(mode(), start(0.5), packet(0.5, 0, block(7)), packet(0.7, 10, block(8)))
    done = write_wav(source, tmp_path / "a.wav")
    rate, samples = sound(tmp_path / "a.wav")
    assert rate == RATE
    assert not samples[: RATE // 2].any()
    assert (samples[RATE // 2 : RATE // 2 + 480] == 7).all()
    # It came late, but it was played right after the one before.
    assert (samples[RATE // 2 + 480 :] == 8).all()
    assert len(samples) == RATE // 2 + 960
    assert (done.duration_s, done.sound_s, done.packets, done.failed) == (0.52, 0.02, 2, 0)
    assert (done.session, done.channel_id, done.backends) == (0, 0, ("numpy",))


def test_where_the_server_had_no_sound_there_is_silence(tmp_path):
    source = recorded(mode(), start(0.0), packet(0.0, 0, block(7)), packet(0.1, 100, block(8)))
    write_wav(source, tmp_path / "a.wav")
    _, samples = sound(tmp_path / "a.wav")
    assert (samples[:480] == 7).all()
    assert not samples[480:4800].any()
    assert (samples[4800:] == 8).all()


def test_the_unevenness_of_a_timer_leaves_no_click(tmp_path):
    source = recorded(
        mode(), start(0), *(packet(i / 100, t, block(7)) for i, t in enumerate((0, 13, 20, 39, 41)))
    )
    write_wav(source, tmp_path / "a.wav")
    _, samples = sound(tmp_path / "a.wav")
    assert (samples == 7).all()
    assert len(samples) == 5 * 480


def test_a_clock_that_jumps_asks_for_no_more_silence_than_the_session_has(tmp_path):
    source = recorded(mode(), start(1.0), packet(1.0, 0, block(7)), packet(1.1, 2**31 - 1, block(8)))
    write_wav(source, tmp_path / "a.wav")
    _, samples = sound(tmp_path / "a.wav")
    assert len(samples) == 60 * RATE + 480


def test_a_run_of_another_form_is_converted(tmp_path):
    tone = (np.sin(2 * np.pi * 440 * np.arange(4410) / 44_100) * 9000).astype("<i2")
    source = recorded(
        mode(),
        start(0),
        packet(0, 0, block(7)),
        Said(1.9, ServerPlayback.STOP),
        start(2.0, channels=1, rate=44_100),
        *(packet(2.0 + i / 10, 100 * i, tone[:, None]) for i in range(5)),
    )
    done = write_wav(source, tmp_path / "a.wav")
    rate, samples = sound(tmp_path / "a.wav")
    assert (rate, samples.shape[1]) == (RATE, 2)
    assert done.duration_s == pytest.approx(2.5, abs=0.002)
    second = samples[2 * RATE + 500 :]
    assert (second[:, 0] == second[:, 1]).all()
    assert abs(loudest_hz(second) - 440) < 3


def test_silence_stands_for_what_does_not_decode(tmp_path):
    good, bad = b"\xf0\xff\xfe", b"\xf2\xfb\xff"  # 10 ms; two times 10 ms, the first longer than the packet
    said = [
        Said(mm / 1000, ServerPlayback.DATA, struct.pack("<I", mm) + data)
        for mm, data in ((0, good), (10, good), (20, bad), (40, good))
    ]
    done = write_wav(recorded(mode(3), start(0), *said), tmp_path / "a.wav")
    assert (done.packets, done.failed) == (4, 1)
    assert (done.duration_s, done.sound_s) == (0.05, 0.03)


def test_what_the_microphone_sent(tmp_path):
    source = recorded(
        Said(0, ServerRecord.START, struct.pack("<IHI", 2, 1, RATE)),
        client=[
            Said(0, ClientRecord.MODE, struct.pack("<IH", 0, 1)),
            Said(0.1, ClientRecord.DATA, struct.pack("<I", 5) + block(3).astype("<i2").tobytes()),
        ],
        kind=ChannelType.RECORD,
    )
    assert write_wav(source, tmp_path / "a.wav", recorded=True).packets == 1
    with pytest.raises(InputError, match="nothing was played in this capture, which has no playback channel"):
        write_wav(source, tmp_path / "b.wav")
    assert not (tmp_path / "b.wav").exists()


def test_what_there_is_not(tmp_path):
    source = recorded(mode(), start(0), packet(0, 0, block(7)))
    with pytest.raises(UsageError, match="no session 3"):
        write_wav(source, tmp_path / "a.wav", session=3)
    with pytest.raises(UsageError, match="no channel playback/9"):
        write_wav(source, tmp_path / "a.wav", channel_id=9)
    with pytest.raises(InputError, match="nothing was played in session 0"):
        write_wav(recorded(mode(), start(0)), tmp_path / "a.wav", session=0)
    with pytest.raises(InputError, match="none of the 1 packets of playback/0 can be decoded"):
        write_wav(recorded(mode(2), start(0), packet(0, 0, block(7))), tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_a_largest_size(tmp_path):
    source = recorded(mode(), start(0), *(packet(i / 100, 10 * i, block(7)) for i in range(10)))
    done = write_wav(source, tmp_path / "a.wav", limits=Limits(wav_bytes=5 * 1920 + 100))
    assert done.left_out == 5
    assert (tmp_path / "a.wav").stat().st_size <= 5 * 1920 + 100
    assert len(sound(tmp_path / "a.wav")[1]) == 5 * 480


def test_a_large_file_has_64_bit_sizes(tmp_path, monkeypatch):
    source = recorded(mode(), start(0), packet(0, 0, block(7)), packet(0.5, 500, block(8)))
    monkeypatch.setattr(wav, "_MOST_32", 9999)
    write_wav(source, tmp_path / "a.wav")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    assert data[:4] == b"RF64"
    assert data[12:16] == b"ds64"
    riff, size, count = struct.unpack_from("<QQQ", data, 20)
    assert (riff, size, count) == (len(data) - 8, len(data) - 80, (len(data) - 80) // 4)
    # What a real one has where 32 bits do not suffice.
    data[4:8] = data[76:80] = b"\xff" * 4
    (tmp_path / "b.wav").write_bytes(data)
    with av.open(str(tmp_path / "b.wav")) as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) == count


# --- recorded -----------------------------------------------------------------------------------------


def tones(folder, tmp_path):
    """Return, for each tone of a recording's script, what is loudest in the middle of it."""
    truth = json.loads((folder / "truth.json").read_text())["timeline"]
    begins = [e["t"] for e in truth if e["what"] == "tone starts"]
    with replay(folder / "capture.pcap") as found:
        done = write_wav(found, tmp_path / "a.wav")
        origin = found.start_time_ns / 1e9
    rate, samples = sound(tmp_path / "a.wav")
    assert done.failed == done.left_out == 0
    assert rate == done.rate == RATE
    assert done.duration_s == len(samples) / rate
    middles = [round((at - origin + 1.0) * rate) for at in begins]
    return [loudest_hz(samples[m : m + rate // 2]) for m in middles]


def test_the_tones_of_a_recorded_guest_come_out(fixtures, tmp_path):
    first, second = tones(fixtures / "captures" / "qemu-guest-audio-opus", tmp_path)
    assert abs(first - 440) < 2.5
    assert abs(second - 880) < 2.5


@pytest.mark.shared
@pytest.mark.parametrize("name", ["audio-opus", "audio-raw"])
def test_the_tones_of_recorded_x_servers_come_out(shared, tmp_path, name):
    first, second = tones(shared / "captures" / name, tmp_path)
    # The script feeds Xspice sound of 44,100 Hz, which it announces and sends as 48,000 Hz.
    assert abs(first - 440 * 48 / 44.1) < 10
    assert abs(second - 880 * 48 / 44.1) < 10
