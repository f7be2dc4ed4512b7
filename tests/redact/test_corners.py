"""Whatever carries a session, nothing private comes along: tunnels, IPv6, gzip, and all that a pcapng can hold."""

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest
from redact.hunt import found_again, secrets_of
from redact.talk import SECRETS, TEXT, VM, write_secrets

from spicereplay.analysis.timeline import Tables
from spicereplay.redact.redact import redact
from spicereplay.redact.what import Choices, Screen, Sound
from spicereplay.replay import replay

Frame = Callable[[bytes], bytes]
SIX = bytes.fromhex("fd12345600000000000000000000abcd"), bytes.fromhex("fd12345600000000000000000000ef01")


def vlan(frame: bytes) -> bytes:
    return frame[:12] + b"\x81\x00\x00\x2a" + frame[12:]


def twice_vlan(frame: bytes) -> bytes:
    return frame[:12] + b"\x88\xa8\x00\x07\x81\x00\x00\x2a" + frame[12:]


def in_ipv4(frame: bytes) -> bytes:
    """Put an IPv4 packet into another one, as a tunnel does."""
    inner = frame[14:]
    outer = dpkt.ip.IP(src=b"\x0a\x09\x08\x07", dst=b"\x0a\x09\x08\x06", p=4, len=20 + len(inner), data=inner)
    return frame[:14] + bytes(outer)


def in_gre(frame: bytes) -> bytes:
    inner = b"\0\0\x08\0" + frame[14:]
    outer = dpkt.ip.IP(
        src=b"\x0a\x09\x08\x07", dst=b"\x0a\x09\x08\x06", p=47, len=20 + len(inner), data=inner
    )
    return frame[:14] + bytes(outer)


def ipv6(frame: bytes) -> bytes:
    """Say what an IPv4 packet says in IPv6."""
    ip = dpkt.ip.IP(frame[14:])
    ends = SIX if ip.src < ip.dst else SIX[::-1]
    tcp = bytes(ip.data)
    return frame[:12] + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + b"".join(ends) + tcp


def rewritten(source: Path, change: Frame) -> bytes:
    """Return a pcap of a capture's packets, each one of TCP changed."""
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out)
    for time, frame in dpkt.pcapng.Reader(io.BytesIO(source.read_bytes())):
        writer.writepkt(change(frame) if frame[12:14] == b"\x08\0" else frame, time)
    return out.getvalue()


def block(kind: int, body: bytes) -> bytes:
    padded = body.ljust(-(-len(body) // 4) * 4, b"\0")
    return struct.pack("<II", kind, 12 + len(padded)) + padded + struct.pack("<I", 12 + len(padded))


def option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value.ljust(-(-len(value) // 4) * 4, b"\0")


def with_blocks(source: Path) -> bytes:
    """Return a pcapng with names, secrets, custom blocks and comments besides its packets."""
    names = struct.pack("<HH", 1, 17) + b"\x0a\x14\x1e\x29" + b"eve-laptop.x\0".ljust(16, b"\0") + bytes(4)
    secrets = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
    return (
        source.read_bytes()
        + block(4, names)
        + block(10, struct.pack("<II", 0x544C534B, len(secrets)) + secrets)
        + block(0x0BAD, struct.pack("<I", 32473) + b"tell nobody about this block")
        + block(5, struct.pack("<IQ", 0, 0) + option(1, b"tell nobody: dropped"))
    )


CONTAINERS: dict[str, Callable[[Path], bytes]] = {
    "vlan": lambda source: rewritten(source, vlan),
    "two vlans": lambda source: rewritten(source, twice_vlan),
    "IP in IP": lambda source: rewritten(source, in_ipv4),
    "GRE": lambda source: rewritten(source, in_gre),
    "IPv6": lambda source: rewritten(source, ipv6),
    "gzip": lambda source: gzip.compress(rewritten(source, bytes)),
    "blocks of a pcapng": with_blocks,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_nothing_comes_along(name: str, tmp_path: Path) -> None:
    plain, source, target = tmp_path / "plain.pcapng", tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    write_secrets(plain)
    source.write_bytes(CONTAINERS[name](plain))
    redact(source, target)
    secrets = secrets_of(plain)
    assert {TEXT.encode(), VM.encode()} <= secrets.texts
    assert secrets.keys == bytes([0x1E, 0x30, 0x2E, 0xE0])
    secrets.texts |= {text for text in SECRETS if len(text) > 4}
    secrets.addresses |= {"fd12:3456::abcd", "fd12:3456::ef01", "10.9.8.7", "10.9.8.6"}
    assert found_again(target, secrets) == []
    with replay(source) as before, replay(target) as after:
        old, new = Tables(before), Tables(after)
        assert len(old["messages"]) > 20
        assert old["messages"].equals(new["messages"])


@pytest.mark.parametrize("screen", list(Screen))
@pytest.mark.parametrize("sound", list(Sound))
def test_what_is_chosen_of_pictures_and_sound_lets_nothing_else_through(
    screen: Screen, sound: Sound, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    write_secrets(source)
    redact(source, target, choices=Choices(screen, sound))
    secrets = secrets_of(source)
    secrets.texts |= {text for text in SECRETS if len(text) > 4}
    assert found_again(target, secrets) == []


def test_the_hunt_finds_what_it_is_for(tmp_path: Path) -> None:
    source = tmp_path / "in.pcapng"
    write_secrets(source)
    secrets = secrets_of(source)
    found = "\n".join(found_again(source, secrets))
    for word in (TEXT, VM, "keys 1e302ee0", "10.20.30.40", b"al numbe".hex(), b"ly with ".hex()):
        assert word in found
    coded = tmp_path / "coded"
    coded.write_bytes(b"...." + TEXT.encode().hex().encode() + b"....")
    assert found_again(coded, secrets)
