"""What the guest plays: which packets came late, and which clock follows from what is heard."""

from hypothesis import given
from hypothesis import strategies as st
from support.conversation import MS, Conversation, S

from spicereplay.client.playback import PlaybackClient, Playing
from spicereplay.protocol.enums import AudioDataMode, AudioFormat, ChannelType
from spicereplay.protocol.messages import playback


def loudspeaker() -> tuple[Conversation, PlaybackClient]:
    talk = Conversation(ChannelType.PLAYBACK)
    assert isinstance(talk.client, PlaybackClient)
    talk.shared.set_mm_time(1000, 0)
    return talk, talk.client


def start(time_ms: int = 1400) -> playback.Start:
    return playback.Start(2, AudioFormat.S16, 48_000, time_ms)


def packet(time_ms: int) -> playback.Data:
    return playback.Data(time_ms, bytes(60))


def test_a_run_of_sound() -> None:
    talk, mine = loudspeaker()
    assert mine.diagnostics().playing is None
    talk.says(playback.Mode(0, AudioDataMode.OPUS))
    talk.says(playback.Volume((30_000, 30_001)))
    talk.says(playback.Mute(0))
    talk.says(start(), S)
    assert mine.playing == Playing(S, 1400, 2, 48_000, AudioDataMode.OPUS)
    assert talk.shared.playback_delay_ms == 200
    talk.says(packet(2000), S)
    talk.says(packet(2010), S + 10 * MS)
    told = mine.diagnostics()
    assert (told.starts, told.packets, told.packet_bytes, told.late_packets, told.last_margin_ms) == (
        1,
        2,
        120,
        0,
        200,
    )
    assert (told.volume, told.mute, told.latency_ms, told.delay_ms) == ((30_000, 30_001), False, None, 200)
    talk.says(playback.Stop(), 2 * S)
    assert talk.shared.playback_delay_ms is None
    talk.says(packet(3000), 3 * S)
    told = mine.diagnostics()
    assert (told.stops, told.playing, told.delay_ms, told.stray_packets) == (1, None, None, 1)


def test_the_clock_follows_what_is_heard_every_hundred_packets() -> None:
    talk, _ = loudspeaker()
    talk.says(start(), 0)
    sets = []
    for i in range(250):
        # The server's clock runs 1 % fast.
        now = i * 10 * MS
        talk.says(packet(1400 + i * 101 // 10), now)
        if talk.shared.mm_time_set_ns == now:
            sets.append((i, talk.shared.mm_time(now)))
    assert sets == [(0, 1200), (100, 2210), (200, 3220)]
    assert talk.shared.mm_time_sets == 1


def test_a_latency_that_the_server_asks_for_moves_the_clock() -> None:
    talk, mine = loudspeaker()
    talk.says(start(), 0)
    talk.says(packet(1400), 0)
    assert talk.shared.mm_time(0) == 1200
    talk.says(playback.Latency(500), 10 * MS)
    talk.says(packet(1410), 10 * MS)
    assert (talk.shared.mm_time(10 * MS), talk.shared.playback_delay_ms) == (910, 500)
    talk.says(playback.Latency(2**32 - 1), 20 * MS)
    assert (mine.diagnostics().latency_ms, mine.diagnostics().delay_ms) == (2**32 - 1, 60_000)
    talk.says(start(), 30 * MS)
    assert talk.shared.playback_delay_ms == 200


def test_a_loudspeaker_that_is_there_says_how_far_it_lags() -> None:
    talk, mine = loudspeaker()
    mine.set_delay(90, 0)
    assert talk.shared.playback_delay_ms is None
    talk.says(start(), 0)
    talk.says(packet(1400), 0)
    assert (talk.shared.playback_delay_ms, talk.shared.mm_time(0)) == (90, 1310)
    mine.set_delay(120, 5 * MS)
    assert (talk.shared.playback_delay_ms, talk.shared.mm_time(5 * MS)) == (120, 1280)
    talk.says(playback.Latency(400), 6 * MS)
    assert mine.diagnostics().delay_ms == 120


def test_sound_that_breaks_off_is_one_underrun_however_long() -> None:
    talk, mine = loudspeaker()
    talk.says(start(), 0)
    for at, time_ms in [(0, 1400), (10, 1410), (400, 1420), (401, 1430), (402, 1800), (900, 1810)]:
        talk.says(packet(time_ms), at * MS)
    told = mine.diagnostics()
    assert (told.late_packets, told.underruns, told.backward_packets, told.last_margin_ms) == (3, 2, 0, -290)
    talk.says(packet(1700), 901 * MS)
    assert mine.diagnostics().backward_packets == 1


@given(st.integers(0, 2**32 - 1), st.integers(0, 500))
def test_stamps_wrap(first: int, count: int) -> None:
    talk, mine = loudspeaker()
    talk.shared.set_mm_time((first - 400) % 2**32, 0)
    talk.says(start(first), 0)
    for i in range(count % 30):
        talk.says(packet((first + 10 * i) % 2**32), i * 10 * MS)
    told = mine.diagnostics()
    assert (told.late_packets, told.backward_packets) == (0, 0)
