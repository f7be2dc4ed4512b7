"""How results show themselves: compact, useful, and safe whatever a capture says."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import spicereplay as sr
from spicereplay import markup
from spicereplay.analysis.finding import Finding
from spicereplay.analysis.verdict import Verdict
from spicereplay.replay.picture import SHOWN_WIDTH_PX, Picture, checkerboard

HOSTILE = "<script>alert(1)</script> \"' & \u202e \x1b[31m <img src=x onerror=y>"
VOID = {"img", "br"}


class Balanced(HTMLParser):
    """Notes every element, and that each is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Balanced:
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert not parser.attributes - {"style", "src", "alt", "open"}
    assert set(parser.seen) <= {
        "b", "details", "div", "figcaption", "figure", "img", "li", "p", "small", "span", "summary",
        "table", "tbody", "td", "th", "thead", "tr", "ul",
    }  # fmt: skip
    return parser


def picture(height: int, width: int, unknown: slice = slice(0), why: tuple[str, ...] = ()) -> Picture:
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., 3] = 255
    mask = np.zeros((height, width), bool)
    mask[unknown] = True
    pixels[mask, :3] = checkerboard(height, width)[mask][:, None]
    pixels[mask, 3] = 0
    return Picture(pixels, mask, 12.5, 0, 0, 0, why)


def png_of(html: str) -> Image.Image:
    data = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert data is not None
    return Image.open(io.BytesIO(base64.b64decode(data[1])))


def test_a_capture_tells_its_sessions(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "reconnect" / "capture.pcap") as capture:
        html = capture._repr_html_()
        assert "capture.pcap</b> · pcap · 4 sessions · 21.2 s" in html
        assert parsed(html).seen.count("tr") == 1 + 4
        one = capture.sessions[1]._repr_html_()
        assert "Session 1" in one
        assert parsed(one).seen.count("tr") == 1 + len(capture.sessions[1].log.channels)


def test_a_report_without_recording_shows_too(fixtures: Path) -> None:
    with sr.open(fixtures / "bugreports" / "no-pcap-g1.zip") as capture:
        assert "0 sessions" in capture._repr_html_()
        parsed(capture._repr_html_())


def test_a_hostile_name_is_only_text(fixtures: Path, tmp_path: Path) -> None:
    path = tmp_path / "<script>alert(1)<!--\u202e.pcap"
    path.write_bytes((fixtures / "captures" / "xspice-agent" / "capture.pcap").read_bytes())
    with sr.open(path) as capture:
        for html in (capture._repr_html_(), capture.sessions[0]._repr_html_()):
            assert "script" not in parsed(html).seen
            assert "\u202e" not in html


def test_a_verdict_tells_its_finding_once_and_folds_the_rest(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "html5-agent-frozen" / "capture.pcap", decode=False) as capture:
        verdict = capture.verdict
        html = verdict._repr_html_()
        assert str(verdict) == "The guest agent took up to 2.29 s to answer."
        assert html.count("took up to 2.29 s") == 1
        assert parsed(html).seen.count("details") == len(capture.findings) - 1
        assert "<details open" not in html


def test_a_calm_verdict_opens_its_first_remark() -> None:
    remarks = tuple(Finding("a", "info", f"remark {n}", ("evidence",)) for n in range(3))
    html = Verdict("No problem was found.", "ok", (), remarks)._repr_html_()
    assert html.count("<details open") == 1
    assert parsed(html).seen.count("details") == 3


def test_many_findings_are_counted_not_shown() -> None:
    many = tuple(Finding("a", "warn", f"finding {n}", ("evidence",)) for n in range(40))
    html = Verdict("Much.", "warn", (), many)._repr_html_()
    assert parsed(html).seen.count("details") == 12
    assert "and 28 more" in html


def test_what_the_input_says_is_text_in_a_verdict() -> None:
    finding = Finding("a", "warn", HOSTILE, (HOSTILE, "x" * 10_000))
    verdict = Verdict(HOSTILE, "warn", (HOSTILE,), (finding,))
    assert not {"script", "img"} & set(parsed(verdict._repr_html_()).seen)
    assert len(verdict._repr_html_()) < 3000
    assert "\x1b" not in str(verdict)


@given(st.text(max_size=80), st.lists(st.text(max_size=30), max_size=20))
def test_any_text_makes_sound_html(text: str, cells: list[str]) -> None:
    parsed(f"<div>{markup.cell(text)}{markup.severity(text)}</div>")
    assert parsed(markup.table([text], [[cell] for cell in cells])).seen.count("td") == min(len(cells), 12)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (256_285, "256.3 kB"),
        (3_519_240, "3.5 MB"),
        (4 * 10**9, "4.0 GB"),
        (10**13, "10,000.0 GB"),
    ],
)
def test_sizes_for_people(count: int, words: str) -> None:
    assert markup.size(count) == words


def test_a_picture_shows_its_unknown_part_and_says_what_it_is() -> None:
    found = picture(40, 100, slice(0, 10), why=(HOSTILE,))
    html = found._repr_html_()
    assert "script" not in parsed(html).seen
    assert "Unknown, the checkerboard: 1,000 px, 25.0%" in html
    shown = np.asarray(png_of(html))
    assert shown.shape == (40, 100, 3)
    assert np.array_equal(shown[:10], found.pixels[:10, :, :3])


def test_a_known_picture_says_when_it_is_and_nothing_else() -> None:
    assert "<figcaption>100×40 px at 12.500 s</figcaption>".replace(",", "") in picture(40, 100)._repr_html_()


def test_a_large_picture_is_shown_smaller() -> None:
    html = picture(1440, 2560)._repr_html_()
    assert png_of(html).size == (SHOWN_WIDTH_PX, 720)
    assert "shown 1,280 px wide" in html
    assert len(html) < 20_000


def test_a_notebook_is_given_one_form_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda forms, raw: given.append(forms) if raw else None)
    found = picture(4, 4)
    found._ipython_display_()
    assert given == [{"text/html": found._repr_html_(), "text/plain": repr(found)}]
