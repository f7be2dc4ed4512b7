"""Whole comparisons of recorded sessions: what is said, what is not, and in which form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spicereplay as sr
from spicereplay.comparison.alignment import EVENTS
from spicereplay.comparison.effect import Outcome
from spicereplay.comparison.quantities import QUANTITIES
from spicereplay.comparison.result import Comparison

COUNTED = "quantities of"


@pytest.fixture(scope="module")
def flap_and_video(fixtures: Path) -> Comparison:
    captures = fixtures / "captures"
    return sr.compare(
        captures / "video-vp8" / "capture.pcap",
        captures / "flap-mjpeg" / "capture.pcap",
        labels=["steady", "flapping"],
    )


def differences(found: Comparison) -> list[str]:
    return [sentence for sentence in found.summary if COUNTED not in sentence]


def test_flapping_is_named_first(flap_and_video: Comparison) -> None:
    first, *others = differences(flap_and_video)
    assert first.startswith("flapping flaps: 3 streams destroyed within 30 s, mean lifetime 1.57 s")
    assert "against none in steady" in first
    assert not any("flap" in sentence and "stops it again" in sentence for sentence in others)
    assert "flapping: video codecs mjpeg, against vp8 in steady." in others


def test_the_baseline_can_be_the_one_that_flaps(fixtures: Path) -> None:
    captures = fixtures / "captures"
    found = sr.compare(
        captures / "video-vp8" / "capture.pcap",
        captures / "flap-mjpeg" / "capture.pcap",
        baseline="flap-mjpeg",
        decode=False,
    )
    assert found.baseline == "flap-mjpeg"
    assert differences(found)[0].startswith("flap-mjpeg flaps: ")
    assert not any(row.quantity.name in ("decode", "images") for row in found.rows)


def test_what_only_one_of_two_has_is_no_word_about_a_third(fixtures: Path) -> None:
    """With three sessions, what the first has and the second lacks is not the first's alone."""
    names = ("xspice-agent", "qemu-boot-lz4", "ticket")
    found = sr.compare(*(fixtures / "captures" / name / "capture.pcap" for name in names), decode=False)
    channels = "playback/0, record/0, usbredir/0, usbredir/1"
    assert f"Channels: {channels} in qemu-boot-lz4, not in xspice-agent." in found.summary


@pytest.mark.parametrize("name", ["flap-mjpeg", "qemu-guest-desktop-lz4"])
def test_a_capture_against_itself_finds_nothing(fixtures: Path, name: str) -> None:
    path = fixtures / "captures" / name / "capture.pcap"
    found = sr.compare(path, path)
    assert found.labels == [name, f"{name} (2)"]
    assert differences(found) == [f"Nothing differs between {name} (2) and {name}."]
    assert found.differences == []
    assert not any(fact.differs for fact in found.facts)


def test_sessions_of_one_workload_do_not_differ(fixtures: Path) -> None:
    """One recording of four connections, one after the other, to the same still screen."""
    with sr.open(fixtures / "captures" / "reconnect" / "capture.pcap") as capture:
        found = sr.compare(*capture.sessions)
        assert found.labels == [f"session {number}" for number in range(4)]
        assert found.differences == []
        assert len(differences(found)) == 3
        # What the caller opened stays open.
        assert len(capture.messages)


def test_a_slow_agent_is_told(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "html5-agent-frozen" / "capture.pcap") as frozen:
        found = sr.compare(fixtures / "captures" / "xspice-agent" / "capture.pcap", frozen, labels=["a", "b"])
    assert any("Only b, not a: the guest agent took up to 2.29 s" in sentence for sentence in found.summary)


def test_a_bug_report_without_a_recording_can_take_part(fixtures: Path) -> None:
    found = sr.compare(
        fixtures / "captures" / "flap-mjpeg" / "capture.pcap",
        fixtures / "bugreports" / "no-pcap-g1.zip",
        labels=["a", "b"],
    )
    assert any("no recording" in sentence for sentence in found.summary)
    assert any("Only a, not b: the video stream flaps" in sentence for sentence in found.summary)
    assert {row.quantity.name: row.effects[1] for row in found.rows}["frame_gap"].outcome is Outcome.ONE_SIDE  # type: ignore[union-attr]
    json.dumps(found.to_json(), allow_nan=False)


def test_the_table_has_a_row_per_quantity_and_session(flap_and_video: Comparison) -> None:
    table = flap_and_video.table.set_index(["quantity", "variant"])
    assert set(table["session"]) == {"flapping"}
    gap = table.loc[("frame_gap", "")]
    assert gap["unit"] == "ms"
    assert 39 < gap["value"] < 41
    assert gap["low"] < gap["estimate"] < gap["high"]
    assert table.loc[("flaps", ""), "outcome"] == "different"
    assert table.loc[("flaps", ""), "judgement"] == "worse"


def test_the_matrix_has_a_column_per_session(flap_and_video: Comparison) -> None:
    matrix = flap_and_video.matrix
    assert list(matrix.columns) == ["steady", "flapping"]
    assert matrix.loc[("flaps", "")].tolist() == [0.0, 1.0]


def test_json_keeps_its_keys(flap_and_video: Comparison) -> None:
    found = json.loads(json.dumps(flap_and_video.to_json(), allow_nan=False))
    assert list(found) == [
        "schema_version",
        "baseline",
        "sessions",
        "alignment",
        "summary",
        "quantities",
        "findings",
        "facts",
    ]
    assert list(found["sessions"][0]) == [
        "label",
        "source",
        "kind",
        "duration_s",
        "sessions",
        "verdict",
        "factors",
        "events",
    ]
    first = found["quantities"][0]
    assert first["name"] == "flaps"
    assert first["kind"] == "occurrences"
    assert first["values"]["flapping"] == {"value": 1.0, "count": 1, "independent": 1.0}
    assert list(first["effects"]) == ["flapping"]
    assert list(first["effects"]["flapping"]) == [
        "outcome",
        "judgement",
        "scale",
        "estimate",
        "low",
        "high",
        "cliffs_delta",
        "detail",
    ]


def test_it_shows_itself(flap_and_video: Comparison) -> None:
    assert str(flap_and_video).splitlines() == list(flap_and_video.summary)
    assert "2 quantities differ" in repr(flap_and_video) or "1 quantities differ" in repr(flap_and_video)
    shown = flap_and_video._repr_html_()
    assert "<td>flapping video</td>" in shown
    assert len(shown) < 20_000


def test_labels_are_text_and_not_markup(fixtures: Path) -> None:
    path = fixtures / "captures" / "ticket" / "capture.pcap"
    found = sr.compare(path, path, labels=["<script>a", "b\u202e"], decode=False)
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "\u202e" not in shown
    assert "\u202e" not in str(found)


def test_clocks_are_laid_over_each_other_at_an_event_all_have(flap_and_video: Comparison) -> None:
    alignment = flap_and_video.alignment
    assert alignment.event == "stream_1"
    assert set(alignment.times["flapping"]) <= set(EVENTS)
    assert alignment.times["flapping"]["stream_1"] == pytest.approx(3.528, abs=0.001)
    assert alignment.offset_s("flapping") == alignment.times["flapping"]["stream_1"]
    events = alignment.times["flapping"]
    assert events["start"] <= events["main_init"] <= events["surface"] <= events["draw"] <= events["stream_1"]
    assert events["stream_1"] < events["stream_2"] < events["stream_6"]


def test_factors_come_from_labels(fixtures: Path) -> None:
    path = fixtures / "captures" / "ticket" / "capture.pcap"
    found = sr.compare(path, path, labels=["driver:qxl,vmem:16", "driver:qxl,vmem:64"], decode=False)
    assert [session.factors["vmem"] for session in found.sessions] == ["16", "64"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, "1 labels for 2 inputs"),
        ({"labels": ["a", "a"]}, "differ from one another"),
        ({"baseline": "c"}, "none of"),
        ({"align_on": "stream_1"}, "first STREAM_CREATE was not seen"),
        ({"align_on": "noon"}, "no event 'noon'"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_so(fixtures: Path, options: dict[str, object], message: str) -> None:
    path = fixtures / "captures" / "ticket" / "capture.pcap"
    with pytest.raises(sr.UsageError, match=message):
        sr.compare(path, path, decode=False, **options)  # type: ignore[arg-type]


def test_one_is_not_enough(fixtures: Path) -> None:
    with pytest.raises(sr.UsageError, match="two inputs at least"):
        sr.compare(fixtures / "captures" / "ticket" / "capture.pcap", decode=False)


def test_declarations_are_whole() -> None:
    for name, quantity in QUANTITIES.items():
        assert quantity.name == name
        assert quantity.meaning
        assert quantity.source.split(", ")[-1] in ("capture", "remeasured", "client_reported")
        assert quantity.independent
        assert quantity.relevant > 0
        assert quantity.factor >= 1
        assert 0 < quantity.weight <= 100


@pytest.mark.shared
@pytest.mark.parametrize(
    ("steady", "flapping"),
    [
        ("captures/video-mjpeg/capture.pcap", "captures/flap-mjpeg/capture.pcap"),
        ("captures/qemu-guest-desktop/capture.pcap", "captures/qemu-guest-flap/capture.pcap"),
        ("bugreports/display-desktop-g1", "bugreports/display-flap-g2"),
        ("bugreports/display-desktop-g1", "bugreports/display-flap-g1"),
    ],
)
def test_flapping_comes_first_in_real_pairs(shared: Path, steady: str, flapping: str) -> None:
    paths = [next((shared / name).glob("*.zip"), shared / name) for name in (steady, flapping)]
    found = sr.compare(*paths, labels=["A", "B"], decode=False)
    assert differences(found)[0].startswith("B flaps: ")
