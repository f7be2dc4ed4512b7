"""JSON of unknown age to typed structures: what is wrong costs its own field, never the file.

Three steps: `decode` makes bounded plain values of the bytes, `read` makes a structure of `schema` of them,
and `unknown_members` names what the declaration does not know.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from spicereplay.bugreport.schema import U64_MAX, fields_of
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import Limits

T = TypeVar("T")

_I64_MIN: Final = -(2**63)


def decode(data: bytes, where: str, limits: Limits, defects: DefectLog) -> Any:
    """Return the plain value of a JSON file, None with `MEMBER_NOT_JSON` where it is none.

    Long text and long lists are cut to the limits, integers that no counter of 64 bits can hold become null.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        defects.add(DefectKind.MEMBER_NOT_JSON, where, f"not JSON: {error}")
        return None
    except RecursionError:
        defects.add(DefectKind.MEMBER_NOT_JSON, where, "not JSON that can be read: nested too deeply")
        return None
    top = [value]
    _bound(top, where, limits, defects)
    return top[0]


def read(kind: type[T], value: Any, where: str, defects: DefectLog, path: str = "") -> T | None:
    """Return `value` as `kind`, a structure of `schema` or a list of them.

    A field of a wrong type or out of its range reads as None, an entry of a list that does not fit is left
    out, each with a `MEMBER_FIELD` defect that names its path. None where `value` as a whole does not fit.
    """
    result: T | None = _read(kind, value, where, defects, path)
    return result


def unknown_members(kind: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the JSON members in `value` that `kind` does not declare."""
    for part in _alternatives(kind):
        if isinstance(part, type) and issubclass(part, Struct) and isinstance(value, dict):
            declared = {field.name: field.type for field in fields_of(part)}
            for name, member in value.items():
                if name in declared:
                    yield from unknown_members(declared[name], member, join(path, name))
                else:
                    yield join(path, name)
        elif get_origin(part) is list and isinstance(value, list):
            for i, entry in enumerate(value):
                yield from unknown_members(get_args(part)[0], entry, f"{path}[{i}]")
        elif get_origin(part) is dict and isinstance(value, dict):
            for name, entry in value.items():
                yield from unknown_members(get_args(part)[1], entry, join(path, name))


def join(path: str, name: str) -> str:
    """Return the path of member `name` of the object at `path`."""
    return f"{path}.{name}" if path else name


def _read(kind: Any, value: Any, where: str, defects: DefectLog, path: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason = str(error)
    for part in _alternatives(kind):
        if isinstance(part, type) and issubclass(part, Struct) and isinstance(value, dict):
            return part(
                **{
                    field.name: _read(field.type, value[field.name], where, defects, join(path, field.name))
                    for field in fields_of(part)
                    if field.name in value
                }
            )
        if get_origin(part) is list and isinstance(value, list):
            (entry_kind,) = get_args(part)
            entries = [
                _read(entry_kind, entry, where, defects, f"{path}[{i}]") for i, entry in enumerate(value)
            ]
            return entries if _admits_none(entry_kind) else [e for e in entries if e is not None]
        if get_origin(part) is dict and isinstance(value, dict):
            entry_kind = get_args(part)[1]
            known = {
                name: _read(entry_kind, entry, where, defects, join(path, name))
                for name, entry in value.items()
            }
            return {name: entry for name, entry in known.items() if entry is not None}
    defects.add(DefectKind.MEMBER_FIELD, where, f"{path or 'the whole file'}: {reason}")
    return None


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Return the types a value of `kind` may have, without their annotations."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(part for option in get_args(kind) for part in _alternatives(option))
    return (kind,)


def _admits_none(kind: Any) -> bool:
    return type(None) in _alternatives(kind)


def _bound(top: list[Any], where: str, limits: Limits, defects: DefectLog) -> None:
    """Hold every text, list and integer below `top` against the limits, in place and without recursion."""
    waiting: list[tuple[list[Any] | dict[str, Any], str]] = [(top, "")]
    while waiting:
        holder, path = waiting.pop()
        if len(holder) > limits.json_items:
            detail = f"{path}: {len(holder)} entries, {limits.json_items} of them are read"
            defects.add(DefectKind.OVER_LIMIT, where, detail)
            if isinstance(holder, list):
                del holder[limits.json_items :]
            else:
                for name in list(holder)[limits.json_items :]:
                    del holder[name]
        entries: Any = enumerate(holder) if isinstance(holder, list) else list(holder.items())
        for key, value in entries:
            if isinstance(value, list | dict):
                inner = (
                    path
                    if holder is top
                    else f"{path}[{key}]"
                    if isinstance(holder, list)
                    else join(path, key)
                )
                waiting.append((value, inner))
            elif isinstance(value, str) and len(value) > limits.text_chars:
                holder[key] = value[: limits.text_chars]
                defects.add(DefectKind.OVER_LIMIT, where, f"{path}: a text of {len(value)} characters is cut")
            elif isinstance(value, int) and not _I64_MIN <= value <= U64_MAX:
                holder[key] = None
                defects.add(
                    DefectKind.MEMBER_FIELD, where, f"{join(path, str(key))}: a number beyond 64 bits"
                )
