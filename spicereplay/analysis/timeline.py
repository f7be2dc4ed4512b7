"""All tables of one input, each made when it is asked for and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pandas as pd

from spicereplay.analysis import (
    acks,
    agent,
    agent_records,
    agent_tokens,
    bandwidth,
    client,
    cursor,
    display_silence,
    draws,
    findings,
    flaps,
    frames,
    images,
    input_latency,
    inputs,
    lives,
    messages,
    notifications,
    pings,
    playback,
    regions,
    reports,
    schema,
    streams,
    tcp,
    transport,
    usbredir,
    webdav,
)
from spicereplay.analysis.clock import ClientMediaClock, client_media_clock
from spicereplay.analysis.columns import concat
from spicereplay.analysis.facts import Facts
from spicereplay.analysis.verdict import Note, Verdict, judge, notes
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType

if TYPE_CHECKING:
    from spicereplay.analysis.agent_records import AgentTalk
    from spicereplay.analysis.lives import Video
    from spicereplay.replay import Replay


class Tables(Mapping[str, pd.DataFrame]):
    """The tables of `schema.TABLES` by name, for one replayed input.

    A table is made at the first access and kept. `decode` says whether `frames`, and the decode times in `streams`
    and the findings, are measured by decoding all video; `rule` is the flap rule. `stopwatch` is what decode times
    are taken with. With `reveal_keys` the table `inputs` says which keys were pressed. `defects` holds what the
    analysis itself found wrong with the input, besides what the replay did.
    """

    def __init__(
        self,
        replay: Replay,
        *,
        decode: bool = True,
        rule: flaps.FlapRule = flaps.DEFAULT_RULE,
        limits: Limits = DEFAULT_LIMITS,
        progress: frames.Progress | None = None,
        stopwatch: frames.Stopwatch = time.perf_counter_ns,
        reveal_keys: bool = False,
    ) -> None:
        self.replay = replay
        self.decode = decode
        self.rule = rule
        self.limits = limits
        self.progress = progress
        self.stopwatch = stopwatch
        self.reveal_keys = reveal_keys
        self.defects = DefectLog(limits.defects_per_kind)
        self._made: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        """Return one table; raises `KeyError` for a name that the schema does not know."""
        if name not in self._made:
            self._made[name] = _MAKERS[name](self)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(schema.TABLES)

    def __len__(self) -> int:
        return len(schema.TABLES)

    def all(self) -> dict[str, pd.DataFrame]:
        """Return every table."""
        return {name: self[name] for name in self}

    def streams(self, decode: bool | None = None) -> pd.DataFrame:
        """Return the table `streams`; with `decode=False` without decode times, which takes no time to make."""
        if self.decode if decode is None else decode:
            return streams.with_decode_times(self._streams, self._frames(True))
        return self._streams

    @cached_property
    def facts(self) -> Facts:
        """What rules need to know besides the tables."""
        return Facts.of(self.replay)

    @cached_property
    def verdict(self) -> Verdict:
        """What the findings come to, in one sentence."""
        return judge(self["findings"], self, self.facts)

    @cached_property
    def quality(self) -> list[Note]:
        """What the capture lacks, and what cannot be known because of it."""
        return notes(self, self.facts)

    @property
    def origin_ns(self) -> int:
        """The capture time that all `*_s` columns are counted from."""
        return self.replay.start_time_ns

    @cached_property
    def videos(self) -> list[list[Video]]:
        """All video, per session and display channel."""
        newest = self.replay.sessions[-1:]
        seeds = client.stream_seeds(self.replay.reports)
        return [
            [
                lives.observe_video(log, self.limits, self.defects, seeds if session in newest else None)
                for log in session.of(ChannelType.DISPLAY)
            ]
            for session in self.replay.sessions
        ]

    @cached_property
    def talks(self) -> list[tuple[int, AgentTalk]]:
        """All traffic with the guest agent, as `(session, talk)` per main channel."""
        return agent_records.talks_of(self.replay.sessions, self.limits, self.defects)

    @cached_property
    def _client_clocks(self) -> list[ClientMediaClock]:
        return [client_media_clock(session) for session in self.replay.sessions]

    @cached_property
    def _streams(self) -> pd.DataFrame:
        return concat(
            "streams",
            [
                streams.streams(
                    session.number,
                    self.videos[s],
                    pings.clock_of(self["pings"], session.number, self.origin_ns),
                    self._client_clocks[s],
                    self["reports"],
                    self.origin_ns,
                )
                for s, session in enumerate(self.replay.sessions)
            ],
        )

    def _frames(self, decode: bool) -> pd.DataFrame:
        """Return the table `frames`, decoded or not; the decoded one is kept because it is dear."""
        if not decode:
            return self._frames_of(None)
        return self._decoded_frames

    @cached_property
    def _decoded_frames(self) -> pd.DataFrame:
        return self._frames_of(frames.Decoding(self.stopwatch, self.limits, self.progress))

    def _frames_of(self, decoding: frames.Decoding | None) -> pd.DataFrame:
        parts: list[pd.DataFrame] = []
        before = 0
        for s, session in enumerate(self.replay.sessions):
            rows = {at: before + row for row, at in enumerate(lives.in_order(self.videos[s]))}
            before += len(rows)
            parts.append(
                frames.frames(
                    session.number, self.videos[s], rows, self._client_clocks[s], self.origin_ns, decoding
                )
            )
        return concat("frames", parts)

    @cached_property
    def _observed(self) -> images.Observed:
        """What drawing everything shows; nothing where nothing is to be decoded."""
        sessions = self.replay.sessions if self.decode else []
        return images.observe_images(sessions, self.origin_ns, self.limits, progress=self.progress)

    @cached_property
    def _sound(self) -> list[playback.SoundRun]:
        """All sound, decoded where anything is."""
        return playback.observe_sound(
            self.replay.sessions, self.limits, self.defects, decode=self.decode, progress=self.progress
        )

    def _defects(self) -> pd.DataFrame:
        """All defects: the replay's, the sessions', and those that only making the tables shows."""
        _ = self.videos, self.talks, self._sound, self["usbredir"], self["webdav"]
        sessions = (session.defects for session in self.replay.sessions)
        logs = (self.replay.defects, *sessions, self.defects, self._observed.defects)
        return transport.defects((defect for log in logs for defect in log), self.origin_ns)


_MAKERS: Final[Mapping[str, Callable[[Tables], pd.DataFrame]]] = {
    "messages": lambda t: messages.messages(t.replay.sessions, t.origin_ns),
    "streams": lambda t: t.streams(),
    "frames": lambda t: t._frames(t.decode),
    "images": lambda t: t._observed.images,
    "cache": lambda t: t._observed.cache,
    "draws": lambda t: draws.draws(t.replay.sessions, t.origin_ns),
    "display_silence": lambda t: display_silence.display_silence(t.replay.sessions, t.origin_ns),
    "inputs": lambda t: inputs.inputs(t.replay.sessions, t.origin_ns, reveal_keys=t.reveal_keys),
    "cursor": lambda t: cursor.cursor(t.replay.sessions, t.origin_ns),
    "input_latency": lambda t: input_latency.input_latency(t.replay.sessions, t.origin_ns),
    "sound_runs": lambda t: playback.sound_runs(t._sound, t.origin_ns),
    "playback": lambda t: playback.playback(t._sound, t.origin_ns),
    "usbredir": lambda t: usbredir.usbredir(t.replay.sessions, t.origin_ns, t.limits, t.defects),
    "webdav": lambda t: webdav.webdav(t.replay.sessions, t.origin_ns, t.limits, t.defects),
    "flaps": lambda t: flaps.flaps(t.streams(decode=False), t.rule),
    "regions": lambda t: regions.regions(t.replay.sessions, t.streams(decode=False), t.origin_ns),
    "agent": lambda t: agent.agent(t.talks, t.origin_ns),
    "agent_messages": lambda t: agent_records.agent_messages(t.talks, t.origin_ns),
    "agent_starvation": lambda t: agent_tokens.starvation(t.replay.sessions, t.origin_ns),
    "reports": lambda t: reports.reports(t.replay.sessions, t.origin_ns),
    "pings": lambda t: pings.pings(t.replay.sessions, t.origin_ns),
    "acks": lambda t: acks.acks(t.replay.sessions, t.origin_ns),
    "ack_stalls": lambda t: acks.ack_stalls(t.replay.sessions, t.origin_ns),
    "gaps": lambda t: transport.gaps(t.replay.sessions, t.origin_ns),
    "notifications": lambda t: notifications.notifications(
        t.replay.sessions, t.replay.reports, t.origin_ns, t.limits, utc_offset_ns=t.replay.utc_offset_ns
    ),
    "tcp": lambda t: tcp.tcp(t.replay.sessions),
    "tcp_events": lambda t: tcp.tcp_events(t.replay.sessions, t.origin_ns),
    "tcp_stalls": lambda t: tcp.tcp_stalls(t.replay.sessions, t.origin_ns),
    "channels": lambda t: transport.channels(t.replay.sessions, t.origin_ns),
    "bandwidth": lambda t: bandwidth.bandwidth(t.replay.sessions, t.origin_ns, t.replay.end_time_ns),
    "defects": lambda t: t._defects(),
    "client_reported": lambda t: client.client_reported(t.replay.reports, len(t.replay.sessions)),
    "disagreements": lambda t: client.disagreements(t.replay.reports, t, t.facts),
    "findings": lambda t: findings.table(findings.find(t, t.facts)),
}
