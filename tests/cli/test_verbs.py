"""The command line as other tools rely on it: names, keys, exit codes, where text goes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command import run

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def answer(*words: str | Path) -> Any:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lines(*words: str | Path) -> list[dict[str, Any]]:
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def flapping(fixtures: Path) -> Path:
    return fixtures / "captures" / "flap-mjpeg" / "capture.pcap"


@pytest.fixture
def frozen_agent(fixtures: Path) -> Path:
    return fixtures / "captures" / "html5-agent-frozen" / "capture.pcap"


# --- keys that other tools read ------------------------------------------------------------------------


def test_info_has_the_keys_of_the_contract(flapping: Path) -> None:
    info = answer("info", flapping, "--json")
    assert info["schema_version"] == 1
    (session,) = info["sessions"]
    assert session["session"] == 0
    assert session["start_time_ns"] == 1795358244840252000
    assert session["duration_s"] == pytest.approx(39.325968)
    assert session["handshake"] is True
    display = next(c for c in session["channels"] if c["channel"] == "display")
    assert display["messages_from_server"] == 257
    assert display["unparsed_bytes"] == display["missing_bytes"] == display["gaps"] == 0
    assert "MULTI_CODEC" in display["client_caps"]
    assert "MONITORS_CONFIG" in display["server_caps"]
    assert {"channel_id", "messages_from_client", "bytes_from_server", "bytes_from_client"} <= set(display)


def test_each_message_line_has_the_keys_of_the_contract(flapping: Path) -> None:
    rows = lines("messages", flapping, "--json")
    assert len(rows) == 333
    keys = ["time_s", "session", "channel", "channel_id", "from", "type", "name", "size", "sub", "partial"]
    assert all(list(row)[: len(keys)] == keys for row in rows)
    assert rows[0]["name"] == "INIT"
    assert rows[0]["from"] == "server"
    assert [r["time_s"] for r in rows] == sorted(r["time_s"] for r in rows)
    assert sum(r["name"] == "STREAM_CREATE" for r in rows) == 6


def test_messages_of_one_channel(flapping: Path) -> None:
    for spelt in ("display", "display/0"):
        rows = lines("messages", flapping, "--channel", spelt, "--json")
        assert {(r["channel"], r["channel_id"]) for r in rows} == {("display", 0)}
        assert len(rows) == 257 + 38


def test_streams_agree_with_what_an_independent_parser_saw(fixtures: Path, flapping: Path) -> None:
    got = answer("streams", flapping, "--json")
    (session,) = json.loads((flapping.parent / "oracle.json").read_text())["sessions"]
    assert len(got) == len(session["streams"]) == 6
    for ours, theirs in zip(got, session["streams"], strict=True):
        for key in ("session", "channel_id", "stream_id", "codec", "width", "height", "frames", "bytes"):
            assert ours[key] == theirs[key], key
        assert ours["created_s"] == pytest.approx(theirs["created_s"], abs=0.02)
        assert ours["destroyed_s"] == pytest.approx(theirs["destroyed_s"], abs=0.02)
        assert ours["end_cause"] == "timeout"


def test_flaps_and_agent_tables_have_their_keys(flapping: Path, frozen_agent: Path) -> None:
    (flap,) = lines("table", flapping, "flaps", "--json")
    assert list(flap)[:6] == ["session", "channel_id", "time_s", "count", "window_s", "mean_lifetime_s"]
    assert (flap["count"], flap["window_s"]) == (3, 30.0)
    requests = lines("table", frozen_agent, "agent", "--json")
    assert list(requests[0])[:6] == ["session", "time_s", "type", "reply_time_s", "lag_ms", "outcome"]
    lags = [r["lag_ms"] for r in requests if r["type"] == "MONITORS_CONFIG"]
    assert max(lags) == pytest.approx(2290, abs=20)


def test_findings_name_what_went_wrong(flapping: Path) -> None:
    first, *_ = answer("findings", flapping, "--json")
    assert first["code"] == "stream_flapping"
    assert first["severity"] == "critical"
    assert {"title", "time_s", "evidence"} <= set(first)


def test_every_table_can_be_printed(frozen_agent: Path) -> None:
    from spicereplay.analysis.schema import TABLES

    for name, table in TABLES.items():
        for row in lines("table", frozen_agent, name, "--json"):
            assert list(row) == table.names


def test_csv_has_a_header_of_the_columns(flapping: Path) -> None:
    done = run("table", flapping, "flaps", "--csv")
    assert done.stdout.splitlines()[0].startswith("session,channel_id,time_s,count,window_s,mean_lifetime_s")


def test_a_bug_report_without_a_recording_still_answers(fixtures: Path) -> None:
    report = fixtures / "bugreports" / "no-pcap-g1.zip"
    assert answer("info", report, "--json")["sessions"] == []
    assert lines("messages", report, "--json") == []
    assert len(lines("table", report, "client_reported", "--json")) > 50


# --- exit codes ---------------------------------------------------------------------------------------


def test_fail_on_turns_findings_into_an_exit_code(flapping: Path, fixtures: Path) -> None:
    quiet = fixtures / "captures" / "reconnect" / "capture.pcap"
    assert run("findings", flapping, "--fail-on", "critical").returncode == 1
    assert run("findings", quiet, "--fail-on", "critical").returncode == 0
    assert run("findings", quiet, "--fail-on", "info").returncode == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("nonsense",), 2),
        (("table", "FLAP", "nonsense"), 2),
        (("table", "FLAP"), 2),
        (("table", "FLAP", "flaps", "--json", "--csv"), 2),
        (("info", "no/such/file.pcap"), 3),
        (("info", "EMPTY"), 3),
        (("info", "TEXT"), 3),
        (("findings", "TLS"), 3),
        (("info", "FOLDER"), 3),
    ],
)
def test_exit_codes_and_one_line_errors(
    words: tuple[str, ...], code: int, tmp_path: Path, flapping: Path, shared_tls: Path
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "folder").mkdir()
    places = {
        "FLAP": flapping,
        "EMPTY": tmp_path / "empty",
        "TEXT": tmp_path / "text",
        "FOLDER": tmp_path / "folder",
        "TLS": shared_tls,
    }
    done = run(*(places.get(w, w) for w in words))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 3:
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("spicereplay: ")


def test_what_tls_shows_without_its_keys_is_told(shared_tls: Path) -> None:
    """Its connections, sizes, times and TCP health; that there is nothing more to be had is still an error."""
    done = run("info", shared_tls, "--json")
    assert done.returncode == 3
    assert "no SPICE in" in done.stderr
    facts = json.loads(done.stdout)
    assert facts["sessions"] == []
    assert [other["what"] for other in facts["other"]] == ["tls", "tls"]
    for other in facts["other"]:
        assert min(other["bytes_from_server"], other["duration_s"], other["segments_from_client"]) > 0
    shown = run("info", shared_tls).stdout
    assert shown.count("TLS (no keys given)") == 2


@pytest.fixture
def shared_tls(fixtures: Path, tmp_path: Path) -> Path:
    """The TLS connections of a capture that also holds plain ones, alone."""
    import dpkt

    source = fixtures / "captures" / "tls-mixed-channels" / "capture.pcap"
    target = tmp_path / "tls.pcap"
    packets = []
    tls_ports: set[int] = set()
    with source.open("rb") as file:
        for stamp, data in dpkt.pcap.Reader(file):
            tcp = dpkt.ethernet.Ethernet(data).data.data
            if bytes(tcp.data[:2]) == b"\x16\x03":
                tls_ports |= {tcp.sport, tcp.dport}
            packets.append((stamp, data, tcp.sport, tcp.dport))
    with target.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for stamp, data, sport, dport in packets:
            if {sport, dport} <= tls_ports:
                writer.writepkt(data, stamp)
    return target


def test_no_spice_says_what_there_is_instead(shared_tls: Path) -> None:
    done = run("info", shared_tls)
    assert done.returncode == 3
    assert re.search(r"no SPICE in \d+ packets: .*TLS.* on port \d+: no keys given", done.stderr)


def test_interrupting_ends_with_130(fixtures: Path) -> None:
    long = fixtures / "captures" / "desktop-jpeg-zlib-wan" / "capture.pcap"
    with subprocess.Popen(
        [sys.executable, "-m", "spicereplay.cli.app", "messages", long, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore the signal, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        # Half a megabyte is still to come and nobody reads it: the command waits.
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == "spicereplay: interrupted\n"


def test_a_reader_that_leaves_early_is_no_error(flapping: Path) -> None:
    command = f"{sys.executable} -m spicereplay.cli.app messages {flapping} --json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


# --- outputs ------------------------------------------------------------------------------------------


def test_report_names_its_page_after_the_input_and_keeps_an_existing_one(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = fixtures / "bugreports" / "display-flap-evicted-g1.zip"
    done = run("report", source)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "display-flap-evicted-g1.html"
    page = tmp_path / "display-flap-evicted-g1.html"
    page.write_text("mine")
    again = run("report", source)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert page.read_text() == "mine"
    assert run("report", source, "--force").returncode == 0
    assert page.read_text() != "mine"


def hostile(fixtures: Path) -> list[dict[str, Any]]:
    return json.loads((fixtures / "hostile" / "index.json").read_text())  # type: ignore[no-any-return]


def test_hostile_files_end_as_their_index_says(fixtures: Path, tmp_path: Path) -> None:
    allowed = {"report": {0}, "exit3": {3}, "either": {0, 3}}
    for case in hostile(fixtures):
        page = tmp_path / f"{case['file']}.html"
        done = run("report", fixtures / "hostile" / case["file"], "-o", page)
        assert done.returncode in allowed[case["expect"]["outcome"]], (case["file"], done.stderr)
        assert "Traceback" not in done.stderr
        if done.returncode == 0:
            text = page.read_text()
            for markup in ("<script>alert", "<img src=x onerror", "javascript:alert"):
                assert markup not in text, case["file"]


DEFECTS = {
    "clip-rects.pcap": "rects_over_message",
    "codecs-cut.pcap": "codec_data_short",
    "glz-missing.pcap": "glz_reference_missing",
    "image-dimensions.pcap": "image_over_limit",
    "json-cut.zip": "member_not_json",
    "list-loop.pcap": "sub_messages_malformed",
    "palette-offset.pcap": "palette_outside_message",
    "pcapng-length-mismatch.pcapng": "file_damaged",
    "streams-2000.pcap": "streams_over_limit",
    "tcp-overlap.pcap": "retransmission_conflict",
    "zip-truncated.zip": "zip_damaged",
}
"""What is wrong with each hostile file, by its name in the table `defects`."""


@pytest.mark.parametrize(("name", "kind"), DEFECTS.items())
def test_what_is_wrong_is_named(name: str, kind: str, fixtures: Path) -> None:
    rows = lines("table", fixtures / "hostile" / name, "defects", "--json")
    assert kind in {row["kind"] for row in rows}


@pytest.mark.parametrize("name", ["tcp-shuffled.pcap", "websocket.pcap", "notify-markup.pcap"])
def test_odd_but_sound_input_has_no_defect(name: str, fixtures: Path) -> None:
    assert lines("table", fixtures / "hostile" / name, "defects", "--json") == []


@pytest.mark.parametrize("name", ["html-control.zip", "notify-markup.pcap"])
def test_nothing_of_the_input_moves_the_terminal(name: str, fixtures: Path) -> None:
    source = fixtures / "hostile" / name
    for words in (
        ("info", source),
        ("findings", source),
        ("table", source, "notifications"),
        ("table", source, "notifications", "--json"),
        ("messages", source),
    ):
        done = run(*words)
        assert done.returncode == 0, done.stderr
        assert not CONTROL.search(done.stdout.replace("\n", "")), words
