"""The words that declarations are written with; `spicereplay.protocol.wire` tells what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeVar

from spicereplay.defects import DefectKind

if TYPE_CHECKING:
    import numpy as np

    from spicereplay.protocol._compiled import StructureCodec

_NUMPY_CODES: Final = {"B": "u1", "H": "u2", "I": "u4", "Q": "u8", "h": "i2", "i": "i4", "q": "i8"}


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


class Structure:
    """What every declaration is: fields, and what follows from them."""

    __slots__ = ()

    MIN_SIZE: ClassVar[int]
    """Bytes of the smallest legal encoding."""
    MAX_SIZE: ClassVar[int | None]
    """Bytes of the largest; `None` when the declaration sets no bound."""
    PREFIX: ClassVar[tuple[tuple[str, str], ...]]
    """The integers at the start that are always there: flattened name (`base_box_top`), `struct` code."""
    SLACK: ClassVar[bool]
    """Bytes after the last field are ordinary."""
    WIRE: ClassVar[StructureCodec]

    @classmethod
    def prefix_dtype(cls) -> np.dtype[np.void]:
        """Return `PREFIX` as a packed little-endian structured dtype."""
        import numpy as np

        return np.dtype([(name, f"<{_NUMPY_CODES[code]}") for name, code in cls.PREFIX])

    # Written once here: making them anew for each of two hundred declarations is half the time of importing them.

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        named = zip(type(self).__match_args__, self._values(), strict=True)  # type: ignore[attr-defined]
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in named)})"

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in type(self).__match_args__)  # type: ignore[attr-defined]


class Message(Structure):
    """A structure that is the whole body of a message of the types `TYPES`."""

    __slots__ = ()

    TYPES: ClassVar[tuple[IntEnum, ...]]
