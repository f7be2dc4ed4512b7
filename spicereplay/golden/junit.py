"""Outcomes as JUnit XML, which continuous integration shows: a test suite for each capture, a test for each codec."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from spicereplay.golden.check import Outcome, Verdict, group_of
from spicereplay.text import visible

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Iterable[Outcome], root: Path | None = None) -> bytes:
    """Return the outcomes as a JUnit document.

    What could not be compared is a failure (no manifest, another capture) or skipped (nothing to compare, codecs the
    decoder does not do); neither counts as passed. Captures are named relative to `root` where they lie below it.
    """
    suites = ElementTree.Element("testsuites", name="golden")
    totals = {"tests": 0, "failures": 0, "skipped": 0}
    for outcome in outcomes:
        name = _text(_name(outcome.capture, root))
        suite = ElementTree.SubElement(suites, "testsuite", name=name)
        counts = _cases(suite, name, outcome)
        for what, count in counts.items():
            suite.set(what, str(count))
            totals[what] += count
    for what, count in totals.items():
        suites.set(what, str(count))
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _cases(suite: ElementTree.Element, name: str, outcome: Outcome) -> dict[str, int]:
    counts = {"tests": 0, "failures": 0, "skipped": 0}

    def case(what: str) -> ElementTree.Element:
        counts["tests"] += 1
        return ElementTree.SubElement(suite, "testcase", classname=name, name=_text(what))

    if outcome.verdict not in (Verdict.HELD, Verdict.DIFFERENT):
        failed = outcome.verdict.failed
        counts["failures" if failed else "skipped"] += 1
        element = "failure" if failed else "skipped"
        ElementTree.SubElement(case("manifest"), element, message=_text(outcome.sentence))
        return counts
    for group in sorted(outcome.compared.keys() | outcome.wrong.keys()):
        wrong = outcome.wrong.get(group, 0)
        test = case(group)
        if not wrong:
            continue
        counts["failures"] += 1
        mine = [each for each in outcome.differences if group_of(each.key) == group]
        first = str(mine[0]) if mine else f"{wrong} pictures differ"
        failure = ElementTree.SubElement(test, "failure", message=_text(first))
        lines = [f"{wrong} of {outcome.compared.get(group, 0)} differ", *map(str, mine)]
        lines += [str(file) for each in mine for file in each.pictures]
        failure.text = _text("\n".join(lines), 20_000)
    for group, count in sorted(outcome.not_judged.items()):
        if group not in outcome.compared:
            counts["skipped"] += 1
            ElementTree.SubElement(
                case(group), "skipped", message=f"{count} pictures that the decoder does not do"
            )
    return counts


def _name(capture: Path, root: Path | None) -> str:
    if root is not None and capture.absolute().is_relative_to(root.absolute()):
        return str(capture.absolute().relative_to(root.absolute()))
    return str(capture)


def _text(text: str, longest: int = 2000) -> str:
    """Return text that XML can hold."""
    lines = (visible(line, longest) for line in text.split("\n"))
    return _NOT_XML.sub("�", "\n".join(lines))
