"""Connections that nobody can read are on the page, with what their packets show all the same."""

from __future__ import annotations

from pathlib import Path

import spicereplay as sr
from spicereplay.report.assemble import content_of
from spicereplay.report.page import render
from spicereplay.report.sections import unread


def test_tls_without_keys_is_listed_with_sizes_times_and_what_tcp_shows(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "tls-mixed-channels" / "capture.pcap", decode=False) as capture:
        content = content_of(capture.tables)
        table, page = unread(content), render(content)
    names = [heading.name for heading in table.headings]
    largest, other = (dict(zip(names, row, strict=True)) for row in table.rows)
    assert largest["what"] == other["what"] == "TLS: no keys given"
    assert (largest["bytes_from_server"], other["bytes_from_server"]) == ("259,857", "2,281")
    assert (largest["start_s"], largest["end_s"]) == ("0.000", "7.150")
    assert (largest["retransmitted_bytes_from_server"], largest["zero_windows_from_client"]) == ("4,118", "1")
    assert table.caption in page
    assert largest["client"] in page


def test_a_capture_that_is_read_as_a_whole_has_no_such_table(fixtures: Path) -> None:
    with sr.open(fixtures / "captures" / "ticket" / "capture.pcap", decode=False) as capture:
        content = content_of(capture.tables)
        table = unread(content)
        assert not table.rows
        assert table.caption not in render(content)
