"""TLS connections opened: what Python's `ssl` really sent, and records sealed by hand for what it never does."""

import hashlib
import random
import ssl
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tls_peers import (
    EVERYTHING,
    NO_ENCRYPT_THEN_MAC,
    NO_TICKET,
    TLS12,
    TLS13,
    Peers,
    Recording,
    Sealer13,
    client_hello,
    cut,
    handshake_message,
    record,
    server_hello,
    split_records,
    stream_of_segments,
)

from spicereplay.bytestream import ByteStream, stream_of
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.transport.tls.keylog import KeyLog
from spicereplay.transport.tls.opening import Opened, Sealed, open_connection
from spicereplay.transport.tls.schedule import tls12_keys
from spicereplay.transport.tls.suites import SUITES, unopened_cipher

NOISE = random.Random(7).randbytes(40_000)
SAID = [
    (False, b"REDQ" + NOISE[:300]),
    (True, NOISE[300:37_000]),
    (False, b"x"),
    (True, b"y"),
    (False, NOISE[:20_000]),
]
FROM_CLIENT = b"".join(data for from_server, data in SAID if not from_server)
FROM_SERVER = b"".join(data for from_server, data in SAID if from_server)


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    return Peers(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def modern(peers: Peers) -> Recording:
    return peers.converse(SAID, version=TLS13)


@pytest.fixture(scope="module")
def older(peers: Peers) -> Recording:
    return peers.converse(SAID, version=TLS12, ciphers="ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0")


def key_log(*texts: bytes) -> KeyLog:
    return KeyLog.parse(texts, limits=DEFAULT_LIMITS, defects=DefectLog())


def opening(
    client: bytes | ByteStream, server: bytes | ByteStream, logged: bytes, limits: Limits = DEFAULT_LIMITS
) -> tuple[Opened | Sealed, DefectLog]:
    defects = DefectLog()
    streams = [stream_of(s) if isinstance(s, bytes) else s for s in (client, server)]
    return open_connection(*streams, key_log(logged), limits=limits, defects=defects, where="a → b"), defects


def content(stream: ByteStream) -> bytes:
    return stream.read(0, stream.end)


def assert_all_was_read(recording: Recording) -> Opened:
    opened, defects = opening(recording.client, recording.server, recording.key_log)
    assert isinstance(opened, Opened), opened
    assert content(opened.client) == FROM_CLIENT
    assert content(opened.server) == FROM_SERVER
    assert not len(defects)
    return opened


def reason(*arguments: object) -> str:
    opened, _ = opening(*arguments)  # type: ignore[arg-type]
    assert isinstance(opened, Sealed)
    return opened.reason


# Every suite that OpenSSL has


def _suites_in_scope() -> list[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(EVERYTHING)
    return [
        suite["name"]
        for suite in context.get_ciphers()
        if (suite["id"] & 0xFFFF) in SUITES and not suite["name"].startswith("TLS_")
        # Python 3.11 has no pre-shared keys, passwords or DSS certificates to offer.
        and not any(word in suite["name"] for word in ("PSK", "SRP", "DSS"))
    ]  # fmt: skip


@pytest.mark.parametrize("name", _suites_in_scope())
def test_every_suite_of_tls_1_2(peers: Peers, name: str) -> None:
    opened = assert_all_was_read(peers.converse(SAID, version=TLS12, ciphers=f"{name}:@SECLEVEL=0"))
    assert opened.version == "TLS 1.2"


@pytest.mark.parametrize(
    "name", [n for n in _suites_in_scope() if "SHA" in n and "GCM" not in n and "POLY" not in n]
)
def test_cbc_with_the_hmac_under_the_encryption(peers: Peers, name: str) -> None:
    recording = peers.converse(
        SAID, version=TLS12, ciphers=f"{name}:@SECLEVEL=0", options=NO_ENCRYPT_THEN_MAC
    )
    assert "CBC" in assert_all_was_read(recording).suite


def test_suites_of_tls_1_3(peers: Peers) -> None:
    # Python cannot choose among them: what each side prefers decides. AES-256 is OpenSSL's first choice.
    opened = assert_all_was_read(peers.converse(SAID, version=TLS13))
    assert (opened.version, opened.suite) == ("TLS 1.3", "TLS_AES_256_GCM_SHA384")


def test_suites_are_named_and_sized_as_openssl_has_them() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(EVERYTHING)
    known = {suite["id"] & 0xFFFF: suite for suite in context.get_ciphers()}
    # Which key exchanges there are depends on how OpenSSL was built; of its AES and ChaCha20 none may be missing here.
    ours = {n for n, suite in known.items() if str(suite["symmetric"]).startswith(("aes-", "chacha20"))}
    assert ours == known.keys() & SUITES.keys()
    assert {SUITES[number].mode for number in ours} == {"GCM", "CCM", "CHACHA20", "CBC"}
    for number in sorted(ours):
        suite, theirs = SUITES[number], known[number]
        symmetric = str(theirs["symmetric"])
        assert suite.mode.lower().replace("chacha20", "chacha20-poly1305") in symmetric
        # Not `strength_bits`: from OpenSSL 3.2 on, these are 64 where the tag has eight bytes.
        assert suite.key_bytes * 8 == theirs["alg_bits"]
        assert theirs["aead"] == (suite.mac == "")
        if suite.mac:
            assert theirs["digest"] == suite.mac
            assert hashlib.new(suite.mac).digest_size == suite.tag_bytes


# Records, segments and times


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), old=st.booleans())
def test_segment_borders_have_nothing_to_do_with_records(
    modern: Recording, older: Recording, data: st.DataObject, old: bool
) -> None:
    recording = older if old else modern
    places = st.lists(st.integers(0, len(recording.server)), max_size=60)
    streams = [
        stream_of_segments(cut(whole, data.draw(places))) for whole in (recording.client, recording.server)
    ]
    opened, defects = opening(*streams, recording.key_log)
    assert isinstance(opened, Opened)
    assert not len(defects)
    assert [content(opened.client), content(opened.server)] == [FROM_CLIENT, FROM_SERVER]
    for source, stream in zip(streams, (opened.client, opened.server), strict=True):
        assert (np.diff(stream.time_ns) >= 0).all()
        assert (stream.time_ns == stream.packet * 1000).all()
        assert set(stream.packet) <= set(source.packet)


def test_a_record_has_the_time_of_the_segment_that_completes_it(older: Recording) -> None:
    records = split_records(older.server)
    # Each record is cut in its middle, so that segment n brings the end of record n - 1 and half of record n.
    borders = np.cumsum([len(r) for r in records])
    halves = [int(b) - len(r) // 2 for b, r in zip(borders, records, strict=True)]
    opened, _ = opening(stream_of(older.client), stream_of_segments(cut(older.server, halves)), older.key_log)
    assert isinstance(opened, Opened)
    data = [n for n, r in enumerate(records) if r[0] == 23]
    assert opened.server.packet.tolist() == [n + 1 for n in data]
    assert opened.server.time_ns.tolist() == [(n + 1) * 1000 for n in data]


def test_one_chunk_per_record(modern: Recording) -> None:
    opened, _ = opening(modern.client, modern.server, modern.key_log)
    assert isinstance(opened, Opened)
    assert opened.server.length.tolist() == [16384, 16384, 36700 - 2 * 16384, 1]


def test_hellos_may_be_cut_over_several_records(modern: Recording) -> None:
    def shred(sent: bytes) -> bytes:
        hello, *others = split_records(sent)
        return b"".join(record(22, hello[i : i + 7]) for i in range(5, len(hello), 7)) + b"".join(others)

    opened, _ = opening(shred(modern.client), shred(modern.server), modern.key_log)
    assert isinstance(opened, Opened)
    assert content(opened.server) == FROM_SERVER


def test_a_certificate_longer_than_a_record(tmp_path: Path) -> None:
    assert_all_was_read(Peers(tmp_path, comment_bytes=40_000).converse(SAID, version=TLS13))


def test_a_hello_that_the_server_wants_again(peers: Peers) -> None:
    contexts = peers.context(False), peers.context(True)
    contexts[1].set_ecdh_curve("secp384r1")
    recording = peers.converse(SAID, contexts=contexts)
    assert sum(r[0] == 22 for r in split_records(recording.client)) == 2
    assert_all_was_read(recording)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("options", [0, NO_TICKET])
def test_resumed_sessions(peers: Peers, version: ssl.TLSVersion, options: int) -> None:
    contexts = peers.context(False, version, options=options), peers.context(True, version, options=options)
    first = peers.converse(SAID, contexts=contexts)
    second = peers.converse(SAID, contexts=contexts, session=first.session)
    assert len(second.server) < len(first.server) - 300, "no certificate: it was resumed"
    assert_all_was_read(second)


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_client_that_shows_a_certificate(peers: Peers, version: ssl.TLSVersion, kind: str) -> None:
    contexts = peers.context(False, version), peers.context(True, version)
    contexts[0].load_cert_chain(peers.folder / f"{kind}.pem")
    contexts[1].load_verify_locations(peers.folder / f"{kind}.pem")
    contexts[1].verify_mode = ssl.CERT_REQUIRED
    recording = peers.converse(SAID, contexts=contexts)
    assert len(recording.client) > len(FROM_CLIENT) + 600, "its certificate is there"
    assert_all_was_read(recording)


# What `ssl` never sends, sealed by hand

RANDOM = bytes(range(32))
SECRETS = {
    label: hashlib.sha256(label.encode()).digest()
    for label in (
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    )
}
CHANGE = record(20, b"\x01")
ALERT, HANDSHAKE, DATA = 21, 22, 23
FINISHED = handshake_message(20, bytes(32))


def logged(without: Iterable[str] = ()) -> bytes:
    return "\n".join(
        f"{label} {RANDOM.hex()} {secret.hex()}" for label, secret in SECRETS.items() if label not in without
    ).encode()


def hand_made(
    *server_records: bytes, client: bytes = b"", hello: bytes | None = None, shake_hands: bool = True
) -> tuple[bytes, bytes]:
    """Return both directions of a TLS 1.3 connection whose server goes on with `server_records`."""
    sealers = [Sealer13(SECRETS[f"{side}_HANDSHAKE_TRAFFIC_SECRET"]) for side in ("CLIENT", "SERVER")]
    done = [s.seal(HANDSHAKE, FINISHED) if shake_hands else b"" for s in sealers]
    first = record(22, server_hello(bytes(32), 0x1301) if hello is None else hello)
    return (
        record(22, client_hello(RANDOM), 0x0301) + CHANGE + done[0] + client,
        first + CHANGE + done[1] + b"".join(server_records),
    )


def server_traffic() -> Sealer13:
    return Sealer13(SECRETS["SERVER_TRAFFIC_SECRET_0"])


def test_key_updates_between_and_within_records() -> None:
    to = server_traffic()
    update = handshake_message(24, b"\0")
    sent = [to.seal(DATA, b"one ")]
    sent.append(to.seal(HANDSHAKE, update))
    to.update()
    sent += [to.seal(DATA, b"two "), to.seal(DATA, b"three ")]
    # A ticket and an update that share a record, the update being cut.
    sent += [to.seal(HANDSHAKE, handshake_message(4, bytes(50)) + update[:3]), to.seal(HANDSHAKE, update[3:])]
    to.update()
    sent.append(to.seal(DATA, b"four"))
    opened, defects = opening(*hand_made(*sent), logged())
    assert isinstance(opened, Opened)
    assert content(opened.server) == b"one two three four"
    assert not len(defects)


def test_padding_is_taken_off_and_empty_records_are_nothing() -> None:
    to = server_traffic()
    sent = [
        to.seal(DATA, b"a\0", padding=300),
        to.seal(DATA, b""),
        to.seal(DATA, b"", padding=9),
        to.seal(DATA, b"b"),
    ]
    opened, defects = opening(*hand_made(*sent), logged())
    assert isinstance(opened, Opened)
    assert content(opened.server) == b"a\0b"
    assert opened.server.length.tolist() == [2, 1]
    assert not len(defects)


def test_close_notify_ends_a_direction() -> None:
    to = server_traffic()
    sent = [to.seal(DATA, b"bye"), to.seal(ALERT, b"\x01\x00"), to.seal(DATA, b"late")]
    opened, _ = opening(*hand_made(*sent), logged())
    assert isinstance(opened, Opened)
    assert content(opened.server) == b"bye"


def test_without_the_secrets_of_the_handshake_the_traffic_opens_all_the_same() -> None:
    to = server_traffic()
    log = logged(without=["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"])
    client = Sealer13(SECRETS["CLIENT_TRAFFIC_SECRET_0"]).seal(DATA, b"zero")
    opened, defects = opening(*hand_made(to.seal(DATA, b"one "), to.seal(DATA, b"two"), client=client), log)
    assert isinstance(opened, Opened)
    assert content(opened.client) == b"zero"
    assert content(opened.server) == b"one two"
    assert not len(defects)


EARLY = hashlib.sha256(b"early").digest()


@pytest.mark.parametrize(
    ("takes", "known", "read", "lost"),
    [
        (True, True, b"early data in time", 0),
        (True, False, b"in time", len(b"early data ")),
        (False, True, b"in time", 0),
        (False, False, b"in time", 0),
    ],
    ids=["taken", "taken, its secret not logged", "not taken", "not taken, its secret not logged"],
)
def test_early_data_is_content_if_the_server_takes_it(
    takes: bool, known: bool, read: bytes, lost: int
) -> None:
    before = Sealer13(EARLY)
    early = before.seal(DATA, b"early ") + before.seal(DATA, b"data ")
    early += before.seal(HANDSHAKE, handshake_message(5, b"")) if takes else b""
    shaken = Sealer13(SECRETS["CLIENT_HANDSHAKE_TRAFFIC_SECRET"]).seal(HANDSHAKE, FINISHED)
    sent = Sealer13(SECRETS["CLIENT_TRAFFIC_SECRET_0"]).seal(DATA, b"in time")
    extensions = b"\x00\x2a\x00\x00" if takes else b""
    encrypted = handshake_message(8, len(extensions).to_bytes(2, "big") + extensions)
    answer = Sealer13(SECRETS["SERVER_HANDSHAKE_TRAFFIC_SECRET"]).seal(HANDSHAKE, encrypted + FINISHED)
    client, server = hand_made(answer, client=early + shaken + sent, shake_hands=False)
    secret = f"\nCLIENT_EARLY_TRAFFIC_SECRET {RANDOM.hex()} {EARLY.hex()}".encode()
    log = logged() + (secret if known else b"")
    opened, defects = opening(client, server, log)
    assert isinstance(opened, Opened)
    assert content(opened.client) == (b"" if lost else read)
    assert opened.client.read(lost, 100) == read
    assert [defect.detail for defect in defects] == [
        "early data, for which the keys given lack its CLIENT_EARLY_TRAFFIC_SECRET, and nothing of it is used"
    ] * (2 if lost else 0)


def test_a_handshake_message_over_the_limit_ends_what_can_be_read() -> None:
    to = server_traffic()
    sent = [
        to.seal(DATA, b"fine"),
        to.seal(HANDSHAKE, handshake_message(4, bytes(2000))),
        to.seal(DATA, b"lost"),
    ]
    opened, defects = opening(*hand_made(*sent), logged(), Limits(tls_handshake_bytes=1000))
    assert isinstance(opened, Opened)
    assert content(opened.server) == b"fine"
    (defect,) = defects
    assert "longer than 1,000 bytes" in defect.detail


def test_a_renegotiation_ends_what_can_be_read(older: Recording) -> None:
    label, client_random, secret = older.key_log.split()[-3:]
    assert label == b"CLIENT_RANDOM"
    suite = SUITES[0xC030]
    pair = tls12_keys(
        suite, bytes.fromhex(secret.decode()), bytes.fromhex(client_random.decode()), older.server[11:43]
    )
    records = split_records(older.server)
    protected = [r[0] for r in records].index(20) + 1
    kept = records[:-1]  # all but the close_notify
    sequence = len(kept) - protected
    head = sequence.to_bytes(8, "big")
    sealed = AESGCM(pair.server.key).encrypt(pair.server.iv + head, b"\x01", head + b"\x14\x03\x03\x00\x01")
    server = b"".join(kept) + record(20, head + sealed) + record(23, bytes(60))
    opened, defects = opening(older.client, server, older.key_log)
    assert isinstance(opened, Opened)
    assert content(opened.server) == FROM_SERVER
    (defect,) = defects
    assert (defect.kind, defect.where) == (DefectKind.TLS_UNREADABLE, "a → b from server")
    assert "negotiated anew" in defect.detail


# What is missing, damaged or not to be opened


@pytest.mark.parametrize("old", [True, False])
def test_a_lost_segment_ends_its_direction_and_only_that(
    modern: Recording, older: Recording, old: bool
) -> None:
    recording = older if old else modern
    segments = cut(recording.server, range(0, len(recording.server), 1400))
    lost = 20
    server = stream_of_segments(segments, [lost])
    opened, defects = opening(stream_of(recording.client), server, recording.key_log)
    assert isinstance(opened, Opened)
    assert content(opened.client) == FROM_CLIENT
    got = content(opened.server)
    assert got
    assert got == FROM_SERVER[: len(got)]
    assert opened.server.captured_bytes == len(got)
    assert opened.server.end > len(got), "that something is missing shows"
    (defect,) = defects
    assert (defect.kind, defect.where) == (DefectKind.TLS_UNREADABLE, "a → b from server")
    assert defect.detail.startswith("1,400 bytes are missing: nothing from there on can be opened")


def test_a_capture_may_end_anywhere(modern: Recording) -> None:
    # How long it is depends on the key exchange: one of ML-KEM takes a thousand bytes more.
    hello = len(split_records(modern.server)[0])
    for end in (*range(0, len(modern.server), 997), hello - 1, hello):
        opened, _ = opening(modern.client, modern.server[:end], modern.key_log)
        assert isinstance(opened, Opened) == (end >= hello)
        if isinstance(opened, Opened):
            got = content(opened.server)
            assert got == FROM_SERVER[: len(got)]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), old=st.booleans())
def test_flipped_bits_never_become_garbage(
    modern: Recording, older: Recording, data: st.DataObject, old: bool
) -> None:
    recording = older if old else modern
    server = bytearray(recording.server)
    for bit in data.draw(st.lists(st.integers(0, 8 * len(server) - 1), min_size=1, max_size=4)):
        server[bit // 8] ^= 1 << bit % 8
    opened, defects = opening(recording.client, bytes(server), recording.key_log)
    if isinstance(opened, Sealed):
        return
    reached = 0
    for at, piece in opened.server.pieces(0, opened.server.end):
        # A damaged record of TLS 1.3 may have been a ticket, and counts as content all the same.
        found = FROM_SERVER.find(piece, reached)
        assert reached <= found <= at
        reached = found + len(piece)
    assert opened.server.captured_bytes == len(FROM_SERVER) or len(defects)


def test_a_damaged_record_costs_its_content_alone(modern: Recording) -> None:
    records = split_records(modern.server)
    second = [n for n, r in enumerate(records) if len(r) > 16_000][1]
    records[second] = records[second][:-1] + bytes([records[second][-1] ^ 1])
    opened, defects = opening(modern.client, b"".join(records), modern.key_log)
    assert isinstance(opened, Opened)
    assert [gap[:2] for gap in opened.server.gaps()] == [(16384, 16384)]
    assert opened.server.read(2 * 16384, 10**6) == FROM_SERVER[2 * 16384 :]
    (defect,) = defects
    assert defect.detail == "a record fails authentication, and nothing of it is used"


@pytest.mark.parametrize("old", [True, False])
def test_wrong_keys(modern: Recording, older: Recording, old: bool) -> None:
    recording = older if old else modern
    wrong = b"\n".join(
        b" ".join((*words[:2], words[2][::-1]))
        for words in (line.split() for line in recording.key_log.splitlines())
        if len(words) == 3
    )
    opened, defects = opening(recording.client, recording.server, wrong)
    assert opened == Sealed("wrong keys: none of its protected records opens with them")
    assert not len(defects)


def test_wrong_keys_of_one_side(modern: Recording) -> None:
    lines = [line.split() for line in modern.key_log.splitlines()]
    log = b"\n".join(
        b" ".join((*words[:2], words[2][::-1] if words[0] == b"SERVER_TRAFFIC_SECRET_0" else words[2]))
        for words in lines
        if len(words) == 3
    )
    opened, defects = opening(modern.client, modern.server, log)
    assert isinstance(opened, Opened)
    assert content(opened.client) == FROM_CLIENT
    assert not len(opened.server.position)
    (defect,) = defects
    assert defect.where == "a → b from server"
    assert defect.detail.startswith("wrong keys")


def test_no_keys(modern: Recording, older: Recording) -> None:
    assert reason(modern.client, modern.server, b"") == "no keys given"
    assert (
        reason(modern.client, modern.server, older.key_log) == "no keys for this connection among those given"
    )


def test_secrets_that_the_log_lacks(modern: Recording, older: Recording) -> None:
    random = older.key_log.split()[-2]
    log = b"SERVER_TRAFFIC_SECRET_0 " + random + b" " + bytes(32).hex().encode()
    assert reason(older.client, older.server, log) == "the keys given lack its CLIENT_RANDOM"
    log = b"\n".join(line for line in modern.key_log.splitlines() if b"TRAFFIC_SECRET_0" not in line)
    assert reason(modern.client, modern.server, log) == (
        "from client: the keys given lack its CLIENT_TRAFFIC_SECRET_0; "
        "from server: the keys given lack its SERVER_TRAFFIC_SECRET_0"
    )


def test_a_capture_that_begins_in_the_middle_says_so(modern: Recording) -> None:
    client = b"".join(split_records(modern.client)[1:])
    assert reason(client, modern.server, modern.key_log) == (
        "its ClientHello is not in the capture (the connection began before the capture), "
        "and only that tells which keys are its own"
    )
    server = b"".join(split_records(modern.server)[2:])
    assert reason(modern.client, server, modern.key_log).startswith("its ServerHello is not in the capture")


def test_a_direction_that_is_not_there(modern: Recording) -> None:
    assert "nothing of that direction is" in reason(modern.client, b"", modern.key_log)
    assert "nothing of that direction is" in reason(b"", modern.server, modern.key_log)


def test_a_handshake_that_failed(modern: Recording) -> None:
    assert "handshake ended with handshake_failure" in reason(
        modern.client, record(21, b"\x02\x28"), modern.key_log
    )


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (server_hello(bytes(32), 0x002F, version=0x0302, chosen=None), "TLS 1.1 is not supported"),
        (server_hello(bytes(32), 0x002F, chosen=0x7F1C), "TLS version 0x7f1c is not supported"),
        (
            server_hello(bytes(32), 0xC077, chosen=None),
            "cipher suite 0xc077 (Camellia) of TLS 1.2 is not supported",
        ),
        (server_hello(bytes(32), 0xCAFE, chosen=None), "cipher suite 0xcafe of TLS 1.2 is not supported"),
        (server_hello(bytes(32), 0x1301, chosen=None), "cipher suite 0x1301 of TLS 1.2 is not supported"),
        (server_hello(bytes(32), 0x002F), "cipher suite 0x002f of TLS 1.3 is not supported"),
        (
            server_hello(bytes(32), 0x002F, chosen=None, compression=1),
            "compression method 1 is not supported",
        ),
        (handshake_message(2, bytes(20)), "its ServerHello is malformed"),
        (handshake_message(2, bytes(34) + b"\xff" + bytes(9)), "its ServerHello is malformed"),
        (handshake_message(2, bytes(38) + b"\0\x05\0\0\0"), "its ServerHello is malformed"),
    ],
)
def test_what_is_not_supported_is_named(hello: bytes, why: str) -> None:
    assert reason(*hand_made(hello=hello), logged()) == why


def test_a_suite_that_openssl_has_and_we_have_not(peers: Peers) -> None:
    recording = peers.converse(SAID, version=TLS12, ciphers="CAMELLIA128-SHA:@SECLEVEL=0")
    assert reason(recording.client, recording.server, recording.key_log) == (
        "cipher suite 0x0041 (Camellia) of TLS 1.2 is not supported"
    )


def test_ciphers_that_are_not_opened_are_named_as_openssl_names_them() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(EVERYTHING)
    others = {suite["id"] & 0xFFFF: suite for suite in context.get_ciphers()}
    for number in others.keys() - SUITES.keys():
        name = unopened_cipher(number)
        symmetric = str(others[number]["symmetric"])
        assert name is not None, others[number]
        assert symmetric.startswith({"no encryption": "None", "3DES": "des-ede3"}.get(name, name.lower()))
    assert not [number for number in SUITES if unopened_cipher(number)]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_at_all_are_survived(client: bytes, server: bytes) -> None:
    hello_client, hello_server = hand_made(shake_hands=False)
    for pair in (
        (client, server),
        (hello_client + client, server),
        (hello_client + client, hello_server + server),
    ):
        opened, _ = opening(*pair, logged())
        assert isinstance(opened, Sealed)


def test_no_word_of_ours_holds_key_material(modern: Recording, older: Recording) -> None:
    said = []
    for recording in (modern, older):
        damaged = bytearray(recording.server)
        damaged[-100:] = bytes(100)
        for client, server in (
            (recording.client, recording.server),
            (b"", b""),
            (recording.client, bytes(damaged)),
        ):
            for log in (recording.key_log, recording.key_log[:-9]):
                opened, defects = opening(client, server, log)
                said.append(f"{opened!r} {list(defects)} {key_log(log)!r}")
    everything = "".join(said)
    for recording in (modern, older):
        for line in recording.key_log.splitlines():
            if len(words := line.decode().split()) == 3:
                assert words[2][:16] not in everything
                assert repr(bytes.fromhex(words[2][:16]))[2:-1] not in everything
