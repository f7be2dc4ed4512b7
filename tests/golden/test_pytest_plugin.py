"""The plugin in an unrelated project: what its author sees."""

from __future__ import annotations

import shutil
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from spicereplay.golden.manifest import beside

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester, fixtures: Path) -> pytest.Pytester:
    """A folder with captures, and with tests that have nothing to do with them."""
    pytester.makepyfile(test_own="def test_own():\n    assert True\n")
    (pytester.path / "captures").mkdir()
    for name in ("hostile/websocket.pcap", "made/every-codec.pcap"):
        for file in (fixtures / name, beside(fixtures / name)):
            shutil.copy(file, pytester.path / "captures" / file.name)
    quiet = " ".join(
        f"-p no:{name}" for name in ("cacheprovider", "benchmark", "hypothesispytest", "pytest_cov")
    )
    pytester.makeini(
        f"[pytest]\nfilterwarnings = error\naddopts = {quiet} --strict-config --strict-markers\n"
    )
    return pytester


def manifest_of(project: pytest.Pytester) -> Path:
    return project.path / "captures" / "every-codec.pcap.golden"


def spoil(project: pytest.Pytester, codec: str) -> None:
    """Have the manifest expect another hash of the first picture of a codec."""
    path = manifest_of(project)
    lines = path.read_text().splitlines(keepends=True)
    n = next(n for n, line in enumerate(lines) if f" {codec} " in line)
    words = lines[n].rstrip().split(" ")
    words[6] = "0123456789abcdef"
    lines[n] = " ".join(words) + "\n"
    path.write_text("".join(lines))


def test_it_is_installed_as_a_plugin() -> None:
    (point,) = entry_points(group="pytest11", name="spicereplay")
    assert point.value == "spicereplay.pytest_plugin"


def test_a_run_that_does_not_ask_for_it_is_not_disturbed(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import sys
        def pytest_unconfigure():
            print("LOADED", sorted({"numpy", "pandas", "av", "PIL", "spicereplay.golden"} & set(sys.modules)))
        """
    )
    done = project.runpytest_subprocess("-s")
    done.assert_outcomes(passed=1)
    assert "LOADED []" in done.stdout.str()
    assert done.errlines == []


def test_each_capture_and_codec_is_a_test(project: pytest.Pytester) -> None:
    done = project.runpytest_subprocess("--spice-captures", "captures", "-v")
    done.assert_outcomes(passed=1 + 15 + 3)
    done.stdout.fnmatch_lines(
        [
            "*collected 19 items",
            "test_own.py::test_own PASSED*",
            "captures/every-codec.pcap::capture PASSED*",
            "captures/every-codec.pcap::quic PASSED*",
            "captures/websocket.pcap::bitmap PASSED*",
        ]
    )
    chosen = project.runpytest_subprocess("--spice-captures", "captures", "-k", "quic or test_own")
    chosen.assert_outcomes(passed=2, deselected=17)


def test_a_failure_says_which_message_and_where_its_picture_is(project: pytest.Pytester) -> None:
    spoil(project, "quic")
    done = project.runpytest_subprocess("--spice-captures", "captures", "--spice-pictures", "shown")
    done.assert_outcomes(passed=18, failed=1)
    done.stdout.fnmatch_lines(
        [
            "*_ captures/every-codec.pcap: quic _*",
            "1 of 19 pictures differ (quic)",
            "first: session 0 display/0 message 119: image quic (97×101) at byte 46730: expected*got*",
            "*shown/*-119-image-quic.png",
            "FAILED captures/every-codec.pcap::quic*",
        ]
    )
    assert "Traceback" not in done.stdout.str()
    assert "pytest_plugin.py" not in done.stdout.str()
    (sheet,) = (project.path / "shown").glob("*-119-image-quic.png")
    assert sheet.stat().st_size


def test_a_missing_manifest_fails_until_it_is_recorded_on_purpose(project: pytest.Pytester) -> None:
    manifest_of(project).unlink()
    project.runpytest_subprocess("--spice-captures", "captures").assert_outcomes(passed=4, failed=1)
    assert not manifest_of(project).exists()
    done = project.runpytest_subprocess("--spice-captures", "captures", "--spice-update", "-rA")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines_random(
        ["*every-codec.pcap.golden: written", "*websocket.pcap.golden: unchanged"]
    )
    project.runpytest_subprocess("--spice-captures", "captures").assert_outcomes(passed=19)


def test_the_fixtures_give_the_replayed_captures_to_tests_of_ones_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_captures="""
        def test_all_have_messages(spice_sessions):
            assert all(len(session.messages) for session in spice_sessions)

        def test_the_path(spice_capture):
            assert spice_capture.path.suffix == ".pcap"
        """
    )
    options = ("--spice-captures", "captures/websocket.pcap", "--spice-captures", "captures/every-codec.pcap")
    done = project.runpytest_subprocess(*options, "-v", "-k", "test_")
    done.stdout.fnmatch_lines(["*test_all_have_messages?captures/websocket.pcap? PASSED*"])
    assert done.ret == 0
    without = project.runpytest_subprocess("-rs")
    without.assert_outcomes(passed=1, skipped=2)
    without.stdout.fnmatch_lines(["*no captures: give --spice-captures DIR"])


def test_what_is_no_capture_is_the_users_mistake(project: pytest.Pytester) -> None:
    done = project.runpytest_subprocess("--spice-captures", "nowhere")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --spice-captures: *nowhere: no such file or directory"])
    (project.path / "empty").mkdir()
    done = project.runpytest_subprocess("--spice-captures", "empty")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --spice-captures: no capture or bug report in empty"])


def test_another_programs_decoder_can_be_judged(project: pytest.Pytester) -> None:
    info = project.path / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spicereplay.decoders]\ntoy = toydecoder:decode\n")
    project.makepyfile(
        toydecoder="""
        def decode(codec, data, width, height, **facts):
            if codec == "quic":
                raise RuntimeError("not yet")
        """
    )
    project.syspathinsert()
    done = project.runpytest_subprocess("--spice-captures", "captures", "--spice-decoder", "toy")
    done.assert_outcomes(passed=2, failed=1, skipped=16)
    done.stdout.fnmatch_lines(["first: *image quic*: toy 1.0 failed: RuntimeError: not yet"])


def test_a_capture_that_is_gone_fails_in_one_line(project: pytest.Pytester) -> None:
    project.makepyfile("def test_of_ones_own(spice_sessions): pass")
    (project.path / "captures" / "websocket.pcap").unlink()
    done = project.runpytest_subprocess("--spice-captures", "captures", "-k", "websocket or own")
    done.stdout.fnmatch_lines(["*websocket.pcap: no such file or directory"])
    assert "Traceback" not in done.stdout.str()
    assert "driver.py" not in done.stdout.str()
    assert done.ret == 1


@pytest.mark.shared
def test_captures_under_tls_open_with_their_keys(project: pytest.Pytester, shared: Path) -> None:
    source = shared / "captures" / "tls13-keylog"
    folder = project.mkdir("tls")
    (folder / "capture.pcap").symlink_to(source / "capture.pcap")
    keys = ("--spice-captures", "tls", "--spice-keylog", str(source / "keys.log"))
    project.runpytest_subprocess(*keys, "--spice-update").assert_outcomes(passed=2)
    done = project.runpytest_subprocess(*keys)
    assert done.ret == 0
    assert done.parseoutcomes()["passed"] > 3
    without = project.runpytest_subprocess("--spice-captures", "tls")
    assert without.ret == 1
    without.stdout.fnmatch_lines(["*no keys given*"])
