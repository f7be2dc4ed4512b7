"""TLS without certificates: both ends of OpenSSL share a key, which Python 3.11's `ssl` cannot offer."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from interop.test_tls_openssl import PATIENCE_S, free_port, relay, until
from support.absent import absent
from support.tls_peers import split_records

from spicereplay.bytestream import stream_of
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.transport.tls.keylog import KeyLog
from spicereplay.transport.tls.opening import Opened, open_connection

pytestmark = pytest.mark.interop

SHARED_KEY = "5a" * 32
SAID = b"SPICE under a shared key\n"
CASES = [
    ("-tls1_3", ("-ciphersuites", "TLS_AES_128_GCM_SHA256"), "TLS_AES_128_GCM_SHA256"),
    ("-tls1_2", ("-cipher", "PSK-AES128-GCM-SHA256"), "TLS_PSK_WITH_AES_128_GCM_SHA256"),
    ("-tls1_2", ("-cipher", "ECDHE-PSK-CHACHA20-POLY1305"), "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256"),
    ("-tls1_2", ("-cipher", "ECDHE-PSK-AES256-CBC-SHA384"), "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384"),
]


@pytest.mark.parametrize(("version", "words", "suite"), CASES, ids=[suite for _, _, suite in CASES])
def test_a_shared_key_in_place_of_a_certificate(
    tmp_path: Path, version: str, words: tuple[str, str], suite: str
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        absent("the command openssl")
    port, keys = free_port(), tmp_path / "keys.log"
    heard = bytearray(), bytearray()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    common = [version, *words, "-psk", SHARED_KEY]
    serve = [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-nocert", *common]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(serve, **pipes) as server,  # type: ignore[call-overload]
    ):
        assert server.stdout is not None
        while b"ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        threading.Thread(target=relay, args=(listener, port, heard), daemon=True).start()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        call = [openssl, "s_client", "-connect", place, "-keylogfile", str(keys), *common]
        with subprocess.Popen(call, **pipes) as client:  # type: ignore[call-overload]
            assert client.stdin is not None
            try:
                until(lambda: keys.exists() and len(split_records(bytes(heard[1]))) >= 3, "no handshake")
                time.sleep(0.3)  # the last of it may still be on its way
                before = len(split_records(bytes(heard[0])))
                client.stdin.write(SAID)
                client.stdin.flush()
                until(lambda: len(split_records(bytes(heard[0]))) > before, "nothing was said")
                client.stdin.write(b"Q\n")
                client.stdin.flush()
                client.wait(PATIENCE_S)
            finally:
                client.kill()
                server.terminate()
    defects = DefectLog()
    log = KeyLog.parse([keys.read_bytes()], limits=DEFAULT_LIMITS, defects=defects)
    streams = [stream_of(bytes(side)) for side in heard]
    opened = open_connection(*streams, log, limits=DEFAULT_LIMITS, defects=defects, where="a → b")
    assert isinstance(opened, Opened), opened
    assert opened.suite == suite
    assert opened.client.read(0, 100) == SAID
    assert not list(defects)
