"""CSV and JSON Lines: one row a line, nothing for what was not seen, text that stays text."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import full, session_tables

from spicereplay.analysis import schema
from spicereplay.analysis.json import to_records
from spicereplay.export import text

CELLS = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0",
    "-2+3": "'-2+3",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t=1",
    "\r=1": "'\n=1",
    "＝1": "'＝1",
    "-5": "-5",
    "+1.5e-3": "+1.5e-3",
    "-٣": "'-٣",
    "a = b": "a = b",
    "'quoted": "'quoted",
    "": "",
    "two\r\nlines\rthree": "two\nlines\nthree",
    "caf\udce9": "caf\\udce9",
}


@pytest.mark.parametrize(("given_text", "shown"), CELLS.items())
def test_a_cell_is_no_formula(given_text: str, shown: str) -> None:
    assert text.cell(given_text) == shown


@given(st.text(max_size=20))
def test_no_cell_begins_as_a_formula_does(given_text: str) -> None:
    shown = text.cell(given_text)
    try:
        float(shown)
    except ValueError:
        assert shown[:1] not in set("=+-@\t\r\n＝＋－＠")
    assert "\r" not in shown


@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_text_comes_back_from_csv_as_it_went_in(texts: list[str]) -> None:
    frame = full("notifications", message=texts)
    out = io.StringIO(newline="")
    text.safe("notifications", frame).to_csv(out, index=False, lineterminator="\n")
    rows = list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))
    assert [row["message"] for row in rows] == [text.cell(t) for t in texts]


def test_csv_has_every_row_and_nothing_for_what_was_not_seen(tmp_path: Path) -> None:
    for name, frame in session_tables().items():
        text.csv_frame(name, frame, tmp_path / f"{name}.csv")
        data = (tmp_path / f"{name}.csv").read_bytes()
        assert b"\r" not in data
        rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
        assert len(rows) == len(frame)
        for column in schema.TABLES[name].columns:
            empty = [row[column.name] == "" for row in rows]
            if column.dtype in ("float64", "Int64"):
                assert empty == frame[column.name].isna().tolist()
            elif column.dtype == "object":
                assert [json.loads(row[column.name]) for row in rows] == frame[column.name].tolist()


def test_numbers_come_back_from_csv_exactly(tmp_path: Path) -> None:
    frame = session_tables()["frames"]
    text.csv_frame("frames", frame, tmp_path / "frames.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "frames.csv").read_text())))
    for column in ("time_s", "decode_ms", "bytes", "width"):
        assert [float(row[column]) for row in rows] == frame[column].tolist()


def test_json_lines_are_what_the_command_line_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "ROWS_AT_ONCE", 7)
    for name, frame in session_tables().items():
        text.json_frame(name, frame, tmp_path / name)
        lines = (tmp_path / name).read_text(encoding="ascii").splitlines()
        assert [json.loads(line) for line in lines] == list(to_records(name, frame))


def test_json_keeps_text_as_it_is(tmp_path: Path) -> None:
    frame = full("notifications", message=["=1+1", "a\u202eb", "x\r\ny"])
    text.json_frame("notifications", frame, tmp_path / "n.jsonl")
    lines = (tmp_path / "n.jsonl").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["=1+1", "a\u202eb", "x\r\ny"]
