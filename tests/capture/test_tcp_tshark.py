"""TCP analysis held against tshark's, segment by segment. What differs on purpose is accounted for one by one."""

import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.absent import absent
from support.pcapfile import ACK, FIN, RST, SYN, Frame, ethernet, ip_packet, tcp_segment, write_pcap
from support.tshark_tcp import Judged, judged

from spicereplay.bytestream import DirectionFacts, SegmentEvent
from spicereplay.capture import read_connections

pytestmark = pytest.mark.interop

LATE = {"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order"}
SINGLE = LATE | {"window_full", "keep_alive", "zero_window_probe"}
"""Kinds with an event per segment; the others come in runs and are compared by their counts."""
COUNTED = {
    "duplicate_ack": "duplicate_acks",
    "zero_window": "zero_windows",
    "window_update": "window_updates",
}
KINDS = [str(kind) for kind in SegmentEvent]
FLAG_FIN, FLAG_SYN, FLAG_RST, FLAG_ACK = FIN, SYN, RST, ACK


@pytest.fixture(autouse=True)
def tshark() -> None:
    if shutil.which("tshark") is None:
        absent("tshark")


class Seen:
    """Which numbers of one direction passed: the oracle for "sent before", a truth value for each number."""

    def __init__(self) -> None:
        self.origin: int | None = None
        self.highest = 0
        self.there = np.zeros(0, bool)

    def place(self, number: int) -> int:
        assert self.origin is not None
        return (number - self.origin) % 2**32

    def take(self, segment: Judged) -> tuple[bool, bool, int]:
        """Return whether it begins before the highest number so far, whether all of it was seen, and its end."""
        if self.origin is None:
            self.origin = segment.sequence - (1 << 20)
            self.highest = 1 << 20
        start = self.place(segment.sequence)
        spoken = segment.length + bool(segment.flags & FLAG_SYN) + bool(segment.flags & FLAG_FIN)
        stop = start + spoken
        if stop > len(self.there):
            self.there = np.concatenate((self.there, np.zeros(stop + 65_536 - len(self.there), bool)))
        late, again = bool(spoken) and start < self.highest, bool(self.there[start:stop].all())
        if "keep_alive" in segment.says:
            return False, False, stop
        self.there[start:stop] = True
        if "zero_window_probe" not in segment.says:
            self.highest = max(self.highest, stop)
        return late, again, stop


def check(path: Path, *, made_up: bool = False) -> int:
    """Compare one capture; return how many late segments it has."""
    streams: dict[int, list[Judged]] = defaultdict(list)
    for segment in judged(path):
        streams[segment.stream].append(segment)
    with read_connections(path) as capture:
        ours = {
            (str(c.endpoints[i]), str(c.endpoints[1 - i]), c.first_time_ns): c.facts[i]
            for c in capture.connections
            for i in (0, 1)
        }
    late = 0
    for segments in streams.values():
        for sender in sorted({segment.source for segment in segments}):
            receiver = next(s.destination for s in segments if s.source == sender)
            facts = ours[sender, receiver, segments[0].time_ns]
            late += check_direction(facts, segments, sender)
            if not made_up:  # where ACKs end within segments, tshark measures nothing
                theirs = sorted(round_trips(segments, sender))
                assert sorted(facts.round_trips_ns.tolist()) == pytest.approx(theirs, rel=1e-6), sender
        check_handshake(ours, segments)
    return late


def check_direction(facts: DirectionFacts, segments: list[Judged], sender: str) -> int:
    """Compare every segment of one side; return how many came late."""
    found: dict[int, set[str]] = defaultdict(set)
    for kind, time_ns in zip(facts.events.kind.tolist(), facts.events.time_ns.tolist(), strict=True):
        if KINDS[kind] in SINGLE:
            found[time_ns].add(KINDS[kind])
    seen, late = Seen(), 0
    acknowledged, last_ack, last_window = -1, -1, 1
    sent = [segment for segment in segments if segment.source == sender]
    for segment in segments:
        if segment.flags & FLAG_RST:
            continue
        if segment.source != sender:
            last_window = segment.window
            if seen.origin is not None and segment.flags & FLAG_ACK:
                last_ack = seen.place(segment.acknowledgement)
                acknowledged = max(acknowledged, last_ack)
            continue
        theirs = set(segment.says & SINGLE)
        mine = found.get(segment.time_ns, set())
        before, again, stop = seen.take(segment)
        if theirs & {"fast_retransmission", "spurious_retransmission"}:
            theirs -= {"retransmission"}  # they say both
        # What differs on purpose, as `capture.tcp_analysis` says.
        if "out_of_order" in theirs and again:
            theirs = theirs - {"out_of_order"} | {"retransmission"}
        if "spurious_retransmission" in theirs and not before:
            theirs -= {"spurious_retransmission"}
        if theirs & LATE and segment.length and stop <= acknowledged:
            theirs = theirs - LATE | {"spurious_retransmission"}
        if "fast_retransmission" in theirs - mine and last_window == 0:
            theirs = theirs - {"fast_retransmission"} | {"retransmission" if again else "out_of_order"}
        if "keep_alive" in theirs:
            theirs -= {"window_full"}
        if last_ack < acknowledged:
            theirs, mine = theirs - {"window_full"}, mine - {"window_full"}
        assert mine == theirs, (segment, mine)
        late += bool(mine & LATE)
    for name, field in COUNTED.items():
        assert getattr(facts, field) == sum(name in segment.says for segment in sent), name
    for name in ("zero_window", "duplicate_ack"):
        runs = facts.events.kind == KINDS.index(name)
        assert int(facts.events.count[runs].sum()) == getattr(facts, COUNTED[name])
    assert facts.retransmitted_segments + facts.out_of_order == late
    syns = [segment for segment in sent if segment.flags & FLAG_SYN]
    assert facts.mss == (syns[-1].mss if syns else None)
    return late


def round_trips(segments: list[Judged], sender: str) -> Iterator[int]:
    """Yield tshark's ack_rtt of what `sender` sent, but of ACKs that cover something late, and of SYN."""
    seen = Seen()
    acknowledged = repeated = -1
    for segment in segments:
        if segment.flags & FLAG_RST:
            continue
        if segment.source == sender:
            before, _, stop = seen.take(segment)
            repeated = max(repeated, stop if before else -1)
        elif seen.origin is not None and segment.flags & FLAG_ACK:
            position = seen.place(segment.acknowledgement)
            if position > acknowledged:
                of_syn = segment.flags & FLAG_SYN or (
                    segments[0].flags & FLAG_SYN and position == (1 << 20) + 1
                )
                if segment.ack_rtt_ns is not None and acknowledged >= repeated and not of_syn:
                    yield segment.ack_rtt_ns
                acknowledged = position


def check_handshake(ours: dict[tuple[str, str, int], DirectionFacts], segments: list[Judged]) -> None:
    initial = next((s.initial_rtt_ns for s in segments if s.initial_rtt_ns is not None), None)
    opener = segments[0]
    pair = [
        ours[ends[0], ends[1], opener.time_ns].syn_round_trip_ns
        for ends in ((opener.source, opener.destination), (opener.destination, opener.source))
        if (ends[0], ends[1], opener.time_ns) in ours
    ]
    if None not in pair and len(pair) == 2:
        assert sum(pair) == initial  # type: ignore[arg-type]
    else:
        syns = [s.source for s in segments if s.flags & FLAG_SYN]
        assert initial is None or len(set(syns)) < 2 or len(syns) > 2


# Captures of real sessions. Those over loopback are nearly clean; the lossy ones have everything.


def captures(folder: Path) -> list[Path]:
    return sorted([*folder.glob("captures/*/*.pcap"), *folder.glob("lossy-wire/*.pcap.gz")])


def test_fixtures(fixtures: Path) -> None:
    late = {path: check(path) for path in captures(fixtures)}
    assert sum(count > 10 for count in late.values()) >= 2, "the lossy ones"


@pytest.mark.shared
def test_shared_captures(shared: Path) -> None:
    paths = captures(shared)
    assert len(paths) > 30
    for path in paths[::2]:
        check(path)


# Whatever a capture can hold: segments lost, again, overtaken; windows that close, fill and open.


def conversation(port: int, start_ns: int) -> list[Frame]:
    """A connection in which anything happens, as no real one would."""
    rng = random.Random(port)
    ends = (("192.0.2.1", port), ("192.0.2.2", 5900))
    next_sequence = [rng.choice([1000, 2**32 - 4000]), 50_000]
    acked = [next_sequence[0] + 1, next_sequence[1] + 1]  # of what each side sent
    windows = [600, 900]
    sent: list[list[tuple[int, int]]] = [[], []]
    frames: list[Frame] = []
    now = start_ns

    def say(
        side: int, sequence: int, size: int = 0, flags: int = ACK, ack: int | None = None, **options: bytes
    ) -> None:
        nonlocal now
        now += rng.choice([20_000, 300_000, 1_000_000, 4_000_000, 30_000_000])
        body = tcp_segment(
            bytes(size),
            sequence=sequence,
            acknowledgement=acked[1 - side] if ack is None else ack,
            flags=flags,
            window=windows[side],
            from_server=bool(side),
            client=ends[0],
            server=ends[1],
            **options,  # type: ignore[arg-type]
        )
        packet = ip_packet(body, source=ends[side][0], destination=ends[1 - side][0])
        frames.append(Frame(ethernet(packet), now))

    scaled = rng.random() < 0.7
    offer = bytes.fromhex("020405b4 01030302") if scaled else bytes.fromhex("02040400")
    if rng.random() < 0.9:
        say(0, next_sequence[0], flags=SYN, ack=0, options=offer)
        if rng.random() < 0.1:
            say(0, next_sequence[0], flags=SYN, ack=0, options=offer)
        say(1, next_sequence[1], flags=SYN | ACK, ack=next_sequence[0] + 1, options=offer)
        next_sequence = [n + 1 for n in next_sequence]
        say(0, next_sequence[0])
    else:
        scaled = False
        next_sequence = [n + 1 for n in next_sequence]
    for _ in range(rng.randrange(20, 160)):
        side = rng.randrange(2)
        peer = 1 - side
        what = rng.random()
        edge = acked[side] + (windows[peer] << (2 if scaled else 0))
        if what < 0.35:
            size = rng.choice([1, 7, 100, 500])
            if what < 0.05 and 0 < edge - next_sequence[side] < 2000:
                size = edge - next_sequence[side]
            sent[side].append((next_sequence[side], size))
            if rng.random() > 0.1:  # else lost before it was captured
                say(side, next_sequence[side], size)
            next_sequence[side] += size
        elif what < 0.5 and sent[side]:
            say(side, *rng.choice(sent[side][-6:]))
        elif what < 0.8:
            if sent[peer] and rng.random() < 0.7:
                start, size = rng.choice(sent[peer][-4:])
                acked[peer] = max(acked[peer], start + size)
            say(side, next_sequence[side])
        elif what < 0.87:
            for _ in range(rng.randrange(1, 5)):
                say(side, next_sequence[side])
        elif what < 0.93:
            windows[side] = rng.choice([0, 0, 300, 600, 2000])
            say(side, next_sequence[side])
        elif what < 0.97:
            say(side, next_sequence[side] - 1, rng.randrange(2))
        else:
            say(side, next_sequence[side], ack=acked[peer] - rng.choice([0, 100]))
    if rng.random() < 0.5:
        say(0, next_sequence[0], flags=FIN | ACK)
        say(1, next_sequence[1], ack=next_sequence[0] + 1)
    return frames


def test_made_up_conversations(tmp_path: Path) -> None:
    frames = [frame for port in range(1, 61) for frame in conversation(port, 10**18 + port * 10**12)]
    assert check(write_pcap(tmp_path / "x.pcap", frames, nanoseconds=True), made_up=True) > 200
