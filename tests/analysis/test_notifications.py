"""What server and client told the user, on one clock and in the session it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.observed import ORIGIN_NS, channel, session

import spicereplay as sr
from spicereplay.analysis.client import client_reported
from spicereplay.analysis.notifications import notifications
from spicereplay.bugreport.report import BugReport, read_report
from spicereplay.defects import DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import ChannelType
from spicereplay.session.log import SessionLog
from spicereplay.units import NS_PER_S


@pytest.fixture
def report(fixtures: Path) -> BugReport:
    path = fixtures / "bugreports" / "no-pcap-g1.zip"
    return read_report(path, limits=DEFAULT_LIMITS, defects=DefectLog())


def three_connections() -> list[SessionLog]:
    made = [session(channel(ChannelType.MAIN), number=n) for n in range(3)]
    for n, each in enumerate(made):
        each.start_time_ns = ORIGIN_NS + 10 * n * NS_PER_S
    return made


@pytest.mark.parametrize(("zero_s", "number"), [(0, 0), (5, 0), (9.6, 1), (12, 1), (25, 2)])
def test_what_the_client_said_is_in_the_session_that_had_begun(
    zero_s: float, number: int, report: BugReport
) -> None:
    """The client's clock begins with its newest connection, the recording may have begun with an earlier one."""
    assert report.clock is not None
    offset_ns = report.clock.zero_ns - ORIGIN_NS - round(zero_s * NS_PER_S)
    told = notifications(three_connections(), [report], ORIGIN_NS, DEFAULT_LIMITS, utc_offset_ns=offset_ns)
    assert told["message"].iloc[0].startswith("Connected to")
    assert told["time_s"].iloc[0] == pytest.approx(zero_s, abs=0.01)
    assert told["session"].iloc[0] == number


def test_a_report_is_about_the_newest_connection(report: BugReport) -> None:
    assert set(client_reported([report], 3)["session"]) == {2}
    assert set(client_reported([report], 0)["session"]) == {0}


@pytest.mark.shared
def test_a_client_that_connected_three_times(shared: Path) -> None:
    with sr.open(shared / "bugreports" / "capture-dir-reconnect" / "capture", decode=False) as capture:
        assert not len(capture.sessions[0].client_reported)
        assert len(capture.sessions[2].client_reported)
        last = capture.sessions[2]
        said = capture.notifications[capture.notifications["origin"] == "client_reported"]
        assert set(said["session"]) == {2}
        assert said["time_s"].between(last.start_s - 1, last.start_s + last.duration_s).all()
