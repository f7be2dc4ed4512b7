"""The page is one file that asks nobody for anything, runs nothing of the input, and never varies."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from support.report_content import bare, usual
from support.report_hostile import NASTY, hostile
from support.tables import empty_tables, full

from spicereplay.analysis import schema
from spicereplay.errors import OutputExistsError, UsageError
from spicereplay.report import QualityNote, render, write_report
from spicereplay.report.looks import CHANNEL_DASH, CODEC_FILL, CODEC_SHAPE
from spicereplay.report.page import SECTIONS, embedded_json
from spicereplay.report.tables import MOST_ROWS


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text outside scripts and styles."""

    VOID = frozenset({"meta", "link", "img", "br", "path", "line", "rect", "input"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.text: list[str] = []
        self.blocks: list[tuple[str, dict[str, str], str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self.blocks.append((tag, self.elements[-1][1], ""))
        if tag not in self.VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self.inside and self.inside[-1] in ("script", "style"):
            tag, attributes, text = self.blocks.pop()
            self.blocks.append((tag, attributes, text + data))
        else:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def usual_page() -> str:
    return render(usual())


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return render(hostile())


def policy(page: Page) -> dict[str, list[str]]:
    (meta,) = (m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = (rule.split() for rule in meta["content"].split(";"))
    return {name: values for name, *values in rules}


# ---- what the page may do ------------------------------------------------------------------------


def test_the_policy_allows_our_scripts_and_styles_by_hash_and_nothing_else(usual_page: str) -> None:
    page = Page(usual_page)
    rules = policy(page)
    assert rules["default-src"] == ["'none'"]
    assert rules["img-src"] == ["data:"]
    assert rules["base-uri"] == rules["form-action"] == ["'none'"]

    def hashes(tag):
        texts = [text for name, attributes, text in page.blocks if name == tag and "type" not in attributes]
        return [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in texts]

    assert rules["script-src"] == hashes("script")
    assert rules["style-src"] == hashes("style")


@pytest.mark.parametrize("which", ["usual_page", "hostile_page"])
def test_nothing_refers_to_anything_outside_and_nothing_runs_from_attributes(which: str, request) -> None:
    page = Page(request.getfixturevalue(which))
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "frame", "audio", "video", "source")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style"
            if name in ("src", "href", "srcset", "action", "poster", "xlink:href"):
                assert value.startswith(("#", "data:")), (tag, name, value)
    css = "".join(text for tag, _, text in page.blocks if tag == "style")
    assert "url(" not in css
    assert "@import" not in css


def test_the_licence_of_the_chart_library_travels_with_it(usual_page: str) -> None:
    licence = (files("spicereplay.report") / "assets" / "LICENSE.uPlot").read_text()
    assert "".join(licence.split()) in "".join("".join(Page(usual_page).text).split())


# ---- hostile text --------------------------------------------------------------------------------


def test_hostile_text_is_text(hostile_page: str) -> None:
    page = Page(hostile_page)
    assert len(page.all("script")) == 4  # uPlot, our two, the data
    assert all(a["src"].startswith("data:") for a in page.all("img"))
    assert "<script>document.title='owned'</script>" in "".join(page.text)
    assert r"\u202egnp.exe" in "".join(page.text)
    assert "{{7*7}}" in "".join(page.text)


def test_no_character_of_the_page_hides_or_reorders(hostile_page: str) -> None:
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", hostile_page
    )


def test_data_cannot_leave_its_block(hostile_page: str) -> None:
    (data,) = (text for tag, a, text in Page(hostile_page).blocks if a.get("type") == "application/json")
    assert not set("<>&\u2028\u2029") & set(data)
    assert json.loads(data)["streams"]["codecs"]


def test_embedded_json_means_the_same_as_json() -> None:
    value = {"</script>": ["<!--", "a&b", "\u2028", "é"]}
    assert json.loads(embedded_json(value)) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json(float("nan"))


def test_a_name_in_a_command_is_quoted_for_the_shell() -> None:
    tables = empty_tables() | {"gaps": full("gaps", time_s=[1.0] * (MOST_ROWS + 1))}
    page = "".join(Page(render(bare(tables=tables, source_name="a b;rm -rf ~.pcap"))).text)
    assert "spicereplay table 'a b;rm -rf ~.pcap' gaps" in page


# ---- what stands on it ---------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["usual_page", "hostile_page"])
def test_sections_come_in_order_and_the_navigation_leads_to_them(which: str, request) -> None:
    page = Page(request.getfixturevalue(which))
    anchors = [anchor for anchor, _ in SECTIONS]
    assert [a["id"] for a in page.all("section")] == anchors
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in ids


TABLES_IN_ORDER = [
    "gaps",
    "streams",
    "flaps",
    "regions",
    "latency",
    "answers",
    "display_silence",
    "agent_by_type",
    "agent",
    "agent_starvation",
    "channels",
    "message_counts",
    "ack_stalls",
    "round_trips",
    "tcp",
    "capabilities",
    "disagreements",
    "notifications",
    "client_report",
    "client_report",
    "defects_by_kind",
    "defects",
]


def test_tables_come_in_order_with_the_columns_of_the_schema(usual_page: str) -> None:
    names, columns = [], {}
    for tag, attributes in Page(usual_page).elements:
        if "data-table" in attributes:
            names.append(attributes["data-table"])
        if tag == "th":
            columns.setdefault(names[-1], []).append(attributes.get("data-column"))
    assert names == TABLES_IN_ORDER
    for name in set(names) & set(schema.TABLES):
        assert set(columns[name]) <= set(schema.TABLES[name].names), name


def test_every_empty_section_says_why() -> None:
    html = render(bare())
    for anchor, _ in SECTIONS[1:-1]:
        part = html.split(f'<section id="{anchor}"')[1].split("</section>")[0]
        assert 'class="none"' in part, anchor
    assert 'id="timeline-data"' not in html


def test_evidence_of_the_verdict_stands_once() -> None:
    evidence = ["one figure (capture)", "another (capture)"]
    findings = full("findings", title=["t"], severity=["warn"], evidence=[evidence])
    html = render(bare(tables=empty_tables() | {"findings": findings}, verdict_evidence=evidence))
    assert html.count("one figure (capture)") == 1
    assert "Its evidence is that of the verdict." in html


def test_long_tables_are_cut_and_say_how_to_see_the_rest() -> None:
    count = MOST_ROWS + 1234
    streams = full("streams", created_s=range(count), codec=["mjpeg"] * count)
    html = render(bare(tables=empty_tables() | {"streams": streams}, source_name="x.pcap"))
    part = html.split('data-table="streams"')[1].split("</details>")[0]
    assert part.count("<tr>") == MOST_ROWS + 1
    assert "1,234 more" in part
    assert "spicereplay streams x.pcap" in part


def test_figures_of_decode_times() -> None:
    frames = full(
        "frames",
        time_s=range(101),
        codec=["mjpeg"] * 101,
        width=[640] * 101,
        height=[480] * 101,
        decode_ms=[*range(1, 101), float("nan")],
    )
    html = render(bare(duration_s=101.0, tables=empty_tables() | {"frames": frames}))
    part = html.split('data-table="latency"')[1].split("</table>")[0]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", part)
    assert cells[:9] == ["mjpeg", "640", "480", "100", "50.50", "95.05", "99.01", "100.00", "1"]


def test_sessions_are_told_apart_only_where_there_are_several() -> None:
    one = full("flaps", session=[0, 0], time_s=[1, 2])
    two = full("flaps", session=[0, 1], time_s=[1, 2])

    def part(table):
        return render(bare(tables=empty_tables() | {"flaps": table})).split('data-table="flaps"')[1]

    assert 'data-column="session"' not in part(one).split("</table>")[0]
    assert 'data-column="session"' in part(two).split("</table>")[0]


# ---- the file ------------------------------------------------------------------------------------


def test_the_same_content_gives_the_same_bytes(usual_page: str) -> None:
    assert render(usual()) == usual_page


def test_an_hour_of_flapping_fits_into_five_megabytes() -> None:
    assert len(render(usual(3600.0, 2000, 30.0)).encode()) < 5_000_000


def test_an_existing_page_is_kept_unless_forced(tmp_path) -> None:
    path = tmp_path / "page.html"
    assert write_report(bare(), path) == path
    first = path.read_bytes()
    with pytest.raises(OutputExistsError, match="--force"):
        write_report(bare(verdict="Other."), path)
    assert path.read_bytes() == first
    write_report(bare(verdict="Other."), path, force=True)
    assert b"Other." in path.read_bytes()
    assert b"\r" not in path.read_bytes()


def test_content_is_checked_when_made() -> None:
    with pytest.raises(UsageError, match="missing: streams"):
        bare(tables={name: t for name, t in empty_tables().items() if name != "streams"})
    with pytest.raises(UsageError, match="severity 'bad'"):
        bare(verdict_severity="bad")
    with pytest.raises(UsageError, match="severity 'ugly'"):
        bare(quality=[QualityNote("ugly", NASTY, "")])


# ---- colours -------------------------------------------------------------------------------------


def palette() -> dict[str, tuple[str, str]]:
    css = (files("spicereplay.report") / "assets" / "page.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", css)
    return {name: (light, dark) for name, light, dark in pairs}


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours. Source: WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_can_be_read_on_every_ground(scheme: int) -> None:
    colours = {name: pair[scheme] for name, pair in palette().items()}
    for word in ("text", "muted", "accent", "ok", "info", "warn", "critical"):
        for ground in ("sheet", "page", "well"):
            assert contrast(colours[word], colours[ground]) >= 4.5, (word, ground)
    for codec in CODEC_SHAPE:  # the label of a bar
        assert contrast(colours["sheet"], colours[f"codec-{codec}"]) >= 4.5, codec


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_lines_and_marks_stand_out(scheme: int) -> None:
    colours = {name: pair[scheme] for name, pair in palette().items()}
    drawn = [n for n in colours if n.startswith(("channel-", "codec-"))] + ["flap", "lag", "hatch"]
    for name in drawn:
        assert contrast(colours[name], colours["sheet"]) >= 3, name


def test_every_look_has_a_colour_and_no_two_look_alike_without_it() -> None:
    colours = palette()
    assert all(f"channel-{channel}" in colours for channel in CHANNEL_DASH)
    assert all(f"codec-{codec}" in colours for codec in CODEC_SHAPE)
    assert set(CODEC_FILL) == set(CODEC_SHAPE)
    for look in (CHANNEL_DASH, CODEC_SHAPE, CODEC_FILL):
        assert len(set(look.values())) == len(look)
