"""Which video stream lived when, and which frame belongs to which stream.

Stream ids are reused, so a stream is a *life* of an id: the messages between its STREAM_CREATE and its end. Where
the capture begins in the middle, or has a hole, a life shows itself by its frames or its end alone.
Source: spice-wire.md 10.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from spicereplay.analysis.columns import NEVER, IndexArray
from spicereplay.analysis.fields import Fields, fields, present
from spicereplay.bytestream import Int64Array
from spicereplay.codecs.jpeg_markers import parse_jpeg
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import DecodeError
from spicereplay.limits import Limits
from spicereplay.protocol.enums import ClientDisplay, ClipType, ServerDisplay, VideoCodec
from spicereplay.protocol.index import MessageIndex
from spicereplay.session.log import ChannelLog

UNKNOWN_CODEC: Final = "unknown"
_SNIFFED_BYTES: Final = 4096
"""How far into a frame its codec and size are looked for."""
_LIFE_EVENTS: Final = (
    ServerDisplay.STREAM_CREATE,
    ServerDisplay.STREAM_DESTROY,
    ServerDisplay.STREAM_DESTROY_ALL,
)


class End(StrEnum):
    """The message that ended a life."""

    DESTROY = "destroy"
    DESTROY_ALL = "destroy_all"
    REPLACED = "replaced"
    """A STREAM_CREATE of the same id."""
    NONE = "none"
    """It still lives when the capture ends."""


@dataclass(frozen=True, slots=True)
class Seed:
    """What the client reported of a stream whose STREAM_CREATE the capture lacks."""

    codec: str
    width: int
    height: int


@dataclass(slots=True)
class Life:
    """One stream. Rows are rows of the server's message index; -1 and `NEVER` where the message was not seen."""

    stream_id: int
    first_row: int
    """Its STREAM_CREATE, or the row after which it must have begun."""
    seen_create: bool = True
    created_ns: int = NEVER
    end: End = End.NONE
    end_row: int = NEVER
    ended_ns: int = NEVER
    codec: str = UNKNOWN_CODEC
    codec_source: str = "capture"
    """`capture`; `inferred` from the frames; `client_reported`."""
    width: int = 0
    height: int = 0
    surface_id: int = 0
    dest: tuple[int, int, int, int] = (0, 0, 0, 0)
    """left, top, right, bottom"""
    top_down: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class FrameColumns:
    """Every STREAM_DATA and STREAM_DATA_SIZED of one channel, in order; arrays of one length."""

    row: IndexArray
    """Row of the server's message index."""
    time_ns: Int64Array
    stream_id: npt.NDArray[np.uint32]
    mm_time: npt.NDArray[np.uint32]
    size: npt.NDArray[np.uint32]
    """Bytes of compressed data."""
    payload: Int64Array
    """Stream position of the compressed data."""
    width: npt.NDArray[np.uint32]
    """Of STREAM_DATA_SIZED; 0 for STREAM_DATA."""
    height: npt.NDArray[np.uint32]
    sized: npt.NDArray[np.bool_]
    partial: npt.NDArray[np.bool_]
    life: npt.NDArray[np.int32]
    """Index into `Video.lives`; -1: of a stream over the limit."""

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Every STREAM_CLIP of one channel, in order."""

    row: IndexArray
    life: npt.NDArray[np.int32]
    """Index into `Video.lives`; -1: of no stream."""
    empty: npt.NDArray[np.bool_]
    """Type RECTS without any: nothing is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class ByLife:
    """Which entries of a column belong to which life, found once for all lives."""

    order: IndexArray
    bounds: IndexArray

    @classmethod
    def of_column(cls, life: npt.NDArray[np.int32], lives: int) -> ByLife:
        """Sort the entries by their life; those of none (-1) come first and belong to nobody."""
        order = np.argsort(life, kind="stable")
        return cls(order, np.searchsorted(life[order], np.arange(lives + 1)))

    def __getitem__(self, life: int) -> IndexArray:
        """Return the entries of one life, in order."""
        return self.order[self.bounds[life] : self.bounds[life + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """All video of one display channel."""

    channel: ChannelLog
    lives: list[Life]
    frames: FrameColumns
    clips: Clips
    frames_of: ByLife
    """Entries of `frames` by life."""
    clips_of: ByLife
    """Entries of `clips` by life."""

    def begins_ns(self, life: int) -> int:
        """Return when a life began or, where that was not seen, first showed itself."""
        if self.lives[life].seen_create:
            return self.lives[life].created_ns
        mine = self.frames_of[life]
        return int(self.frames.time_ns[mine[0]]) if len(mine) else self.lives[life].ended_ns

    def frame_bytes(self, frame: int) -> bytes:
        """Return the compressed data of one frame, up to its first missing byte."""
        start = int(self.frames.payload[frame])
        return self.channel.server.stream.read(start, start + int(self.frames.size[frame]))


def observe_video(
    log: ChannelLog, limits: Limits, defects: DefectLog, seeds: Mapping[int, Seed] | None = None
) -> Video:
    """Return all video of a display channel.

    `seeds` maps ids of streams that were open when the client wrote its report to what it said of them. An id of
    `limits.streams` or more is a defect and gives no life. With ids below it no more than `limits.streams` can live.
    """
    index = log.server
    frames = _frames(index)
    strange = np.flatnonzero(frames.stream_id >= limits.streams)
    if len(strange):
        first = int(strange[0])
        what = f"{len(strange)} frames, the first"
        _over_limit(log, defects, limits, what, int(frames.stream_id[first]), int(frames.time_ns[first]))
    known = np.flatnonzero(
        np.bincount(np.minimum(frames.stream_id, limits.streams), minlength=1)[: limits.streams]
    )
    by_id = {int(i): np.flatnonzero(frames.stream_id == i) for i in known}
    builder = _Builder(log, frames, by_id)
    for row, kind, stream_id, created in _events(index):
        time_ns = int(index.time_ns[row])
        if kind == ServerDisplay.STREAM_DESTROY_ALL:
            for each in sorted({*builder.live, *by_id}):
                builder.finish(each, row, time_ns, End.DESTROY_ALL)
        elif stream_id >= limits.streams:
            if created is not None:
                _over_limit(log, defects, limits, "STREAM_CREATE", stream_id, time_ns)
        elif created is None:
            builder.finish(stream_id, row, time_ns, End.DESTROY)
        else:
            builder.finish(stream_id, row, time_ns, End.REPLACED)
            builder.begin(stream_id, row, time_ns, created)
    for stream_id in by_id:
        builder.imply(stream_id, NEVER)
    video = builder.video()
    _complete(video, seeds or {})
    return video


def _over_limit(
    log: ChannelLog, defects: DefectLog, limits: Limits, what: str, stream_id: int, time_ns: int
) -> None:
    defects.add(
        DefectKind.STREAMS_OVER_LIMIT,
        f"{log.name} from server",
        f"{what} for stream {stream_id}: more streams than the limit of {limits.streams}",
        time_ns=time_ns,
    )


def _events(index: MessageIndex) -> list[tuple[int, int, int, np.void | None]]:
    """Return `(row, message type, stream id, fields of STREAM_CREATE)` of what begins and ends lives, in order."""
    found: list[tuple[int, int, int, np.void | None]] = []
    rows, creates = fields(index, ServerDisplay.STREAM_CREATE)
    found += [
        (int(row), int(ServerDisplay.STREAM_CREATE), int(create["id"]), create)
        for row, create in zip(rows, creates, strict=True)
    ]
    rows, destroys = fields(index, ServerDisplay.STREAM_DESTROY)
    found += [
        (int(row), int(ServerDisplay.STREAM_DESTROY), int(stream_id), None)
        for row, stream_id in zip(rows, destroys["id"], strict=True)
    ]
    found += [
        (int(row), int(ServerDisplay.STREAM_DESTROY_ALL), -1, None)
        for row in index.rows(ServerDisplay.STREAM_DESTROY_ALL)
    ]
    return sorted(found, key=lambda event: event[0])


def _frames(index: MessageIndex) -> FrameColumns:
    """Read the fixed fields of all frames; a frame whose head was not captured is left out."""
    parts: list[tuple[IndexArray, Fields, bool]] = []
    for message_type in (ServerDisplay.STREAM_DATA, ServerDisplay.STREAM_DATA_SIZED):
        rows = np.flatnonzero(index.type == message_type)
        rows = rows[present(index, rows, message_type)]
        parts.append((*fields(index, message_type, rows), message_type == ServerDisplay.STREAM_DATA_SIZED))
    row = np.concatenate([rows for rows, _, _ in parts])
    order = np.argsort(row, kind="stable")

    def column(name: str) -> npt.NDArray[np.uint32]:
        pieces = [
            values[name] if name in (values.dtype.names or ()) else np.zeros(len(values), np.uint32)
            for _, values, _ in parts
        ]
        return np.concatenate(pieces)[order]

    row = row[order]
    sized = np.concatenate([np.full(len(rows), is_sized) for rows, _, is_sized in parts])[order]
    header = np.concatenate([np.full(len(rows), values.dtype.itemsize) for rows, values, _ in parts])[order]
    return FrameColumns(
        row=row,
        time_ns=index.time_ns[row],
        stream_id=column("base_id"),
        mm_time=column("base_multi_media_time"),
        size=np.minimum(column("data_size"), (index.size[row] - header).astype(np.uint32)),
        payload=index.position[row] + header,
        width=column("width"),
        height=column("height"),
        sized=sized,
        partial=index.partial[row],
        life=np.full(len(row), -1, np.int32),
    )


def in_order(videos: Sequence[Video]) -> list[tuple[int, int]]:
    """Return `(index of the video, index of the life)` of all lives, in order of their beginning."""
    lives = [(v, i) for v, video in enumerate(videos) for i in range(len(video.lives))]
    return sorted(lives, key=lambda at: videos[at[0]].begins_ns(at[1]))


class _Builder:
    """Lives under way, by id."""

    def __init__(self, log: ChannelLog, frames: FrameColumns, frames_by_id: dict[int, IndexArray]) -> None:
        self.log = log
        self.frames = frames
        self.frames_by_id = frames_by_id
        self.rows_by_id = {stream_id: frames.row[mine] for stream_id, mine in frames_by_id.items()}
        self.live: dict[int, Life] = {}
        self.free_since: dict[int, int] = {}
        """Row at which the last life of an id ended."""
        self.lives: list[Life] = []
        # Without the start of the channel, or after a hole, a stream can exist that nothing announced.
        begins = log.link is not None or len(log.client.rows(ClientDisplay.INIT)) > 0
        self.incomplete = not begins or bool(log.gaps)

    def begin(self, stream_id: int, row: int, time_ns: int, create: np.void) -> None:
        codec = int(create["codec_type"])
        life = Life(
            stream_id=stream_id,
            first_row=row,
            created_ns=time_ns,
            codec=codec_name(codec),
            width=int(create["stream_width"]),
            height=int(create["stream_height"]),
            surface_id=int(create["surface_id"]),
            dest=(
                int(create["dest_left"]),
                int(create["dest_top"]),
                int(create["dest_right"]),
                int(create["dest_bottom"]),
            ),
            top_down=bool(create["flags"] & 1),
        )
        self.live[stream_id] = life
        self.lives.append(life)

    def imply(self, stream_id: int, before_row: int, even_without_frames: bool = False) -> Life | None:
        """Begin the life that frames, or the end alone, show to have been there since the last one ended."""
        if stream_id in self.live:
            return None
        since = self.free_since.get(stream_id, -1)
        rows = self.rows_by_id.get(stream_id, _NO_ROWS)
        shown = np.searchsorted(rows, since, "right") < np.searchsorted(rows, before_row)
        if not shown and not even_without_frames:
            return None
        life = Life(stream_id, first_row=since, seen_create=False)
        self.live[stream_id] = life
        self.lives.append(life)
        return life

    def finish(self, stream_id: int, row: int, time_ns: int, end: End) -> None:
        self.imply(stream_id, row, even_without_frames=end is End.DESTROY and self.incomplete)
        life = self.live.pop(stream_id, None)
        if life is not None:
            life.end, life.end_row, life.ended_ns = end, row, time_ns
        self.free_since[stream_id] = row

    def video(self) -> Video:
        """Give every frame and clip its life."""
        order = sorted(range(len(self.lives)), key=lambda i: self.lives[i].first_row)
        lives = [self.lives[i] for i in order]
        by_id: dict[int, list[int]] = {}
        for i, life in enumerate(lives):
            by_id.setdefault(life.stream_id, []).append(i)
        frames = self.frames
        rows, clip = fields(self.log.server, ServerDisplay.STREAM_CLIP)
        clips = Clips(
            row=rows,
            life=np.full(len(rows), -1, np.int32),
            # u32 id, u8 type, u32 count: nothing follows where the count is 0 (spice-wire.md 7.1).
            empty=(clip["clip_type"] == ClipType.RECTS) & (self.log.server.size[rows] <= 9),
        )
        for stream_id, which in by_id.items():
            first = np.array([lives[i].first_row for i in which])
            end = np.array([lives[i].end_row for i in which])
            for row, owner, mine in (
                (frames.row, frames.life, self.frames_by_id.get(stream_id, _NO_ROWS)),
                (clips.row, clips.life, np.flatnonzero(clip["id"] == stream_id)),
            ):
                at = np.searchsorted(first, row[mine], "right") - 1
                inside = (at >= 0) & (row[mine] < end[np.maximum(at, 0)])
                owner[mine[inside]] = np.array(which, np.int32)[at[inside]]
        return Video(
            self.log,
            lives,
            frames,
            clips,
            ByLife.of_column(frames.life, len(lives)),
            ByLife.of_column(clips.life, len(lives)),
        )


_NO_ROWS: Final[IndexArray] = np.empty(0, np.intp)


def codec_name(codec: int) -> str:
    """Return the name that tables show for a codec number."""
    known = codec in VideoCodec.__members__.values()
    return VideoCodec(codec).name.lower() if known else f"unknown_{codec}"


def _complete(video: Video, seeds: Mapping[int, Seed]) -> None:
    """Fill in codec and size of the lives whose STREAM_CREATE was not seen."""
    frames = video.frames
    for i, life in enumerate(video.lives):
        if life.seen_create:
            continue
        seed = seeds.get(life.stream_id)
        if seed is not None and life.end is End.NONE:
            life.codec, life.width, life.height = seed.codec, seed.width, seed.height
            life.codec_source = "client_reported"
            continue
        mine = video.frames_of[i]
        mine = mine[~frames.partial[mine]]
        if not len(mine):
            continue
        life.codec, life.width, life.height = sniff(video.frame_bytes(int(mine[0]))[:_SNIFFED_BYTES])
        life.codec_source = "inferred"
        sized = mine[frames.sized[mine]]
        if len(sized) and not life.width:
            life.width, life.height = int(frames.width[sized[0]]), int(frames.height[sized[0]])


def sniff(data: bytes) -> tuple[str, int, int]:
    """Return codec, width and height as far as the first bytes of a frame show them; `unknown` and 0 otherwise.

    Sources: ITU-T T.81 B.1 (SOI); ITU-T H.264 7.3.1 and H.265 7.3.1.2 (NAL unit headers; the server sends an access
    unit delimiter first, spice-wire.md 10.2); RFC 6386 9.1 (VP8 key frame).
    """
    if data.startswith(b"\xff\xd8\xff"):
        try:
            header = parse_jpeg(data)
        except DecodeError:
            return "mjpeg", 0, 0
        return "mjpeg", header.width, header.height
    start = 4 if data.startswith(b"\0\0\0\1") else 3 if data.startswith(b"\0\0\1") else 0
    if start and len(data) > start + 1:
        first, second = data[start], data[start + 1]
        if first & 0x81 == 0 and first >> 1 in (32, 33, 34, 35) and second & 0xF8 == 0:
            return "h265", 0, 0
        if first & 0x80 == 0 and first & 0x1F in (1, 5, 6, 7, 9):
            return "h264", 0, 0
    if len(data) >= 10 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return "vp8", width, height
    return UNKNOWN_CODEC, 0, 0
