"""Every way to a real QEMU: the screen is the server's, the recording shows what was seen, no secret is left behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from interop.live_client import Client
from interop.qemu import Qemu, missing, qemu
from interop.xspice import free_port
from live.fake_server import Certificate, certificate, listening
from PIL import Image
from support.absent import absent

import spicereplay
from spicereplay.protocol.link import HEADER_BYTES, authentication
from spicereplay.protocol.ticket import TICKET_BYTES
from spicereplay.replay import replay
from spicereplay.replay.still import picture_at

pytestmark = pytest.mark.interop

PASSWORD = "open sesame"
SECRET = ("-object", f"secret,id=password,data={PASSWORD}")
SUBJECT = r"O=Test\, Inc.,CN=server"
CHANNELS = ("main", "display", "cursor", "inputs")


@pytest.fixture(scope="module", autouse=True)
def _server_there() -> None:
    if (why := missing()) is not None:
        absent(f"QEMU: {why}")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate in a folder as QEMU's x509-dir wants it."""
    folder = tmp_path_factory.mktemp("x509")
    made = certificate(folder)
    for name, source in (("ca-cert", made.chain), ("server-cert", made.chain), ("server-key", made.key)):
        (folder / f"{name}.pem").write_bytes(source.read_bytes())
    return made


def picture(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def sees_it_all(server: Qemu, folder: Path, *words: str, channels: tuple[str, ...] = CHANNELS) -> Client:
    """Connect, look, and hold picture, recording and events against each other and against the server."""
    recorded, shot = folder / "x.pcapng", folder / "x.png"
    server.until_text()
    client = Client(folder, *words, "--record", str(recorded), "--screenshot", str(shot), password=PASSWORD)
    client.joined(*channels)
    time.sleep(1.0)
    server.stand_still()
    code, said = client.end()
    assert code == 130, said
    assert np.array_equal(picture(shot), server.screen())
    same_when_replayed(client, recorded, shot)
    return client


def same_when_replayed(client: Client, recorded: Path, shot: Path) -> None:
    with replay(recorded) as found:
        assert np.array_equal(picture_at(found, "end").pixels[:, :, :3], picture(shot))
        assert not any(log.gaps for session in found.sessions for log in session.channels)
    seen = [
        (one["width"], one["height"], one["time_ns"]) for one in client.events() if one["event"] == "image"
    ]
    with spicereplay.open(recorded) as capture:
        images = capture.table("images")
        start = capture.start_time_ns
        there = [
            (int(w), int(h), start + round(at * 1e9))
            for w, h, at in zip(images["width"], images["height"], images["time_s"], strict=True)
        ]
    assert [one[:2] for one in seen] == [one[:2] for one in there]
    assert all(abs(one[2] - other[2]) < 1_000_000 for one, other in zip(seen, there, strict=True))


# --- every way --------------------------------------------------------------------------------------------


def test_a_password(tmp_path: Path) -> None:
    with qemu(tmp_path, *SECRET, password_secret="password") as server:
        sees_it_all(server, tmp_path, f"spice://127.0.0.1:{server.port}")


def test_some_channels_are_encrypted_where_the_server_insists(tmp_path: Path, trusted: Certificate) -> None:
    tls, folder = free_port(), str(trusted.chain.parent)
    with qemu(
        tmp_path,
        *SECRET,
        password_secret="password",
        tls_port=str(tls),
        x509_dir=folder,
        tls_channel="main,tls-channel=inputs",
    ) as server:
        where = f"spice://127.0.0.1:{server.port}?tls-port={tls}"
        client = sees_it_all(server, tmp_path, where, "--ca", str(trusted.chain))
        linked = {one["channel"]: one["secure"] for one in client.events() if one["event"] == "linked"}
        assert linked == {"main": True, "inputs": True, "display": False, "cursor": False}
        alone = Client(tmp_path, f"spice://127.0.0.1:{server.port}", password=PASSWORD).end(None)
        assert alone[0] == 3
        assert "wants this channel encrypted; give its TLS port (tls-port)" in alone[1]


def test_a_viewer_file_for_tls_alone(tmp_path: Path, trusted: Certificate) -> None:
    tls, folder = free_port(), str(trusted.chain.parent)
    ca = trusted.chain.read_text().replace("\n", r"\n")
    (tmp_path / "vm.vv").write_text(
        f"[virt-viewer]\ntype=spice\nhost=localhost\ntls-port={tls}\npassword={PASSWORD}\nca={ca}\n"
        f"host-subject={SUBJECT.replace(chr(92), chr(92) * 2)}\ntls-ciphers=DEFAULT\ndelete-this-file=1\n"
        "title=a guest\nsecure-attention=Ctrl+Alt+Ins\ntoggle-fullscreen=Shift+F11\n"
    )
    with qemu(
        tmp_path, *SECRET, port=0, password_secret="password", tls_port=str(tls), x509_dir=folder
    ) as server:
        sees_it_all(server, tmp_path, str(tmp_path / "vm.vv"))
    assert not (tmp_path / "vm.vv").exists()


def test_a_unix_socket(tmp_path: Path) -> None:
    where = tmp_path / "s"
    with qemu(tmp_path, port=0, unix="on", addr=str(where)) as server:
        sees_it_all(server, tmp_path, f"spice+unix://{where}")


def test_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with qemu(tmp_path, addr="::1", ipv6="on") as server:
        sees_it_all(server, tmp_path, f"spice://[::1]:{server.port}")


def test_websocket_as_spice_server_speaks_it(tmp_path: Path) -> None:
    with qemu(tmp_path, *SECRET, password_secret="password") as server:
        sees_it_all(server, tmp_path, f"ws://127.0.0.1:{server.port}/")


def test_sasl_is_refused_in_words(tmp_path: Path) -> None:
    with qemu(tmp_path, sasl="on") as server:
        code, said = Client(tmp_path, f"spice://127.0.0.1:{server.port}", password=PASSWORD).end(None)
    assert (code, said.count("\n")) == (3, 1)
    assert "wants SASL (a user's account); only a SPICE password can be given here" in said


def test_each_display_has_its_channel(tmp_path: Path) -> None:
    with qemu(tmp_path, "-device", "bochs-display,id=two", vga="VGA,id=one") as server:
        client = sees_it_all(server, tmp_path, f"spice://127.0.0.1:{server.port}")
        assert {one["channel_id"] for one in client.events() if one["event"] == "linked"} == {0, 1}
        assert np.array_equal(picture(tmp_path / "x-1.png"), server.screen("two"))
        assert not np.array_equal(picture(tmp_path / "x-1.png"), picture(tmp_path / "x.png"))


# --- secrets ----------------------------------------------------------------------------------------------


@contextmanager
def proxied(carried: list[bytearray]) -> Iterator[int]:
    """Run a CONNECT proxy in a thread of its own; `carried` gets what clients said in each connection."""
    ready, over, port = threading.Event(), threading.Event(), 0

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray | None) -> None:
        try:
            while data := await source.read(65_536):
                if kept is not None:
                    kept += data
                sink.write(data)
                await sink.drain()
        except OSError:
            return
        finally:
            sink.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        host, _, number = head.split()[1].decode().rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(number))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        carried.append(bytearray())
        await asyncio.gather(copy(reader, there_writer, carried[-1]), copy(there_reader, writer, None))

    async def serve() -> None:
        nonlocal port
        async with listening(connect) as port:
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield port
    finally:
        over.set()
        thread.join()


def test_through_a_proxy_and_nothing_that_is_left_holds_the_password_or_its_ciphertext(
    tmp_path: Path,
) -> None:
    carried: list[bytearray] = []
    with (
        qemu(tmp_path, *SECRET, password_secret="password") as server,
        proxied(carried) as door,
    ):
        reports, rotated = tmp_path / "reports", tmp_path / "rotated"
        where, through = (
            f"spice://127.0.0.1:{server.port}",
            ("--proxy", f"http://me:open+door@127.0.0.1:{door}"),
        )
        snaps = ("--auto-snapshot-interval", "1", "--auto-snapshot-dir", str(reports))
        sees_it_all(server, tmp_path, where, *through, *snaps)
        server.qmp("cont")
        more = ("--record", str(rotated), "--rotate", "1s", "--duration", "3")
        code, said = Client(tmp_path, where, *through, *more, password=PASSWORD).end(None)
        assert code == 0, said
        for word in ("guess", None):
            denied = Client(tmp_path, where, *through, "--record", f"{tmp_path}/{word}.pcapng", password=word)
            code, more_said = denied.end(None)
            assert code == 3
            said += more_said
    tickets = []
    for client in carried:
        link = HEADER_BYTES + int.from_bytes(client[12:16], "little")
        at = link + len(authentication(b"", selection=True))
        tickets.append(bytes(client[at : at + TICKET_BYTES]))
    assert len(set(tickets)) == len(tickets) >= 10
    left = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("qemu-")]
    assert {path.suffix for path in left} >= {".pcapng", ".zip", ".png", ".jsonl"}
    assert len(list(rotated.iterdir())) >= 2
    for data in (*(path.read_bytes() for path in left), *unpacked(left), said.encode()):
        assert PASSWORD.encode() not in data
        assert b"open+door" not in data
        assert not any(ticket in data for ticket in tickets)


def unpacked(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from (archive.read(name) for name in archive.namelist())


# --- servers that end, hang and move ----------------------------------------------------------------------


def test_killed_it_is_lost_and_what_came_before_is_recorded(tmp_path: Path) -> None:
    recorded = tmp_path / "x.pcapng"
    with qemu(tmp_path) as server:
        server.until_text()
        client = Client(
            tmp_path, f"spice://127.0.0.1:{server.port}", "--no-reconnect", "--record", str(recorded)
        )
        client.joined(*CHANNELS)
        time.sleep(1.0)
        server.process.kill()
        code, said = client.end(None)
    assert (code, said.count("\n")) == (3, 1)
    assert said.startswith(f"spicereplay: 127.0.0.1:{server.port}: ")
    with replay(recorded) as found:
        assert picture_at(found, "end").pixels[:, :, :3].any()


def test_one_that_comes_back_is_joined_again_into_the_same_recording(tmp_path: Path) -> None:
    recorded, shot = tmp_path / "x.pcapng", tmp_path / "x.png"
    with qemu(tmp_path) as server:
        where = f"spice://127.0.0.1:{server.port}"
        client = Client(tmp_path, where, "--record", str(recorded), "--screenshot", str(shot))
        client.joined(*CHANNELS)
        server.process.kill()
    with qemu(tmp_path, port=server.port) as another:
        until(lambda: [one["event"] for one in client.events()].count("session_began") == 2)
        another.until_text()
        time.sleep(1.0)
        another.stand_still()
        code, said = client.end()
        assert code == 130, said
        assert np.array_equal(picture(shot), another.screen())
    (lost, *_) = (one for one in client.events() if one["event"] == "disconnected")
    assert lost["retry_s"] == 1.0
    assert not lost["wanted"]
    with replay(recorded) as found:
        assert len(found.sessions) == 2
        assert np.array_equal(picture_at(found, "end").pixels[:, :, :3], picture(shot))


def test_one_that_is_frozen_does_not_hold_us_up(tmp_path: Path) -> None:
    with qemu(tmp_path) as server:
        server.process.send_signal(signal.SIGSTOP)
        code, said = Client(tmp_path, f"spice://127.0.0.1:{server.port}", "--timeout", "1").end(None)
    assert (code, said.count("\n")) == (3, 1)
    assert "does not complete the link stage within 1 s (--timeout gives it more)" in said


@pytest.mark.parametrize(
    ("seamless", "way"), [("off", "plain"), ("on", "plain"), ("on", "TLS"), ("off", "Unix")]
)
def test_a_guest_that_moves_is_followed(
    tmp_path: Path, trusted: Certificate, seamless: str, way: str
) -> None:
    recorded, shot, words = tmp_path / "x.pcapng", tmp_path / "x.png", list[str]()
    common = {"password_secret": "password", "seamless_migration": seamless}
    here, there = dict(common), dict(common)
    moves: dict[str, object] = {"protocol": "spice", "hostname": "127.0.0.1"}
    if way == "TLS":
        for options in (here, there):
            options |= {"tls_port": str(free_port()), "x509_dir": str(trusted.chain.parent)}
        moves |= {"tls-port": int(there["tls_port"]), "cert-subject": SUBJECT}
        words = ["--ca", str(trusted.chain)]
    port, incoming = 0 if way == "Unix" else None, f"tcp:127.0.0.1:{free_port()}"
    if way == "Unix":
        here |= {"unix": "on", "addr": str(tmp_path / "s")}
    (tmp_path / "there").mkdir()
    with (
        qemu(tmp_path, *SECRET, port=port, **here) as source,
        qemu(tmp_path / "there", *SECRET, "-incoming", incoming, **there) as target,
    ):
        if way != "TLS":
            moves["port"] = target.port
        where = {
            "plain": f"spice://127.0.0.1:{source.port}",
            "TLS": f"spice+tls://127.0.0.1:{here.get('tls_port')}",
            "Unix": f"spice+unix://{tmp_path}/s",
        }[way]
        source.until_text()
        words += ["--record", str(recorded), "--screenshot", str(shot)]
        client = Client(tmp_path, where, *words, password=PASSWORD)
        client.joined(*CHANNELS)
        time.sleep(1.0)
        source.qmp("client_migrate_info", **moves)
        time.sleep(2.0)
        source.qmp("migrate", uri=incoming)
        until(lambda: any(one["event"] == "migrated" for one in client.events()))
        until(lambda: len(target.qmp("query-spice").get("channels", ())) == len(CHANNELS))
        time.sleep(1.5)
        target.stand_still()
        code, said = client.end()
        assert code == 130, said
        assert np.array_equal(picture(shot), target.screen())
    kinds = [one["event"] for one in client.events()]
    assert kinds.count("migrated") == 1
    assert kinds.count("session_began") == (1 if seamless == "on" else 2)
    assert kinds.count("disconnected") == 1
    with replay(recorded) as found:
        # A Unix socket has no addresses that would show that the same client comes.
        assert len(found.sessions) == (2 if way == "Unix" else 1)
        assert np.array_equal(picture_at(found, "end").pixels[:, :, :3], picture(shot))


def until(true: Callable[[], bool], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.1)
