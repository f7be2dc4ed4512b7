"""Outcomes as JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from spicereplay.golden.check import Difference, Outcome, Verdict
from spicereplay.golden.junit import junit
from spicereplay.golden.manifest import Key

WRONG = Difference(
    Key(0, "display/0", 4, "image", "quic"), 99, (3, 4), "expected a, got b", (Path("p/x.png"),)
)
OUTCOMES = [
    Outcome(Path("good.pcap"), Verdict.HELD, compared={"lz_rgb": 3, "surface": 1}),
    Outcome(
        Path("bad.pcap"),
        Verdict.DIFFERENT,
        compared={"quic": 5, "lz_rgb": 2},
        wrong={"quic": 4},
        differences=(WRONG,),
    ),
    Outcome(Path("none.pcap"), Verdict.NO_MANIFEST, "no manifest none.pcap.golden"),
    Outcome(Path("empty\x00\x1b[2J.zip"), Verdict.NOTHING, "no picture in this capture"),
    Outcome(Path("other.pcap"), Verdict.HELD, compared={"quic": 1}, not_judged={"glz_rgb": 7}),
]


def test_every_codec_is_a_test_and_what_was_not_compared_did_not_pass() -> None:
    root = ElementTree.fromstring(junit(OUTCOMES))
    assert root.attrib == {"name": "golden", "tests": "8", "failures": "2", "skipped": "2"}
    cases = {
        (case.get("classname"), case.get("name")): [e.tag for e in case] for case in root.iter("testcase")
    }
    assert cases == {
        ("good.pcap", "lz_rgb"): [],
        ("good.pcap", "surface"): [],
        ("bad.pcap", "lz_rgb"): [],
        ("bad.pcap", "quic"): ["failure"],
        ("none.pcap", "manifest"): ["failure"],
        ("empty\\u0000\\u001b[2J.zip", "manifest"): ["skipped"],
        ("other.pcap", "quic"): [],
        ("other.pcap", "glz_rgb"): ["skipped"],
    }
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message") == str(WRONG)
    assert "4 of 5 differ" in (failure.text or "")
    assert "p/x.png" in (failure.text or "")


def test_captures_are_named_from_where_one_stands(tmp_path: Path) -> None:
    outcome = Outcome(tmp_path / "sub" / "x.pcap", Verdict.HELD, compared={"lz4": 1})
    assert b'name="sub/x.pcap"' in junit([outcome], tmp_path)
