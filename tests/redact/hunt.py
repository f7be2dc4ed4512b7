"""A search for secrets that shares no code with the package: dpkt, struct, and what the protocol's documents say.

`secrets_of` takes out of a recording whatever somebody could mind: keys, clipboards, files, names, addresses, payloads.
`found_again` looks for them in a file or directory: as they are, in capitals and small letters, as hexadecimal digits
and base64, in the members of zips and in the pixels of pictures.
"""

import base64
import gzip
import io
import json
import socket
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dpkt
import numpy as np
from PIL import Image

CLIPBOARD, FILE_XFER_START, FILE_XFER_DATA = 4, 10, 12
RYLL_PORT = 5900
SHORTEST = 4
WINDOW = 8
STRETCH = 8 * WINDOW


@dataclass
class Secrets:
    """What must not be found."""

    keys: bytes = b""
    """Scan codes of pressed keys, in order."""
    texts: set[bytes] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    payloads: list[bytes] = field(default_factory=list)
    """What tells something in every eight bytes in a row."""
    pictures: list[bytes] = field(default_factory=list)
    """What tells something in every 64 bytes in a row: QUIC says any area of one colour in the same codes, which go on
    for shorter stretches."""


# --- taking secrets out ---------------------------------------------------------------------------------


def secrets_of(source: Path, *, pictures: bool = True) -> Secrets:
    """Return what is private in a capture, a zip or a directory of either; `pictures`: those count, too."""
    secrets = Secrets()
    for name, data in contents(source):
        if name.endswith((".pcap", ".pcapng", ".gz")):
            _capture(
                data, secrets, made_up=b"ryll" in data[:4096] or source.suffix == ".zip", pictures=pictures
            )
        elif name.endswith(".json"):
            _report(data, secrets)
        elif name.endswith(".png") and pictures:
            secrets.pictures.append(pixels(data))
    return secrets


def contents(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names and bytes of all files, those in zips as they are inside."""
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for file in files:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                yield from ((name, archive.read(name)) for name in archive.namelist())
        else:
            data = file.read_bytes()
            yield file.name, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def pixels(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        return picture.convert("RGB").tobytes()


def _report(data: bytes, secrets: Secrets) -> None:
    try:
        value = json.loads(data)
    except ValueError:
        return
    for name in ("target_host", "description"):
        if isinstance(value, dict) and isinstance(value.get(name), str) and len(value[name]) >= SHORTEST:
            secrets.texts.add(value[name].encode())


def _capture(data: bytes, secrets: Secrets, *, made_up: bool, pictures: bool) -> None:
    flows = _flows(data, secrets if not made_up else None)
    for (near, far), stream in flows.items():
        other = flows.get((far, near), b"")
        if made_up:  # ryll's: one port for each channel, and messages alone
            mine = near[1] != RYLL_PORT
            _side((near if mine else far)[1] - 10_000, stream, 0, mine, secrets, pictures)
            continue
        if not stream.startswith(b"REDQ"):
            continue
        client = len(stream) >= 16 and struct.unpack_from("<I", stream, 12)[0] < 170
        if client:
            _connection(stream, other, secrets, pictures)


Ends = tuple[tuple[bytes, int], tuple[bytes, int]]


def _flows(data: bytes, secrets: Secrets | None) -> dict[Ends, bytes]:
    """Put the TCP streams of a capture together; addresses are noted on the way."""
    reader = (dpkt.pcapng.Reader if data[:4] == b"\x0a\x0d\x0d\x0a" else dpkt.pcap.Reader)(io.BytesIO(data))
    decode = {1: dpkt.ethernet.Ethernet, 113: dpkt.sll.SLL, 276: dpkt.sll2.SLL2, 101: _raw}[reader.datalink()]
    pieces: dict[Ends, dict[int, bytes]] = defaultdict(dict)
    begins: dict[Ends, int] = {}
    for _, frame in reader:
        try:
            ip = decode(frame).data
        except dpkt.dpkt.UnpackError:
            continue
        while (
            not isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6)
            and hasattr(ip, "data")
            and not isinstance(ip, bytes)
        ):
            ip = ip.data
        tcp = getattr(ip, "data", None)
        if not isinstance(ip, dpkt.ip.IP | dpkt.ip6.IP6) or not isinstance(tcp, dpkt.tcp.TCP):
            continue
        family = socket.AF_INET if isinstance(ip, dpkt.ip.IP) else socket.AF_INET6
        if secrets is not None:
            secrets.addresses |= {socket.inet_ntop(family, a) for a in (ip.src, ip.dst)}
        key = ((ip.src, tcp.sport), (ip.dst, tcp.dport))
        if tcp.flags & dpkt.tcp.TH_SYN:
            begins[key] = tcp.seq + 1
        if tcp.data:
            begins.setdefault(key, tcp.seq)
            pieces[key].setdefault((tcp.seq - begins[key]) & 0xFFFFFFFF, bytes(tcp.data))
    streams = {}
    for key, parts in pieces.items():
        out = bytearray()
        for at in sorted(parts):
            if at > len(out):
                break
            out += parts[at][len(out) - at :]
        streams[key] = bytes(out)
    return streams


def _raw(frame: bytes) -> object:
    class Raw:
        data = dpkt.ip6.IP6(frame) if frame[0] >> 4 == 6 else dpkt.ip.IP(frame)

    return Raw


def _connection(client: bytes, server: bytes, secrets: Secrets, pictures: bool) -> None:
    """Take a connection apart: link stage with a ticket, then messages with mini headers."""
    size = struct.unpack_from("<I", client, 12)[0]
    channel = client[20]
    start = 16 + size + 4 + 128
    if len(server) < 16:
        return
    answer = 16 + struct.unpack_from("<I", server, 12)[0] + 4
    secrets.payloads.append(client[16 + size + 4 : start])
    _side(channel, client, start, True, secrets, pictures)
    _side(channel, server, answer, False, secrets, pictures)


def _side(channel: int, stream: bytes, at: int, client: bool, secrets: Secrets, pictures: bool) -> None:
    agent = bytearray()
    for kind, body in _messages(stream, at):
        _message(channel, kind, body, client, secrets, agent, pictures)
    _agent(bytes(agent), secrets)


def _messages(stream: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 6 <= len(stream):
        kind, size = struct.unpack_from("<HI", stream, at)
        yield kind, stream[at + 6 : at + 6 + size]
        at += 6 + size


def _message(
    channel: int, kind: int, body: bytes, client: bool, secrets: Secrets, agent: bytearray, pictures: bool
) -> None:
    match channel, client, kind:
        case (1, True, 107) | (1, False, 110):
            agent += body
        case (1, False, 113):
            secrets.texts.add(body[4:].rstrip(b"\0"))
        case (1, False, 114) if any(body):
            secrets.payloads.append(body[:16])
        case (3, True, 101):
            secrets.keys += body[:1]
        case (9, _, 101):
            _usbredir(body, secrets)
        case (11, _, 101):
            lines = body[10:].replace(b">HTTP/1.1 200 OK<", b"><").split(b"\r\n")  # it stands in XML, too
            secrets.payloads += [_private_part(line) for line in lines]
        case ((8 | 10), _, 101):
            secrets.payloads.append(body)
        case (2, False, (122 | 126)) if pictures:
            secrets.pictures.append(body[32:])
        case (2, False, (302 | 303 | 304 | 305 | 307 | 311 | 312)) if pictures:
            secrets.pictures.append(body[160:])
        case (4, False, (101 | 103)) if pictures:
            secrets.pictures.append(body[48:])


def _private_part(line: bytes) -> bytes:
    """Return what a line of HTTP says besides method, status, the names of fields and how long things are."""
    name, colon, value = line.partition(b":")
    if line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return line[:-9].partition(b" ")[2]
    if b"HTTP/1." in line:
        return line[line.index(b"HTTP/1.") + 12 :]
    if colon and name.replace(b"-", b"").isalpha():
        return b"" if name.lower() in (b"content-length", b"transfer-encoding", b"connection") else value
    return line


def _usbredir(body: bytes, secrets: Secrets) -> None:
    """Take what devices and guest said, and who implements it; other packets are numbers."""
    kind = int.from_bytes(body[:4], "little")
    if 100 <= kind <= 104:
        secrets.payloads.append(body[22:])
    elif kind == 0:
        secrets.texts.add(body[12:76].rstrip(b"\0"))


def _agent(stream: bytes, secrets: Secrets) -> None:
    at = 0
    while at + 20 <= len(stream):
        kind, size = struct.unpack_from("<4xI8xI", stream, at)
        body = stream[at + 20 : at + 20 + size]
        if kind == CLIPBOARD:
            secrets.texts |= {body[4:], body[8:]}  # without a selection, and with one
        elif kind == FILE_XFER_START:
            names = [line[5:] for line in body[4:].splitlines() if line.startswith(b"name=")]
            secrets.texts |= set(names)
        elif kind == FILE_XFER_DATA:
            secrets.payloads.append(body[12:])
        at += 20 + size


# --- looking for them -------------------------------------------------------------------------------------


def found_again(target: Path, secrets: Secrets) -> list[str]:
    """Return, in words, which secrets are in a file, a zip or a directory; nothing where none is."""
    found = []
    needles = {form: text for text in secrets.texts if len(text) >= SHORTEST for form in _forms(text)}
    for text in secrets.addresses - {"127.0.0.1", "::1"}:
        raw = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        needles |= {text.encode(): raw}
        if ":" in text:  # four bytes are found everywhere: they are looked for in headers
            needles |= {raw: raw}
    if len(set(secrets.keys)) > 1 and len(secrets.keys) >= SHORTEST:
        needles |= {secrets.keys: secrets.keys}
        needles |= {_keys_on_the_wire(secrets.keys): secrets.keys}
    words, seen = _windows(secrets.payloads), _of_no_flat_area(_windows(secrets.pictures))
    for name, data in contents(target):
        parts = [(name, data), (f"the name {name}", name.encode())]
        if name.endswith(".png"):
            parts.append((f"pixels of {name}", pixels(data)))
        for where, part in parts:
            found += [f"{where}: {needle!r}" for needle in needles if needle in part]
            again = np.intersect1d(_windows([part]), words, assume_unique=True)
            found += [f"{where}: {int(word).to_bytes(8, 'little').hex()}" for word in again[:50]]
            found += [f"{where}: {piece.hex()} of a picture" for piece in _stretches(part, seen)]
        if data[:4] == b"\x0a\x0d\x0d\x0a":
            now = Secrets()
            _capture(data, now, made_up=False, pictures=False)
            found += [f"{name}: {a}" for a in now.addresses & secrets.addresses - {"127.0.0.1", "::1"}]
            if set(now.keys) - {0x39}:
                found.append(f"{name}: keys {now.keys.hex()}")
    return found


def _forms(text: bytes) -> set[bytes]:
    forms = {text, text.hex().encode(), text.hex().upper().encode(), text.upper(), text.lower()}
    for shift in range(3):  # base64 of something that holds it
        coded = base64.b64encode(bytes(shift) + text)
        forms.add(coded[4 if shift else 0 : len(coded) - 4])
    wide = text.decode("utf-8", "replace").encode("utf-16-le")
    return {form for form in forms | {wide} if len(form) >= SHORTEST}


def _keys_on_the_wire(codes: bytes) -> bytes:
    """Return key presses and releases as one client sends them, one after the other."""
    return b"".join(
        struct.pack("<HII", kind, 4, code) for n in codes for kind, code in ((101, n), (102, n | 0x80))
    )


def _stretches(part: bytes, seen: np.ndarray) -> list[bytes]:
    """Return a few stretches of 64 bytes of which each eight are in a picture that must not be there."""
    if len(part) < STRETCH or not len(seen):
        return []
    words = np.lib.stride_tricks.sliding_window_view(np.frombuffer(part, np.uint8), WINDOW)
    found = []
    for at in range(0, len(words), 1 << 18):
        some = np.ascontiguousarray(words[at : at + (1 << 18) + STRETCH - WINDOW]).view("<u8").reshape(-1)
        known = seen[np.minimum(np.searchsorted(seen, some), len(seen) - 1)] == some
        last = len(known) - STRETCH + WINDOW
        whole = np.logical_and.reduce([known[n : last + n] for n in range(0, STRETCH, WINDOW)])
        found += [part[at + n : at + n + STRETCH] for n in np.flatnonzero(whole)[:3].tolist()]
    return found


def _of_no_flat_area(words: np.ndarray) -> np.ndarray:
    """Leave out the windows of which two bits in three are the same: so QUIC codes an area of any one colour."""
    ones = np.unpackbits(words.view(np.uint8).reshape(-1, WINDOW), axis=1).sum(axis=1)
    return words[(ones > 8 * WINDOW // 3) & (ones < 16 * WINDOW // 3)]


def _windows(parts: list[bytes]) -> np.ndarray:
    """Return every eight bytes in a row that have at least four values and no more than two zeros."""
    kept = [np.empty(0, np.uint64)]
    for part in parts:
        if len(part) < WINDOW:
            continue
        cells = np.lib.stride_tricks.sliding_window_view(np.frombuffer(part, np.uint8), WINDOW)
        for at in range(0, len(cells), 1 << 18):
            some = cells[at : at + (1 << 18)]
            some = some[(some == 0).sum(axis=1) <= 2]
            ordered = np.sort(some, axis=1)
            some = some[(ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) >= 3]
            kept.append(np.ascontiguousarray(some).view("<u8").reshape(-1))
    words = np.sort(np.concatenate(kept))  # np.unique takes many times as long over some words
    return words[np.concatenate(([True], words[1:] != words[:-1]))] if len(words) else words
