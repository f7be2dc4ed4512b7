"""A bug report, from zip to typed values."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import ryllzip

from spicereplay.bugreport.report import MEMBERS, read_report
from spicereplay.bugreport.schema import MainSnapshot
from spicereplay.bugreport.variants import ReportKind
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import InputError, NotACaptureError


def report_of(files: dict[str, Any], **options: Any):
    defects = DefectLog()
    return read_report(io.BytesIO(ryllzip.pack(files, **options)), defects=defects), defects


def changed(kind: str = "display", revision: str = "G1", **members: Any) -> dict[str, Any]:
    """Return the files of a report with some replaced, by name without the suffix; None removes one."""
    files = ryllzip.report_files(kind, revision)
    for name, content in members.items():
        member = next(m for m in MEMBERS if m.partition(".")[0].replace("-", "_") == name)
        if content is None:
            files.pop(member, None)
        else:
            files[member] = content
    return files


# --- every kind and revision -------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ryllzip.REVISIONS)
@pytest.mark.parametrize("kind", ryllzip.KINDS)
def test_every_kind_of_every_revision(kind: str, revision: str):
    files = ryllzip.report_files(kind, revision)
    report, defects = report_of(files)
    assert not list(defects)
    assert report.kind == kind
    assert report.members == tuple(files)
    assert report.missing == report.unknown_files == ()
    assert not report.unknown_fields
    assert report.uptime_s == 10.5
    assert report.session.fps == 24.5
    assert report.revision.label <= revision <= report.revision.newest
    _, channel = ryllzip.KINDS[kind]
    expected = ryllzip.CHANNELS if channel == "all" else () if kind == "usb" else (channel,)
    assert tuple(report.channels) == expected
    assert (report.disconnect is not None) == (kind == "disconnect")
    with report.open_pcap(defects) as pcap:
        assert pcap.read() == files["traffic.pcap"]


@pytest.mark.parametrize("revision", ryllzip.REVISIONS)
def test_an_auto_snapshot_shows_its_revision_exactly(revision: str):
    found = report_of(ryllzip.report_files("auto_snapshot", revision))[0].revision
    assert (found.label, found.newest) == (revision, revision)


REVISIONS = [
    # (kind, written by, at least, at most)
    ("display", "G0", "G0", "G0"),
    ("display", "G1", "G1", "G1"),
    ("display", "G2", "G2", "G3"),
    ("connection", "G1", "G1", "G2"),
    ("connection", "G3", "G3", "G3"),
    ("disconnect", "G1", "G1", "G1"),
    ("disconnect", "G2", "G2", "G2"),
    ("usb", "G1", "G1", "G3"),
]


@pytest.mark.parametrize(("kind", "revision", "label", "newest"), REVISIONS)
def test_a_report_of_one_channel_shows_what_its_fields_prove(kind, revision, label, newest):
    found = report_of(ryllzip.report_files(kind, revision))[0].revision
    assert (found.label, found.newest) == (label, newest)
    assert found.evidence


def test_the_evidence_names_the_fields():
    evidence = report_of(ryllzip.report_files("connection", "G3"))[0].revision.evidence
    assert "channel-state.json main: agent_tokens (since G3)" in evidence


def test_a_later_field_outweighs_missing_earlier_ones():
    files = changed(revision="G2", session={"fps": 1.0})
    assert report_of(files)[0].revision.label == "G2"


# --- screenshots and recording -----------------------------------------------------------------------


def test_pictures_come_with_their_size():
    report, _ = report_of(ryllzip.report_files("display"))
    assert [(s.name, s.width, s.height) for s in report.screenshots] == [
        ("screenshot.png", 64, 48),
        ("screenshot-region.png", 16, 8),
    ]


def test_a_picture_that_is_none_is_kept_without_a_size():
    report, defects = report_of(changed(screenshot=b"GIF89a"))
    assert (report.screenshots[0].png, report.screenshots[0].width) == (b"GIF89a", None)
    assert [d.kind for d in defects] == [DefectKind.FILE_DAMAGED]


def test_a_packed_recording_is_inflated():
    report, defects = report_of(ryllzip.report_files(), method=zipfile.ZIP_DEFLATED)
    with report.open_pcap(defects) as pcap:
        assert pcap.read(4) == b"\xa1\xb2\xc3\xd4"


# --- what is missing, unknown or odd -----------------------------------------------------------------


def test_missing_files_are_named():
    report, defects = report_of(changed(traffic=None, runtime_metrics=None, screenshot_region=None))
    assert report.missing == ("traffic.pcap", "screenshot-region.png", "runtime-metrics.json")
    assert [d.kind for d in defects] == [DefectKind.MEMBER_MISSING] * 2
    assert report.open_pcap(defects) is report.runtime is None


def test_a_disconnect_of_webdav_has_no_recording_to_miss():
    files = changed("disconnect", traffic=None, channel_state=ryllzip.channel_state("webdav"))
    files["metadata.json"] |= {"report_type": {"Disconnect": {"channel": "webdav"}}, "channel": "webdav"}
    report, defects = report_of(files)
    assert report.missing == ()
    assert list(report.channels) == ["webdav"]
    assert not len(defects)


def test_an_unknown_kind_is_read_all_the_same():
    files = changed()
    files["metadata.json"]["report_type"] = {"Hologram": {"depth": 3}}
    report, _ = report_of(files)
    assert (report.kind, report.type.written) == (ReportKind.UNKNOWN, "Hologram")
    assert report.channels["display"].streams_created_total == 1


def test_unknown_files_and_fields_are_listed_and_tolerated():
    files = changed() | {"future.json": {}, "more.zip": ryllzip.report_zip()}
    files["session.json"]["gpu"] = {"name": "x"}
    files["notifications.json"][0]["colour"] = 1
    report, defects = report_of(files)
    assert report.unknown_files == ("future.json", "more.zip")
    assert dict(report.unknown_fields) == {"session.json": ("gpu",), "notifications.json": ("[0].colour",)}
    assert not len(defects)


def test_null_is_unknown_not_zero():
    files = changed()
    files["session.json"] |= {"fps": None, "video_drop_count": None}
    report, defects = report_of(files)
    assert report.session.fps is report.session.video_drop_count is None
    assert not len(defects)


def test_without_metadata_the_state_tells_its_channel():
    for channel in ryllzip.CHANNELS:
        files = changed(metadata=None, channel_state=ryllzip.channel_state(channel))
        report, defects = report_of(files)
        assert list(report.channels) == [channel]
        assert channel in report.assumptions[0]
        assert report.uptime_s == 10.5
        assert report.clock is None
        assert {d.kind for d in defects} == {DefectKind.MEMBER_MISSING}


def test_a_state_that_nothing_explains_is_not_used():
    report, _ = report_of(changed(metadata=None, channel_state={"x": 1}))
    assert not report.channels
    assert "not used" in report.assumptions[0]


def test_seven_channels_are_told_from_one_by_their_keys():
    files = changed("auto_snapshot")
    del files["metadata.json"]["channel"]
    assert len(report_of(files)[0].channels) == 7


def test_a_report_packed_in_its_folder_again():
    files = {f"ryll-bugreport/{name}": content for name, content in changed().items()}
    report, defects = report_of(files | {"__MACOSX/._metadata.json": b""})
    assert report.prefix == "ryll-bugreport/"
    assert report.unknown_files == ("__MACOSX/._metadata.json",)
    assert report.open_pcap(defects).read(4) == b"\xa1\xb2\xc3\xd4"
    assert not len(defects)


def test_a_report_unpacked_into_a_folder(tmp_path: Path):
    for name, content in changed().items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else ryllzip.as_json(content))
    report = read_report(tmp_path, defects=(defects := DefectLog()))
    assert report.kind is ReportKind.DISPLAY
    assert report.screenshots[0].width == 64
    with report.open_pcap(defects) as pcap:
        assert pcap.read(4) == b"\xa1\xb2\xc3\xd4"
    assert not len(defects)


# --- what is no report -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.txt": b""}, "'a.txt'"),
        ({"inner.zip": ryllzip.report_zip()}, "unpack it and give 'inner.zip'"),
        ({"main.pcapng": b""}, "unpack it and give 'main.pcapng'"),
        ({"metadata.json": {"capture_started": "x"}, "main.pcap": b""}, "--capture directory"),
    ],
)
def test_other_zips_are_refused_with_advice(files, says):
    with pytest.raises(NotACaptureError, match=says):
        report_of(files)


# --- privacy -----------------------------------------------------------------------------------------


def test_what_was_typed_is_not_given():
    for kind in ("input", "auto_snapshot"):
        report, _ = report_of(ryllzip.report_files(kind))
        assert report.channels["inputs"].recent_events is None
        assert "30" not in repr(report)
        assert "password" not in repr(report)


# --- anything may be wrong ---------------------------------------------------------------------------

JSON_MEMBERS = [name for name in MEMBERS if name.endswith(".json")]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(tuple(ryllzip.KINDS)), st.sampled_from(JSON_MEMBERS), st.data())
def test_json_mutated_or_cut_never_raises_anything_but_an_input_error(kind, member, data):
    files = ryllzip.report_files(kind, data.draw(st.sampled_from(ryllzip.REVISIONS)))
    if member not in files:
        return
    text = bytearray(ryllzip.as_json(files[member]))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + 1] = data.draw(
            st.sampled_from((b"", b"0", b'"', b"{", b"[", b"]", b"null", b"\xff", b"-", b"9" * 30))
        )
    files[member] = bytes(text[: data.draw(st.integers(0, len(text)) | st.just(len(text)))])
    exercise(files)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(tuple(ryllzip.KINDS)), st.data())
def test_any_value_may_be_null_or_of_another_type(kind, data):
    files = ryllzip.report_files(kind, "G3")
    member = data.draw(st.sampled_from([m for m in JSON_MEMBERS if m in files]))
    holder, key = data.draw(st.sampled_from(list(places(files, member))))
    holder[key] = data.draw(
        st.sampled_from((None, 0, -1, 2**70, "x", [], {}, [None], {"a": None}, True, 1.5))
    )
    exercise(files)


def exercise(files: dict[str, Any]) -> None:
    try:
        report, _ = report_of(files)
    except InputError:
        return
    assert report.revision.label in ryllzip.REVISIONS
    assert report.clock is None or report.clock.uncertainty_ns >= 0


def places(holder: Any, key: Any):
    """Yield every (holder, key) of a tree of plain values."""
    yield holder, key
    value = holder[key]
    if isinstance(value, dict | list):
        for inner in list(value) if isinstance(value, dict) else range(len(value)):
            yield from places(value, inner)


def test_a_main_snapshot_is_one():
    report, _ = report_of(ryllzip.report_files("connection", "G0"))
    main = report.channels["main"]
    assert isinstance(main, MainSnapshot)
    assert (main.session_id, main.client_keepalive_send_count) == (77, 2)


def test_a_file_that_is_gone_has_nothing_more_to_give(tmp_path: Path):
    path = tmp_path / "r.zip"
    path.write_bytes(ryllzip.report_zip("auto_snapshot"))
    report = read_report(path, defects=DefectLog())
    path.unlink()
    defects = DefectLog()
    assert report.open_pcap(defects) is None
    assert report.session.fps == 24.5
    assert [d.kind for d in defects] == [DefectKind.FILE_DAMAGED]


def test_the_pictures_size_is_that_of_the_header_alone():
    header = ryllzip.png(1, 1)[:16] + struct.pack(">2L", 100_000, 7)
    report, _ = report_of(changed(screenshot=header))
    assert (report.screenshots[0].width, report.screenshots[0].height) == (100_000, 7)
