"""Parquet files hold what the tables hold: pandas, pyarrow and DuckDB read the same values back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.tables import full, session_tables

from spicereplay.analysis import schema
from spicereplay.analysis.timeline import Tables
from spicereplay.export import parquet
from spicereplay.replay import replay


def assert_same(name: str, got: pd.DataFrame, want: pd.DataFrame) -> None:
    assert list(got.columns) == schema.TABLES[name].names
    for column in schema.TABLES[name].columns:
        one, other = got[column.name], want[column.name]
        assert str(one.dtype) == column.dtype, (name, column.name)
        if column.dtype == "object":
            assert [list(v) for v in one] == [list(v) for v in other]
        elif column.dtype == "category":
            pd.testing.assert_series_equal(one.astype("str"), other.astype("str"))
        else:
            pd.testing.assert_series_equal(one, other, check_exact=True)


@pytest.mark.parametrize("name", ["flap-mjpeg", "html5-agent-frozen", "reconnect"])
def test_recorded_tables_read_back_equal(name: str, fixtures: Path, tmp_path: Path) -> None:
    with replay(fixtures / "captures" / name / "capture.pcap") as found:
        for table, frame in Tables(found).items():
            parquet.parquet_frame(table, frame, tmp_path / table)
            assert_same(table, pd.read_parquet(tmp_path / table), frame)


@pytest.mark.parametrize("name", schema.TABLES)
def test_tables_without_rows_keep_their_columns(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.parquet"
    parquet.parquet_frame(name, schema.empty(name), path)
    assert_same(name, pd.read_parquet(path), schema.empty(name))
    assert duckdb.sql(f"select * from '{path}'").columns == schema.TABLES[name].names


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_column_carries_its_unit_and_meaning(name: str, tmp_path: Path) -> None:
    parquet.parquet_frame(name, schema.empty(name), tmp_path / name)
    read = pq.read_schema(tmp_path / name)
    assert read.metadata[b"table"].decode() == name
    assert read.metadata[b"meaning"].decode() == schema.TABLES[name].meaning
    for column in schema.TABLES[name].columns:
        metadata = read.field(column.name).metadata
        assert metadata[b"unit"].decode() == column.unit
        assert metadata[b"meaning"].decode() == column.meaning


def test_made_up_tables_read_back_equal_and_duckdb_sees_the_same(tmp_path: Path) -> None:
    tables = session_tables()
    for name, frame in tables.items():
        parquet.parquet_frame(name, frame, tmp_path / f"{name}.parquet")
        assert_same(name, pd.read_parquet(tmp_path / f"{name}.parquet"), frame)
    counted = duckdb.sql(
        f"select codec, sum(frames) n from '{tmp_path}/streams.parquet' group by 1"
    ).fetchall()
    assert dict(counted) == tables["streams"].groupby("codec", observed=True)["frames"].sum().to_dict()


def test_what_was_not_seen_is_null_so_that_means_are_of_what_was(tmp_path: Path) -> None:
    frame = full("pings", time_s=[0.0, 1.0, 2.0], rtt_ms=[1.0, float("nan"), 3.0])
    parquet.parquet_frame("pings", frame, tmp_path / "pings.parquet")
    (found,) = duckdb.sql(f"select avg(rtt_ms), count(rtt_ms) from '{tmp_path}/pings.parquet'").fetchall()
    assert found == (2.0, 2)
    assert np.isnan(pd.read_parquet(tmp_path / "pings.parquet")["rtt_ms"][1])


def test_long_tables_are_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 1000)
    frame = session_tables()["messages"]
    frame = pd.concat([frame] * 2, ignore_index=True).iloc[:5500]
    parquet.parquet_frame("messages", frame, tmp_path / "messages.parquet")
    written = pq.ParquetFile(tmp_path / "messages.parquet").metadata
    assert [written.row_group(i).num_rows for i in range(written.num_row_groups)] == [1000] * 5 + [500]
    assert_same("messages", pd.read_parquet(tmp_path / "messages.parquet"), frame)


def test_text_that_utf8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    bad = "caf\udce9"
    frame = full("findings", code=["x"], title=["y"], severity=["info"], evidence=[[bad, "plain"]])
    frame["severity"] = of_texts([bad, "caf\\udce9", "plain"], [0])
    parquet.parquet_frame("findings", frame, tmp_path / "findings.parquet")
    read = pd.read_parquet(tmp_path / "findings.parquet")
    assert list(read["evidence"][0]) == ["caf\\udce9", "plain"]
    assert read["severity"].tolist() == ["caf\\udce9"]


def of_texts(texts: list[str], codes: list[int]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object))


def test_types_follow_the_declaration() -> None:
    types = {field.name: field.type for field in parquet.schema_of("gaps")}
    assert types["channel"] == pa.dictionary(pa.int32(), pa.string())
    assert types["channel_id"] == pa.uint8()
    assert types["bytes"] == pa.int64()
    assert {f.name: f.type for f in parquet.schema_of("findings")}["evidence"] == pa.list_(pa.string())


def test_without_pyarrow_one_line_says_what_to_install(fixtures: Path, tmp_path: Path) -> None:
    script = "import sys; sys.modules['pyarrow'] = None\nfrom spicereplay.cli.app import main\nmain()\n"
    capture = fixtures / "captures" / "flap-mjpeg" / "capture.pcap"
    done = subprocess.run(
        [sys.executable, "-c", script, "export", str(capture), "--to", "parquet", "-o", str(tmp_path / "x")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "spicereplay: Parquet needs pyarrow, which is not installed: pip install 'spicereplay[parquet]'\n"
    )
    assert list(tmp_path.iterdir()) == []
