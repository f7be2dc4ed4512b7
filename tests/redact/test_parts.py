"""The parts: agent streams, tunnels, sound, texts, the search for what is left."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spicereplay.bytestream import stream_of
from spicereplay.codecs.audio import AudioCodec, open_audio, opus_samples
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol import agent
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.link import link_message, link_reply, parse_link
from spicereplay.recording.handshake import FILLER_KEY
from spicereplay.redact.guest_agent import AgentDirection
from spicereplay.redact.leaks import left_over
from spicereplay.redact.link_stage import link_head, neutral_link
from spicereplay.redact.pseudonyms import Pseudonyms, same_length
from spicereplay.redact.quiet import quiet_opus, silent_opus
from spicereplay.redact.reports import HIDDEN, Cleaned
from spicereplay.redact.sealed import neutral_tls
from spicereplay.redact.tunnels import neutral_http, neutral_usbredir, neutral_webdav


@given(st.binary(max_size=6000), st.data())
@settings(max_examples=50)
def test_a_clipboard_is_neutral_however_it_is_cut(contents: bytes, data: st.DataObject) -> None:
    whole = b"".join(agent.slices(agent.Clipboard(None, 1, contents)))
    direction = AgentDirection(DEFAULT_LIMITS)
    out = b""
    at = 0
    while at < len(whole):
        step = data.draw(st.integers(1, 2500))
        out += direction.pass_on(whole[at : at + step])[0]
        at += step
    assert out[:24] == whole[:24]
    assert out[28:] == b"x" * len(contents[4:])


def sasl_item(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("refused", [False, True])
def test_of_a_sasl_exchange_lengths_are_left(refused: bool) -> None:
    caps = (0b1101,)
    client = link_message(ChannelType.MAIN, 0, common_caps=caps) + struct.pack("<I", 2)
    head = len(client)
    client += sasl_item(b"DIGEST-MD5") + sasl_item(b"user=eve,realm=corp") + sasl_item(b"response=1234")
    server = link_reply(FILLER_KEY, common_caps=caps)
    reply = len(server)
    server += sasl_item(b"DIGEST-MD5,PLAIN") + sasl_item(b'realm="intranet.corp",nonce="abcdefgh"') + b"\0"
    server += sasl_item(b"rspauth=12345678") + b"\1" + struct.pack("<I", refused)
    if refused:
        server += sasl_item(b"Authentication failed\0")
    link = parse_link(client, server)
    streams = {Side.CLIENT: stream_of(client + b"later"), Side.SERVER: stream_of(server + b"later")}
    made = neutral_link(streams, link, DEFAULT_LIMITS)
    assert made[Side.CLIENT][:head] == client[:head]
    assert made[Side.SERVER][:reply] == server[:reply]
    assert not any(word in made[Side.CLIENT] for word in (b"MD5", b"eve", b"1234"))
    assert not any(word in made[Side.SERVER] for word in (b"MD5", b"intranet", b"nonce", b"rspauth"))
    again = parse_link(made[Side.CLIENT], made[Side.SERVER])
    assert (again.status, again.detail) == (link.status, link.detail)
    assert (again.client_bytes, again.server_bytes) == (len(client), len(server))


def test_of_a_link_stage_that_cannot_be_read_its_messages_stay() -> None:
    message = link_message(ChannelType.MAIN, 0, common_caps=(0b1101,))
    assert link_head(message + b"a ticket nobody should see") == message
    assert link_head(message[:20]) == message[:20]
    reply = link_reply(b"\x30" * 162, common_caps=(0b1101,))
    assert link_head(reply + b"more") == link_reply(FILLER_KEY, common_caps=(0b1101,))
    assert link_head(b"\x01\0\0\0 the middle of something") == b""


def test_behind_missing_bytes_nothing_of_the_agent_is_kept() -> None:
    direction = AgentDirection(DEFAULT_LIMITS)
    direction.reset()
    assert direction.pass_on(b"the middle of a clipboard")[0] == b"x" * 25
    reply = b"".join(agent.slices(agent.Reply(1, 1)))
    assert direction.pass_on(reply)[0] == reply


def test_usb_keeps_headers_and_loses_data() -> None:
    control = struct.pack("<IIIBBBBHHH", 100, 10 + 8, 5, 0x80, 6, 0x80, 0, 0, 0, 8) + b"serial#1"
    connect = struct.pack("<III", 1, 10, 0) + bytes([2, 0, 0, 0]) + struct.pack("<HHH", 0x1234, 0x5678, 0x100)
    data = control + connect
    made = neutral_usbredir(data, [(0, len(control)), (len(control), len(data))])
    assert made == control[:-8] + bytes(8) + connect[:16] + bytes(6)


def test_webdav_keeps_method_status_and_lengths() -> None:
    http = b"GET /holiday/plan.txt HTTP/1.1\r\nHost: home\r\nContent-Length: 4\r\n\r\nabcd"
    data = struct.pack("<qH", 11, len(http)) + http
    made = neutral_webdav(data)
    assert made[:10] == data[:10]
    assert made[10:] == b"GET /xxxxxxxxxxxxxxxx HTTP/1.1\r\nHost: xxxx\r\nContent-Length: 4\r\n\r\nxxxx"


def test_chunks_of_http_keep_their_lengths() -> None:
    http = b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert neutral_http(http) == http.replace(b"abc", b"xxx").replace(b" Fine", b" xxxx")


def test_unread_tls_keeps_its_records_alone() -> None:
    hello = b"\x16\x03\x01\x00\x08\x01secret!"
    later = b"\x17\x03\x03\x00\x05cards"
    made = b"".join(new for _, new in neutral_tls(stream_of(hello + later)))
    assert made == b"\x16\x03\x01\x00\x08\x01" + bytes(7) + b"\x17\x03\x03\x00\x05" + bytes(5)


@pytest.mark.parametrize("size", [2, 3, 4, 80, 257, 258, 259, 600])
@pytest.mark.parametrize("first", [0xFC, 0xF8, 0x78])
def test_silent_opus_is_as_long_in_both_senses(first: int, size: int) -> None:
    packet = (bytes([first]) + b"\x55" * size)[:size]
    made = silent_opus(packet)
    assert len(made) == size
    sound = open_audio(AudioCodec.OPUS, channels=2, rate=48_000).decode(made)
    assert not sound.samples.any()
    import numpy as np

    told = [opus_samples(np.array([p[0]]), np.array([p[1]]), np.array([size]))[0] for p in (packet, made)]
    assert told[0] == told[1]


def test_quiet_opus_is_nearly_silent() -> None:
    made = quiet_opus(b"\xfc" + bytes(159))
    assert made is not None
    assert len(made) == 160
    sound = open_audio(AudioCodec.OPUS, channels=2, rate=48_000).decode(made)
    assert 0 < abs(sound.samples).max() < 200


def test_the_same_host_has_the_same_pseudonym_everywhere() -> None:
    names = Pseudonyms()
    assert names.host("kvm1.corp") == names.host("kvm1.corp") == "host1.example"
    assert names.address("10.0.0.7") == "192.0.2.1"
    assert names.address("fd00::7") == "2001:db8::1"
    assert names.address("127.0.0.1") == "127.0.0.1"
    assert names.cleaned("kvm1.corp (10.0.0.7) at 12:30:01") == "host1.example (192.0.2.1) at 12:30:01"
    assert names.holds_private("lost kvm1.corp")
    assert not names.holds_private("version 0.15.1 at 12:30:01")
    assert same_length(b"vm-7\0") == b"xxxx\0"


def test_after_the_documentation_addresses_there_are_more() -> None:
    names = Pseudonyms()
    made = [names.address(f"10.1.{i // 256}.{i % 256}") for i in range(900)]
    assert len(set(made)) == 900


def test_no_pseudonym_is_somebodys_address() -> None:
    names = Pseudonyms()
    for real in ("192.0.2.2", "192.0.2.1", "2001:db8::1"):
        names.meet(real)
    assert [names.address(a) for a in ("192.0.2.1", "192.0.2.2", "10.0.0.7")] == [
        "192.0.2.3",
        "192.0.2.4",
        "192.0.2.5",
    ]
    assert names.address("2001:db8::1") == "2001:db8::2"


def test_texts_nobody_declared_are_hidden() -> None:
    cleaned = Cleaned(Pseudonyms(), DEFAULT_LIMITS)
    value = {
        "codec": "mjpeg",
        "new_text": "secret",
        "message": "cannot open /home/eve/x.iso",
        "scancode": 0x9E,
        "n": 4,
    }
    assert cleaned.value(value, "") == {
        "codec": "mjpeg",
        "new_text": HIDDEN,
        "message": "cannot open …",
        "scancode": 0xB9,
        "n": 4,
    }


def test_what_is_left_over_is_found_and_padding_is_not() -> None:
    pieces = [(b"the password is swordfish" + bytes(50), bytes(75), True)]
    assert left_over(lambda: pieces, lambda: [bytes(100), b"nothing here"]) == set()
    assert left_over(lambda: pieces, lambda: [b"... swordfish ..."]) == {
        b" swordfi"[:8],
        b"swordfis",
        b"wordfish",
    }
    long = b"a" * (1 << 20) + b"swordfish"
    assert b"wordfish" in left_over(lambda: pieces, lambda: [long])


def test_many_small_pieces_are_searched_each_on_its_own() -> None:
    pieces = [(b"%07d" % n, bytes(7), True) for n in range(300_000)]
    across = pieces[4][0][3:] + pieces[5][0][:4]
    assert left_over(lambda: pieces, lambda: [across, bytes(9)]) == set()
    pieces.insert(200_000, (b"swordfish", bytes(9), True))
    pieces.append((b"longer than what it is now", b"short", False))
    found = left_over(lambda: pieces, lambda: [b"xx swordfish xx", b"it is no"])
    assert found == {b"swordfis", b"wordfish", b"it is no"}
    assert left_over(list, lambda: [b"anything at all"]) == set()
