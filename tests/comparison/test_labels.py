"""How inputs get their names."""

from pathlib import Path

import pytest

from spicereplay.comparison.labels import factors, names, split


@pytest.mark.parametrize(
    ("argument", "label", "path"),
    [
        ("a.pcap", None, "a.pcap"),
        ("before=a.pcap", "before", "a.pcap"),
        ("driver:qxl,vmem:16=x/a.zip", "driver:qxl,vmem:16", "x/a.zip"),
        ("runs/vmem=16.pcap", None, "runs/vmem=16.pcap"),
        ("a=b=c.pcap", "a", "b=c.pcap"),
        ("=a.pcap", None, "=a.pcap"),
        ("a=", None, "a="),
    ],
)
def test_split(argument: str, label: str | None, path: str) -> None:
    assert split(argument) == (label, Path(path))


def test_a_file_with_an_equals_sign_in_its_name_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vmem=16").touch()
    monkeypatch.chdir(tmp_path)
    assert split("vmem=16") == (None, Path("vmem=16"))


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("driver:qxl,vmem:16", {"driver": "qxl", "vmem": "16"}),
        ("driver: qxl , vmem: 16", {"driver": "qxl", "vmem": "16"}),
        ("before", {}),
        ("at 12:30, again", {}),
        (":", {}),
    ],
)
def test_factors(label: str, found: dict[str, str]) -> None:
    assert factors(label) == found


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a.pcap", "b.zip"], ["a", "b"]),
        (["flap/capture.pcap", "video/capture.pcap"], ["flap", "video"]),
        (["x/1/capture.pcap", "y/1/capture.pcap"], ["x/1", "y/1"]),
        (["x/a.pcap", "y/a.pcap", "y/b.pcap"], ["x/a", "y/a", "y/b"]),
        (["a.pcap", "a.pcap"], ["a", "a (2)"]),
        (["flap/capture.pcap", "b.zip"], ["flap", "b"]),
        (["a.pcapng.gz"], ["a"]),
        ([], []),
    ],
)
def test_names(paths: list[str], found: list[str]) -> None:
    assert names([Path(path) for path in paths]) == found
