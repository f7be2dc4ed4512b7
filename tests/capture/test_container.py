import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spicereplay.capture.container import map_bytes, map_member, open_file
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError
from spicereplay.limits import DEFAULT_LIMITS, Limits

DATA = np.random.default_rng(7).integers(0, 256, 600_000, np.uint8).tobytes()


def kinds(log: DefectLog) -> list[DefectKind]:
    return [defect.kind for defect in log]


def test_a_plain_file_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    with open_file(path) as file:
        assert (file.name, file.size) == ("a.pcap", len(DATA))
        assert bytes(file.memory) == DATA
        assert file.memory.readonly
        file.release(0, file.size)
        file.release(-5, 10**9)
        assert bytes(file.memory) == DATA, "what was released comes back"


def test_an_empty_file_is_empty_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.touch()
    with open_file(path) as file:
        assert file.size == 0


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.pcap: No such file"):
        open_file(tmp_path / "gone.pcap")
    with pytest.raises(InputError, match="Is a directory"):
        open_file(tmp_path)


def test_views_outlive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    file = open_file(path)
    view = np.frombuffer(file.memory, np.uint8)
    file.close()
    assert view[:10].tobytes() == DATA[:10]


def test_bytes_in_memory_are_a_file_too() -> None:
    with map_bytes(DATA) as file:
        file.release(0, 10)
        assert bytes(file.memory[:4]) == DATA[:4]


@pytest.mark.parametrize("cut", [0, 1, 300_000], ids=["one member", "an empty and a full one", "two members"])
def test_gzip_is_inflated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(DATA[:cut]) + gzip.compress(DATA[cut:]) + bytes(512))
    with open_file(path) as file:
        assert bytes(file.memory) == DATA
        assert not len(file.defects)


def test_what_inflates_a_lot_is_taken_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(20_000_000)))
    with open_file(path) as file:
        assert file.size == 20_000_000


def test_a_cut_off_gzip_file_gives_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    packed = gzip.compress(DATA)
    path.write_bytes(packed[:400_000])
    with open_file(path) as file:
        assert 300_000 < file.size < 400_100
        assert bytes(file.memory) == DATA[: file.size]
        assert kinds(file.defects) == [DefectKind.FILE_TRUNCATED]


def test_a_damaged_gzip_file_gives_what_comes_before(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    text = b"".join(b"%d," % i for i in range(200_000))
    packed = bytearray(gzip.compress(text))
    middle = len(packed) // 2
    packed[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(packed)
    with open_file(path) as file:
        good = len(text) // 3
        assert file.size > good
        assert bytes(file.memory[:good]) == text[:good]
        assert kinds(file.defects) == [DefectKind.FILE_DAMAGED]


def test_inflating_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(DATA))
    with open_file(path, limits=Limits(zip_member_bytes=100_000)) as file:
        assert bytes(file.memory) == DATA[:100_000]
        assert kinds(file.defects) == [DefectKind.OVER_LIMIT]


def archive(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("traffic.pcap", data)
    return out.getvalue()


def test_a_zip_member_is_mapped() -> None:
    with (
        zipfile.ZipFile(io.BytesIO(archive(DATA))) as outer,
        outer.open("traffic.pcap") as member,
        map_member(member, DEFAULT_LIMITS.zip_member_bytes, name="traffic.pcap") as file,
    ):
        assert bytes(file.memory) == DATA
        assert not len(file.defects)


def test_a_zip_member_over_the_limit_is_cut() -> None:
    defects = DefectLog()
    with (
        zipfile.ZipFile(io.BytesIO(archive(DATA))) as outer,
        outer.open("traffic.pcap") as member,
        map_member(member, 500_000, name="traffic.pcap", defects=defects) as file,
    ):
        assert bytes(file.memory) == DATA[:500_000]
    assert kinds(defects) == [DefectKind.ZIP_LIMIT]


def test_a_zip_member_of_exactly_the_limit_is_whole() -> None:
    with map_member(io.BytesIO(DATA), len(DATA)) as file:
        assert file.size == len(DATA)
        assert not len(file.defects)


def test_a_zip_member_with_a_wrong_checksum_is_used_up_to_there() -> None:
    packed = bytearray(archive(DATA))
    packed[400_000] ^= 1
    with (
        zipfile.ZipFile(io.BytesIO(packed)) as outer,
        outer.open("traffic.pcap") as member,
        map_member(member, DEFAULT_LIMITS.zip_member_bytes, name="traffic.pcap") as file,
    ):
        assert file.size > 300_000
        assert bytes(file.memory[:300_000]) == DATA[:300_000]
        assert kinds(file.defects) == [DefectKind.ZIP_DAMAGED]
