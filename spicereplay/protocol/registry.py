"""Which message a type number means, per channel and side."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from types import ModuleType
from typing import Final

from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol import agent, enums
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.messages import (
    common,
    cursor,
    display,
    drawing,
    geometry,
    headers,
    images,
    inputs,
    link,
    main,
    playback,
    port,
    record,
    smartcard,
)
from spicereplay.protocol.wire import Message, Parsed, Structure, UnknownMessage, parse, unknown

MODULES: Final[tuple[ModuleType, ...]] = (
    link,
    headers,
    common,
    main,
    geometry,
    images,
    drawing,
    display,
    inputs,
    cursor,
    playback,
    record,
    port,
    smartcard,
    agent,
)
"""Where declarations are, in the order in which a reader wants to see them."""

_SPICEVMC: Final = (ChannelType.USBREDIR, ChannelType.PORT, ChannelType.WEBDAV)

SPOKEN: Final[tuple[tuple[type[IntEnum], Side, tuple[ChannelType, ...]], ...]] = (
    (enums.ServerCommon, Side.SERVER, tuple(ChannelType)),
    (enums.ClientCommon, Side.CLIENT, tuple(ChannelType)),
    (enums.ServerMain, Side.SERVER, (ChannelType.MAIN,)),
    (enums.ClientMain, Side.CLIENT, (ChannelType.MAIN,)),
    (enums.ServerDisplay, Side.SERVER, (ChannelType.DISPLAY,)),
    (enums.ClientDisplay, Side.CLIENT, (ChannelType.DISPLAY,)),
    (enums.ServerInputs, Side.SERVER, (ChannelType.INPUTS,)),
    (enums.ClientInputs, Side.CLIENT, (ChannelType.INPUTS,)),
    (enums.ServerCursor, Side.SERVER, (ChannelType.CURSOR,)),
    (enums.ServerPlayback, Side.SERVER, (ChannelType.PLAYBACK,)),
    (enums.ServerRecord, Side.SERVER, (ChannelType.RECORD,)),
    (enums.ClientRecord, Side.CLIENT, (ChannelType.RECORD,)),
    (enums.ServerSmartcard, Side.SERVER, (ChannelType.SMARTCARD,)),
    (enums.ClientSmartcard, Side.CLIENT, (ChannelType.SMARTCARD,)),
    (enums.ServerSpicevmc, Side.SERVER, _SPICEVMC),
    (enums.ClientSpicevmc, Side.CLIENT, _SPICEVMC),
    (enums.ServerPort, Side.SERVER, (ChannelType.PORT, ChannelType.WEBDAV)),
    (enums.ClientPort, Side.CLIENT, (ChannelType.PORT, ChannelType.WEBDAV)),
)
"""Which registry of types is spoken by whom. Source: spice.proto, the channels and what they derive from."""


def iter_declarations() -> Iterator[type[Structure]]:
    """Yield every declaration, messages and the structures in them, module by module in the order written."""
    for module in MODULES:
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Structure)
                and value.__module__ == module.__name__
            ):
                yield value


def _tables() -> tuple[
    dict[tuple[ChannelType, Side], dict[int, type[Message]]], dict[tuple[ChannelType, Side], dict[int, str]]
]:
    declared = {
        (type(kind), kind): cls
        for cls in iter_declarations()
        if issubclass(cls, Message)
        for kind in cls.TYPES
    }
    classes: dict[tuple[ChannelType, Side], dict[int, type[Message]]] = {}
    names: dict[tuple[ChannelType, Side], dict[int, str]] = {}
    for channel in ChannelType:
        for side in Side:
            classes[channel, side] = {}
            names[channel, side] = {}
    for registry, side, channels in SPOKEN:
        for channel in channels:
            for kind in registry:
                classes[channel, side][kind.value] = declared[registry, kind]
                names[channel, side][kind.value] = kind.name
    return classes, names


_CLASSES, _NAMES = _tables()


def message_class(channel: ChannelType, side: Side, type: int) -> type[Message] | None:
    """Return the declaration of a message; `None` for a type that the channel does not have."""
    return _CLASSES[channel, side].get(type)


def message_name(channel: ChannelType, side: Side, type: int) -> str:
    """Return SPICE's own name of a message, `STREAM_CREATE`; `UNKNOWN_<type>` where it has none."""
    return _NAMES[channel, side].get(type, f"UNKNOWN_{type}")


def known_types(channel: ChannelType, side: Side) -> dict[int, tuple[int, int | None]]:
    """Return the smallest and largest body, in bytes, of every type that `side` sends on `channel`."""
    return {type: (cls.MIN_SIZE, cls.MAX_SIZE) for type, cls in _CLASSES[channel, side].items()}


def parse_message(
    channel: ChannelType, side: Side, type: int, body: bytes | memoryview, *, limits: Limits = DEFAULT_LIMITS
) -> Parsed[Message] | Parsed[UnknownMessage]:
    """Take the body of one message apart; as an `UnknownMessage` where the channel has no such type."""
    cls = message_class(channel, side, type)
    if cls is not None:
        return parse(cls, body, limits=limits)
    return unknown(type, body, f"{channel.label} has no message {type} from the {side}")
