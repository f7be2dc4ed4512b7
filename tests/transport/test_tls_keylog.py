"""Key logs as clients write them, and as people damage them."""

import gzip
from pathlib import Path

import pytest

from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.transport.tls.keylog import KeyLog, pieces

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
    assert not keys.secrets
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


def test_of_a_long_log_only_what_is_wanted_is_kept() -> None:
    texts = [line("CLIENT_RANDOM", MASTER, bytes([number] * 32)) + b"\n" for number in range(200)]
    defects = DefectLog()
    keys = KeyLog.parse(texts, limits=DEFAULT_LIMITS, defects=defects, wanted={bytes([7] * 32)})
    assert keys.secrets == {bytes([7] * 32): {"CLIENT_RANDOM": MASTER}}
    assert keys.lines == 200
    assert keys, "there were keys, if of others"
    assert KeyLog.parse(texts, limits=DEFAULT_LIMITS, defects=defects, wanted=())
    assert not len(defects)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_pieces_of_a_file_end_where_lines_do(tmp_path: Path, packed: bool) -> None:
    lines = [line("CLIENT_RANDOM", MASTER, number.to_bytes(32, "big")) for number in range(20_000)]
    text = b"\n".join([*lines, b"no line's end"])
    file = tmp_path / "keys.log"
    file.write_bytes(gzip.compress(text, 1) if packed else text)
    with file.open("rb") as opened:
        read = list(pieces(opened))
    assert b"".join(read) == text
    assert len(read) >= 3
    assert all(piece.endswith(b"\n") for piece in read[:-1])
    assert max(map(len, read)) < 2_000_000


def test_an_endless_line_is_not_kept_together(tmp_path: Path) -> None:
    file = tmp_path / "keys.log"
    file.write_bytes(bytes(5_000_000))
    with file.open("rb") as opened:
        assert max(len(piece) for piece in pieces(opened)) < 2_000_000


def test_damaged_gzip_data_is_named(tmp_path: Path) -> None:
    file = tmp_path / "keys.log.gz"
    file.write_bytes(gzip.compress(line("CLIENT_RANDOM", MASTER))[:-12])
    with file.open("rb") as opened, pytest.raises(InputError, match="key log: its gzip data is damaged"):
        list(pieces(opened))
