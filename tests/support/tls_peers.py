"""TLS conversations for tests: real ones between two of Python's `ssl` in memory, and records sealed by hand.

recording = Peers(folder).converse([(False, b"REDQ"), (True, b"REDQ")], ciphers="ECDHE-RSA-AES128-GCM-SHA256")
recording.client, recording.server, recording.key_log
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import hmac
import itertools
import ssl
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from spicereplay.bytestream import ByteStream

EVERYTHING: Final = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
NO_ENCRYPT_THEN_MAC: Final = 1 << 19
"""OpenSSL's SSL_OP_NO_ENCRYPT_THEN_MAC, which Python has no name for."""
NO_TICKET: Final = ssl.OP_NO_TICKET

OAKLEY_2: Final = bytes.fromhex(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"
)
"""A small prime for Diffie-Hellman. Source: RFC 2409 section 6.2."""

TLS12: Final = ssl.TLSVersion.TLSv1_2
TLS13: Final = ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True, slots=True)
class Recording:
    """What went over the wire, in order, and what the client logged."""

    pieces: list[tuple[bool, bytes]]
    """Whether the server sent it, and the bytes."""
    key_log: bytes
    session: ssl.SSLSession | None = None
    first_said: int = 0
    """Index of the first piece behind the handshake; each thing said is one piece."""

    @property
    def client(self) -> bytes:
        return b"".join(data for from_server, data in self.pieces if not from_server)

    @property
    def server(self) -> bytes:
        return b"".join(data for from_server, data in self.pieces if from_server)


class Peers:
    """Two ends with certificates of their own; `folder` takes the files that `ssl` insists on."""

    def __init__(self, folder: Path, *, comment_bytes: int = 0, rsa_bits: int = 1024) -> None:
        self.folder = folder
        self._numbers = itertools.count()
        self._certificates = [
            _certificate(folder / "rsa.pem", rsa.generate_private_key(65537, rsa_bits), comment_bytes),
            _certificate(folder / "ec.pem", ec.generate_private_key(ec.SECP256R1()), comment_bytes),
        ]
        self._dh = folder / "dh.pem"
        self._dh.write_text(_dh_parameters())

    def context(
        self, server: bool, version: ssl.TLSVersion = TLS13, ciphers: str = EVERYTHING, options: int = 0
    ) -> ssl.SSLContext:
        """Return the settings of one end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = version
        context.set_ciphers(ciphers)
        context.options |= options
        if server:
            for file in self._certificates:
                context.load_cert_chain(file)
            context.load_dh_params(str(self._dh))
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def converse(
        self,
        said: Iterable[tuple[bool, bytes]],
        *,
        version: ssl.TLSVersion = TLS13,
        ciphers: str = EVERYTHING,
        options: int = 0,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Recording:
        """Let the ends shake hands, say what they have to say, in order, and close."""
        ours = contexts or (
            self.context(False, version, ciphers, options),
            self.context(True, version, ciphers, options),
        )
        log = self.folder / f"keys{next(self._numbers)}.log"
        ours[0].keylog_filename = str(log)
        wires = {side: (ssl.MemoryBIO(), ssl.MemoryBIO()) for side in (False, True)}
        ends = {
            False: ours[0].wrap_bio(*wires[False], server_hostname="spice.test", session=session),
            True: ours[1].wrap_bio(*wires[True], server_side=True),
        }
        pieces: list[tuple[bool, bytes]] = []

        def carry(sender: bool) -> None:
            data = wires[sender][1].read()
            if data:
                pieces.append((sender, data))
                wires[not sender][0].write(data)

        done = {False: False, True: False}
        while not all(done.values()):
            for side in (False, True):
                try:
                    ends[side].do_handshake()
                    done[side] = True
                except ssl.SSLWantReadError:
                    pass
                carry(side)
        first_said = len(pieces)
        for sender, data in said:
            ends[sender].write(data)
            carry(sender)
            heard = b""
            while len(heard) < len(data):
                heard += ends[not sender].read(len(data))
            assert heard == data
        for side in (False, True):
            with contextlib.suppress(ssl.SSLWantReadError):
                ends[side].unwrap()
            carry(side)
        return Recording(pieces, log.read_bytes(), ends[False].session, first_said)


def _certificate(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, comment_bytes: int) -> Path:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "spice.test")])
    begin = datetime.datetime(2020, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
    )
    if comment_bytes:
        comment = x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.16.840.1.113730.1.13"), bytes(comment_bytes)
        )
        builder = builder.add_extension(comment, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def _dh_parameters() -> str:
    """Return the parameters file that a server of DHE suites needs: a DER sequence of prime and generator 2."""
    prime = b"\x02\x81\x81\x00" + OAKLEY_2
    der = b"\x30\x81" + bytes([len(prime) + 3]) + prime + b"\x02\x01\x02"
    return f"-----BEGIN DH PARAMETERS-----\n{base64.b64encode(der).decode()}\n-----END DH PARAMETERS-----\n"


def stream_of_segments(segments: Sequence[bytes], lost: Iterable[int] = ()) -> ByteStream:
    """Return a stream of segments, 1,000 ns apart and numbered, without those that are `lost`."""
    lengths = np.array([len(segment) for segment in segments], np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1].astype(np.int64)
    kept = np.array([i for i in range(len(segments)) if i not in set(lost) and lengths[i]], np.int64)
    return ByteStream(
        file=b"".join(segments),
        spill=b"",
        position=starts[kept],
        offset=starts[kept],
        length=lengths[kept],
        time_ns=kept * 1000,
        packet=kept,
        begins_with_syn=True,
        end_position=int(lengths.sum()),
    )


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return `data` cut at `places`."""
    borders = [0, *sorted({p for p in places if 0 < p < len(data)}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


def record(kind: int, fragment: bytes, version: int = 0x0303) -> bytes:
    """Return one TLS record."""
    return struct.pack(">BHH", kind, version, len(fragment)) + fragment


def split_records(data: bytes) -> list[bytes]:
    """Return the records of `data`, headers included."""
    out = []
    while data:
        end = 5 + int.from_bytes(data[3:5], "big")
        out.append(data[:end])
        data = data[end:]
    return out


def handshake_message(kind: int, body: bytes) -> bytes:
    """Return one handshake message."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def client_hello(random: bytes) -> bytes:
    """Return a ClientHello message that offers everything and nothing."""
    return handshake_message(1, b"\x03\x03" + random + b"\0" + b"\0\x02\x13\x01" + b"\x01\0")


def server_hello(
    random: bytes, suite: int, *, version: int = 0x0303, chosen: int | None = 0x0304, compression: int = 0
) -> bytes:
    """Return a ServerHello message; `chosen` is what its supported_versions extension says, if it has one."""
    extensions = b"" if chosen is None else struct.pack(">HHH", 43, 2, chosen)
    body = struct.pack(">H", version) + random + b"\0" + struct.pack(">HB", suite, compression)
    return handshake_message(
        2, body + (struct.pack(">H", len(extensions)) + extensions if extensions else b"")
    )


@dataclass(slots=True)
class Sealer13:
    """Seals the records of one direction of TLS 1.3 with TLS_AES_128_GCM_SHA256."""

    secret: bytes
    sequence: int = 0

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        """Return the next record."""
        key, iv = _expand(self.secret, b"key", 16), int.from_bytes(_expand(self.secret, b"iv", 12), "big")
        inner = content + bytes([kind]) + bytes(padding)
        header = struct.pack(">BHH", 23, 0x0303, len(inner) + 16)
        nonce = (iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return header + AESGCM(key).encrypt(nonce, inner, header)

    def update(self) -> None:
        """Go on to the next secret, as after a KeyUpdate."""
        self.secret, self.sequence = _expand(self.secret, b"traffic upd", 32), 0


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    info = struct.pack(">HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:length]
