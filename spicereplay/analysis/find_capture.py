"""Rules about the capture itself: what it lacks, and what was refused or unreadable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.facts import Facts
from spicereplay.analysis.finding import Finding, at, cite, examples, plural, rows_of
from spicereplay.defects import DefectKind
from spicereplay.replay.identify import BEGAN_BEFORE, NO_KEYS_GIVEN

if TYPE_CHECKING:
    import pandas as pd

Tables = Mapping[str, "pd.DataFrame"]

_LARGE: Final = ("segment_over_snaplen", "oversize_placeholder")
_REPORTED_ELSEWHERE: Final = frozenset(
    {
        str(kind)
        for kind in (
            DefectKind.BYTES_MISSING,
            DefectKind.BYTES_MISSING_SILENTLY,
            DefectKind.SEGMENT_OVER_SNAPLEN,
            DefectKind.OVERSIZE_PLACEHOLDER,
            DefectKind.MESSAGE_INCOMPLETE,
            DefectKind.CHANNELS_MERGED,
            DefectKind.TLS_UNREADABLE,
            DefectKind.FRAMING_LOST,
            DefectKind.LINK_REFUSED,
            DefectKind.MEMBER_MISSING,
        )
    }
)
"""Defects that have a finding of their own."""
_PICTURE_SOURCES: Final = {
    str(DefectKind.SURFACE_UNKNOWN): "a surface whose SURFACE_CREATE was not seen",
    str(DefectKind.CACHE_MISS): "a cached image that was not seen",
    str(DefectKind.GLZ_REFERENCE_MISSING): "an earlier GLZ image that was not seen",
    str(DefectKind.PALETTE_MISSING): "a palette that was not seen",
    str(DefectKind.STREAM_UNKNOWN): "a stream whose STREAM_CREATE was not seen",
}
"""What drawing can need of the time before the capture began, or of bytes it lost."""


def link_refused(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find channels that the server turned away (spice-wire.md 2.5)."""
    if facts.refused:
        password = any("PERMISSION_DENIED" in refusal.detail for refusal in facts.refused)
        main = max((r.time_s for r in facts.refused if r.channel.startswith("main")), default=None)
        played = tables["channels"]
        later = main is not None and bool(
            (
                (played["channel"] == "main")
                & (played["start_s"] > main)
                & (played["messages_from_server"] > 0)
            ).any()
        )
        yield Finding(
            "link_refused",
            "critical" if main is not None and not later else "warn",
            "The server refused the connection"
            + (": permission denied, which is a wrong, missing or expired password" if password else "")
            + ("; a later attempt was accepted" if later else ""),
            tuple(
                cite(s, "capture")
                for s in examples(
                    [
                        f"session {r.session} {r.channel} at {r.time_s:.2f} s: {r.detail}"
                        for r in facts.refused
                    ]
                )
            ),
            min(refusal.time_s for refusal in facts.refused),
            "server",
        )


def tls_unreadable(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find connections under TLS that stayed shut, which leaves sizes and times only, or opened only in part."""
    sealed = [unread for unread in facts.unread if unread.what == "tls"]
    if sealed:
        keyless = [o for o in sealed if o.detail in ("", NO_KEYS_GIVEN)]
        begun = [o for o in sealed if o.detail == BEGAN_BEFORE]
        why = "TLS that the keys given do not open"
        if len(keyless) + len(begun) == len(sealed):
            why = "TLS, and no keys were given" if keyless else "TLS that began before the capture"
        yield Finding(
            "tls_unreadable",
            "warn",
            f"{plural(len(sealed), 'connection')} could not be read: {why}",
            (
                *(
                    cite(s, "capture")
                    for s in examples(
                        [
                            f"{o.client} → {o.server}: {o.bytes:,} bytes, {o.detail or 'no keys'}"
                            for o in sealed
                        ]
                    )
                ),
                *(
                    (cite("with the client's SSLKEYLOGFILE it can be read: --keylog FILE", "inferred"),)
                    if len(begun) < len(sealed)
                    else (
                        cite(
                            "it can be read where the capture begins before the client connects", "inferred"
                        ),
                    )
                ),
            ),
            who="capture",
        )
    broken = _of_kind(tables, DefectKind.TLS_UNREADABLE)
    broken = broken[broken["where"].str.endswith((" from client", " from server"))]
    if len(broken):
        yield Finding(
            "tls_unreadable",
            "warn",
            f"TLS was opened, but {plural(broken['where'].nunique(), 'direction')} of it not as a whole",
            tuple(cite(s, "capture") for s in examples([f"{r.where}: {r.detail}" for r in rows_of(broken)])),
            at(float(broken["time_s"].min())),
            "capture",
        )


def several_displays_merged(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find several display channels recorded as one (ryll-formats.md 10.4)."""
    merged = _of_kind(tables, DefectKind.CHANNELS_MERGED)
    if len(merged):
        yield Finding(
            "several_displays_merged",
            "warn",
            "Several display channels were recorded as one: which message belongs to which cannot be told",
            tuple(cite(f"{row.where}: {row.detail}", "inferred") for row in rows_of(merged.head(5))),
            at(float(merged["time_s"].min())),
            "capture",
        )


def _of_kind(tables: Tables, *kinds: DefectKind) -> pd.DataFrame:
    defects = tables["defects"]
    return defects[defects["kind"].isin([str(kind) for kind in kinds])]


def large_messages_lost(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find large messages whose heads ryll's recorder left out (ryll-formats.md 9.4, 10.5)."""
    gaps = tables["gaps"]
    lost = gaps[gaps["cause"].isin(_LARGE)]
    if len(lost):
        yield Finding(
            "large_messages_lost",
            "warn",
            f"The client's recorder lost {plural(int(lost['messages'].fillna(1).sum()), 'large message')}: pictures "
            "made "
            "from them are unknown",
            (
                cite(
                    f"{plural(len(lost), 'hole')}, {int(lost['bytes'].fillna(0).sum()):,} bytes known to be missing; "
                    "the writer refuses packets above its own length limit",
                    "capture",
                ),
            ),
            at(float(lost["time_s"].min())),
            "capture",
        )


def capture_incomplete(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find bytes that were sent and are not there, for another reason than the recorder's own."""
    gaps = tables["gaps"]
    evicted = gaps[gaps["cause"] == "evicted"]
    if len(evicted):
        yield Finding(
            "capture_begins_late",
            "info",
            "The recording begins in the middle: what came before had been dropped",
            tuple(cite(s, "capture") for s in examples(_holes(evicted))),
            at(float(evicted["time_s"].min())),
            "capture",
        )
    lost = gaps[~gaps["cause"].isin([*_LARGE, "evicted"])]
    if len(lost):
        total = int(lost["bytes"].fillna(0).sum())
        unknown = bool(lost["bytes"].isna().any())
        yield Finding(
            "capture_incomplete",
            "warn",
            f"The capture has {plural(len(lost), 'hole')}: "
            + (f"{total:,} bytes or more are missing" if unknown else f"{total:,} bytes are missing"),
            tuple(cite(s, "capture") for s in examples(_holes(lost))),
            at(float(lost["time_s"].min())),
            "capture",
        )


def one_direction(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find channels of which one direction is not there at all; a client's own recording has quiet channels, too."""
    if facts.unseen and facts.kind in ("pcap", "pcapng"):
        sides = sorted({side for _, side in facts.unseen})
        yield Finding(
            "one_direction",
            "warn",
            f"Nothing that the {' or the '.join(sides)} sent can be read on {plural(len(facts.unseen), 'channel')}",
            (
                *(
                    cite(s, "capture")
                    for s in examples([f"{where}: the {side}" for where, side in facts.unseen])
                ),
                cite("what was answered or acknowledged there, and how soon, is not known", "inferred"),
            ),
            who="capture",
        )


def _holes(gaps: pd.DataFrame) -> list[str]:
    columns = (gaps[c] for c in ("session", "channel", "channel_id", "from", "time_s", "cause"))
    sizes = gaps["bytes"].astype("Float64").fillna(-1).tolist()
    return [
        f"session {session} {channel}/{number} from {sender} at {time_s:.2f} s: "
        + ("an unknown number of" if size < 0 else f"{size:,.0f}")
        + f" bytes ({cause})"
        for session, channel, number, sender, time_s, cause, size in zip(*columns, sizes, strict=True)
    ]


def framing_lost(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find where the sequence of messages broke off and was found again further on."""
    lost = _of_kind(tables, DefectKind.FRAMING_LOST)
    unparsed = tables["channels"]
    unparsed = unparsed[unparsed["unparsed_bytes"] > 0]
    if len(lost):
        yield Finding(
            "framing_lost",
            "info",
            f"Message boundaries were lost {plural(len(lost), 'time')} and had to be searched for",
            (
                *(cite(f"{row.where}: {row.detail}", "capture") for row in rows_of(lost.head(3))),
                *(
                    cite(
                        f"{row.channel}/{row.channel_id}: {row.unparsed_bytes:,} bytes belong to no message",
                        "capture",
                    )
                    for row in rows_of(unparsed.head(3))
                ),
            ),
            at(float(lost["time_s"].min())),
            "capture",
        )


def handshake_missing(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find channels that the capture begins in the middle of."""
    channels = tables["channels"]
    late = channels[~channels["handshake"]]
    if len(late) and facts.kind in ("pcap", "pcapng"):
        yield Finding(
            "handshake_missing",
            "info",
            f"The capture begins in the middle of {plural(len(late), 'channel')}: capabilities are unknown",
            tuple(cite(f"{where}: {text}", "inferred") for where, text in facts.assumptions[:5])
            or (cite("no link stage was captured", "capture"),),
            at(float(late["start_s"].min())),
            "capture",
        )


def members_missing(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find files that a bug report should have."""
    if facts.missing_members:
        no_traffic = "traffic.pcap" in facts.missing_members
        yield Finding(
            "members_missing",
            "warn" if no_traffic else "info",
            "The bug report has no recording: only the client's own figures can be judged"
            if no_traffic
            else f"The bug report lacks {plural(len(facts.missing_members), 'file')}",
            (cite(f"missing: {', '.join(facts.missing_members)}", "client_reported"),),
            who="capture",
        )


def pictures_incomplete(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find drawing that needs what the capture does not hold: part of the screen is then unknown."""
    defects = tables["defects"]
    needed = defects[defects["kind"].isin(_PICTURE_SOURCES)]
    if len(needed):
        counts = needed["kind"].astype(str).value_counts()
        yield Finding(
            "pictures_incomplete",
            "info",
            "Parts of the screen cannot be rebuilt from this capture",
            (
                *(
                    cite(f"needed {plural(n, 'time')}: {_PICTURE_SOURCES[str(kind)]}", "capture")
                    for kind, n in counts.items()
                ),
                *(
                    cite(s, "capture")
                    for s in examples([f"{row.where}: {row.detail}" for row in rows_of(needed)])
                ),
            ),
            at(float(needed["time_s"].min())),
            "capture",
        )


def malformed_input(tables: Tables, facts: Facts) -> Iterator[Finding]:
    """Find everything else that broke a rule."""
    defects = tables["defects"]
    rest = defects[~defects["kind"].isin(_REPORTED_ELSEWHERE | _PICTURE_SOURCES.keys())]
    if len(rest):
        # By name where they are equally many: the same defects in another order are the same finding.
        counts = rest["kind"].astype(str).value_counts().sort_index()
        counts = counts.sort_values(ascending=False, kind="stable")
        yield Finding(
            "malformed_input",
            "info",
            f"The input breaks {plural(len(counts), 'rule')}: {', '.join(counts.index[:4])}",
            tuple(
                cite(s, "capture")
                for s in examples([f"{row.kind} at {row.where}: {row.detail}" for row in rows_of(rest)])
            ),
            at(float(rest["time_s"].min())),
            "capture",
        )


RULES: Final = (
    link_refused,
    tls_unreadable,
    several_displays_merged,
    large_messages_lost,
    capture_incomplete,
    one_direction,
    members_missing,
    framing_lost,
    handshake_missing,
    pictures_incomplete,
    malformed_input,
)
