"""Files that open a viewer: `.vv`, as virt-manager, oVirt and Proxmox hand them out.

Source: virt-viewer man/remote-viewer.pod, CONNECTION FILE; glib's key files (escapes in values).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from spicereplay.errors import InputError, UsageError
from spicereplay.live.secret import Secret
from spicereplay.live.target import Target, Transport, channels_named, parse_proxy, port_number
from spicereplay.protocol.enums import ChannelType
from spicereplay.units import KIB

MOST_BYTES: Final = 256 * KIB
"""The longest part of one is a chain of certificates, a few KiB."""
GROUP: Final = "virt-viewer"
_ESCAPES: Final = {"n": "\n", "s": " ", "t": "\t", "r": "\r", "\\": "\\"}
_OF_A_WINDOW: Final = frozenset(
    {
        "type",
        "title",
        "version",
        "versions",
        "newer-version-url",
        "username",
        "fullscreen",
        "toggle-fullscreen",
        "release-cursor",
        "secure-attention",
        "smartcard-insert",
        "smartcard-remove",
        "usb-device-reset",
        "zoom-in",
        "zoom-out",
        "zoom-reset",
        "enable-smartcard",
        "enable-usbredir",
        "enable-usb-autoshare",
        "usb-filter",
    }
)
"""Known, and of no meaning to a client without a window and without devices."""
_OF_THE_GUEST: Final = frozenset({"color-depth", "disable-effects"})
"""Known: wishes that a viewer hands to the guest's agent; here the guest is left as it is."""


@dataclass(frozen=True, slots=True)
class ViewerFile:
    """What such a file says."""

    target: Target
    delete: bool = False
    """Whoever reads it is asked to delete it: its password is for one use."""
    disabled: frozenset[ChannelType] = frozenset()
    """Channels that are not to be joined."""
    remarks: list[str] = field(default_factory=list)
    """What was passed over."""


def read_viewer_file(path: Path) -> ViewerFile:
    """Read one. Raises `InputError` where it cannot be read, `UsageError` where it leads nowhere."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: longer than {MOST_BYTES:,} bytes; that is no connection file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text; that is no connection file") from None
    return parse_viewer_file(text, path.name)


def parse_viewer_file(text: str, name: str) -> ViewerFile:
    """Return what the text of such a file says; `name` is for messages. Raises `UsageError`."""
    found = _groups(text)
    if GROUP not in found:
        raise UsageError(f"{name}: no [{GROUP}] in it; that is no connection file")
    keys = found[GROUP]
    kind = keys.get("type", "spice")
    if kind != "spice":
        raise UsageError(f"{name}: a connection of type {kind!r}; only spice can be connected to")
    target = Target(host=keys.get("host", ""), title=keys.get("title", ""))
    delete, disabled = False, frozenset[ChannelType]()
    remarks = [f"{name}: [{group}] is passed over" for group in found if group not in (GROUP, "ovirt")]
    for key, value in keys.items():
        match key:
            case "host":
                pass
            case "port":
                target = replace(target, port=_port(value, key, name))
            case "tls-port":
                target = replace(target, tls_port=_port(value, key, name))
            case "unix-path":
                target = replace(target, transport=Transport.UNIX, path=value, port=0)
            case "password":
                target = replace(target, password=Secret(value))
            case "ca":
                target = replace(target, ca=value.encode())
            case "host-subject":
                target = replace(target, host_subject=value)
            case "proxy":
                target = replace(target, proxy=parse_proxy(value) if value else None)
            case "secure-channels":
                secure, unknown = channels_named(value)
                target = replace(target, secure_channels=secure)
                remarks += [f"{name}: {key}: {each} is no channel" for each in unknown]
            case "disable-channels":
                disabled, unknown = channels_named(value)
                remarks += [f"{name}: {key}: {each} is no channel" for each in unknown]
            case "delete-this-file":
                delete = value.lower() not in ("", "0", "false")
            case "tls-ciphers":
                target = replace(target, tls_ciphers=value or None)
            case _ if key in _OF_THE_GUEST:
                if value:
                    remarks.append(f"{name}: {key} is passed over: the guest is left as it is")
            case _ if key not in _OF_A_WINDOW:
                remarks.append(f"{name}: {key} is not known and is passed over")
    if target.transport is Transport.TCP:
        if not target.host:
            raise UsageError(f"{name}: it names no host")
        if target.port is None and target.tls_port is None:
            raise UsageError(f"{name}: it names neither port nor tls-port")
    return ViewerFile(target, delete, disabled, remarks)


def _port(value: str, key: str, name: str) -> int | None:
    """Return a port; -1, 0 and nothing stand for none, as virt-manager and oVirt write them."""
    return None if value in ("", "0", "-1") else port_number(value, f"{name}: {key}")


def _groups(text: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] | None = None
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = groups.setdefault(line[1:-1], {})
        elif group is not None and "=" in line:
            key, _, value = line.partition("=")
            group[key.strip()] = _unescaped(value.strip())
    return groups


def _unescaped(value: str) -> str:
    out: list[str] = []
    signs = iter(value)
    for sign in signs:
        if sign == "\\":
            following = next(signs, "")
            out.append(_ESCAPES.get(following, sign + following))
        else:
            out.append(sign)
    return "".join(out)
