"""Places, sizes and routes as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.tls_peers import Peers

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import UsageError
from spicereplay.recording.rolling import Rotation
from spicereplay.tap.options import parse_place, parse_rotation, parse_size, routes_of


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("host:5900", Endpoint("host", 5900)),
        ("192.0.2.1:1", Endpoint("192.0.2.1", 1)),
        ("[2001:db8::1]:5900", Endpoint("2001:db8::1", 5900)),
        ("5900", Endpoint("127.0.0.1", 5900)),
        ("0", Endpoint("127.0.0.1", 0)),
        ("/run/vm/spice.sock", Endpoint("/run/vm/spice.sock", 0)),
        ("./spice.sock", Endpoint(str(Path("spice.sock").absolute()), 0)),
    ],
)
def test_places(text: str, place: Endpoint) -> None:
    assert parse_place(text, host="127.0.0.1") == place


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":5900", "host:65536", "2001:db8::1:5900", "a:b:1", "h:-1"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError, match="no place"):
        parse_place(text, host="127.0.0.1")


def test_a_server_needs_a_host() -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_place("5900")


@pytest.mark.parametrize(
    ("text", "rotation"),
    [
        ("100M", Rotation(bytes=100 << 20)),
        ("1.5GiB", Rotation(bytes=3 << 29)),
        ("64K", Rotation(bytes=65_536)),
        ("90s", Rotation(seconds=90)),
        ("10min", Rotation(seconds=600)),
        ("1h", Rotation(seconds=3600)),
    ],
)
def test_when_a_new_file_begins(text: str, rotation: Rotation) -> None:
    assert parse_rotation(text) == rotation


@pytest.mark.parametrize("text", ["", "100", "M", "-1M", "1K", "0s", "10 parsecs", "1e9M"])
def test_when_no_new_file_can_begin(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rotation(text)


def test_a_time_is_no_size() -> None:
    assert parse_size("2G") == 2 << 30
    with pytest.raises(UsageError, match="no size"):
        parse_size("60s")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pem")
    Peers(folder, rsa_bits=2048)
    return folder / "rsa.pem"


def tls(**words: Any) -> list[tuple[int, int, bool, bool]]:
    """Listening port, server's port, and where TLS is, of each route."""
    routes = routes_of("1", "host:2", **words)
    return [(r.listen.port, r.to.port, r.accept is not None, r.call is not None) for r in routes]


def test_routes(pem: Path) -> None:
    assert tls() == [(1, 2, False, False)]
    assert tls(certificate=pem) == [(1, 2, True, False)]
    assert tls(to_tls=True, insecure=True) == [(1, 2, False, True)]
    assert tls(to_tls=True, ca=pem, certificate=pem) == [(1, 2, True, True)]
    assert tls(tls_listen="3", certificate=pem) == [(1, 2, False, False), (3, 2, True, False)]
    assert tls(tls_listen="3", tls_to="host:4", certificate=pem, insecure=True) == [
        (1, 2, False, False),
        (3, 4, True, True),
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"tls_listen": "3"}, "--tls-listen needs --tls-cert"),
        ({"key": Path("k")}, "--tls-key needs --tls-cert"),
        ({"tls_to": "host:4"}, "--tls-listen, which is not given"),
        ({"insecure": True}, "are for TLS to the server"),
        ({"host_subject": "CN=a"}, "are for TLS to the server"),
        ({"to_tls": True, "insecure": True, "host_subject": "CN=a"}, "excludes"),
    ],
)
def test_words_that_make_no_sense_together(words: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        tls(**words)


def test_a_unix_socket_has_no_tls(pem: Path) -> None:
    for words in ({"to": "/vm.sock", "to_tls": True}, {"listen": "/tap.sock", "certificate": pem}):
        with pytest.raises(UsageError, match="no TLS"):
            routes_of(**{"listen": "0", "to": "host:5900", **words})  # type: ignore[arg-type]
    (route,) = routes_of("/tap.sock", "/vm.sock")
    assert (str(route.listen), str(route.to)) == ("/tap.sock", "/vm.sock")
