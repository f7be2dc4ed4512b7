"""One function writes any format; what it is asked for is checked before anything is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import spicereplay
from spicereplay.analysis.schema import TABLES
from spicereplay.analysis.timeline import Tables
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.export import ExportFormat
from spicereplay.export.formats import write
from spicereplay.replay import replay


@pytest.fixture
def tables(fixtures: Path) -> Iterator[Tables]:
    with replay(fixtures / "captures" / "flap-mjpeg" / "capture.pcap") as found:
        yield Tables(found, decode=False)


@pytest.mark.parametrize("form", [f for f in ExportFormat if f.of_tables])
def test_tables_go_to_a_folder_a_file_each(form: ExportFormat, tables: Tables, tmp_path: Path) -> None:
    done = write(tables, form, tmp_path / "out")
    assert done.path == tmp_path / "out"
    files = {f.name for f in done.path.iterdir()}
    assert files == {"manifest.json", *(f"{name}{form.ending}" for name in TABLES)}


@pytest.mark.parametrize("form", [f for f in ExportFormat if f.of_tables])
def test_one_table_can_go_to_a_file(form: ExportFormat, tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / f"mine{form.ending}"
    write(tables, form, path, names=["streams"])
    rows = {
        ".parquet": lambda: len(pd.read_parquet(path)),
        ".csv": lambda: len(pd.read_csv(path)),
        ".jsonl": lambda: len(path.read_text().splitlines()),
    }[form.ending]()
    assert rows == len(tables["streams"]) == 6
    with pytest.raises(UsageError, match="one file, for one table"):
        write(tables, form, tmp_path / f"all{form.ending}")
    assert [f.name for f in tmp_path.iterdir()] == [path.name]


def test_chosen_tables_alone_are_made_and_written(tables: Tables, tmp_path: Path) -> None:
    write(tables, "json", tmp_path / "out", names=["flaps", "pings"])
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "flaps.jsonl",
        "manifest.json",
        "pings.jsonl",
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert list(manifest["tables"]) == ["flaps", "pings"]


def test_a_capture_of_the_sessions_says_the_same_again(tables: Tables, tmp_path: Path) -> None:
    done = write(tables, "pcapng", tmp_path / "out.pcapng")
    with replay(done.path) as again:
        pd.testing.assert_frame_equal(
            Tables(again, decode=False)["messages"], tables["messages"], check_categorical=False
        )
    assert b"The video stream flaps" in done.path.read_bytes()  # findings are comments of packets


def test_a_capture_without_messages_or_on_a_port_of_vnc_is_remarked_on(
    fixtures: Path, tmp_path: Path
) -> None:
    """Wireshark reads port 5900, which bug reports name, as VNC; an empty file would look like a fault."""
    for name, remark in (
        ("no-pcap-g1", "no recorded message"),
        ("display-flap-g2", "tcp.port==5900,spice"),
    ):
        with replay(fixtures / "bugreports" / f"{name}.zip") as found:
            done = write(Tables(found, decode=False), "pcapng", tmp_path / f"{name}.pcapng")
        assert any(remark in said for said in done.remarks), done.remarks


def test_the_screen_over_time_is_a_movie(tables: Tables, tmp_path: Path) -> None:
    done = write(tables, "mp4", tmp_path / "out.mp4", session=0, channel_id=0)
    assert done.path.read_bytes()[4:8] == b"ftyp"
    assert "display/0" in done.remarks[0]


def test_a_notebook_exports_what_it_opened(fixtures: Path, tmp_path: Path) -> None:
    with spicereplay.open(fixtures / "captures" / "flap-mjpeg" / "capture.pcap", decode=False) as capture:
        folder = capture.export("parquet", tmp_path / "out", tables=["streams"])
        assert len(pd.read_parquet(folder / "streams.parquet")) == len(capture.streams)


def test_what_was_played_is_a_wav(fixtures: Path, tmp_path: Path) -> None:
    with replay(fixtures / "captures" / "qemu-guest-audio-opus" / "capture.pcap") as found:
        done = write(Tables(found, decode=False), "wav", tmp_path / "out.wav")
        assert done.path.read_bytes()[8:12] == b"WAVE"
        assert "s of sound in" in done.remarks[0]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"to": "xlsx"}, "no format is called 'xlsx'; there are parquet, csv"),
        ({"to": "csv", "names": ["flops"]}, "no table is called 'flops'"),
        ({"to": "perfetto", "names": ["streams"]}, "perfetto has no tables to choose"),
        ({"to": "csv", "session": 0}, "csv holds all sessions"),
        ({"to": "pcapng", "channel_id": 0}, "pcapng holds all sessions"),
    ],
)
def test_what_a_format_cannot_do_is_said(
    asked: dict[str, object], complaint: str, tables: Tables, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=complaint):
        write(tables, path=tmp_path / "out", **asked)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ExportFormat)
def test_an_existing_output_is_never_touched_without_force(
    form: ExportFormat, tables: Tables, tmp_path: Path
) -> None:
    path = tmp_path / f"out{form.ending}"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write(tables, form, path, names=["streams"] if form.of_tables else ())
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_the_input_is_never_replaced_by_its_export(fixtures: Path, tmp_path: Path) -> None:
    source = tmp_path / "capture.pcapng"
    source.write_bytes((fixtures / "captures" / "flap-mjpeg" / "capture.pcap").read_bytes())
    before = source.read_bytes()
    (tmp_path / "link.pcapng").symlink_to(source)
    with replay(source) as found:
        for path in (source, tmp_path / "link.pcapng"):
            with pytest.raises(UsageError, match="the input itself"):
                write(Tables(found), "pcapng", path, force=True)
    assert source.read_bytes() == before
