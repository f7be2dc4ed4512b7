"""The command: exit codes, what is printed, what is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spicereplay.golden.manifest import beside


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spicereplay.cli.app", "golden", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(fixtures: Path, tmp_path: Path) -> Path:
    for name in ("hostile/websocket.pcap", "hostile/tcp-overlap.pcap", "bugreports/no-pcap-g1.zip"):
        shutil.copy(fixtures / name, tmp_path)
    return tmp_path


def test_record_then_check(folder: Path) -> None:
    missing = run("check", ".", cwd=folder)
    assert missing.returncode == 1
    assert (
        "!! tcp-overlap.pcap: no manifest tcp-overlap.pcap.golden; `golden record` makes one"
        in missing.stdout
    )
    assert missing.stdout.splitlines()[-1] == "0 of 3 captures held, 3 failed; 0 pictures compared"
    assert not list(folder.glob("*.golden"))

    done = run("record", ".", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "websocket.pcap.golden: 7 pictures" in done.stdout
    again = run("record", ".", cwd=folder)
    assert again.returncode == 2
    assert "and 2 more already there; --force records anew" in again.stderr
    assert run("record", ".", "--force", "--every", "2", cwd=folder).returncode == 0

    held = run("check", ".", "--jobs", "2", cwd=folder)
    assert (held.returncode, held.stderr) == (0, "")
    assert held.stdout.splitlines()[-1].startswith(
        "2 of 3 captures held, 0 failed, 1 with nothing to compare"
    )


def test_a_difference_is_told_in_text_in_json_in_xml_and_in_pictures(folder: Path) -> None:
    run("record", "websocket.pcap", cwd=folder)
    path = beside(folder / "websocket.pcap")
    lines = path.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("image"))
    lines[first] = lines[first].replace(lines[first].split()[6], "0123456789abcdef")
    path.write_text("\n".join(lines) + "\n")
    options = ("--pictures", "shown", "--junit", "out.xml")
    done = run("check", "websocket.pcap", *options, cwd=folder)
    assert done.returncode == 1
    assert "!! websocket.pcap: 1 of 7 pictures differ (1 bitmap)" in done.stdout
    assert "first: session 0 display/0 message" in done.stdout
    (sheet,) = (file for file in (folder / "shown").iterdir() if file.suffixes[-2:] != [".got", ".png"])
    assert f"shown/{sheet.name}" in done.stdout
    suites = ElementTree.parse(folder / "out.xml").getroot()
    assert (suites.get("failures"), suites.get("skipped")) == ("1", "0")
    refused = run("check", "websocket.pcap", *options, cwd=folder)
    assert refused.returncode == 2
    assert "out.xml is already there" in refused.stderr

    document = json.loads(run("check", "websocket.pcap", "--json", cwd=folder).stdout)
    assert document[0]["verdict"] == "different"
    assert document[0]["failed"] is True
    assert document[0]["differing"] == {"bitmap": 1}
    difference = document[0]["differences"][0]
    assert (difference["channel"], difference["kind"], difference["what"]) == ("display/0", "image", "bitmap")
    assert "expected" in difference["detail"]


def test_what_is_no_capture_is_said(folder: Path) -> None:
    (folder / "notes.txt").write_text("no capture")
    (folder / "broken.pcap").write_text("no capture either")
    assert run("record", "notes.txt", cwd=folder).returncode == 3
    assert run("check", "nowhere", cwd=folder).returncode == 3
    assert run("check", cwd=folder).returncode == 2
    done = run("record", ".", cwd=folder)
    assert done.returncode == 0
    assert "broken.pcap: passed over" in done.stderr
    (folder / "empty").mkdir()
    done = run("check", "empty", cwd=folder)
    assert done.returncode == 3
    assert "no capture or bug report in empty" in done.stderr
    done = run("check", ".", "--decoder", "nobody", cwd=folder)
    assert done.returncode == 2
    assert "no decoder is called 'nobody'" in done.stderr


def test_the_matrix_as_text_and_json_and_its_limit(folder: Path) -> None:
    run("record", "tcp-overlap.pcap", cwd=folder)
    done = run("matrix", "tcp-overlap.pcap", cwd=folder)
    assert done.returncode == 0
    header, row = done.stdout.splitlines()
    assert header.split() == ["codec", "decoder", "pictures", "agreement", "Mpx/s", "ratio", "recorded"]
    assert row.split()[:3] == ["bitmap", "raw", "12"]
    unrecorded = run("matrix", "tcp-overlap.pcap", "--max-slowdown", "2", cwd=folder)
    assert unrecorded.returncode == 1  # what was not compared has not passed
    assert "0 of 1 speeds compared; none is recorded" in unrecorded.stderr
    path = beside(folder / "tcp-overlap.pcap")
    path.write_text(path.read_text().replace("channel", "speed bitmap 1e9\nchannel", 1))
    fast = run("matrix", "tcp-overlap.pcap", "--max-slowdown", "2", cwd=folder)
    assert (fast.returncode, fast.stderr) == (0, "spicereplay: 1 of 1 speeds compared\n")
    path.write_text(path.read_text().replace("speed bitmap 1e9", "speed bitmap 0.0001"))
    slow = run("matrix", ".", "--max-slowdown", "2", "--json", cwd=folder)
    assert slow.returncode == 1
    assert "times as slow as recorded (0.0001 then" in slow.stderr
    document = {Path(each["capture"]).name: each["decoders"] for each in json.loads(slow.stdout)}
    assert document["no-pcap-g1.zip"] == []
    (decoder,) = document["tcp-overlap.pcap"]
    assert decoder["recorded_ratio"] == 0.0001
    assert decoder["used"] is True
    assert decoder["least_psnr_db"] is None


def test_what_an_earlier_check_drew_is_not_mixed_with(folder: Path) -> None:
    run("record", "websocket.pcap", cwd=folder)
    (folder / "wrong").mkdir()
    command = ("check", "websocket.pcap", "--pictures", "wrong")
    assert run(*command, cwd=folder).returncode == 0
    (folder / "wrong" / "old.png").write_bytes(b"")
    refused = run(*command, cwd=folder)
    assert refused.returncode == 2
    assert "wrong is not empty" in refused.stderr
    assert run(*command, "--force", cwd=folder).returncode == 0
    no_folder = run("check", "websocket.pcap", "--pictures", "websocket.pcap", cwd=folder)
    assert (no_folder.returncode, no_folder.stderr) == (2, "spicereplay: websocket.pcap is no folder\n")


def test_another_build_without_a_place_for_its_pictures_is_a_mistake(folder: Path) -> None:
    refused = run("check", "websocket.pcap", "--against", ".", cwd=folder)
    assert refused.returncode == 2
    assert "give --pictures DIR" in refused.stderr


def test_a_report_that_cannot_be_written_does_not_swallow_the_outcome(folder: Path) -> None:
    run("record", "websocket.pcap", cwd=folder)
    done = run("check", "websocket.pcap", "--junit", "nowhere/x.xml", cwd=folder)
    assert done.returncode == 3
    assert "websocket.pcap: 7 pictures as recorded" in done.stdout
    assert "nowhere/x.xml: No such file or directory" in done.stderr


def test_recording_goes_on_behind_a_manifest_that_cannot_be_written(folder: Path) -> None:
    blocked = beside(folder / "tcp-overlap.pcap")
    blocked.mkdir()
    done = run("record", ".", "--force", cwd=folder)
    assert done.returncode == 3
    assert "tcp-overlap.pcap.golden: Is a directory" in done.stderr
    assert beside(folder / "websocket.pcap").exists()
