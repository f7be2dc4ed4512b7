"""Command lines that record, what programs say when they do not, and a real exchange on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

import spicereplay as sr
from spicereplay.cli.app import app
from spicereplay.errors import InputError, OutputExistsError, UsageError
from spicereplay.protocol import link
from spicereplay.protocol.enums import ChannelType, LinkError
from spicereplay.tap import sniffing
from spicereplay.tap.interfaces import interfaces
from spicereplay.tap.raw_socket import is_of
from spicereplay.tap.sniffing import Sniffing, check, chosen_program, command, files_of, instructions, sniff

CAPS = (0b1011,)
SAID = [
    (False, link.link_message(ChannelType.MAIN, 0, common_caps=CAPS)),
    (True, link.link_reply(b"\x30" * link.PUBLIC_KEY_BYTES, common_caps=CAPS)),
    (False, b"\x01\0\0\0" + bytes(link.TICKET_BYTES)),
    (True, link.link_result(LinkError.OK) + b"\x04\x00\xa0\x86\x01\x00" + bytes(100_000)),
]


def wanted(tmp_path: Path, name: str = "x.pcapng", **words: object) -> Sniffing:
    return Sniffing("lo", (5900, 5901), tmp_path / name, **words)  # type: ignore[arg-type]


def test_command_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    out = str(tmp_path / "x.pcapng")
    ports = "tcp port 5900 or tcp port 5901"
    assert command("dumpcap", wanted(tmp_path)) == (
        ["dumpcap", "-i", "lo", "-s", "262144", "-B", "32", "-w", out, "-f", ports]
    )
    ring = wanted(tmp_path, ring_bytes=400_000_000)
    assert command("dumpcap", ring)[9:13] == ["-b", "filesize:50000", "-b", "files:8"]
    assert command("tcpdump", ring) == (
        [
            "tcpdump",
            "-i",
            "lo",
            "-s",
            "262144",
            "-B",
            "32768",
            "-w",
            out,
            "-C",
            "50",
            "-W",
            "8",
            "-Z",
            "root",
            ports,
        ]
    )
    assert instructions(wanted(tmp_path)) == f"tcpdump -i lo -s 262144 -B 32768 -w {out} '{ports}'"


def test_the_name_of_the_file_says_which_program_can_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"dumpcap": "/bin/dumpcap", "tcpdump": "/bin/tcpdump"}
    monkeypatch.setattr(shutil, "which", there.get)
    monkeypatch.delattr(socket, "AF_PACKET")
    assert chosen_program() == chosen_program(Path("x.pcapng")) == "dumpcap"
    assert chosen_program(Path("x.pcap")) == "tcpdump"
    del there["dumpcap"]
    assert (chosen_program(), chosen_program(Path("x.pcapng"))) == ("tcpdump", None)
    there.clear()
    assert chosen_program() is None
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", there.get)
    assert chosen_program(Path("x.pcapng")) == sniffing.RAW_SOCKET


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    check(wanted(tmp_path), force=False)
    (tmp_path / "x.pcapng").touch()
    with pytest.raises(OutputExistsError, match="exists already"):
        check(wanted(tmp_path), force=False)
    check(wanted(tmp_path), force=True)
    ring = wanted(tmp_path, ring_bytes=10**9)
    for name in ("x_00002_20300131120000.pcapng", "x_other.pcapng", "x.pcapng1"):
        (tmp_path / name).touch()
    assert {path.name for path in files_of(ring)} == {"x_00002_20300131120000.pcapng", "x.pcapng1"}
    with pytest.raises(OutputExistsError):
        check(ring, force=False)
    with pytest.raises(UsageError, match="too small"):
        check(wanted(tmp_path, ring_bytes=1000), force=True)


def fake(folder: Path, program: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'dumpcap: You do not have permission to capture on device \\"lo\\".',
            "no permission to record lo: run this as root (sudo), or allow it once with: sudo setcap "
            "cap_net_raw,cap_net_admin=eip ",
        ),
        (
            "Capturing on 'lo'\\ndumpcap: There is no device named \\\"lo\\\".\\n(No such device)",
            'dumpcap does not record lo: There is no device named "lo".',
        ),
        ("", "dumpcap does not record lo: it does not say why"),
    ],
)
def test_why_nothing_is_recorded_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    fake(tmp_path, "dumpcap", f'printf "{said}\\n" >&2; exit 1', monkeypatch)
    with pytest.raises(InputError) as raised:
        sniff(wanted(tmp_path), "dumpcap", over=threading.Event(), started=lambda: None)
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)
    by_hand = f"; by hand: sudo {instructions(wanted(tmp_path))}"
    assert str(raised.value).endswith(by_hand) == ("no permission" in told)


def test_a_program_that_dies_while_it_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(
        tmp_path,
        "dumpcap",
        "echo File: x >&2; sleep 0.3; echo dumpcap: the disk is full >&2; exit 2",
        monkeypatch,
    )
    with pytest.raises(InputError, match="the disk is full"):
        sniff(wanted(tmp_path), "dumpcap", over=threading.Event(), started=lambda: None)


def test_the_command_says_how_where_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sniffing, "PROGRAMS", ())
    done = CliRunner().invoke(app, ["sniff", "eth0", "-p", "5900", "-o", str(tmp_path / "x.pcap")])
    assert done.exit_code == 2
    assert f"sudo tcpdump -i eth0 -s 262144 -B 32768 -w {tmp_path}/x.pcap 'tcp port 5900'" in done.stderr
    shown = CliRunner().invoke(app, ["sniff", "eth0", "-p", "5900", "-o", "x.pcap", "--print"])
    assert shown.stdout == "tcpdump -i eth0 -s 262144 -B 32768 -w x.pcap 'tcp port 5900'\n"
    assert CliRunner().invoke(app, ["sniff", "eth0"]).exit_code == 2


def test_interfaces_are_listed() -> None:
    (loopback,) = (one for one in interfaces() if one.name == "lo")
    assert "127.0.0.1" in loopback.addresses
    listed = CliRunner().invoke(app, ["sniff", "--list"]).stdout
    assert any(line.split()[0] == "lo" for line in listed.splitlines())


def exchange(listener: socket.socket) -> None:
    """A link stage and a long message over a connection of its own."""
    with socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            ends = (client, server)
            for from_server, data in SAID:
                ends[from_server].sendall(data)
                left = len(data)
                while left:
                    left -= len(ends[not from_server].recv(left))


@pytest.mark.parametrize(
    ("program", "name", "ring"),
    [
        ("dumpcap", "x.pcapng", None),
        ("dumpcap", "x.pcapng", 10**8),
        ("tcpdump", "x.pcap", None),
        ("tcpdump", "x.pcap", 10**8),
        (sniffing.RAW_SOCKET, "x.pcapng", None),
    ],
)
def test_an_exchange_on_loopback(tmp_path: Path, program: str, name: str, ring: int | None) -> None:
    if os.geteuid() != 0:
        pytest.skip("recording an interface needs root")
    if program != sniffing.RAW_SOCKET and shutil.which(program) is None:
        pytest.skip(f"no {program}")
    over, begun = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        what = Sniffing("lo", (listener.getsockname()[1],), tmp_path / name, ring)

        def play() -> None:
            if begun.wait(20):
                exchange(listener)
                # The kernel hands packets over in blocks.
                threading.Event().wait(1.2)
            over.set()

        playing = threading.Thread(target=play)
        playing.start()
        try:
            done = sniff(what, program, over=over, started=begun.set, duration_s=30)
        except InputError as error:
            if "permission" in str(error):
                pytest.skip(str(error))
            raise
        finally:
            begun.set()
            playing.join()
    (file,) = done.files
    assert file.stat().st_mode & 0o777 == 0o600, "what was typed is in it"
    assert done.packets is not None
    assert done.packets >= 8
    assert not done.dropped
    with sr.open(file) as capture:
        assert not len(capture.defects)
        messages = capture.sessions[0].messages
        assert messages[["name", "size", "partial"]].to_numpy().tolist() == [["PING", 100_000, False]]


def test_ctrl_c_ends_the_file_in_good_order(tmp_path: Path) -> None:
    if os.geteuid() != 0 or chosen_program() != "dumpcap":
        pytest.skip("needs root and dumpcap")
    out = tmp_path / "x.pcapng"
    words = ["-m", "spicereplay.cli.app", "sniff", "lo", "-p", "1", "-o", str(out)]
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        if "permission" in first:
            pytest.skip(first)
        assert "dumpcap records lo, port 1" in first
        process.send_signal(2)
        said, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == f"{out}\n"
    assert "0 packets; is the port right?" in told


ETHERNET = bytes(12)
TCP4 = bytes([0x46, 0, 0, 0, 0, 0, 0x40, 0, 64, 6]) + bytes(14)
TCP6 = bytes([0x60, 0, 0, 0, 0, 0, 6]) + bytes(33)
PORTS = b"\x17\x0c\x9c\x40"


@pytest.mark.parametrize(
    ("packet", "kind", "ours"),
    [
        (TCP4 + PORTS, 0x0800, True),
        (TCP4 + PORTS[2:] + PORTS[:2], 0x0800, True),
        (TCP6 + PORTS, 0x86DD, True),
        (TCP4 + PORTS[::-1], 0x0800, False),
        (TCP4 + PORTS[:3], 0x0800, False),
        (TCP4[:9] + b"\x11" + TCP4[10:] + PORTS, 0x0800, False),
        (TCP4[:7] + b"\x01" + TCP4[8:] + PORTS, 0x0800, False),
        (TCP6[:6] + b"\x11" + TCP6[7:] + PORTS, 0x86DD, False),
        (TCP4 + PORTS, 0x0806, False),
        (b"", 0x0800, False),
    ],
)
def test_which_packets_are_of_a_port(packet: bytes, kind: int, ours: bool) -> None:
    assert is_of(packet, 0, kind, frozenset({5900})) is ours
    assert is_of(ETHERNET + b"\0\0" + packet, 14, kind, frozenset({5900})) is ours


def test_a_raw_socket_knows_no_ring_and_no_interface_of_another_name(tmp_path: Path) -> None:
    for what, error in (
        (Sniffing("nosuch", (1,), tmp_path / "x.pcapng"), InputError),
        (Sniffing("lo", (1,), tmp_path / "x.pcapng", 10**8), UsageError),
    ):
        with pytest.raises(error):
            sniff(what, sniffing.RAW_SOCKET, over=threading.Event(), started=lambda: None)
