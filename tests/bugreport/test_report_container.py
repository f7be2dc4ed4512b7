"""The zip around a report: read in place, within limits, and as far as it goes when it is damaged."""

import contextlib
import dataclasses
import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ryllzip import pack

from spicereplay.bugreport.container import climbs_out, open_folder, open_zip
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.units import MIB

FILES = {"a.json": b'{"a": 1}', "traffic.pcap": bytes(range(256)) * 40, "empty": b""}


def opened(data: bytes, limits: Limits = DEFAULT_LIMITS):
    defects = DefectLog()
    return open_zip(io.BytesIO(data), limits=limits, defects=defects), defects


def contents(data: bytes, limits: Limits = DEFAULT_LIMITS):
    container, defects = opened(data, limits)
    return {name: container.read(name, 10 * MIB, defects) for name in container.names}, defects


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_back_as_they_were_packed(method):
    read, defects = contents(pack(FILES, method))
    assert read == FILES
    assert not len(defects)


def test_a_zip64_directory_is_read(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    data = pack(FILES)
    assert b"PK\x06\x06" in data
    assert contents(data)[0] == FILES


def test_a_folder_reads_like_a_zip(tmp_path: Path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    defects = DefectLog()
    folder = open_folder(tmp_path, limits=DEFAULT_LIMITS)
    assert {name: folder.read(name, MIB, defects) for name in folder.names} == FILES
    assert folder.read("traffic.pcap", 10, defects) is None
    assert folder.read("gone", 10, defects) is None
    assert [d.kind for d in defects] == [DefectKind.ZIP_LIMIT, DefectKind.FILE_DAMAGED]


# --- damage ------------------------------------------------------------------------------------------


def test_without_a_directory_the_local_headers_serve():
    data = pack(FILES)
    cut = data[: data.index(b"PK\x01\x02")]
    read, defects = contents(cut)
    assert read == FILES
    assert [d.kind for d in defects] == [DefectKind.ZIP_DAMAGED]


def test_a_member_cut_short_keeps_what_is_there():
    data = pack(FILES)
    start = data.index(FILES["traffic.pcap"])
    container, defects = opened(data[: start + 1000])
    assert container.read("traffic.pcap", MIB, defects) == FILES["traffic.pcap"][:1000]
    assert "1000 bytes, the zip claims 10240" in [d.detail for d in defects][-1]


@given(st.integers(0, len(pack(FILES))))
def test_cut_anywhere_it_reads_or_says_that_it_cannot(length: int):
    try:
        read, defects = contents(pack(FILES)[:length])
    except InputError:
        assert length < len(pack(FILES))
    else:
        assert len(defects) or length == len(pack(FILES))
        assert all(FILES[name].startswith(content) for name, content in read.items())


@given(st.data())
def test_any_byte_may_be_wrong(data: st.DataObject):
    method = data.draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    whole = bytearray(pack(FILES, method))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        contents(bytes(whole))


def test_a_wrong_checksum_is_named_and_the_content_used():
    data = bytearray(pack(FILES))
    data[data.index(FILES["traffic.pcap"]) + 5] ^= 1
    read, defects = contents(bytes(data))
    assert len(read["traffic.pcap"]) == len(FILES["traffic.pcap"])
    assert [(d.kind, d.where) for d in defects] == [(DefectKind.ZIP_DAMAGED, "traffic.pcap")]


def test_sizes_that_follow_the_data_are_found_by_the_next_header():
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(FILES["traffic.pcap"]) + packed.flush()
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 8, 8, 0, 0, 0, 0, 0, 12, 0) + b"traffic.pcap"
    tail = struct.pack("<4s3L", b"PK\x07\x08", 0, len(body), 10240)
    read, defects = contents(local + body + tail)
    assert read == {"traffic.pcap": FILES["traffic.pcap"]}
    assert {d.kind for d in defects} == {DefectKind.ZIP_DAMAGED}


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_or_an_empty_one_is_an_input_error(data: bytes):
    with pytest.raises(InputError):
        opened(data)


def test_a_path_that_cannot_be_read_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        open_zip(tmp_path / "gone.zip", limits=DEFAULT_LIMITS, defects=DefectLog())


# --- malice ------------------------------------------------------------------------------------------

CLIMBING = ["../x", "a/../../x", "/etc/x", "C:x", "c:/x", "a\\b", "..\\x", "..", "", "a\0b"]


@pytest.mark.parametrize("name", CLIMBING)
def test_names_that_lead_out_of_the_zip(name: str):
    assert climbs_out(name)


@pytest.mark.parametrize("name", ["metadata.json", "a/b.json", "a..b", "...", "é.png"])
def test_names_that_do_not(name: str):
    assert not climbs_out(name)


def test_members_with_such_names_are_left_out():
    read, defects = contents(pack({"../metadata.json": b"{}", "a.json": b"{}"}))
    assert read == {"a.json": b"{}"}
    assert [d.kind for d in defects] == [DefectKind.ZIP_MEMBER_NAME]


def test_nothing_but_such_names_is_an_input_error():
    with pytest.raises(InputError, match="leads out of the zip"):
        opened(pack({"../metadata.json": b"{}", "/traffic.pcap": b""}))


def test_encrypted_members_are_not_opened():
    data = bytearray(pack({"a.json": b"{}", "b.json": b"{}"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    read, defects = contents(bytes(data))
    assert list(read) == ["b.json"]
    assert "encrypted" in next(iter(defects)).detail


def test_of_two_members_of_one_name_the_first_counts():
    twice = pack({"a": b"first", "b": b"second"})
    read, defects = contents(twice.replace(b"bPK\x05\x06", b"aPK\x05\x06"))
    assert read == {"a": b"first"}
    assert "more than once" in next(iter(defects)).detail


def test_a_bomb_is_cut_at_the_ratio_and_nothing_of_it_used():
    bomb = pack({"a.json": bytes(8 * MIB)}, zipfile.ZIP_DEFLATED)
    read, defects = contents(bomb)
    assert read == {"a.json": None}
    assert [d.kind for d in defects] == [DefectKind.ZIP_LIMIT]


def test_a_bomb_that_lies_about_its_size_is_cut_too():
    bomb = bytearray(pack({"a.json": bytes(8 * MIB)}, zipfile.ZIP_DEFLATED))
    entry = bomb.index(b"PK\x01\x02")
    bomb[entry + 24 : entry + 28] = struct.pack("<L", 10)
    container, defects = opened(bytes(bomb))
    with container.open("a.json", 2 * MIB, defects) as file:
        assert len(file.read()) <= 2 * MIB
    assert [d.kind for d in defects] == [DefectKind.ZIP_LIMIT]


def test_a_claim_above_the_limit_is_not_even_opened():
    container, defects = opened(pack(FILES))
    assert container.read("traffic.pcap", 100, defects) is None
    assert next(iter(defects)).detail == "claims 10240 bytes, the limit is 100"


def test_too_many_members_are_refused_before_they_are_listed():
    limits = dataclasses.replace(DEFAULT_LIMITS, zip_members=3)
    with pytest.raises(InputError, match="more than 3 members"):
        opened(pack({f"{i}": b"" for i in range(9)}), limits)


def test_a_compression_nobody_uses_here_is_named():
    container, defects = opened(pack(FILES, zipfile.ZIP_LZMA))
    assert container.read("traffic.pcap", MIB, defects) is None
    assert "method 14" in next(iter(defects)).detail
