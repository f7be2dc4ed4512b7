"""Addresses and viewer files say where to connect to; a password in them is never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.errors import InputError, UsageError
from spicereplay.live.secret import Secret
from spicereplay.live.target import Proxy, Target, Transport, channels_named, parse_proxy, parse_target
from spicereplay.live.viewer_file import MOST_BYTES, parse_viewer_file, read_viewer_file
from spicereplay.protocol.enums import ChannelType

WORD = "correct-horse"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("spice://h:5900", Target("h", 5900)),
        ("spice://h:5900/", Target("h", 5900)),
        ("spice://h?port=5900&tls-port=5901", Target("h", 5900, 5901)),
        ("spice://[2001:db8::1]:5900", Target("2001:db8::1", 5900)),
        ("spice+tls://h:5901", Target("h", None, 5901)),
        ("SPICE://h:1", Target("h", 1)),
        ("spice://u:p%40ss@h:1", Target("h", 1, password=Secret("p@ss"))),
        ("spice://h:1?password=p", Target("h", 1, password=Secret("p"))),
        ("spice+unix:///run/a%20b.sock", Target(port=0, transport=Transport.UNIX, path="/run/a b.sock")),
        ("ws://h/ws?t=1", Target("h", 80, transport=Transport.WEBSOCKET, path="/ws?t=1")),
        ("wss://h:8443", Target("h", None, 8443, transport=Transport.WEBSOCKET, path="/")),
    ],
)
def test_addresses(text: str, target: Target) -> None:
    assert parse_target(text) == (target, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:5900",
        "http://h:1",
        "spice://",
        "spice://h",
        "spice://h:0x1",
        "spice://h:99999",
        "spice://h?port=0",
        "spice://h?port=٣",
        "spice+unix://run/a.sock",
        "spice://[::1",
        "spice://h:1\n",
        "spice://" + "h" * 9000,
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


def test_what_is_not_known_is_told() -> None:
    target, remarks = parse_target("spice://h:1?colour=blue")
    assert target == Target("h", 1)
    assert remarks == ["the address: colour is not known and is passed over"]


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    for begin in ("", "spice://", "ws://", "spice+unix:///", "spice://h:1?"):
        try:
            parse_target(begin + text)
        except UsageError:
            continue


def test_a_password_is_never_shown() -> None:
    target, _ = parse_target(f"spice://:{WORD}@h:1")
    proxy = parse_proxy(f"http://me:{WORD}@p:1")
    for shown in (repr(target), str(target), repr(proxy), f"{target.password}", f"{target.password!r}"):
        assert WORD not in shown
    with pytest.raises(TypeError):
        pickle.dumps(target.password)
    for wrong in (f"spice://:{WORD}@h:port", f"spice://:{WORD}@", f"{WORD}"):
        with pytest.raises(UsageError) as error:
            parse_target(wrong)
        assert WORD not in str(error.value)


def test_proxies() -> None:
    assert parse_proxy("p:8080") == Proxy("p", 8080)
    assert parse_proxy("https://a:b@p") == Proxy("p", 3128, True, "a", Secret("b"))
    for wrong in ("ftp://p", "http://", "http://p:x"):
        with pytest.raises(UsageError):
            parse_proxy(wrong)


def test_which_channels_are_encrypted() -> None:
    both = Target("h", 1, 2, secure_channels=channels_named("main;inputs")[0])
    assert both.secure(ChannelType.MAIN)
    assert not both.secure(ChannelType.DISPLAY)
    assert Target("h", None, 2).secure(ChannelType.DISPLAY)
    assert not Target("h", 1).secure(ChannelType.MAIN)
    assert channels_named("all") == (frozenset(ChannelType), [])
    assert channels_named("smain,sinputs") == (frozenset((ChannelType.MAIN, ChannelType.INPUTS)), [])
    assert channels_named(" Main ;telepathy;") == (frozenset((ChannelType.MAIN,)), ["telepathy"])


def test_channels_of_a_file_that_are_none_are_named() -> None:
    file = parse_viewer_file(f"{VIRT_MANAGER}secure-channels=main;x\ndisable-channels=usbredir;y\n", "a.vv")
    assert file.target.secure_channels == {ChannelType.MAIN}
    assert file.disabled == {ChannelType.USBREDIR}
    assert file.remarks == [
        "a.vv: secure-channels: x is no channel",
        "a.vv: disable-channels: y is no channel",
    ]


PROXMOX = r"""[virt-viewer]
secure-attention=Ctrl+Alt+Ins
proxy=http://pve.example:3128
type=spice
host=pvespiceproxy:67512a:100:pve::0a1b
tls-port=61000
password=one-time
toggle-fullscreen=Shift+F11
title=VM 100
delete-this-file=1
host-subject=OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN=pve.example
ca=-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n
release-cursor=Ctrl+Alt+R
"""
OVIRT = """# a comment
[virt-viewer]
type=spice
host=10.0.0.7
port=5902
tls-port=5903
password=x
secure-channels=main;inputs;cursor;playback;record;display;usbredir;smartcard
disable-channels=
enable-usbredir=1
color-depth=
telepathy=1

[ovirt]
host=engine.example
admin=1
[other]
a=b
"""
VIRT_MANAGER = "[virt-viewer]\ntype=spice\nhost=127.0.0.1\nport=5900\ntls-port=-1\n"


def test_a_file_of_proxmox() -> None:
    file = parse_viewer_file(PROXMOX, "a.vv")
    target = file.target
    assert (target.host, target.port, target.tls_port) == ("pvespiceproxy:67512a:100:pve::0a1b", None, 61000)
    assert target.proxy == Proxy("pve.example", 3128)
    assert target.password == Secret("one-time")
    assert target.ca == b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert target.host_subject == "OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN=pve.example"
    assert file.delete
    assert file.remarks == []


def test_a_file_of_ovirt() -> None:
    file = parse_viewer_file(OVIRT, "a.vv")
    assert (file.target.port, file.target.tls_port) == (5902, 5903)
    assert ChannelType.CURSOR in file.target.secure_channels
    assert not file.delete
    assert file.remarks == ["a.vv: [other] is passed over", "a.vv: telepathy is not known and is passed over"]


def test_what_a_viewer_would_ask_of_tls_and_of_the_guest() -> None:
    wishes = "tls-ciphers=DEFAULT:-RC4\ncolor-depth=16\ndisable-effects=wallpaper;animation\n"
    file = parse_viewer_file(VIRT_MANAGER + wishes, "a.vv")
    assert file.target.tls_ciphers == "DEFAULT:-RC4"
    assert file.remarks == [
        "a.vv: color-depth is passed over: the guest is left as it is",
        "a.vv: disable-effects is passed over: the guest is left as it is",
    ]


@pytest.mark.parametrize(
    ("value", "deleted"), [("1", True), ("true", True), ("0", False), ("", False), ("false", False)]
)
def test_a_file_may_ask_to_be_deleted(value: str, deleted: bool) -> None:
    assert parse_viewer_file(f"{VIRT_MANAGER}delete-this-file={value}\n", "a.vv").delete is deleted


def test_a_file_of_virt_manager() -> None:
    assert parse_viewer_file(VIRT_MANAGER, "a.vv").target == Target("127.0.0.1", 5900)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[ovirt]\nhost=x",
        "[virt-viewer]\ntype=vnc\nhost=h\nport=1",
        "[virt-viewer]\nport=1",
        "[virt-viewer]\nhost=h",
        "[virt-viewer]\nhost=h\nport=many",
        "[virt-viewer]\nhost=h\nport=1\nproxy=ftp://p",
    ],
)
def test_a_file_that_leads_nowhere(text: str) -> None:
    with pytest.raises(UsageError):
        parse_viewer_file(text, "a.vv")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.vv"
    with pytest.raises(InputError):
        read_viewer_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError):
        read_viewer_file(path)
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(InputError):
        read_viewer_file(path)
