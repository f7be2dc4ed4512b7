"""What sessions are, rather than how much they have of something: each fact is a set of words per session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spicereplay.analysis.fields import fields
from spicereplay.comparison.material import Material
from spicereplay.protocol.enums import ChannelType, ServerDisplay, Side

if TYPE_CHECKING:
    from spicereplay.session.log import ChannelLog

Words = frozenset[str]

_PRIMARY_FLAG: Final = 1
"""SURFACE_FLAGS_PRIMARY. Source: spice.proto, surface_flags."""
NAMED_LIST: Final = 6
"""Members of a set that a sentence names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of all sessions."""

    name: str
    """Stable: `display/0 client capabilities`."""
    values: tuple[Words | None, ...]
    """Per session, in their order; None where it is not known."""
    weight: int

    @property
    def differs(self) -> bool:
        """Whether sessions that know it have it otherwise."""
        return len({value for value in self.values if value is not None}) > 1

    def only(self, one: int, other: int) -> Words:
        """Return the words that the session `one` has and `other` has not; none where either is not known."""
        mine, theirs = self.values[one], self.values[other]
        return frozenset() if mine is None or theirs is None else mine - theirs


def merged(known: Sequence[Mapping[str, Words]]) -> tuple[Fact, ...]:
    """Return every fact that at least one session knows, from what each of them knows."""
    names = dict.fromkeys(name for each in known for name in each)
    return tuple(Fact(name, tuple(each.get(name) for each in known), _weight(name)) for name in names)


def shown(words: Words | None) -> str:
    """Return a set as text."""
    if words is None:
        return "not known"
    listed = sorted(words)
    more = f" and {len(listed) - NAMED_LIST} more" if len(listed) > NAMED_LIST else ""
    return ", ".join(listed[:NAMED_LIST]) + more or "none"


_WEIGHTS: Final = (
    ("channels", 30),
    ("video codecs", 33),
    ("image types", 31),
    ("sound", 32),
    ("display sizes", 34),
    ("guest agent", 36),
    ("mini headers", 22),
    ("client version", 26),
    ("kind of input", 8),
)


def _weight(name: str) -> int:
    return next((weight for start, weight in _WEIGHTS if name.startswith(start)), 18)


def observed_facts(material: Material) -> dict[str, Words]:
    """Return what one session is."""
    return dict(_facts(material))


def _facts(material: Material) -> Iterator[tuple[str, Words]]:
    logs = [log for session in material.subject.sessions for log in session.channels]
    yield "channels", frozenset(log.name for log in logs)
    yield from _codecs(material)
    if sizes := _display_sizes(logs):
        yield "display sizes", sizes
    talked = len(material.table("agent_messages")) > 0
    yield "guest agent", frozenset({"talks" if talked else "silent"})
    linked = [log for log in logs if log.link is not None]
    if linked:
        yield "mini headers", frozenset({"mini" if log.mini_header else "full" for log in linked})
    yield from _capabilities(linked)
    replay = material.subject.replay
    yield "kind of input", frozenset({replay.kind})
    if replay.reports:
        version = replay.reports[-1].metadata.ryll_version
        if version:
            yield "client version", frozenset({version})


def _codecs(material: Material) -> Iterator[tuple[str, Words]]:
    streams = material.table("streams")
    if material.exposure_s("display"):
        yield "video codecs", frozenset(str(codec) for codec in streams["codec"].unique())
    runs = material.table("sound_runs")
    if len(runs):
        heard = zip(runs["channel"], runs["codec"], runs["rate"], strict=True)
        yield "sound", frozenset(f"{channel} {codec} {rate:,} Hz" for channel, codec, rate in heard)
    if material.decoded:
        yield "image types", frozenset(str(codec) for codec in material.table("images")["codec"].unique())


def _display_sizes(logs: Sequence[ChannelLog]) -> Words:
    found: set[str] = set()
    for log in logs:
        if log.channel is ChannelType.DISPLAY:
            _, made = fields(log.server, ServerDisplay.SURFACE_CREATE)
            primary = made[(made["flags"] & _PRIMARY_FLAG) != 0]
            found.update(
                f"{width}×{height}" for width, height in zip(primary["width"], primary["height"], strict=True)
            )
    return frozenset(found)


def _capabilities(logs: Sequence[ChannelLog]) -> Iterator[tuple[str, Words]]:
    """Yield the capabilities by channel and side; of a channel that was linked several times, all of them."""
    found: dict[str, set[str]] = {}
    for log in logs:
        assert log.link is not None
        for side in (Side.CLIENT, Side.SERVER):
            for kind, names in (
                ("", log.link.cap_names(side)),
                ("common ", log.link.common_cap_names(side)),
            ):
                if names is not None:
                    found.setdefault(f"{log.name} {side} {kind}capabilities", set()).update(names)
    yield from ((name, frozenset(names)) for name, names in found.items())


def differing(all_facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts that differ, the most telling first."""
    return sorted((fact for fact in all_facts if fact.differs), key=lambda fact: (-fact.weight, fact.name))
