"""What declarations compile to: readers and writers. `spicereplay.protocol.wire` is their face.

A run of fields whose bytes are always the same is read by one `unpack`; everything else is a step of its own.
This is the only module of the protocol that packs and unpacks integers.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntFlag
from itertools import islice
from operator import itemgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from spicereplay.defects import DefectKind
from spicereplay.errors import UsageError
from spicereplay.limits import Limits
from spicereplay.protocol.fields import (
    Choice,
    Counted,
    FixedBytes,
    Negotiated,
    Pointer,
    Scalar,
    Sized,
    Structure,
    ToEnd,
    When,
)


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


_U32: Final = struct.Struct("<I")
Values = list[Any]
"""The fields of a structure read so far, in order."""


class Malformed(Exception):
    """Reading cannot go on; caught by the pointer that led here, or by `parse`."""

    def __init__(self, kind: DefectKind, detail: str, at: int) -> None:
        self.kind = kind
        self.detail = detail
        self.at = at
        self.path: list[str] = []

    def under(self, name: str) -> Malformed:
        self.path.insert(0, name)
        return self

    def problem(self) -> Problem:
        return Problem(self.kind, f"{'.'.join(self.path).replace('.[', '[')}: {self.detail}", self.at)


class Reader:
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
            raise Malformed(kind, f"needs {size} bytes, {max(0, self.end - at)} are left", at)


class Writer:
    """The body being built: either at the places of a layout, or canonically with pointers resolved last."""

    __slots__ = ("_targets", "body", "pending", "size")

    def __init__(self, layout: Layout | None) -> None:
        self.size = None if layout is None else layout.size
        self._targets = None if layout is None else iter(layout.targets)
        self.body = bytearray(self.size or 0)
        self.pending: deque[tuple[int, Codec, Any, Any]] = deque()

    def put(self, at: int, data: bytes) -> int:
        end = at + len(data)
        if self.size is not None and end > self.size:
            raise UsageError(f"the layout has {self.size} bytes, the message needs byte {end}")
        self.body[at:end] = data
        return end

    def point(self, at: int, codec: Codec, value: Any, owner: Any) -> int:
        if self._targets is None:
            self.pending.append((at, codec, value, owner))
            return self.put(at, _U32.pack(0))
        target = next(self._targets, None)
        if target is None:
            raise UsageError("the layout is that of another message: it has fewer pointers")
        end = self.put(at, _U32.pack(target))
        codec.write(self, target, value, owner)
        return end

    def finish(self) -> None:
        """Put the targets of pointers that are still to come behind what is there, in order."""
        while self.pending:
            at, codec, value, owner = self.pending.popleft()
            target = len(self.body)
            self.put(at, _U32.pack(target))
            try:
                codec.write(self, target, value, owner)
            except (struct.error, TypeError) as error:
                raise UsageError(f"{type(owner).__name__}: {value!r} does not fit: {error}") from error


class Codec:
    """One wire type: how to read it, how to write it, how big it can be.

    A type whose inline part is always the same has a `format`; it can then be read as part of a longer run of
    fixed fields: `take` gets its values out of the one `unpack` of the whole run.
    """

    format: str | None = None
    min_size: int = 0
    max_size: int | None = 0
    pointers: bool = False

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        raise NotImplementedError

    def read(self, reader: Reader, at: int, before: Values) -> tuple[Any, int]:
        """Return the value at `at` and where it ends; `before` are the owner's fields read already."""
        reader.need(self.min_size, at)
        flat = iter(struct.unpack_from(f"<{self.format}", reader.body, at))
        return self.take(reader, flat, at, before), at + self.min_size

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        """Put `value`, a field of `owner`, at `at`; return where it ends."""
        raise NotImplementedError

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        """Return the integers at the start and whether they are all of it."""
        return [], False


class IntegerCodec(Codec):
    def __init__(self, code: str) -> None:
        self.format = code
        self.packing = struct.Struct(f"<{code}")
        self.min_size = self.max_size = self.packing.size

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        return next(flat)

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        return writer.put(at, self.packing.pack(value))

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        assert self.format is not None
        return [(name, self.format)], True


class RegisteredCodec(IntegerCodec):
    """An integer out of a registry.

    Flags are remembered as they come: there are only as many as known bits allow.
    """

    def __init__(self, code: str, registry: type[Enum], name: str) -> None:
        super().__init__(code)
        self.registry = registry
        self.name = name
        self.known: dict[int, Any] = {member.value: member for member in registry}
        self.bits = sum(self.known) if issubclass(registry, IntFlag) else 0

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        value = next(flat)
        member = self.known.get(value)
        if member is not None:
            return member
        if issubclass(self.registry, IntFlag) and not value & ~self.bits:
            return self.known.setdefault(value, self.registry(value))
        detail = f"{self.name}: {value:#x} is not among {self.registry.__name__}"
        reader.note(DefectKind.VALUE_UNKNOWN, detail, at)
        return value


class FixedBytesCodec(Codec):
    def __init__(self, size: int) -> None:
        self.format = f"{size}s"
        self.min_size = self.max_size = size

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        return next(flat)

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        if len(value) != self.min_size:
            raise UsageError(f"{len(value)} bytes where {self.min_size} belong")
        return writer.put(at, value)


class BytesCodec(Codec):
    """Bytes whose number follows from fields before them; up to the end where `length` is `None`."""

    max_size = None

    def __init__(self, length: LengthRule | None) -> None:
        self.length = length

    def read(self, reader: Reader, at: int, before: Values) -> tuple[Any, int]:
        if self.length is None:
            return reader.body[at:], reader.end
        size = self.length.of_values(before)
        reader.need(size, at)
        return reader.body[at : at + size], at + size

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        _check_length(self.length, value, owner)
        return writer.put(at, value)


class ArrayCodec(Codec):
    """Entries of one type, one after the other; up to the end where `length` is `None`."""

    max_size = None

    def __init__(
        self, entry: Codec, length: LengthRule | None, limit: str | None, over: DefectKind, most: int | None
    ) -> None:
        assert entry.min_size > 0, "a count of empty entries would be bounded by nothing"
        self.entry = entry
        self.length = length
        self.limit = limit
        self.over = over
        self.pointers = entry.pointers
        if most is not None and entry.max_size is not None:
            self.max_size = most * entry.max_size
        plain = type(entry) is IntegerCodec or (isinstance(entry, StructureCodec) and entry.plain)
        self.packing = struct.Struct(f"<{entry.format}") if plain else None

    def read(self, reader: Reader, at: int, before: Values) -> tuple[Any, int]:
        entry = self.entry
        if self.length is None:
            count = (reader.end - at) // entry.min_size
        else:
            count = self.length.of_values(before)
        if count * entry.min_size > reader.end - at:
            raise Malformed(
                self.over,
                f"{count} entries of at least {entry.min_size} bytes, {reader.end - at} bytes are left",
                at,
            )
        if self.limit is not None and count > getattr(reader.limits, self.limit):
            allowed = getattr(reader.limits, self.limit)
            raise Malformed(DefectKind.OVER_LIMIT, f"{count} entries, {self.limit} allows {allowed}", at)
        if self.packing is not None:
            end = at + count * entry.min_size
            rows = self.packing.iter_unpack(reader.body[at:end])
            if isinstance(entry, StructureCodec):
                return tuple([entry.new(*row) for row in rows]), end
            return tuple([row[0] for row in rows]), end
        entries = []
        for index in range(count):
            try:
                value, at = entry.read(reader, at, before)
            except Malformed as fault:
                raise fault.under(f"[{index}]") from None
            entries.append(value)
        return tuple(entries), at

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        _check_length(self.length, value, owner)
        for entry in value:
            at = self.entry.write(writer, at, entry, owner)
        return at


class PointerCodec(Codec):
    format = "I"
    min_size = 4
    max_size = 4
    pointers = True

    def __init__(self, target: Codec, name: str, rule: Pointer) -> None:
        self.target = target
        self.name = name
        self.rule = rule

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        offset: int = next(flat)
        if offset == 0:
            if self.rule.required:
                reader.note(DefectKind.MESSAGE_MALFORMED, f"{self.name}: points to nothing", at)
            return None
        if offset + self.target.min_size > reader.end:
            size = self.target.min_size
            detail = f"{self.name}: {size} bytes at {offset} lie outside the body of {reader.end}"
            reader.note(self.rule.fault, detail, at)
            return None
        mark = len(reader.targets)
        reader.targets.append(offset)
        try:
            value, _ = self.target.read(reader, offset, before)
        except Malformed as fault:
            del reader.targets[mark:]
            reader.problems.append(fault.under(self.name).problem())
            return None
        return value

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        if value is None:
            return writer.put(at, _U32.pack(0))
        return writer.point(at, self.target, value, owner)

    def prefix(self, name: str) -> tuple[list[tuple[str, str]], bool]:
        return [(name, "I")], True


class ChoiceCodec(Codec):
    def __init__(self, key: Path, of: Mapping[int, type[Structure]]) -> None:
        self.key = key
        self.of = {value: cls.WIRE for value, cls in of.items()}
        sizes = [codec.max_size for codec in self.of.values()]
        self.max_size = None if None in sizes else max(size for size in sizes if size is not None)
        self.pointers = any(codec.pointers for codec in self.of.values())

    def read(self, reader: Reader, at: int, before: Values) -> tuple[Any, int]:
        codec = self.of.get(self.key.of_values(before))
        return (None, at) if codec is None else codec.read(reader, at, before)

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        codec = self.of.get(self.key.of_owner(owner))
        wanted = NoneType if codec is None else codec.cls
        if not isinstance(value, wanted):
            raise UsageError(f"{type(value).__name__} where {self.key.names} asks for {wanted.__name__}")
        return at if codec is None else codec.write(writer, at, value, owner)


class StructureCodec(Codec):
    """A structure: its fields as steps, each run of fixed fields one step."""

    def __init__(self, cls: type[Structure], fields: Sequence[Field]) -> None:
        self.cls = cls
        self.new: Callable[..., Structure] = cls
        self.fields = fields
        self.min_size = sum(0 if field.presence else field.codec.min_size for field in fields)
        sizes = [field.codec.max_size for field in fields]
        self.max_size = None if None in sizes else sum(size for size in sizes if size is not None)
        self.pointers = any(field.codec.pointers for field in fields)
        codes = [None if field.presence else field.codec.format for field in fields]
        self.format = None if None in codes else "".join(code for code in codes if code is not None)
        self.plain = all(type(field.codec) is IntegerCodec and not field.derived for field in fields)
        self.plain = self.plain and self.format is not None
        kept = [index for index, field in enumerate(fields) if not field.derived]
        self._kept = itemgetter(*kept) if 1 < len(kept) < len(fields) else None
        self._only = kept[0] if len(kept) == 1 < len(fields) else None
        self._offsets = _offsets(fields) if self.format is not None else []
        self._steps = _steps(fields)

    def _make(self, values: Values) -> Any:
        if self._only is not None:
            return self.new(values[self._only])
        return self.new(*(values if self._kept is None else self._kept(values)))

    def take(self, reader: Reader, flat: Iterator[Any], at: int, before: Values) -> Any:
        if self.plain:
            return self.new(*islice(flat, len(self.fields)))
        values: Values = []
        for field, offset in zip(self.fields, self._offsets, strict=True):
            values.append(field.codec.take(reader, flat, at + offset, values))
        return self._make(values)

    def read(self, reader: Reader, at: int, before: Values) -> tuple[Any, int]:
        values: Values = []
        for step in self._steps:
            at = step(reader, at, values)
        return self._make(values), at

    def write(self, writer: Writer, at: int, value: Any, owner: Any) -> int:
        if not isinstance(value, self.cls):
            raise UsageError(f"{type(value).__name__} where {self.cls.__name__} belongs")
        for field in self.fields:
            here = getattr(value, field.name)
            place = f"{self.cls.__name__}.{field.name}"
            if field.presence is not None and not field.presence.of_owner(value, here):
                if here is not None and not field.derived:
                    raise UsageError(
                        f"{place} is set, and {field.presence.decided_by} says that it is absent"
                    )
                continue
            if here is None and not isinstance(field.codec, PointerCodec | ChoiceCodec):
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


Step = Callable[[Reader, int, Values], int]


def _steps(fields: Sequence[Field]) -> list[Step]:
    steps: list[Step] = []
    run: list[Field] = []
    for field in fields:
        if field.presence is None and field.codec.format is not None:
            run.append(field)
            continue
        if run:
            steps.append(_run_step(run))
            run = []
        steps.append(_field_step(field))
    return [*steps, _run_step(run)] if run else steps


def _offsets(fields: Sequence[Field]) -> list[int]:
    offsets = [0]
    for field in fields[:-1]:
        offsets.append(offsets[-1] + field.codec.min_size)
    return offsets


def _run_step(run: Sequence[Field]) -> Step:
    packing = struct.Struct("<" + "".join(field.codec.format or "" for field in run))
    unpack, size = packing.unpack_from, packing.size
    offsets = _offsets(run)
    parts = [(field.codec.take, offset) for field, offset in zip(run, offsets, strict=True)]
    plain = all(type(field.codec) is IntegerCodec for field in run)

    def too_short(reader: Reader, at: int) -> Malformed:
        field, offset = next(
            (field, offset)
            for field, offset in zip(run, offsets, strict=True)
            if at + offset + field.codec.min_size > reader.end
        )
        left = max(0, reader.end - at - offset)
        detail = f"needs {field.codec.min_size} bytes, {left} are left"
        return Malformed(DefectKind.MESSAGE_MALFORMED, detail, at + offset).under(field.name)

    def step(reader: Reader, at: int, values: Values) -> int:
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


def _field_step(field: Field) -> Step:
    read, presence, name = field.codec.read, field.presence, field.name

    def step(reader: Reader, at: int, values: Values) -> int:
        if presence is not None and not presence.of_values(values, reader):
            values.append(None)
            return at
        try:
            value, at = read(reader, at, values)
        except Malformed as fault:
            raise fault.under(name) from None
        values.append(value)
        return at

    return step


# --- from annotations to codecs -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Path:
    """An earlier field, or a field in one."""

    names: str
    index: int
    rest: tuple[str, ...]

    def of_values(self, values: Values) -> Any:
        value = values[self.index]
        for name in self.rest:
            value = getattr(value, name)
        return value

    def of_owner(self, owner: Any) -> Any:
        for name in self.names.split("."):
            owner = getattr(owner, name)
        return owner


@dataclass(frozen=True, slots=True)
class LengthRule:
    """A length made of earlier fields."""

    rule: Callable[..., int]
    given: tuple[Path, ...]

    def of_values(self, values: Values) -> int:
        return self.rule(*[path.of_values(values) for path in self.given])

    def of_owner(self, owner: Any) -> int:
        return self.rule(*[path.of_owner(owner) for path in self.given])


def _check_length(rule: LengthRule | None, value: Any, owner: Any) -> None:
    if rule is not None and len(value) != rule.of_owner(owner):
        names = ", ".join(path.names for path in rule.given)
        raise UsageError(f"{len(value)} entries where {names} asks for {rule.of_owner(owner)}")


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a field is there."""

    rule: When | Negotiated
    path: Path | None

    def _holds(self, value: int) -> bool:
        assert isinstance(self.rule, When)
        wanted, among = self.rule.value, self.rule.among
        if among is not None:
            found = value & among == wanted
        else:
            found = bool(value & wanted) if isinstance(wanted, IntFlag) else value == wanted
        return found is not self.rule.unless

    def of_values(self, values: Values, reader: Reader) -> bool:
        if isinstance(self.rule, Negotiated):
            return self.rule.name in reader.negotiated
        assert self.path is not None
        return self._holds(self.path.of_values(values))

    def of_owner(self, owner: Any, value: Any) -> bool:
        if self.path is None:
            return value is not None
        return self._holds(self.path.of_owner(owner))

    @property
    def decided_by(self) -> str:
        return "the agreement of both ends" if self.path is None else self.path.names


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    codec: Codec
    presence: Presence | None = None
    counts: tuple[str, ...] = ()
    """Names of the fields that say how many this one holds."""
    derived: bool = False


def fields_of(annotations: Mapping[str, Any]) -> list[Field]:
    fields: list[Field] = []
    for name, annotation in annotations.items():
        base, rules = _unwrap(annotation)
        presence: Presence | None = None
        for rule in rules:
            if isinstance(rule, When):
                presence = Presence(rule, _path(rule.field, fields))
            elif isinstance(rule, Negotiated):
                presence = Presence(rule, None)
        counted = next((rule for rule in rules if isinstance(rule, Counted)), None)
        codec = _codec(name, base, rules, fields)
        fields.append(Field(name, codec, presence, () if counted is None else counted.counts))
    return fields


def _unwrap(annotation: Any) -> tuple[Any, list[Any]]:
    """Return the type within `Annotated` and `… | None`, and the rules found on the way, in order."""
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


def _path(names: str, fields: Sequence[Field]) -> Path:
    first, *rest = names.split(".")
    for index, field in enumerate(fields):
        if field.name == first:
            return Path(names, index, tuple(rest))
    raise TypeError(f"no field before this one is called {first}")


def _codec(name: str, base: Any, rules: Sequence[Any], fields: Sequence[Field]) -> Codec:
    for position, rule in enumerate(rules):
        if isinstance(rule, Pointer):
            return PointerCodec(
                _codec(name, base, [*rules[:position], *rules[position + 1 :]], fields), name, rule
            )
    for rule in rules:
        match rule:
            case Scalar(code):
                registry = next((part for part in get_args(base) if _is_registry(part)), None)
                return IntegerCodec(code) if registry is None else RegisteredCodec(code, registry, name)
            case FixedBytes(size):
                return FixedBytesCodec(size)
            case Choice(path, of):
                return ChoiceCodec(_path(path, fields), of)
            case Sized(function, given):
                return BytesCodec(LengthRule(function, tuple(_path(field, fields) for field in given)))
            case Counted(counts, limit, over):
                length = LengthRule(_total, tuple(_path(count, fields) for count in counts))
                if base is bytes:
                    return BytesCodec(length)
                return ArrayCodec(_entry(base, name), length, limit, over, _most(counts, fields))
            case ToEnd():
                if base is bytes:
                    return BytesCodec(None)
                return ArrayCodec(_entry(base, name), None, None, DefectKind.MESSAGE_MALFORMED, None)
    if isinstance(base, type) and issubclass(base, Structure):
        return base.WIRE
    raise TypeError(f"{name}: {base!r} says nothing about its bytes")


def _total(*counts: int) -> int:
    return sum(counts)


def _is_registry(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Enum)


def _entry(base: Any, name: str) -> Codec:
    inner, rules = _unwrap(get_args(base)[0])
    return _codec(name, inner, rules, ())


def _most(counts: Sequence[str], fields: Sequence[Field]) -> int | None:
    """Return the largest number that the one count of an array can say; `None` where it bounds nothing."""
    if len(counts) != 1:
        return None
    code = next(field.codec.format for field in fields if field.name == counts[0])
    return {"B": 0xFF, "H": 0xFFFF}.get(code or "")
