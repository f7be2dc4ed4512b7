"""Hypothesis strategies for any declaration, made from the declaration."""

from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from spicereplay.protocol import _compiled as compiled
from spicereplay.protocol.fields import Negotiated
from spicereplay.protocol.wire import Structure

_RANGES = {
    "B": (0, 2**8 - 1),
    "H": (0, 2**16 - 1),
    "I": (0, 2**32 - 1),
    "Q": (0, 2**64 - 1),
    "h": (-(2**15), 2**15 - 1),
    "i": (-(2**31), 2**31 - 1),
    "q": (-(2**63), 2**63 - 1),
}


@st.composite
def instances(draw: st.DrawFn, cls: type[Structure], negotiated: frozenset[str] = frozenset()) -> Structure:
    """A valid instance of `cls` with short arrays."""
    return draw(_structure(cls.WIRE, negotiated))


@st.composite
def _structure(draw: st.DrawFn, codec: compiled.StructureCodec, negotiated: frozenset[str]) -> Any:
    owner = SimpleNamespace()
    # fields that some length is made of stay small
    lengths = {path.names for field in codec.fields for path in _length_paths(field.codec)}
    for field in codec.fields:
        if field.derived or (field.presence is not None and not _present(field.presence, owner, negotiated)):
            setattr(owner, field.name, None)
        elif field.name in lengths:
            setattr(owner, field.name, draw(st.integers(0, 5)))
        else:
            setattr(owner, field.name, draw(_value(field.codec, owner, negotiated)))
            if field.counts and getattr(owner, field.counts[0]) is None:
                setattr(owner, field.counts[0], len(getattr(owner, field.name) or ()))
    return codec.new(*[getattr(owner, field.name) for field in codec.fields if not field.derived])


def _present(presence: compiled.Presence, owner: Any, negotiated: frozenset[str]) -> bool:
    if isinstance(presence.rule, Negotiated):
        return presence.rule.name in negotiated
    return presence.of_owner(owner, None)


def _length_paths(codec: compiled.Codec) -> tuple[compiled.Path, ...]:
    if isinstance(codec, compiled.PointerCodec):
        return _length_paths(codec.target)
    rule = getattr(codec, "length", None)
    return () if rule is None else rule.given


def _length(rule: compiled.LengthRule | None, owner: Any) -> st.SearchStrategy[int]:
    known = None if rule is None else [path.of_owner(owner) for path in rule.given]
    if rule is None or known is None or None in known:
        return st.integers(0, 4)
    return st.just(rule.of_owner(owner))


@st.composite
def _array(draw: st.DrawFn, codec: compiled.ArrayCodec, owner: Any, negotiated: frozenset[str]) -> Any:
    count = draw(_length(codec.length, owner))
    return tuple(draw(_value(codec.entry, owner, negotiated)) for _ in range(count))


@st.composite
def _bytes(draw: st.DrawFn, codec: compiled.BytesCodec, owner: Any) -> Any:
    count = draw(_length(codec.length, owner))
    return draw(st.binary(min_size=count, max_size=count))


def _value(codec: compiled.Codec, owner: Any, negotiated: frozenset[str]) -> st.SearchStrategy[Any]:
    match codec:
        case compiled.RegisteredCodec():
            return st.sampled_from(list(codec.registry))
        case compiled.IntegerCodec():
            return st.integers(*_RANGES[codec.packing.format[1:]])
        case compiled.FixedBytesCodec():
            return st.binary(min_size=codec.min_size, max_size=codec.min_size)
        case compiled.BytesCodec():
            return _bytes(codec, owner)
        case compiled.ArrayCodec():
            return _array(codec, owner, negotiated)
        case compiled.PointerCodec():
            target = _value(codec.target, owner, negotiated)
            # an array whose length is fixed by fields already drawn cannot be left out
            fixed = [getattr(owner, path.names) for path in _length_paths(codec.target)]
            if codec.rule.required or (fixed and None not in fixed):
                return target
            return st.none() | target
        case compiled.ChoiceCodec():
            chosen = codec.of.get(codec.key.of_owner(owner))
            return st.none() if chosen is None else _structure(chosen, negotiated)
        case compiled.StructureCodec():
            return _structure(codec, negotiated)
    raise AssertionError(codec)
