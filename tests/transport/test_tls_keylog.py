"""Key logs as clients write them, and as people damage them."""

import pytest

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.transport.tls.keylog import KeyLog

RANDOM = bytes(range(32))
MASTER = b"\x5a" * 48
SECRET = b"\xa5" * 32


def line(label: str, secret: bytes, random: bytes = RANDOM) -> bytes:
    return f"{label} {random.hex()} {secret.hex()}".encode()


def parse(*texts: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[KeyLog, DefectLog]:
    defects = DefectLog()
    return KeyLog.parse(texts, limits=limits, defects=defects), defects


@pytest.mark.parametrize(
    "label", ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"]
)
@pytest.mark.parametrize("secret", [SECRET, b"\xa5" * 48])
def test_secrets_of_tls_1_3_are_kept_under_their_labels(label: str, secret: bytes) -> None:
    keys, defects = parse(line(label, secret))
    assert keys.secrets == {RANDOM: {label: secret}}
    assert not len(defects)


def test_comments_blank_lines_crlf_upper_case_and_a_byte_order_mark_are_fine() -> None:
    text = b"\xef\xbb\xbf# TLS secrets log file\r\n\r\n" + line("CLIENT_RANDOM", MASTER).upper() + b"\r\n"
    keys, defects = parse(text)
    assert keys.secrets == {RANDOM: {"CLIENT_RANDOM": MASTER}}
    assert (keys.lines, keys.bad_lines, len(defects)) == (1, 0, 0)


def test_labels_that_open_no_records_are_no_mistakes() -> None:
    keys, defects = parse(b"RSA 0011223344556677 " + MASTER.hex().encode(), line("EXPORTER_SECRET", SECRET))
    assert not keys
    assert (keys.lines, keys.bad_lines, len(defects)) == (2, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        b"CLIENT_RANDOM",
        line("CLIENT_RANDOM", MASTER)[:-1],
        line("CLIENT_RANDOM", MASTER) + b" more",
        line("CLIENT_RANDOM", MASTER[:-1]),
        line("CLIENT_RANDOM", MASTER, RANDOM[:-1]),
        line("SERVER_TRAFFIC_SECRET_0", SECRET[:-2]),
        b"CLIENT_RANDOM zz " + MASTER.hex().encode(),
        b"\xff\xfe\x00 00 00",
    ],
)
def test_lines_out_of_the_format_are_counted_and_the_others_used(bad: bytes) -> None:
    keys, defects = parse(bad + b"\n" + line("CLIENT_RANDOM", MASTER))
    assert keys.secrets == {RANDOM: {"CLIENT_RANDOM": MASTER}}
    assert (keys.lines, keys.bad_lines) == (2, 1)
    (defect,) = defects
    assert defect.kind is DefectKind.KEY_LOG
    assert defect.detail == "1 of 2 lines are not in the key log format"


def test_several_logs_are_one_and_the_first_word_counts() -> None:
    keys, _ = parse(
        line("CLIENT_RANDOM", MASTER),
        line("CLIENT_RANDOM", bytes(48)),
        line("CLIENT_RANDOM", MASTER, bytes(32)),
    )
    assert keys.secrets == {RANDOM: {"CLIENT_RANDOM": MASTER}, bytes(32): {"CLIENT_RANDOM": MASTER}}


def test_a_log_over_the_limit_is_read_up_to_its_last_whole_line() -> None:
    first, second = line("CLIENT_RANDOM", MASTER), line("CLIENT_RANDOM", MASTER, bytes(32))
    keys, defects = parse(first + b"\n" + second, limits=Limits(key_log_bytes=len(first) + len(second)))
    assert list(keys.secrets) == [RANDOM]
    assert keys.bad_lines == 0
    assert [d.kind for d in defects] == [DefectKind.OVER_LIMIT]


def test_nothing_shows_a_secret() -> None:
    keys, defects = parse(line("CLIENT_RANDOM", MASTER) + b"\n" + line("CLIENT_RANDOM", MASTER)[:-1])
    shown = f"{keys!r} {keys} {list(defects)}"
    assert "5a5a" not in shown
    assert "ZZZZ" not in shown
    assert repr(keys) == "<KeyLog of 1 connections>"
