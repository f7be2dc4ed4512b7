"""Packets of sound to samples."""

import contextlib
import struct

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.codecs.audio import OPUS_RATE, AudioCodec, audio_backends, open_audio, opus_samples
from spicereplay.codecs.select import backends
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits


def tone(hz: float, seconds: float, channels: int = 2) -> np.ndarray:
    wave = np.sin(2 * np.pi * hz * np.arange(round(seconds * OPUS_RATE)) / OPUS_RATE) * 12_000
    return np.repeat(wave.astype(np.int16)[:, None], channels, axis=1)


def opus_packets(samples: np.ndarray, frame_ms: float = 10) -> list[bytes]:
    """Encode as spice-server does: one packet for each frame, no container."""
    layout = "stereo" if samples.shape[1] == 2 else "mono"
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = OPUS_RATE, layout, "s16"
    encoder.options = {"frame_duration": str(frame_ms)}
    size = round(frame_ms * OPUS_RATE / 1000)
    packets = []
    for at in range(0, len(samples) - size + 1, size):
        block = np.ascontiguousarray(samples[at : at + size]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, "s16", layout)
        frame.sample_rate, frame.pts = OPUS_RATE, at
        packets += [bytes(p) for p in encoder.encode(frame)]
    return packets + [bytes(p) for p in encoder.encode(None)]


def loudest_hz(samples: np.ndarray, rate: int = OPUS_RATE) -> float:
    mono = samples.mean(axis=1)
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.argmax(spectrum)) * rate / len(mono)


def test_raw_sound_is_what_it_says():
    data = struct.pack("<6h", 1, -1, 32767, -32768, 0, 5)
    heard = open_audio(AudioCodec.RAW, channels=2, rate=44_100).decode(data)
    assert heard.samples.tolist() == [[1, -1], [32767, -32768], [0, 5]]
    assert (heard.rate, heard.backend, heard.samples.dtype) == (44_100, "numpy", np.int16)


@given(st.integers(1, 8), st.integers(1, 60).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n)))
def test_raw_sound_comes_back_byte_for_byte(channels, data):
    data = data[: len(data) // (2 * channels) * (2 * channels)]
    samples = open_audio(AudioCodec.RAW, channels=channels, rate=48_000).decode(data).samples
    assert samples.shape == (len(data) // (2 * channels), channels)
    assert samples.astype("<i2").tobytes() == data


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_ms", [2.5, 10, 20, 60])
def test_opus_gives_the_tone_that_went_in(channels, frame_ms):
    decoder = open_audio(AudioCodec.OPUS, channels=channels, rate=OPUS_RATE)
    heard = [decoder.decode(packet) for packet in opus_packets(tone(440, 1, channels), frame_ms)]
    assert {h.samples.shape for h in heard} == {(round(frame_ms * 48), channels)}
    assert {(h.rate, h.backend) for h in heard} == {(OPUS_RATE, decoder.backend)}
    whole = np.concatenate([h.samples for h in heard])
    assert abs(loudest_hz(whole) - 440) < 2
    assert 10_000 < np.abs(whole).max() < 14_000


def test_ffmpegs_own_decoder_agrees_with_libopus(monkeypatch):
    packets = opus_packets(tone(440, 0.5))
    ours = open_audio(AudioCodec.OPUS, channels=2, rate=OPUS_RATE)
    monkeypatch.setattr("spicereplay.codecs.audio._opus_decoder", lambda: "opus")
    theirs = open_audio(AudioCodec.OPUS, channels=2, rate=OPUS_RATE)
    assert "libopus" in ours.backend
    assert "pyav opus" in theirs.backend
    for packet in packets[1:]:
        a, b = ours.decode(packet).samples, theirs.decode(packet).samples
        assert a.shape[1] == b.shape[1] == 2
    assert len(a) == len(b)
    assert abs(loudest_hz(b) - loudest_hz(a)) < 1


def test_a_decoder_goes_on_after_a_bad_packet_and_after_a_loss():
    packets = opus_packets(tone(440, 0.2))
    decoder = open_audio(AudioCodec.OPUS, channels=2, rate=OPUS_RATE)
    decoder.decode(packets[0])
    with pytest.raises(DecodeError) as failed:
        decoder.decode(b"\xff\xff\xff")
    assert failed.value.reason == "codec_data"
    assert len(decoder.decode(packets[1]).samples) == 480
    decoder.lost()
    assert len(decoder.decode(packets[9]).samples) == 480


@given(st.binary(max_size=200))
def test_noise_is_an_error_or_sound_and_nothing_else(data):
    for codec in (AudioCodec.RAW, AudioCodec.OPUS):
        with contextlib.suppress(DecodeError):
            heard = open_audio(codec, channels=2, rate=48_000).decode(data)
            assert heard.samples.ndim == 2
            assert len(heard.samples) <= max(5760, len(data))


@pytest.mark.parametrize(
    ("codec", "given", "reason"),
    [
        (AudioCodec.CELT_0_5_1, {}, "codec_unsupported"),
        (0, {}, "codec_unsupported"),
        (99, {}, "codec_unsupported"),
        (AudioCodec.OPUS, {"channels": 3}, "codec_unsupported"),
        (AudioCodec.RAW, {"channels": 0}, "over_limit"),
        (AudioCodec.RAW, {"channels": 9}, "over_limit"),
        (AudioCodec.RAW, {"rate": 0}, "over_limit"),
        (AudioCodec.RAW, {"rate": 2**32 - 1}, "over_limit"),
    ],
)
def test_what_cannot_be_opened_says_why(codec, given, reason):
    with pytest.raises(DecodeError) as failed:
        open_audio(codec, **{"channels": 2, "rate": 48_000, **given})
    assert failed.value.reason == reason


def test_celt_is_named():
    with pytest.raises(DecodeError, match="CELT_0_5_1"):
        open_audio(AudioCodec.CELT_0_5_1, channels=2, rate=44_100)


@pytest.mark.parametrize("codec", [AudioCodec.RAW, AudioCodec.OPUS])
def test_packets_have_a_size_limit_and_are_not_empty(codec):
    decoder = open_audio(codec, channels=2, rate=48_000, limits=Limits(audio_packet_bytes=100))
    for data, reason in ((b"", "codec_data_short"), (bytes(101), "over_limit")):
        with pytest.raises(DecodeError) as failed:
            decoder.decode(data)
        assert failed.value.reason == reason


def test_raw_sound_that_ends_within_a_sample():
    with pytest.raises(DecodeError, match="7 bytes") as failed:
        open_audio(AudioCodec.RAW, channels=2, rate=48_000).decode(bytes(7))
    assert (failed.value.reason, failed.value.offset) == ("codec_data_short", 4)


# --- the length of a packet, without decoding it ----------------------------------------------------------


def told(*packets: bytes) -> list[int]:
    padded = np.array([[*(p + b"\0\0")[:2]] for p in packets], np.uint8)
    return opus_samples(padded[:, 0], padded[:, 1], np.array([len(p) for p in packets])).tolist()


@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_the_first_byte_tells_what_decoding_gives(frame_ms):
    packets = opus_packets(tone(440, 0.3), frame_ms)
    decoder = open_audio(AudioCodec.OPUS, channels=2, rate=OPUS_RATE)
    assert told(*packets) == [len(decoder.decode(p).samples) for p in packets]


def test_several_frames_in_a_packet():
    one, two, two_uneven, coded = 0xF0, 0xF1, 0xF2, 0xF3  # config 30: 10 ms
    assert told(
        bytes([one, 0]), bytes([two, 0]), bytes([two_uneven, 0]), bytes([coded, 5]), bytes([coded, 12])
    ) == [480, 960, 960, 2400, 5760]


def test_what_is_no_packet():
    assert told(b"", b"\xf3", bytes([0xF3, 0]), bytes([0xF3, 13])) == [-1, -1, -1, -1]


# --- what this machine has --------------------------------------------------------------------------------


def test_doctor_names_the_opus_decoder():
    (row,) = [b for b in backends() if b.codec == "OPUS"]
    here, missing = audio_backends()
    assert list(row.available) == here
    assert not missing
    assert here[0].name == "pyav libopus"
