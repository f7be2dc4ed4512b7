"""Which fields of which messages are private, and what they become.

`NEUTRAL` says it for every message there is: one that is in `PLAIN` holds numbers that may be shown, one in `REPLACED`
has a function that returns it without what may not. Whatever else a body holds, bytes between and behind its
fields, becomes zeros. What needs to know more than one message (video, sound, the agent, tunnels) is made elsewhere
and handed in.
Source: spice-wire.md 4 to 16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from spicereplay.limits import Limits
from spicereplay.protocol.messages import (
    common,
    cursor,
    display,
    inputs,
    main,
    playback,
    port,
    record,
    smartcard,
)
from spicereplay.protocol.messages.drawing import Brush, QMask, String
from spicereplay.protocol.messages.images import Image
from spicereplay.protocol.wire import Message
from spicereplay.redact.blocks import NARROW
from spicereplay.redact.blur import blurred_image
from spicereplay.redact.glz_links import Dictionary
from spicereplay.redact.pictures import blank_image
from spicereplay.redact.pseudonyms import Pseudonyms, same_length
from spicereplay.redact.what import Choices, Kind, Screen

PLAIN: Final[frozenset[type[Message]]] = frozenset(
    {
        common.Migrate,
        common.SetAck,
        common.WaitForChannels,
        common.Disconnecting,
        common.List,
        common.BaseLast,
        common.AckSync,
        common.Ack,
        common.Pong,
        common.MigrateFlushMark,
        main.MigrateCancel,
        main.Init,
        main.ChannelsList,
        main.MouseModeChange,
        main.MultiMediaTime,
        main.AgentConnected,
        main.AgentDisconnected,
        main.AgentToken,
        main.MigrateEnd,
        main.AgentConnectedTokens,
        main.MigrateDstSeamlessAck,
        main.MigrateDstSeamlessNack,
        main.ClientInfo,
        main.MigrateConnected,
        main.MigrateConnectError,
        main.AttachChannels,
        main.MouseModeRequest,
        main.AgentStart,
        main.ClientMigrateEnd,
        main.MigrateDstDoSeamless,
        main.MigrateConnectedSeamless,
        display.Mode,
        display.Mark,
        display.Reset,
        display.InvalList,
        display.InvalAllPixmaps,
        display.InvalPalette,
        display.InvalAllPalettes,
        display.StreamCreate,
        display.StreamClip,
        display.StreamDestroy,
        display.StreamDestroyAll,
        display.StreamActivateReport,
        display.CopyBits,
        display.SurfaceCreate,
        display.SurfaceDestroy,
        display.MonitorsConfig,
        display.GlScanoutUnix,
        display.GlDraw,
        display.Init,
        display.StreamReport,
        display.PreferredCompression,
        display.GlDrawDone,
        display.PreferredVideoCodecType,
        inputs.Init,
        inputs.KeyModifiersChange,
        inputs.MouseMotionAck,
        inputs.MouseMotion,
        inputs.MousePosition,
        inputs.MousePress,
        inputs.MouseRelease,
        cursor.Reset,
        cursor.Move,
        cursor.Hide,
        cursor.Trail,
        cursor.InvalOne,
        cursor.InvalAll,
        playback.Start,
        playback.Stop,
        playback.Volume,
        playback.Mute,
        playback.Latency,
        record.Start,
        record.Stop,
        record.StartMark,
        port.Event,
    }
)
"""Messages of numbers alone: times, sizes, places, flags, ids."""

ELSEWHERE: Final[dict[type[Message], Kind]] = {
    main.AgentData: Kind.AGENT,
    display.StreamData: Kind.FRAMES,
    display.StreamDataSized: Kind.FRAMES,
    playback.Data: Kind.SOUND,
    port.Data: Kind.PORT,
    port.CompressedData: Kind.PORT,
}
"""Messages whose contents depend on those before; without them they become zeros."""

_NEUTRAL_KEY: Final = 0x39
"""PC scan code of the space bar, whatever was pressed. Source: spice-wire.md 12."""
_BREAK: Final = 0x80
_BLACK: Final = 0


@dataclass(frozen=True, slots=True)
class Neutral:
    """What a message becomes depends on."""

    names: Pseudonyms
    choices: Choices
    limits: Limits
    glz: Dictionary = field(default_factory=Dictionary)

    def image(self, image: Image | None) -> Image | None:
        """Return an image as the user chose it."""
        if image is None:
            return None
        blurred = None
        if self.choices.screen is Screen.BLUR:
            blurred = blurred_image(image, self.limits, self.glz)
        return blank_image(image, self.limits, self.glz.lacks) if blurred is None else blurred

    def brush(self, brush: Brush, *, plain: bool = True) -> Brush:
        """Return a brush without its pattern and colour; the colour of an area that is not `plain` is a blur of it."""
        pattern = brush.pattern
        if pattern is not None:
            pattern = replace(pattern, pat=self.image(pattern.pat))
        black = plain or self.choices.screen is not Screen.BLUR
        color = _BLACK if black and brush.color is not None else brush.color
        return replace(brush, color=color, pattern=pattern)

    def mask(self, mask: QMask) -> QMask:
        """Return a mask that lets nothing or everything through."""
        return replace(mask, bitmap=self.image(mask.bitmap))


M = TypeVar("M", bound=Message)
Rule = Callable[[Neutral, Any], Message]


def _zeroed(*names: str) -> Rule:
    """Return a rule that fills fields of bytes with zeros."""

    def rule(how: Neutral, message: Any) -> Message:
        made: Message = replace(
            message, **{name: bytes(len(getattr(message, name) or b"")) for name in names}
        )
        return made

    return rule


def _key_down(how: Neutral, message: inputs.KeyDown) -> Message:
    return replace(message, code=_NEUTRAL_KEY)


def _key_up(how: Neutral, message: inputs.KeyUp) -> Message:
    return replace(message, code=_NEUTRAL_KEY | _BREAK)


def _scan_codes(how: Neutral, message: inputs.KeyScancode) -> Message:
    return replace(message, data=bytes(_NEUTRAL_KEY | code & _BREAK for code in message.data))


def _name(how: Neutral, message: main.Name) -> Message:
    how.names.learn(_text(message.name))
    return replace(message, name=same_length(message.name))


def _uuid(how: Neutral, message: main.Uuid) -> Message:
    return replace(message, uuid=bytes(16))


def _target(how: Neutral, message: Any) -> Message:
    """Replace host and certificate of a migration's target."""
    where = message if isinstance(message, main.MigrateSwitchHost) else message.dst_info
    fields = {}
    for name in ("host_data", "cert_subject_data"):
        value = getattr(where, name)
        if value is not None:
            how.names.learn(_text(value))
            fields[name] = _host(how.names, value) if name == "host_data" else same_length(value)
    made: Message = (
        replace(where, **fields) if where is message else replace(message, dst_info=replace(where, **fields))
    )
    return made


def _host(names: Pseudonyms, value: bytes) -> bytes:
    """Return a host of the same length: its pseudonym where that fits, else one that is cut or drawn out."""
    bare = value.rstrip(b"\0")
    made = names.host(_text(value)).encode()
    if len(made) != len(bare):
        made = b"x" * len(bare)
    return made + value[len(bare) :]


def _notice(how: Neutral, message: common.Notify) -> Message:
    """Replace words that name somebody; what follows the text is its NUL alone."""
    text = _text(message.message)
    kept = message.message if not how.names.holds_private(text) else same_length(message.message)
    return replace(message, message=kept, terminator=bytes(len(message.terminator)))


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _drawing(how: Neutral, message: Any) -> Message:
    """Replace images, brushes, masks and glyphs of any draw message."""
    fields: dict[str, object] = {}
    for name in message.__match_args__:
        value = getattr(message, name)
        if isinstance(value, Image):
            fields[name] = how.image(value)
        elif isinstance(value, Brush):
            box = message.base.box
            narrow = min(box.right - box.left, box.bottom - box.top) < NARROW
            fields[name] = how.brush(value, plain=narrow or isinstance(message, _OF_SHAPES))
        elif isinstance(value, QMask):
            fields[name] = how.mask(value)
        elif isinstance(value, String):
            fields[name] = _line(value)
        elif name in ("src_color", "true_color"):
            fields[name] = _BLACK
    made: Message = replace(message, **fields)
    return made


def _line(line: String) -> String:
    """Return a line of empty glyphs of the same sizes."""
    fields: dict[str, Any] = {}
    for name in ("glyphs_a1", "glyphs_a4", "glyphs_a8"):
        glyphs = getattr(line, name)
        if glyphs is not None:
            fields[name] = tuple(replace(glyph, data=bytes(len(glyph.data))) for glyph in glyphs)
    return replace(line, **fields)


def _shape(how: Neutral, message: Any) -> Message:
    made: Message = replace(message, cursor=replace(message.cursor, data=bytes(len(message.cursor.data))))
    return made


def _port_name(how: Neutral, message: port.Init) -> Message:
    if message.name is None or _text(message.name).startswith(_KNOWN_PORTS):
        return message
    how.names.learn(_text(message.name))
    return replace(message, name=same_length(message.name))


_KNOWN_PORTS: Final = ("org.spice-space.", "org.qemu.")
"""Names of ports that every guest has. Source: spice-wire.md 15."""

_OF_SHAPES: Final = (display.DrawStroke, display.DrawText)
"""Messages whose brushes draw lines and letters, not areas."""

_DRAWS: Final = (
    display.DrawFill,
    display.DrawOpaque,
    display.DrawCopy,
    display.DrawBlend,
    display.DrawBlackness,
    display.DrawWhiteness,
    display.DrawInvers,
    display.DrawRop3,
    display.DrawStroke,
    display.DrawText,
    display.DrawTransparent,
    display.DrawAlphaBlend,
    display.DrawComposite,
)

REPLACED: Final[dict[type[Message], tuple[Rule, Kind]]] = {
    common.MigrateData: (_zeroed("data"), Kind.UNREAD),
    common.Ping: (_zeroed("data"), Kind.UNREAD),
    common.Notify: (_notice, Kind.NOTICES),
    main.MigrateBegin: (_target, Kind.NAMES),
    main.MigrateBeginSeamless: (_target, Kind.NAMES),
    main.MigrateSwitchHost: (_target, Kind.NAMES),
    main.Name: (_name, Kind.NAMES),
    main.Uuid: (_uuid, Kind.NAMES),
    main.QualityIndicator: (_zeroed("data"), Kind.UNREAD),
    inputs.KeyDown: (_key_down, Kind.KEYS),
    inputs.KeyUp: (_key_up, Kind.KEYS),
    inputs.KeyScancode: (_scan_codes, Kind.KEYS),
    display.QualityIndicator: (_zeroed("data"), Kind.UNREAD),
    cursor.Init: (_shape, Kind.CURSORS),
    cursor.Set: (_shape, Kind.CURSORS),
    playback.Mode: (_zeroed("data"), Kind.SOUND),
    port.Init: (_port_name, Kind.NAMES),
    smartcard.Data: (_zeroed("data"), Kind.SMARTCARD),
    **dict.fromkeys(_DRAWS, (_drawing, Kind.DRAWING)),
}


def kept_by_choice(cls: type[Message], choices: Choices) -> bool:
    """Say whether messages of a class stay because the user wants pictures kept."""
    return choices.screen is Screen.KEEP and (cls in _DRAWS or cls in (cursor.Init, cursor.Set))


def learns(cls: type[Message]) -> bool:
    """Say whether messages of a class name somebody whose name may stand in other messages."""
    return cls in (main.Name, main.MigrateBegin, main.MigrateBeginSeamless, main.MigrateSwitchHost, port.Init)
