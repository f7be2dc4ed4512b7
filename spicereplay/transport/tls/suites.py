"""What a TLS cipher suite says about its records.

Source: the TLS Cipher Suites registry of IANA; RFC 5246 appendix C, RFC 5288, RFC 5289, RFC 6655, RFC 7905,
RFC 8446 appendix B.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["GCM", "CCM", "CHACHA20", "CBC"]

_KEY_EXCHANGES: Final[dict[str, dict[int, str]]] = {
    "AES_128_CBC_SHA": {
        0x002F: "RSA",
        0x0032: "DHE_DSS",
        0x0033: "DHE_RSA",
        0x0034: "DH_anon",
        0x008C: "PSK",
        0x0090: "DHE_PSK",
        0x0094: "RSA_PSK",
        0xC004: "ECDH_ECDSA",
        0xC009: "ECDHE_ECDSA",
        0xC00E: "ECDH_RSA",
        0xC013: "ECDHE_RSA",
        0xC018: "ECDH_anon",
        0xC035: "ECDHE_PSK",
        0x0030: "DH_DSS",
        0x0031: "DH_RSA",
        0xC01D: "SRP_SHA",
        0xC01E: "SRP_SHA_RSA",
        0xC01F: "SRP_SHA_DSS",
    },
    "AES_256_CBC_SHA": {
        0x0035: "RSA",
        0x0038: "DHE_DSS",
        0x0039: "DHE_RSA",
        0x003A: "DH_anon",
        0x008D: "PSK",
        0x0091: "DHE_PSK",
        0x0095: "RSA_PSK",
        0xC005: "ECDH_ECDSA",
        0xC00A: "ECDHE_ECDSA",
        0xC00F: "ECDH_RSA",
        0xC014: "ECDHE_RSA",
        0xC019: "ECDH_anon",
        0xC036: "ECDHE_PSK",
        0x0036: "DH_DSS",
        0x0037: "DH_RSA",
        0xC020: "SRP_SHA",
        0xC021: "SRP_SHA_RSA",
        0xC022: "SRP_SHA_DSS",
    },
    "AES_128_CBC_SHA256": {
        0x003C: "RSA",
        0x0040: "DHE_DSS",
        0x0067: "DHE_RSA",
        0x006C: "DH_anon",
        0x00AE: "PSK",
        0x00B2: "DHE_PSK",
        0x00B6: "RSA_PSK",
        0xC023: "ECDHE_ECDSA",
        0xC025: "ECDH_ECDSA",
        0xC027: "ECDHE_RSA",
        0xC029: "ECDH_RSA",
        0xC037: "ECDHE_PSK",
        0x003E: "DH_DSS",
        0x003F: "DH_RSA",
    },
    "AES_256_CBC_SHA256": {
        0x003D: "RSA",
        0x006A: "DHE_DSS",
        0x006B: "DHE_RSA",
        0x006D: "DH_anon",
        0x0068: "DH_DSS",
        0x0069: "DH_RSA",
    },
    "AES_256_CBC_SHA384": {
        0x00AF: "PSK",
        0x00B3: "DHE_PSK",
        0x00B7: "RSA_PSK",
        0xC024: "ECDHE_ECDSA",
        0xC026: "ECDH_ECDSA",
        0xC028: "ECDHE_RSA",
        0xC02A: "ECDH_RSA",
        0xC038: "ECDHE_PSK",
    },
    "AES_128_GCM_SHA256": {
        0x009C: "RSA",
        0x009E: "DHE_RSA",
        0x00A2: "DHE_DSS",
        0x00A6: "DH_anon",
        0x00A8: "PSK",
        0x00AA: "DHE_PSK",
        0x00AC: "RSA_PSK",
        0xC02B: "ECDHE_ECDSA",
        0xC02D: "ECDH_ECDSA",
        0xC02F: "ECDHE_RSA",
        0xC031: "ECDH_RSA",
        0xD001: "ECDHE_PSK",
        0x00A0: "DH_RSA",
        0x00A4: "DH_DSS",
    },
    "AES_256_GCM_SHA384": {
        0x009D: "RSA",
        0x009F: "DHE_RSA",
        0x00A3: "DHE_DSS",
        0x00A7: "DH_anon",
        0x00A9: "PSK",
        0x00AB: "DHE_PSK",
        0x00AD: "RSA_PSK",
        0xC02C: "ECDHE_ECDSA",
        0xC02E: "ECDH_ECDSA",
        0xC030: "ECDHE_RSA",
        0xC032: "ECDH_RSA",
        0xD002: "ECDHE_PSK",
        0x00A1: "DH_RSA",
        0x00A5: "DH_DSS",
    },
    "AES_128_CCM": {
        0xC09C: "RSA",
        0xC09E: "DHE_RSA",
        0xC0A4: "PSK",
        0xC0A6: "DHE_PSK",
        0xC0AC: "ECDHE_ECDSA",
    },
    "AES_256_CCM": {
        0xC09D: "RSA",
        0xC09F: "DHE_RSA",
        0xC0A5: "PSK",
        0xC0A7: "DHE_PSK",
        0xC0AD: "ECDHE_ECDSA",
    },
    "AES_128_CCM_8": {
        0xC0A0: "RSA",
        0xC0A2: "DHE_RSA",
        0xC0A8: "PSK",
        0xC0AA: "PSK_DHE",
        0xC0AE: "ECDHE_ECDSA",
    },
    "AES_256_CCM_8": {
        0xC0A1: "RSA",
        0xC0A3: "DHE_RSA",
        0xC0A9: "PSK",
        0xC0AB: "PSK_DHE",
        0xC0AF: "ECDHE_ECDSA",
    },
    "CHACHA20_POLY1305_SHA256": {
        0xCCA8: "ECDHE_RSA",
        0xCCA9: "ECDHE_ECDSA",
        0xCCAA: "DHE_RSA",
        0xCCAB: "PSK",
        0xCCAC: "ECDHE_PSK",
        0xCCAD: "DHE_PSK",
        0xCCAE: "RSA_PSK",
    },
}
"""Suites of TLS 1.2 by what protects their records, and the key exchange that each number names besides."""

_TLS13: Final[dict[int, str]] = {
    0x1301: "AES_128_GCM_SHA256",
    0x1302: "AES_256_GCM_SHA384",
    0x1303: "CHACHA20_POLY1305_SHA256",
    0x1304: "AES_128_CCM_SHA256",
    0x1305: "AES_128_CCM_8_SHA256",
}

_OTHERS: Final[dict[str, tuple[int, ...]]] = {
    "no encryption": (
        *(0x0001, 0x0002, 0x002C, 0x002D, 0x002E, 0x003B, 0x00B0, 0x00B1, 0x00B4, 0x00B5, 0x00B8, 0x00B9),
        *(0xC001, 0xC006, 0xC00B, 0xC010, 0xC015, 0xC039, 0xC03A, 0xC03B),
    ),
    "RC4": (
        *(0x0004, 0x0005, 0x0018, 0x0020, 0x0024, 0x008A, 0x008E, 0x0092),
        *(0xC002, 0xC007, 0xC00C, 0xC011, 0xC016, 0xC033),
    ),
    "3DES": (
        *(0x000A, 0x000D, 0x0010, 0x0013, 0x0016, 0x001B, 0x001F, 0x0023, 0x008B, 0x008F, 0x0093),
        *(0xC003, 0xC008, 0xC00D, 0xC012, 0xC017, 0xC01A, 0xC01B, 0xC01C, 0xC034),
    ),
    "Camellia": (*range(0x41, 0x47), *range(0x84, 0x8A), *range(0xBA, 0xC6), *range(0xC072, 0xC09C)),
    "ARIA": (*range(0xC03C, 0xC072),),
    "SEED": (*range(0x96, 0x9C),),
    "SM4": (0x00C6, 0x00C7),
    "AEGIS": (0x1306, 0x1307),
}
"""Ciphers whose records are not opened, by the numbers of their suites."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite whose records can be opened."""

    name: str
    """The name IANA gives it."""
    tls13: bool
    mode: Mode
    key_bytes: int
    tag_bytes: int
    """Length of the AEAD tag, or of the HMAC of a CBC suite."""
    digest: str
    """hashlib's name of the hash of the key schedule (1.3) or PRF (1.2)."""
    mac: str
    """hashlib's name of the HMAC's hash; empty for an AEAD."""


def _suite(name: str, protection: str, tls13: bool) -> Suite:
    """Read the parameters off the part of the name that says what protects the records."""
    words = protection.split("_")
    digest = {"SHA384": "sha384"}.get(words[-1], "sha256")
    if words[0] == "CHACHA20":
        return Suite(name, tls13, "CHACHA20", 32, 16, digest, "")
    key_bytes = int(words[1]) // 8
    match words[2]:
        case "CBC":
            mac, mac_bytes = {"SHA": ("sha1", 20), "SHA256": ("sha256", 32), "SHA384": ("sha384", 48)}[
                words[3]
            ]
            return Suite(name, tls13, "CBC", key_bytes, mac_bytes, digest, mac)
        case "CCM":
            return Suite(name, tls13, "CCM", key_bytes, 8 if "8" in words else 16, digest, "")
        case _:
            return Suite(name, tls13, "GCM", key_bytes, 16, digest, "")


SUITES: Final[dict[int, Suite]] = {
    number: _suite(f"TLS_{exchange}_WITH_{protection}", protection, False)
    for protection, exchanges in _KEY_EXCHANGES.items()
    for number, exchange in exchanges.items()
} | {number: _suite(f"TLS_{protection}", protection, True) for number, protection in _TLS13.items()}
"""Every suite whose records can be opened, by its number."""


def unopened_cipher(number: int) -> str | None:
    """Return what a suite that is not in `SUITES` encrypts with; None where that is not known either."""
    return next((name for name, numbers in _OTHERS.items() if number in numbers), None)
