r"""How a message lies in its bytes, said once: field types, declarations, and what is compiled from them.

A declaration is a frozen dataclass whose annotations carry the wire types, in the order and with the names of
the SPICE definition:

    @message(ServerDisplay.STREAM_CLIP)
    class StreamClip(Message):
        id: U32
        clip: Clip

    parsed = parse(StreamClip, body)      # parsed.message, parsed.problems
    body = build(StreamClip(7, clip))     # the canonical bytes
    body = build(parsed.message, layout=parsed.layout, residue=parsed.residue)      # the very bytes parsed

| annotation | on the wire |
|---|---|
| `U8 U16 U32 U64 I16 I32 I64` | a little-endian integer |
| `Enum8[E]`, `Enum16[E]`, `Enum32[E]` | the same; a value or bit that `E` lacks stays a plain `int` |
| another structure | its fields, here |
| `Annotated[bytes, FixedBytes(n)]` | n bytes |
| `Annotated[bytes, Counted("size")]` | as many bytes as that earlier field says |
| `Annotated[tuple[T, ...], Counted("count")]` | as many T as that earlier field says |
| `Annotated[bytes, Sized(rule, "a", "b")]` | `rule(a, b)` bytes |
| `Rest`, `Annotated[tuple[T, ...], ToEnd()]` | everything up to the end of the body |
| `Annotated[T \| None, Pointer()]` | →T: a u32 distance from the start of the body to T, 0 for none |
| `Annotated[T \| None, When("flags", bit)]` | T where an earlier field has that bit or value, else nothing |
| `Annotated[T \| None, Negotiated("name")]` | T where both ends agreed on it beforehand, else nothing |
| `Annotated[A \| B \| None, Choice("type", {1: A, 2: B})]` | what an earlier field chooses, else nothing |

A field set to `derived()` is the length of what names it in `Counted`: on the wire and readable, but not an
argument: nobody has to keep the two in step.

A body that breaks its declaration raises nothing. What lies inline cannot be trusted past the fault and costs
the message; the target of a pointer costs only itself. A caller's mistake in `build` is a `UsageError`.

Source: spice-wire.md 1 (conventions, offsets), 17 (traps).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from inspect import get_annotations
from types import SimpleNamespace
from typing import Any, Generic, Literal, TypeVar, dataclass_transform, get_type_hints

from spicereplay.defects import DefectKind
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol._compiled import (
    Field,
    Layout,
    Malformed,
    Presence,
    Problem,
    Reader,
    StructureCodec,
    Writer,
    fields_of,
)
from spicereplay.protocol.fields import (
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Choice,
    Counted,
    Enum8,
    Enum16,
    Enum32,
    FixedBytes,
    Message,
    Negotiated,
    Pointer,
    Rest,
    Sized,
    Structure,
    ToEnd,
    When,
)

__all__ = [
    "I16",
    "I32",
    "I64",
    "U8",
    "U16",
    "U32",
    "U64",
    "Choice",
    "Counted",
    "Enum8",
    "Enum16",
    "Enum32",
    "FixedBytes",
    "Layout",
    "Message",
    "Negotiated",
    "Parsed",
    "Pointer",
    "Problem",
    "Residue",
    "Rest",
    "Sized",
    "Structure",
    "ToEnd",
    "UnknownMessage",
    "When",
    "build",
    "derived",
    "message",
    "parse",
    "structure",
    "unknown",
]

# --- declaring ----------------------------------------------------------------------------------------


class _Derived:
    """Marks a field that is the length of another."""


def derived(*, init: Literal[False] = False) -> Any:
    """Declare a count or size that follows from what it counts."""
    return _Derived()


S = TypeVar("S", bound=Structure)
M = TypeVar("M", bound=Message)


@dataclass_transform(frozen_default=True, field_specifiers=(derived,))
def structure(cls: type[S]) -> type[S]:
    """Declare a structure that messages contain."""
    return _declare(cls, slack=False)


@dataclass_transform(frozen_default=True, field_specifiers=(derived,))
def message(*types: IntEnum, slack: bool = False) -> Callable[[type[M]], type[M]]:
    """Declare the body of the messages `types`.

    The registry that a type belongs to (`ServerDisplay`, …) says which channel and side send it. `slack` says
    that servers leave bytes after the last field.
    """

    def declare(cls: type[M]) -> type[M]:
        cls.TYPES = types
        return _declare(cls, slack=slack)

    return declare


def _declare(cls: type[S], *, slack: bool) -> type[S]:
    own = get_annotations(cls)
    names = vars(sys.modules[cls.__module__])
    fields = fields_of(get_type_hints(SimpleNamespace(__annotations__=own), names, include_extras=True))
    for index, field in enumerate(fields):
        if isinstance(cls.__dict__.get(field.name), _Derived):
            counted = [other for other in fields if field.name in other.counts]
            fields[index] = _count(field, index, counted[0].presence)
            del cls.__annotations__[field.name]
            holders = [other.name for other in counted]
            doc = f"How many {' or '.join(holders)} holds."
            setattr(cls, field.name, property(_length_of(holders), doc=doc))
    made = dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)
    codec = StructureCodec(made, fields)
    made.WIRE = codec
    made.SLACK = slack
    made.MIN_SIZE = codec.min_size
    made.MAX_SIZE = None if codec.pointers or slack else codec.max_size
    made.PREFIX = tuple(codec.prefix("")[0])
    return made


def _count(field: Field, index: int, presence: Presence | None) -> Field:
    """Return `field` as the count of what has `presence`: absent with it if that is known by then."""
    known = presence is not None and presence.path is not None and presence.path.index < index
    return Field(field.name, field.codec, presence if known else None, derived=True)


def _length_of(names: Sequence[str]) -> Callable[[Structure], int]:
    def length(self: Structure) -> int:
        values = (getattr(self, name) for name in names)
        return next((len(value) for value in values if value is not None), 0)

    return length


# --- parsing and building ---------------------------------------------------------------------------

Residue = tuple[tuple[int, bytes], ...]
"""Bytes of a body that its message does not account for: (offset, bytes), ascending."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What came of one body. `message` is `None` when its inline part is malformed."""

    message: T | None
    problems: tuple[Problem, ...]
    layout: Layout
    body: bytes

    @property
    def residue(self) -> Residue:
        """The bytes that building `message` with `layout` would not give back; worked out at each use."""
        if self.message is None:
            return ((0, self.body),)
        return _differences(build(self.message, layout=self.layout), self.body)


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A message of a type that nobody declared: its bytes, untouched."""

    type: int
    data: bytes


def unknown(type: int, body: bytes | memoryview, detail: str) -> Parsed[UnknownMessage]:
    """Return `body` as a message of an unknown type; `detail` says where that type is not known."""
    data = bytes(body)
    problem = Problem(DefectKind.MESSAGE_UNKNOWN, detail, 0)
    return Parsed(UnknownMessage(type, data), (problem,), Layout((), len(data)), data)


def _differences(first: bytes, second: bytes, *, block: int = 4096) -> Residue:
    """Return the runs in which `second` differs from `first`, which is as long."""
    runs: list[tuple[int, int]] = []
    for start in range(0, len(second), block):
        a, b = first[start : start + block], second[start : start + block]
        if a == b:
            continue
        for at, (x, y) in enumerate(zip(a, b, strict=True), start):
            if x == y:
                continue
            if runs and runs[-1][1] == at:
                runs[-1] = (runs[-1][0], at + 1)
            else:
                runs.append((at, at + 1))
    return tuple((start, second[start:stop]) for start, stop in runs)


def parse(
    cls: type[S],
    body: bytes | memoryview,
    *,
    limits: Limits = DEFAULT_LIMITS,
    negotiated: frozenset[str] = frozenset(),
) -> Parsed[S]:
    """Take `body` apart as a `cls`. Never raises for what is in the body.

    `negotiated` names the `Negotiated` fields that both ends agreed on.
    """
    if not isinstance(body, bytes):
        body = bytes(body)
    reader = Reader(body, limits, negotiated)
    try:
        parsed, end = cls.WIRE.read(reader, 0, [])
    except Malformed as fault:
        reader.problems.append(fault.problem())
        return Parsed(None, tuple(reader.problems), Layout((), len(body)), body)
    if end < len(body) and not (cls.WIRE.pointers or cls.SLACK):
        reader.note(DefectKind.MESSAGE_TRAILING_BYTES, f"{len(body) - end} bytes after the last field", end)
    return Parsed(parsed, tuple(reader.problems), Layout(tuple(reader.targets), len(body)), body)


def build(message: object, *, layout: Layout | None = None, residue: Residue = ()) -> bytes:
    """Return the body of `message`.

    Without `layout` that is the canonical one: the inline part, then the targets of pointers in the order of
    their pointers. `layout` and `residue` of a `Parsed` put everything back where it was. Raises `UsageError`
    when a value does not fit its field, a field that must be there is missing, or the layout is another
    message's.
    """
    if isinstance(message, UnknownMessage):
        return message.data
    if not isinstance(message, Structure):
        raise UsageError(f"{type(message).__name__} is not a SPICE message")
    writer = Writer(layout)
    message.WIRE.write(writer, 0, message, message)
    writer.finish()
    for at, lost in residue:
        writer.put(at, lost)
    return bytes(writer.body)
