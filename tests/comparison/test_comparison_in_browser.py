"""The page of a comparison in a real browser: it fits, wide and narrow, light and dark, and nothing complains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import MARKS, chromium, playwright

import spicereplay as sr
from spicereplay.report.comparison_page import write_comparison

pytestmark = MARKS


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def written(fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    captures = fixtures / "captures"
    names = ("video-vp8", "flap-mjpeg", "qemu-guest-desktop-lz4", "html5-agent-frozen")
    found = sr.compare(*(captures / name / "capture.pcap" for name in names), decode=False)
    return write_comparison(found, tmp_path_factory.mktemp("pages") / "page.html")


@pytest.mark.parametrize("width", [1200, 700, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_nothing_complains(
    browser: playwright.Browser, written: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None
    )
    page.goto(written.as_uri())
    page.locator("details.table").evaluate_all("all => all.forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    bars = page.locator("svg.lane rect[class^=codec-]")
    assert bars.count() > 6
    assert all(box is not None and box["width"] > 0 for box in (bars.nth(i).bounding_box() for i in range(7)))
    assert [words for words in said if not words.startswith("data:")] == []
    page.close()
