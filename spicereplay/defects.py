"""What was wrong with the input, as data.

A peer's or a file's mistake never raises: it becomes a `Defect` that says where, when and which rule, costs what
it damaged, and lets everything else go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from spicereplay.limits import DEFAULT_LIMITS


class DefectKind(StrEnum):
    """The rules that input can break. The value is the stable name that tables and JSON show."""

    # container and capture file
    FILE_DAMAGED = "file_damaged"
    FILE_TRUNCATED = "file_truncated"
    PACKET_CUT = "packet_cut"
    PACKET_MALFORMED = "packet_malformed"
    PACKET_UNSUPPORTED = "packet_unsupported"
    ZIP_DAMAGED = "zip_damaged"
    ZIP_LIMIT = "zip_limit"
    ZIP_MEMBER_NAME = "zip_member_name"
    MEMBER_MISSING = "member_missing"
    MEMBER_NOT_JSON = "member_not_json"
    MEMBER_FIELD = "member_field"
    # transport
    RETRANSMISSION_CONFLICT = "retransmission_conflict"
    BYTES_MISSING = "bytes_missing"
    SEGMENT_OVER_SNAPLEN = "segment_over_snaplen"
    OVERSIZE_PLACEHOLDER = "oversize_placeholder"
    BYTES_MISSING_SILENTLY = "bytes_missing_silently"
    WEBSOCKET = "websocket"
    TLS_UNREADABLE = "tls_unreadable"
    KEY_LOG = "key_log"
    CHANNELS_MERGED = "channels_merged"
    # protocol
    LINK_MALFORMED = "link_malformed"
    LINK_REFUSED = "link_refused"
    FRAMING_LOST = "framing_lost"
    MESSAGE_INCOMPLETE = "message_incomplete"
    MESSAGE_MALFORMED = "message_malformed"
    MESSAGE_UNKNOWN = "message_unknown"
    MESSAGE_TRAILING_BYTES = "message_trailing_bytes"
    VALUE_UNKNOWN = "value_unknown"
    SUB_MESSAGES_MALFORMED = "sub_messages_malformed"
    RECTS_OVER_MESSAGE = "rects_over_message"
    POINTER_OUTSIDE_MESSAGE = "pointer_outside_message"
    AGENT_MALFORMED = "agent_malformed"
    USBREDIR_MALFORMED = "usbredir_malformed"
    WEBDAV_MALFORMED = "webdav_malformed"
    OVER_LIMIT = "over_limit"
    STREAMS_OVER_LIMIT = "streams_over_limit"
    # pictures
    CODEC_DATA = "codec_data"
    CODEC_DATA_SHORT = "codec_data_short"
    CODEC_UNSUPPORTED = "codec_unsupported"
    IMAGE_OVER_LIMIT = "image_over_limit"
    PALETTE_OUTSIDE_MESSAGE = "palette_outside_message"
    PALETTE_MISSING = "palette_missing"
    CACHE_MISS = "cache_miss"
    GLZ_REFERENCE_MISSING = "glz_reference_missing"
    SURFACE_UNKNOWN = "surface_unknown"
    STREAM_UNKNOWN = "stream_unknown"


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong with the input.

    `where` names the place in words a reader can follow ("record 61", "display/0 from server",
    "session.json"); `detail` says what was expected and what was found, with the numbers; `time_ns` is the
    capture time or `None` where there is none; `position` is the byte offset within what `where` names.
    """

    kind: DefectKind
    where: str
    detail: str
    time_ns: int | None = None
    position: int | None = None


@dataclass(slots=True)
class DefectLog:
    """Defects in the order they were found, bounded: a flood of one kind in one place is counted, not kept."""

    per_kind: int = DEFAULT_LIMITS.defects_per_kind
    kept: list[Defect] = field(default_factory=list)
    counts: Counter[tuple[DefectKind, str]] = field(default_factory=Counter)

    def add(
        self,
        kind: DefectKind,
        where: str,
        detail: str,
        *,
        time_ns: int | None = None,
        position: int | None = None,
    ) -> None:
        """Note one defect."""
        self.counts[kind, where] += 1
        if self.counts[kind, where] <= self.per_kind:
            self.kept.append(Defect(kind, where, detail, time_ns, position))

    def extend(self, other: DefectLog) -> None:
        """Take over all of `other`, its counts included."""
        room = {place: self.per_kind - count for place, count in self.counts.items()}
        for defect in other.kept:
            place = (defect.kind, defect.where)
            room[place] = room.get(place, self.per_kind) - 1
            if room[place] >= 0:
                self.kept.append(defect)
        self.counts.update(other.counts)

    def __iter__(self) -> Iterator[Defect]:
        return iter(self.kept)

    def __len__(self) -> int:
        return self.counts.total()
