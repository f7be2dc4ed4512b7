"""How a message lies in its bytes, said once: field types, declarations, and what is compiled from them.

A declaration is a frozen dataclass whose annotations carry the wire types, in the order and with the names of the
SPICE definition:

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
| `Annotated[bytes, Counted("size")]`, `Annotated[tuple[T, ...], Counted("count")]` | as many as that field says |
| `Annotated[bytes, Sized(rule, "a", "b")]` | `rule(a, b)` bytes |
| `Rest`, `Annotated[tuple[T, ...], ToEnd()]` | everything up to the end of the body |
| `Annotated[T \\| None, Pointer()]` | →T: a u32 distance from the start of the body to T, 0 for none |
| `Annotated[T \\| None, When("flags", bit)]` | T where an earlier field has that bit or value, else nothing |
| `Annotated[A \\| B \\| None, Choice("type", {1: A, 2: B})]` | what an earlier field chooses, else nothing |

A field set to `derived()` is the length of what names it in `Counted` or `Pointer`; it is on the wire and readable,
but not an argument: nobody has to keep the two in step.

A body that breaks its declaration raises nothing. What lies inline cannot be trusted past the fault and costs the
message; the target of a pointer costs only itself. A caller's mistake in `build` is a `UsageError`.

Source: spice-wire.md 1 (conventions, offsets), 17 (traps).
"""

from __future__ import annotations

import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from itertools import islice
from operator import itemgetter
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from spicereplay.defects import DefectKind
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import numpy as np

# --- field types -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    """An integer; `code` is its `struct` letter."""

    code: str


@dataclass(frozen=True, slots=True)
class FixedBytes:
    """Exactly `size` bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class ToEnd:
    """Bytes or entries up to the end of the body."""


@dataclass(frozen=True, slots=True, init=False)
class Counted:
    """Bytes or entries as many as the earlier field `counts` says, or several of them together.

    `limit` names a field of `Limits`; `over` is the defect when the body does not hold that many.
    """

    counts: tuple[str, ...]
    limit: str | None
    over: DefectKind

    def __init__(
        self, *counts: str, limit: str | None = None, over: DefectKind = DefectKind.MESSAGE_MALFORMED
    ) -> None:
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "over", over)


@dataclass(frozen=True, slots=True, init=False)
class Sized:
    """Bytes as many as `rule` makes of the earlier fields `given`."""

    rule: Callable[..., int]
    given: tuple[str, ...]

    def __init__(self, rule: Callable[..., int], *given: str) -> None:
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "given", given)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A u32 distance from the first byte of the body; 0 means that there is nothing.

    `required`: nothing is a defect. `fault` is the defect when the target lies outside the body.
    """

    required: bool = False
    fault: DefectKind = DefectKind.POINTER_OUTSIDE_MESSAGE


@dataclass(frozen=True, slots=True)
class When:
    """The field is there when the earlier field has the flag, or equals the value; with `unless`, when not.

    With `among` it is there when of those bits the earlier field has just `value`.
    """

    field: str
    value: int
    unless: bool = False
    among: int | None = None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The field is there when both ends agreed on it beforehand: `parse(…, negotiated={name})`."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The field is what `path`, an earlier field or a field in one (`descriptor.type`), chooses."""

    path: str
    of: Mapping[int, type[Structure]]


U8 = Annotated[int, Scalar("B")]
U16 = Annotated[int, Scalar("H")]
U32 = Annotated[int, Scalar("I")]
U64 = Annotated[int, Scalar("Q")]
I16 = Annotated[int, Scalar("h")]
I32 = Annotated[int, Scalar("i")]
I64 = Annotated[int, Scalar("q")]
Rest = Annotated[bytes, ToEnd()]

E = TypeVar("E", bound=int)
Enum8 = Annotated[E | int, Scalar("B")]
Enum16 = Annotated[E | int, Scalar("H")]
Enum32 = Annotated[E | int, Scalar("I")]


class _Derived:
    """Marks a field that is the length of another."""


def derived(*, init: Literal[False] = False) -> Any:
    """Declare a count or size that follows from what it counts."""
    return _Derived()


# --- declarations ------------------------------------------------------------------------------------


class Structure:
    """What every declaration is: fields, and what follows from them."""

    __slots__ = ()

    MIN_SIZE: ClassVar[int]
    """Bytes of the smallest legal encoding."""
    MAX_SIZE: ClassVar[int | None]
    """Bytes of the largest; `None` when the declaration sets no bound."""
    PREFIX: ClassVar[tuple[tuple[str, str], ...]]
    """The integers at the start that are always there, in order: flattened name (`base_box_top`), `struct` code."""
    SLACK: ClassVar[bool]
    """Bytes after the last field are ordinary."""
    WIRE: ClassVar[_StructureCodec]

    @classmethod
    def prefix_dtype(cls) -> np.dtype[np.void]:
        """Return `PREFIX` as a packed little-endian structured dtype."""
        import numpy as np

        return np.dtype([(name, f"<{_NUMPY_CODES[code]}") for name, code in cls.PREFIX])


class Message(Structure):
    """A structure that is the whole body of a message of the types `TYPES`."""

    __slots__ = ()

    TYPES: ClassVar[tuple[IntEnum, ...]]


S = TypeVar("S", bound=Structure)
M = TypeVar("M", bound=Message)


@dataclass_transform(frozen_default=True, field_specifiers=(derived,))
def structure(cls: type[S]) -> type[S]:
    """Declare a structure that messages contain."""
    return _declare(cls, slack=False)


@dataclass_transform(frozen_default=True, field_specifiers=(derived,))
def message(*types: IntEnum, slack: bool = False) -> Callable[[type[M]], type[M]]:
    """Declare the body of the messages `types`.

    The registry that a type belongs to (`ServerDisplay`, …) says which channel and side send it. `slack` says that
    servers leave bytes after the last field.
    """

    def declare(cls: type[M]) -> type[M]:
        cls.TYPES = types
        return _declare(cls, slack=slack)

    return declare


def _declare(cls: type[S], *, slack: bool) -> type[S]:
    own: dict[str, Any] = cls.__dict__.get("__annotations__", {})
    names = vars(sys.modules[cls.__module__])
    fields = _fields(get_type_hints(SimpleNamespace(__annotations__=own), names, include_extras=True))
    for index, field in enumerate(fields):
        if isinstance(cls.__dict__.get(field.name), _Derived):
            counted = [other for other in fields if field.name in other.counts]
            fields[index] = _count(field, index, counted[0].presence)
            del own[field.name]
            holders = [other.name for other in counted]
            doc = f"How many {' or '.join(holders)} holds."
            setattr(cls, field.name, property(_length_of(holders), doc=doc))
    made = dataclass(frozen=True, slots=True)(cls)
    codec = _StructureCodec(made, fields)
    made.WIRE = codec
    made.SLACK = slack
    made.MIN_SIZE = codec.min_size
    made.MAX_SIZE = None if codec.pointers or slack else codec.max_size
    made.PREFIX = tuple(codec.prefix("")[0])
    return made


def _count(field: _Field, index: int, presence: _Presence | None) -> _Field:
    """Return `field` as the count at `index` of what has `presence`: absent with it, where that is known by then."""
    known = presence is not None and presence.path is not None and presence.path.index < index
    return _Field(field.name, field.codec, presence if known else None, derived=True)


def _length_of(names: Sequence[str]) -> Callable[[Structure], int]:
    def length(self: Structure) -> int:
        values = (getattr(self, name) for name in names)
        return next((len(value) for value in values if value is not None), 0)

    return length


# --- parsing and building ----------------------------------------------------------------------------


class Problem(NamedTuple):
    """One thing wrong with a body: which rule, in words with the numbers, and the byte of the body."""

    kind: DefectKind
    detail: str
    offset: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a body lay: the targets of its pointers, in the order of the fields, depth first."""

    targets: tuple[int, ...]
    size: int


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
        rebuilt = b"" if self.message is None else build(self.message, layout=self.layout)
        return _differences(rebuilt.ljust(len(self.body), b"\0"), self.body)


def _differences(first: bytes, second: bytes, *, block: int = 4096) -> Residue:
    """Return the runs in which `second` differs from `first`, which is as long."""
    runs: list[tuple[int, bytes]] = []
    for start in range(0, len(second), block):
        a, b = first[start : start + block], second[start : start + block]
        if a == b:
            continue
        for at, (x, y) in enumerate(zip(a, b, strict=True), start):
            if x == y:
                continue
            if runs and runs[-1][0] + len(runs[-1][1]) == at:
                runs[-1] = (runs[-1][0], runs[-1][1] + bytes([y]))
            else:
                runs.append((at, bytes([y])))
    return tuple(runs)


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
    reader = _Reader(body, limits, negotiated)
    try:
        parsed, end = cls.WIRE.read(reader, 0, [])
    except _Malformed as fault:
        reader.problems.append(fault.problem())
        return Parsed(None, tuple(reader.problems), Layout((), len(body)), body)
    if end < len(body) and not (cls.WIRE.pointers or cls.SLACK):
        reader.note(DefectKind.MESSAGE_TRAILING_BYTES, f"{len(body) - end} bytes after the last field", end)
    return Parsed(parsed, tuple(reader.problems), Layout(tuple(reader.targets), len(body)), body)


def build(message: object, *, layout: Layout | None = None, residue: Residue = ()) -> bytes:
    """Return the body of `message`.

    Without `layout` that is the canonical one: the inline part, then the targets of pointers in the order of their
    pointers. `layout` and `residue` of a `Parsed` put everything back where it was. Raises `UsageError` when a
    value does not fit its field, a field that must be there is missing, or the layout is another message's.
    """
    if not isinstance(message, Structure):
        raise UsageError(f"{type(message).__name__} is not a SPICE message")
    writer = _Writer(layout)
    message.WIRE.write(writer, 0, message, message)
    while writer.pending:
        at, codec, value, owner = writer.pending.popleft()
        target = len(writer.body)
        writer.put(at, _U32.pack(target))
        codec.write(writer, target, value, owner)
    for at, lost in residue:
        writer.put(at, lost)
    return bytes(writer.body)


# --- the compiled form -------------------------------------------------------------------------------

_U32: Final = struct.Struct("<I")
_NUMPY_CODES: Final = {"B": "u1", "H": "u2", "I": "u4", "Q": "u8", "h": "i2", "i": "i4", "q": "i8"}
_Values = list[Any]
"""The fields of a structure read so far, in order."""


class _Malformed(Exception):  # noqa: N818 (never leaves this module)
    """Reading cannot go on; caught by the pointer that led here, or by `parse`."""

    def __init__(self, kind: DefectKind, detail: str, at: int) -> None:
        self.kind = kind
        self.detail = detail
        self.at = at
        self.path: list[str] = []

    def under(self, name: str) -> _Malformed:
        self.path.insert(0, name)
        return self

    def problem(self) -> Problem:
        return Problem(self.kind, f"{'.'.join(self.path)}: {self.detail}", self.at)


class _Reader:
    """The body under way."""

    __slots__ = ("body", "end", "limits", "negotiated", "problems", "targets")

    def __init__(self, body: bytes, limits: Limits, negotiated: frozenset[str]) -> None:
        self.body = body
        self.end = len(body)
        self.limits = limits
        self.negotiated = negotiated
        self.problems: list[Problem] = []
        self.targets: list[int] = []

    def note(self, kind: DefectKind, detail: str, at: int) -> None:
        self.problems.append(Problem(kind, detail, at))

    def need(self, size: int, at: int, kind: DefectKind = DefectKind.MESSAGE_MALFORMED) -> None:
        if at + size > self.end:
            raise _Malformed(kind, f"needs {size} bytes, {max(0, self.end - at)} are left", at)


class _Writer:
    """The body being built: either at the places of a layout, or canonically with pointers resolved last."""

    __slots__ = ("_targets", "body", "pending", "size")

    def __init__(self, layout: Layout | None) -> None:
        self.size = None if layout is None else layout.size
        self._targets = None if layout is None else iter(layout.targets)
        self.body = bytearray(self.size or 0)
        self.pending: deque[tuple[int, _Codec, Any, Any]] = deque()

    def put(self, at: int, data: bytes) -> int:
        end = at + len(data)
        if self.size is not None and end > self.size:
            raise UsageError(f"the layout has {self.size} bytes, the message needs byte {end}")
        self.body[at:end] = data
        return end

    def point(self, at: int, codec: _Codec, value: Any, owner: Any) -> int:
        if self._targets is None:
            self.pending.append((at, codec, value, owner))
            return self.put(at, _U32.pack(0))
        target = next(self._targets, None)
        if target is None:
            raise UsageError("the layout is that of another message: it has fewer pointers")
        end = self.put(at, _U32.pack(target))
        codec.write(self, target, value, owner)
        return end


class _Codec:
    """One wire type: how to read it, how to write it, how big it can be.

    A type whose inline part is always the same has a `format`; it can then be read as part of a longer run of
    fixed fields: `take` gets its values out of the one `unpack` of the whole run.
    """

    format: str | None = None
    min_size: int = 0
    max_size: int | None = 0
    pointers: bool = False

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        raise NotImplementedError

    def read(self, reader: _Reader, at: int, before: _Values) -> tuple[Any, int]:
        """Return the value at `at` and where it ends; `before` are the owner's fields read already."""
        reader.need(self.min_size, at)
        flat = iter(struct.unpack_from(f"<{self.format}", reader.body, at))
        return self.take(reader, flat, at, before), at + self.min_size

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        """Put `value`, a field of `owner`, at `at`; return where it ends."""
        raise NotImplementedError

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        """Return the integers at the start and whether they are all of it."""
        return [], False


class _Integer(_Codec):
    def __init__(self, code: str) -> None:
        self.format = code
        self.packing = struct.Struct(f"<{code}")
        self.min_size = self.max_size = self.packing.size

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        return next(flat)

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        return writer.put(at, self.packing.pack(value))

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        assert self.format is not None
        return [(name, self.format)], True


class _Registered(_Integer):
    """An integer out of a registry. Flags are remembered as they come: there are only as many as known bits allow."""

    def __init__(self, code: str, registry: type[Enum], name: str) -> None:
        super().__init__(code)
        self.registry = registry
        self.name = name
        self.known: dict[int, Any] = {member.value: member for member in registry}
        self.bits = sum(self.known) if issubclass(registry, IntFlag) else 0

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        value = next(flat)
        member = self.known.get(value)
        if member is not None:
            return member
        if issubclass(self.registry, IntFlag) and not value & ~self.bits:
            return self.known.setdefault(value, self.registry(value))
        detail = f"{self.name}: {value:#x} is not among {self.registry.__name__}"
        reader.note(DefectKind.VALUE_UNKNOWN, detail, at)
        return value


class _FixedBytes(_Codec):
    def __init__(self, size: int) -> None:
        self.format = f"{size}s"
        self.min_size = self.max_size = size

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        return next(flat)

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        if len(value) != self.min_size:
            raise UsageError(f"{len(value)} bytes where {self.min_size} belong")
        return writer.put(at, value)


class _Bytes(_Codec):
    """Bytes whose number follows from fields before them; up to the end where `length` is `None`."""

    max_size = None

    def __init__(self, length: _Rule | None) -> None:
        self.length = length

    def read(self, reader: _Reader, at: int, before: _Values) -> tuple[Any, int]:
        if self.length is None:
            return reader.body[at:], reader.end
        size = self.length.of_values(before)
        reader.need(size, at)
        return reader.body[at : at + size], at + size

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        _check_length(self.length, value, owner)
        return writer.put(at, value)


class _Array(_Codec):
    """Entries of one type, one after the other; up to the end where `length` is `None`."""

    max_size = None

    def __init__(
        self, entry: _Codec, length: _Rule | None, limit: str | None, over: DefectKind, most: int | None
    ) -> None:
        assert entry.min_size > 0, "a count of empty entries would be bounded by nothing"
        self.entry = entry
        self.length = length
        self.limit = limit
        self.over = over
        self.pointers = entry.pointers
        if most is not None and entry.max_size is not None:
            self.max_size = most * entry.max_size
        plain = type(entry) is _Integer or (isinstance(entry, _StructureCodec) and entry.plain)
        self.packing = struct.Struct(f"<{entry.format}") if plain else None

    def read(self, reader: _Reader, at: int, before: _Values) -> tuple[Any, int]:
        entry = self.entry
        if self.length is None:
            count = (reader.end - at) // entry.min_size
        else:
            count = self.length.of_values(before)
        if count * entry.min_size > reader.end - at:
            raise _Malformed(
                self.over,
                f"{count} entries of at least {entry.min_size} bytes, {reader.end - at} bytes are left",
                at,
            )
        if self.limit is not None and count > getattr(reader.limits, self.limit):
            allowed = getattr(reader.limits, self.limit)
            raise _Malformed(DefectKind.OVER_LIMIT, f"{count} entries, {self.limit} allows {allowed}", at)
        if self.packing is not None:
            end = at + count * entry.min_size
            rows = self.packing.iter_unpack(reader.body[at:end])
            if isinstance(entry, _StructureCodec):
                return tuple([entry.new(*row) for row in rows]), end
            return tuple([row[0] for row in rows]), end
        entries = []
        for index in range(count):
            try:
                value, at = entry.read(reader, at, before)
            except _Malformed as fault:
                raise fault.under(f"[{index}]") from None
            entries.append(value)
        return tuple(entries), at

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        _check_length(self.length, value, owner)
        for entry in value:
            at = self.entry.write(writer, at, entry, owner)
        return at


class _Pointer(_Codec):
    format = "I"
    min_size = 4
    max_size = 4
    pointers = True

    def __init__(self, target: _Codec, name: str, rule: Pointer) -> None:
        self.target = target
        self.name = name
        self.rule = rule

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        offset: int = next(flat)
        if offset == 0:
            if self.rule.required:
                reader.note(DefectKind.MESSAGE_MALFORMED, f"{self.name}: points to nothing", at)
            return None
        if offset + self.target.min_size > reader.end:
            detail = f"{self.name}: needs {self.target.min_size} bytes at {offset} of {reader.end}"
            reader.note(self.rule.fault, detail, at)
            return None
        mark = len(reader.targets)
        reader.targets.append(offset)
        try:
            value, _ = self.target.read(reader, offset, before)
        except _Malformed as fault:
            del reader.targets[mark:]
            reader.problems.append(fault.under(self.name).problem())
            return None
        return value

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        if value is None:
            return writer.put(at, _U32.pack(0))
        return writer.point(at, self.target, value, owner)

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        return [(name, "I")], True


class _Choice(_Codec):
    def __init__(self, key: _Path, of: Mapping[int, type[Structure]]) -> None:
        self.key = key
        self.of = {value: cls.WIRE for value, cls in of.items()}
        sizes = [codec.max_size for codec in self.of.values()]
        self.max_size = None if None in sizes else max(size for size in sizes if size is not None)
        self.pointers = any(codec.pointers for codec in self.of.values())

    def read(self, reader: _Reader, at: int, before: _Values) -> tuple[Any, int]:
        codec = self.of.get(self.key.of_values(before))
        return (None, at) if codec is None else codec.read(reader, at, before)

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        codec = self.of.get(self.key.of_owner(owner))
        wanted = NoneType if codec is None else codec.cls
        if not isinstance(value, wanted):
            raise UsageError(f"{type(value).__name__} where {self.key.names} asks for {wanted.__name__}")
        return at if codec is None else codec.write(writer, at, value, owner)


class _StructureCodec(_Codec):
    """A structure: its fields as steps, each run of fixed fields one step."""

    def __init__(self, cls: type[Structure], fields: Sequence[_Field]) -> None:
        self.cls = cls
        self.new: Callable[..., Structure] = cls
        self.fields = fields
        self.min_size = sum(0 if field.presence else field.codec.min_size for field in fields)
        sizes = [field.codec.max_size for field in fields]
        self.max_size = None if None in sizes else sum(size for size in sizes if size is not None)
        self.pointers = any(field.codec.pointers for field in fields)
        codes = [None if field.presence else field.codec.format for field in fields]
        self.format = None if None in codes else "".join(code for code in codes if code is not None)
        self.plain = all(type(field.codec) is _Integer and not field.derived for field in fields)
        self.plain = self.plain and self.format is not None
        kept = [index for index, field in enumerate(fields) if not field.derived]
        self._kept = itemgetter(*kept) if 1 < len(kept) < len(fields) else None
        self._only = kept[0] if len(kept) == 1 < len(fields) else None
        self._offsets = _offsets(fields) if self.format is not None else []
        self._steps = _steps(fields)

    def _make(self, values: _Values) -> Any:
        if self._only is not None:
            return self.new(values[self._only])
        return self.new(*(values if self._kept is None else self._kept(values)))

    def take(self, reader: _Reader, flat: Iterator[Any], at: int, before: _Values) -> Any:
        if self.plain:
            return self.new(*islice(flat, len(self.fields)))
        values: _Values = []
        for field, offset in zip(self.fields, self._offsets, strict=True):
            values.append(field.codec.take(reader, flat, at + offset, values))
        return self._make(values)

    def read(self, reader: _Reader, at: int, before: _Values) -> tuple[Any, int]:
        values: _Values = []
        for step in self._steps:
            at = step(reader, at, values)
        return self._make(values), at

    def write(self, writer: _Writer, at: int, value: Any, owner: Any) -> int:
        if not isinstance(value, self.cls):
            raise UsageError(f"{type(value).__name__} where {self.cls.__name__} belongs")
        for field in self.fields:
            here = getattr(value, field.name)
            place = f"{self.cls.__name__}.{field.name}"
            if field.presence is not None and not field.presence.of_owner(value, here):
                if here:
                    raise UsageError(f"{place} is set, and {field.presence} says that it is absent")
                continue
            if here is None and not isinstance(field.codec, _Pointer | _Choice):
                raise UsageError(f"{place} is missing")
            try:
                at = field.codec.write(writer, at, here, value)
            except (struct.error, TypeError) as error:
                raise UsageError(f"{place}: {here!r} does not fit: {error}") from error
        return at

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        out: list[tuple[str, str]] = []
        for field in self.fields:
            if field.presence is not None:
                return out, False
            more, whole = field.codec.prefix(f"{name}_{field.name}" if name else field.name)
            out += more
            if not whole:
                return out, False
        return out, True


_Step = Callable[[_Reader, int, _Values], int]


def _steps(fields: Sequence[_Field]) -> list[_Step]:
    steps: list[_Step] = []
    run: list[_Field] = []
    for field in fields:
        if field.presence is None and field.codec.format is not None:
            run.append(field)
            continue
        if run:
            steps.append(_run_step(run))
            run = []
        steps.append(_field_step(field))
    return [*steps, _run_step(run)] if run else steps


def _offsets(fields: Sequence[_Field]) -> list[int]:
    offsets = [0]
    for field in fields[:-1]:
        offsets.append(offsets[-1] + field.codec.min_size)
    return offsets


def _run_step(run: Sequence[_Field]) -> _Step:
    packing = struct.Struct("<" + "".join(field.codec.format or "" for field in run))
    unpack, size = packing.unpack_from, packing.size
    offsets = _offsets(run)
    parts = [(field.codec.take, offset) for field, offset in zip(run, offsets, strict=True)]
    plain = all(type(field.codec) is _Integer for field in run)

    def too_short(reader: _Reader, at: int) -> _Malformed:
        field, offset = next(
            (field, offset)
            for field, offset in zip(run, offsets, strict=True)
            if at + offset + field.codec.min_size > reader.end
        )
        left = max(0, reader.end - at - offset)
        detail = f"needs {field.codec.min_size} bytes, {left} are left"
        return _Malformed(DefectKind.MESSAGE_MALFORMED, detail, at + offset).under(field.name)

    def step(reader: _Reader, at: int, values: _Values) -> int:
        if at + size > reader.end:
            raise too_short(reader, at)
        if plain:
            values += unpack(reader.body, at)
            return at + size
        flat = iter(unpack(reader.body, at))
        for take, offset in parts:
            values.append(take(reader, flat, at + offset, values))
        return at + size

    return step


def _field_step(field: _Field) -> _Step:
    read, presence, name = field.codec.read, field.presence, field.name

    def step(reader: _Reader, at: int, values: _Values) -> int:
        if presence is not None and not presence.of_values(values, reader):
            values.append(None)
            return at
        try:
            value, at = read(reader, at, values)
        except _Malformed as fault:
            raise fault.under(name) from None
        values.append(value)
        return at

    return step


# --- from annotations to codecs ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Path:
    """An earlier field, or a field in one."""

    names: str
    index: int
    rest: tuple[str, ...]

    def of_values(self, values: _Values) -> Any:
        value = values[self.index]
        for name in self.rest:
            value = getattr(value, name)
        return value

    def of_owner(self, owner: Any) -> Any:
        for name in self.names.split("."):
            owner = getattr(owner, name)
        return owner


@dataclass(frozen=True, slots=True)
class _Rule:
    """A length made of earlier fields."""

    rule: Callable[..., int]
    given: tuple[_Path, ...]

    def of_values(self, values: _Values) -> int:
        return self.rule(*[path.of_values(values) for path in self.given])

    def of_owner(self, owner: Any) -> int:
        return self.rule(*[path.of_owner(owner) for path in self.given])


def _check_length(rule: _Rule | None, value: Any, owner: Any) -> None:
    if rule is not None and len(value) != rule.of_owner(owner):
        names = ", ".join(path.names for path in rule.given)
        raise UsageError(f"{len(value)} entries where {names} asks for {rule.of_owner(owner)}")


@dataclass(frozen=True, slots=True)
class _Presence:
    """Whether a field is there."""

    rule: When | Negotiated
    path: _Path | None

    def _holds(self, value: int) -> bool:
        assert isinstance(self.rule, When)
        wanted, among = self.rule.value, self.rule.among
        if among is not None:
            found = value & among == wanted
        else:
            found = bool(value & wanted) if isinstance(wanted, IntFlag) else value == wanted
        return found is not self.rule.unless

    def of_values(self, values: _Values, reader: _Reader) -> bool:
        if isinstance(self.rule, Negotiated):
            return self.rule.name in reader.negotiated
        assert self.path is not None
        return self._holds(self.path.of_values(values))

    def of_owner(self, owner: Any, value: Any) -> bool:
        if self.path is None:
            return value is not None
        return self._holds(self.path.of_owner(owner))

    def __str__(self) -> str:
        return str(self.rule)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    codec: _Codec
    presence: _Presence | None = None
    counts: tuple[str, ...] = ()
    """Names of the fields that say how many this one holds."""
    derived: bool = False


def _fields(annotations: Mapping[str, Any]) -> list[_Field]:
    fields: list[_Field] = []
    for name, annotation in annotations.items():
        base, rules = _unwrap(annotation)
        presence: _Presence | None = None
        for rule in rules:
            if isinstance(rule, When):
                presence = _Presence(rule, _path(rule.field, fields))
            elif isinstance(rule, Negotiated):
                presence = _Presence(rule, None)
        counted = next((rule for rule in rules if isinstance(rule, Counted)), None)
        codec = _codec(name, base, rules, fields)
        fields.append(_Field(name, codec, presence, () if counted is None else counted.counts))
    return fields


def _unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """Return the type within `Annotated` and `… | None`, and the rules that were attached on the way, in order."""
    rules: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            rules = [*more, *rules]
        elif get_origin(annotation) in (Union, UnionType) and NoneType in get_args(annotation):
            left = [part for part in get_args(annotation) if part is not NoneType]
            annotation = left[0] if len(left) == 1 else Union[tuple(left)]  # noqa: UP007 (made at run time)
        else:
            return annotation, rules


def _path(names: str, fields: Sequence[_Field]) -> _Path:
    first, *rest = names.split(".")
    return _Path(names, [field.name for field in fields].index(first), tuple(rest))


def _codec(name: str, base: Any, rules: Sequence[Any], fields: Sequence[_Field]) -> _Codec:
    for position, rule in enumerate(rules):
        if isinstance(rule, Pointer):
            return _Pointer(
                _codec(name, base, [*rules[:position], *rules[position + 1 :]], fields), name, rule
            )
    for rule in rules:
        match rule:
            case Scalar(code):
                registry = next((part for part in get_args(base) if _is_registry(part)), None)
                return _Integer(code) if registry is None else _Registered(code, registry, name)
            case FixedBytes(size):
                return _FixedBytes(size)
            case Choice(path, of):
                return _Choice(_path(path, fields), of)
            case Sized(function, given):
                return _Bytes(_Rule(function, tuple(_path(field, fields) for field in given)))
            case Counted(counts, limit, over):
                length = _Rule(_total, tuple(_path(count, fields) for count in counts))
                if base is bytes:
                    return _Bytes(length)
                return _Array(_entry(base, name), length, limit, over, _most(counts, fields))
            case ToEnd():
                if base is bytes:
                    return _Bytes(None)
                return _Array(_entry(base, name), None, None, DefectKind.MESSAGE_MALFORMED, None)
    if isinstance(base, type) and issubclass(base, Structure):
        return base.WIRE
    raise TypeError(f"{name}: {base!r} says nothing about its bytes")


def _total(*counts: int) -> int:
    return sum(counts)


def _is_registry(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Enum)


def _entry(base: Any, name: str) -> _Codec:
    inner, rules = _unwrap(get_args(base)[0])
    return _codec(name, inner, rules, ())


def _most(counts: Sequence[str], fields: Sequence[_Field]) -> int | None:
    """Return the largest number that the one count of an array can say; `None` where it bounds nothing."""
    if len(counts) != 1:
        return None
    code = next(field.codec.format for field in fields if field.name == counts[0])
    return {"B": 0xFF, "H": 0xFFFF}.get(code or "")
