"""What the page says of sound, USB devices and shared folders."""

from support.report_content import bare
from support.tables import empty_tables, full

from spicereplay.report.page import render
from spicereplay.report.sound import sound
from spicereplay.report.timeline import timeline


def of(**tables):
    return bare(duration_s=60.0, tables=empty_tables() | tables)


RUNS = full(
    "sound_runs",
    channel=["playback", "record"],
    codec=["opus", "raw"],
    start_s=[1.0, 5.0],
    stop_s=[3.0, float("nan")],
    sound_s=[1.9, 2.0],
)


def test_without_sound_and_devices_there_is_no_section():
    page = render(of())
    assert 'id="sound"' not in page
    assert 'href="#sound"' not in page
    assert [lane["name"] for lane in timeline(of()).data["lanes"]][-1] != "sound"


def test_the_section_stands_before_the_channels_and_the_navigation_leads_there():
    page = render(of(sound_runs=RUNS))
    assert page.index('id="agent"') < page.index('id="sound"') < page.index('id="channels"')
    assert (
        page.index('href="#agent"') < page.index('<a href="#sound">Sound and devices') < page.index("</nav>")
    )


def test_only_tables_with_rows_are_shown():
    assert [t.name for t in sound(of(sound_runs=RUNS))] == ["sound_runs"]
    assert [t.name for t in sound(of(usbredir=full("usbredir", packet=["hello"])))] == ["usbredir"]


def test_requests_to_the_shared_folder_are_counted_by_method():
    table = full(
        "webdav",
        method=["GET", "GET", "PROPFIND", "GET"],
        status=[200, 200, 207, None],
        outcome=["answered", "answered", "answered", "broken"],
        request_bytes=[100, 100, 50, 100],
        response_bytes=[1000, 3000, 20, 0],
        response_ms=[10.0, 30.0, 5.0, float("nan")],
    )
    (shown,) = sound(of(webdav=table))
    assert shown.rows == [
        ["GET", "200", "answered", "2", "200", "4,000", "20.00", "29.00", "30.00"],
        ["GET", "–", "broken", "1", "100", "0", "–", "–", "–"],
        ["PROPFIND", "207", "answered", "1", "50", "20", "5.00", "5.00", "5.00"],
    ]


def test_the_timeline_has_a_lane_of_sound():
    packets = full("playback", time_s=[1.5, 2.0, 2.5], arrival_gap_ms=[0.0, 450.0, 20.0])
    (lane,) = (
        lane
        for lane in timeline(of(sound_runs=RUNS, playback=packets)).data["lanes"]
        if lane["name"] == "sound"
    )
    assert list(zip(lane["from"], lane["to"], lane["look"], strict=True)) == [
        (1, 3, "sound"),
        (2, 2, "warn"),
        (5, 60, "sound"),
    ]
    assert lane["text"] == [
        "playback: opus, 1.9 s of sound",
        "no sound for 450 ms",
        "record: raw, 2.0 s of sound",
    ]
