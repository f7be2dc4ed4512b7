"""The smallest capture that still shows a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from display.made import copy, create, fill, from_cache
from support.observed import ORIGIN_NS, Said, channel, session

from spicereplay.analysis.timeline import Tables
from spicereplay.defects import DefectKind
from spicereplay.errors import UsageError
from spicereplay.excerpt.shrink import Shrunk, shows_defect, shows_finding, shrink
from spicereplay.protocol.enums import ChannelType, ClientCommon, Side
from spicereplay.protocol.messages import common
from spicereplay.protocol.wire import Message
from spicereplay.replay import Replay, replay
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_S

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


def told(at: float, message: Message) -> Said:
    return Said(at, int(message.TYPES[0]), message)


def whole_of(*sessions: SessionLog) -> Replay:
    for number, log in enumerate(sessions):
        log.number = log.session_id = number
    return Replay(Path("made.pcap"), "pcap", list(sessions), ORIGIN_NS, ORIGIN_NS + 60 * NS_PER_S)


def ticking(step: float) -> Callable[[], float]:
    """A clock that counts how often it is looked at: how fast the machine is does not matter."""
    ticks: Iterator[int] = count()
    return lambda: next(ticks) * step


def names(path: Path) -> list[tuple[str, str, int]]:
    with replay(path) as found:
        return [
            (log.name, str(side), kind)
            for log in (log for s in found.sessions for log in s.channels)
            for side in Side
            for kind in log.index(side).type.tolist()
        ]


def missing_image(more: int = 30) -> Replay:
    """Two sessions; in one of them one draw of many refers to an image that is not there."""
    good = [told(2 + n, fill(n, 0, 0, 4, 4)) for n in range(more)]
    bad = channel(
        ChannelType.DISPLAY,
        [told(1, create(0, 8, 8)), *good, told(40, copy(from_cache(9, 1, 1), 0, 0, 1, 1)), *good],
    )
    inputs = channel(ChannelType.INPUTS, [Said(1, 101, bytes(2))])
    return whole_of(session(channel(ChannelType.DISPLAY, good)), session(inputs, bad))


def test_one_message_of_many_is_found(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    done = shrink(
        missing_image(),
        shows_defect(DefectKind.CACHE_MISS),
        out,
        what="the defect cache_miss",
        clock=ticking(0.0),
    )
    assert names(out) == [("display/0", "server", 304)]
    assert done.complete
    assert (done.written.messages, done.written.bytes) == (1, out.stat().st_size)
    assert done.of_messages == 93
    assert done.of_bytes > done.written.bytes


def test_messages_that_only_together_show_it_stay_together(tmp_path: Path) -> None:
    """A stall needs SET_ACK and more than two windows of messages, in any order of trying."""
    out = tmp_path / "x.pcapng"
    server = [told(1, create(0, 8, 8)), told(2, common.SetAck(1, 2))]
    server += [told(3 + n, fill(n, 0, 0, 4, 4)) for n in range(20)]
    client = [Said(30, ClientCommon.ACK)] * 9
    whole = whole_of(session(channel(ChannelType.DISPLAY, server, client)))
    done = shrink(whole, shows_finding("ack_stall"), out, clock=ticking(0.0))
    assert done.complete
    # SET_ACK and one more than the four that two windows hold; what shows that the wait was long may vary.
    assert 6 <= done.written.messages <= 9
    with replay(out) as found:
        assert (Tables(found)["findings"]["code"] == "ack_stall").any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hostile/glz-missing.pcap", DefectKind.GLZ_REFERENCE_MISSING),
        ("hostile/clip-rects.pcap", DefectKind.RECTS_OVER_MESSAGE),
        ("hostile/list-loop.pcap", DefectKind.SUB_MESSAGES_MALFORMED),
        ("hostile/codecs-cut.pcap", DefectKind.CODEC_DATA_SHORT),
        ("hostile/streams-2000.pcap", DefectKind.STREAMS_OVER_LIMIT),
    ],
)
def test_hostile_messages_are_found_among_ordinary_ones(name: str, kind: DefectKind, tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    with replay(FIXTURES / name) as whole:
        done = shrink(whole, shows_defect(kind), out, clock=ticking(0.0))
    assert done.written.messages == 1
    with replay(out) as found:
        assert str(kind) in set(Tables(found)["defects"]["kind"])


def test_a_flapping_video_needs_few_messages(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    with replay(FIXTURES / "captures" / "flap-mjpeg" / "capture.pcap") as whole:
        done = shrink(whole, shows_finding("stream_flapping"), out, clock=ticking(0.0))
    assert done.complete
    assert done.of_bytes > 3_000_000
    assert done.written.bytes < done.of_bytes / 1000
    with replay(out) as found:
        assert (Tables(found)["findings"]["code"] == "stream_flapping").any()


def test_when_the_time_is_over_the_best_so_far_is_written_and_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    shows = shows_defect(DefectKind.CACHE_MISS)
    sizes = []
    for seconds in (0.0, 12.0, 10_000.0):
        done: Shrunk = shrink(missing_image(), shows, out, max_seconds=seconds, clock=ticking(1.0))
        assert done.complete == (seconds == 10_000.0)
        with replay(out) as found:
            assert shows(found)
        sizes.append(done.written.messages)
    assert sizes[0] == 93
    assert sizes[0] > sizes[1] > sizes[2] == 1


def test_progress_counts_the_time(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    shrink(
        missing_image(),
        shows_defect(DefectKind.CACHE_MISS),
        tmp_path / "x.pcapng",
        max_seconds=50,
        clock=ticking(0.5),
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    assert {(what, total) for what, _, total in seen} == {("shrinking", 50)}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_what_the_sessions_do_not_show_cannot_be_shrunk(tmp_path: Path) -> None:
    out = tmp_path / "x.pcapng"
    shows = shows_defect(DefectKind.FILE_TRUNCATED)
    with pytest.raises(UsageError, match="do not show the defect file_truncated"):
        shrink(missing_image(2), shows, out, what="the defect file_truncated")
    assert not out.exists()


def test_the_input_is_not_overwritten_with_its_smallest_part(tmp_path: Path) -> None:
    source = missing_image(2)
    shows = shows_defect(DefectKind.GLZ_REFERENCE_MISSING)
    with pytest.raises(UsageError, match="is the input itself"):
        shrink(source, shows, source.path)
