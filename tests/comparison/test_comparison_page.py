"""The page of a comparison: whole, self-contained, and safe to open."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import spicereplay as sr
from spicereplay.comparison.result import Comparison
from spicereplay.report.comparison_page import SECTIONS, render_comparison, write_comparison


@pytest.fixture(scope="module")
def three(fixtures: Path) -> Comparison:
    captures = fixtures / "captures"
    return sr.compare(
        *(captures / name / "capture.pcap" for name in ("video-vp8", "flap-mjpeg", "qemu-guest-desktop-lz4")),
        labels=["server:x,kind:video", "server:x,kind:flap", "server:q,kind:desktop"],
        align_on="draw",
    )


@pytest.fixture(scope="module")
def page(three: Comparison) -> str:
    return render_comparison(three, command_line="spicereplay compare a b c")


def test_all_sections_are_there(page: str) -> None:
    for anchor, _ in SECTIONS:
        assert f'id="{anchor}"' in page
        assert f'href="#{anchor}"' in page


def test_the_headline_is_the_most_important_difference(page: str) -> None:
    headline = re.search(r'<h2 id="summary-words">(.*?)</h2>', page)
    assert headline is not None
    assert headline[1].startswith("server:x,kind:flap flaps: 3 streams")


def test_factors_are_columns_and_rows(page: str) -> None:
    assert "<th>server</th><th>kind</th>" in page
    assert '<th scope="row">kind</th><th>video</th><th>flap</th><th>desktop</th>' in page


def test_nothing_is_fetched_and_no_style_is_inline(page: str) -> None:
    assert not re.search(r"(?:src|href)=\"(?!#|data:,)", page)
    assert " style=" not in page
    assert "default-src &#39;none&#39;" in page


def test_drawings_are_sound(page: str) -> None:
    """Every SVG is well formed, and every curve a path of numbers."""
    for drawing in re.findall(
        r"<svg class=\"(?:box|lane).*?</svg>\s*(?=<svg class=\"time|<|$)", page, re.DOTALL
    ):
        inner = drawing if drawing.count("<svg") == drawing.count("</svg>") else drawing + "</svg>"
        ElementTree.fromstring(inner)
    paths = re.findall(r'<path class="curve side-\d" d="([^"]*)"', page)
    assert len(paths) > 6
    number = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    assert all(re.fullmatch(rf"M{number} {number}(?:L{number} {number})*", path) for path in paths)


def test_the_same_comparison_gives_the_same_page(three: Comparison, page: str) -> None:
    assert render_comparison(three, command_line="spicereplay compare a b c") == page


def test_labels_are_shown_and_not_obeyed(fixtures: Path) -> None:
    path = fixtures / "captures" / "ticket" / "capture.pcap"
    label = "<img src=x onerror=alert(1)>"
    found = render_comparison(sr.compare(path, path, labels=[label, "b\u202e"], decode=False))
    assert "<img" not in found
    assert "\u202e" not in found
    assert "Nothing differs between" in found
    assert "No quantity has enough values" in found or "Distributions" in found


def test_a_page_is_not_overwritten_unasked(three: Comparison, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    assert write_comparison(three, target) == target
    with pytest.raises(sr.OutputExistsError):
        write_comparison(three, target)
    write_comparison(three, target, force=True)


def test_inputs_without_any_recording_have_a_page(fixtures: Path) -> None:
    path = fixtures / "bugreports" / "no-pcap-g1.zip"
    found = render_comparison(sr.compare(path, path))
    assert "No quantity differs" in found
