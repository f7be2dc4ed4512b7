"""Captures as tests in anybody's project: `pytest --spice-captures DIR`.

Each codec of each capture below DIR becomes a test that holds it to the manifest beside the capture; the fixtures
`spice_capture` and `spice_sessions` give the replayed captures to tests of one's own. Every pytest run on a machine
with spicereplay loads this module, so it imports nothing else before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spicereplay.api import Capture, Session
    from spicereplay.golden.check import Outcome

WHOLE = "capture"
"""The test that is about a capture as a whole: that it and its manifest are there, and hold the same messages."""
_FOUND = pytest.StashKey[list[Path]]()
_MOST_SHOWN = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("spice", "SPICE captures (spicereplay)")
    group.addoption(
        "--spice-captures",
        metavar="DIR",
        action="append",
        default=[],
        help="hold the decoders to the captures and bug reports in DIR (or one file); may be repeated",
    )
    group.addoption(
        "--spice-update",
        action="store_true",
        help="record the manifests of these captures anew, instead of comparing with them",
    )
    group.addoption(
        "--spice-pictures", metavar="DIR", default=None, help="write pictures of what differs to DIR"
    )
    group.addoption(
        "--spice-decoder",
        metavar="NAME",
        default=None,
        help="judge another program's decoder (an entry point)",
    )
    group.addoption(
        "--spice-keylog",
        metavar="FILE",
        default=None,
        help="secrets that open the captures' TLS, in SSLKEYLOGFILE format",
    )
    group.addoption(
        "--spice-tolerant",
        action="store_true",
        help="accept lossy pictures that are merely alike, even from the library that was recorded",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the tests of the captures; before others look at the items, so that `-k` chooses among these, too."""
    for capture in _captures(config):
        node = CaptureNode.from_parent(session, name=_name(config, capture), path=capture)
        tests = node.collect()
        items.extend(tests)
        report = pytest.CollectReport(node.nodeid, "passed", None, [*tests])
        config.hook.pytest_collectreport(report=report)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that wants a capture once for each."""
    if "spice_capture" in metafunc.fixturenames and metafunc.config.getoption("--spice-captures"):
        captures = _captures(metafunc.config)
        names = [_name(metafunc.config, capture) for capture in captures]
        metafunc.parametrize("spice_capture", captures, ids=names, indirect=True)


@pytest.fixture
def spice_capture(request: pytest.FixtureRequest) -> Iterator[Capture]:
    """Open each capture below `--spice-captures` in turn: what `spicereplay.open` returns."""
    if not hasattr(request, "param"):
        pytest.skip("no captures: give --spice-captures DIR")
    from spicereplay.api import open
    from spicereplay.errors import SpiceReplayError

    try:
        opened = open(request.param, keylog=_asked(request.config, "--spice-keylog"))
    except SpiceReplayError as error:
        pytest.fail(str(error), pytrace=False)
    with opened as capture:
        yield capture


@pytest.fixture
def spice_sessions(spice_capture: Capture) -> list[Session]:
    """Give the sessions of each capture below `--spice-captures` in turn; their tables are attributes."""
    return list(spice_capture.sessions)


def _captures(config: pytest.Config) -> list[Path]:
    """Return the captures that were asked for, looking for them once."""
    if _FOUND not in config.stash:
        paths = config.getoption("--spice-captures")
        found: list[Path] = []
        if paths:
            from spicereplay.errors import InputError
            from spicereplay.golden.inputs import find_captures

            try:
                found = list(find_captures(config.invocation_params.dir / path for path in paths).captures)
            except InputError as error:
                raise pytest.UsageError(f"--spice-captures: {error}") from None
            if not found:
                raise pytest.UsageError(f"--spice-captures: no capture or bug report in {', '.join(paths)}")
        config.stash[_FOUND] = found
    return config.stash[_FOUND]


def _asked(config: pytest.Config, option: str) -> Path | None:
    """Return the path that an option gives, seen from where pytest was started."""
    given = config.getoption(option)
    return None if given is None else config.invocation_params.dir / given


def _name(config: pytest.Config, capture: Path) -> str:
    for base in (config.rootpath, config.invocation_params.dir):
        if capture.is_relative_to(base):
            return capture.relative_to(base).as_posix()
    return str(capture)


class CaptureNode(pytest.Collector):
    """A capture: its tests share one replay."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nodeid=kwargs["name"], **kwargs)

    def collect(self) -> list[pytest.Item]:
        """Return a test for the capture as a whole and one for each codec in its manifest."""
        if self.config.getoption("--spice-update"):
            return [UpdateItem.from_parent(self, name="update")]
        return [PicturesItem.from_parent(self, name=name) for name in (WHOLE, *sorted(self.groups))]

    @cached_property
    def groups(self) -> set[str]:
        """The codecs in the manifest, and what else it has pictures of."""
        from spicereplay.errors import InputError
        from spicereplay.golden.check import group_of
        from spicereplay.golden.manifest import beside, read_manifest

        try:
            return {group_of(entry.key) for entry in read_manifest(beside(self.path)).entries}
        except (InputError, OSError):
            return set()  # the test of the whole capture says so

    @cached_property
    def outcome(self) -> Outcome:
        """What checking the capture found."""
        from spicereplay.golden.check import Options, check

        option = self.config.getoption
        options = Options(
            _asked(self.config, "--spice-pictures"),
            option("--spice-decoder"),
            tolerant=option("--spice-tolerant"),
            keylog=_asked(self.config, "--spice-keylog"),
        )
        return check(self.path, options)


class PicturesDiffer(Exception):
    """A capture does not show what was recorded; the message says it all."""


class _CaptureItem(pytest.Item):
    """A test of a capture, whose failure is what it says, without a traceback."""

    parent: CaptureNode

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.parent.name}: {self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from spicereplay.errors import SpiceReplayError

        if isinstance(excinfo.value, PicturesDiffer | SpiceReplayError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)


class PicturesItem(_CaptureItem):
    """All pictures of one codec in a capture."""

    def runtest(self) -> None:
        """Fail where a picture is not as recorded; skip where none was compared."""
        outcome = self.parent.outcome
        comparable = bool(outcome.compared or outcome.not_judged)
        if self.name == WHOLE:
            self._whole(outcome)
        elif outcome.verdict.failed and not comparable:
            raise PicturesDiffer(f"not compared: {outcome.sentence}")
        elif outcome.wrong.get(self.name):
            self._fail(outcome, {self.name})
        elif not outcome.compared.get(self.name):
            pytest.skip("the decoder does none of these pictures")

    def _whole(self, outcome: Outcome) -> None:
        rest = set(outcome.wrong) - self.parent.groups
        if outcome.verdict.failed and not (outcome.compared or outcome.not_judged):
            raise PicturesDiffer(outcome.sentence)
        if rest:
            self._fail(outcome, rest)
        if not outcome.compared:
            pytest.skip(outcome.sentence)

    def _fail(self, outcome: Outcome, groups: set[str]) -> None:
        from spicereplay.golden.check import group_of

        wrong = sum(outcome.wrong[group] for group in groups)
        compared = sum(outcome.compared.get(group, 0) for group in groups)
        lines = [f"{wrong} of {compared} pictures differ ({', '.join(sorted(groups))})"]
        mine = [each for each in outcome.differences if group_of(each.key) in groups]
        for n, difference in enumerate(mine[:_MOST_SHOWN]):
            lines.append(("first: " if n == 0 else "then:  ") + str(difference))
            lines += [f"       {file}" for file in difference.pictures[:1]]
        raise PicturesDiffer("\n".join(lines))


class UpdateItem(_CaptureItem):
    """Records a capture's manifest anew."""

    def runtest(self) -> None:
        """Write the manifest; speeds, and how often surfaces are looked at, are kept."""
        from spicereplay.golden.manifest import beside
        from spicereplay.golden.record import record_anew

        path = beside(self.path)
        _, _, changed = record_anew(self.path, path, keylog=_asked(self.config, "--spice-keylog"))
        self.add_report_section("call", "spicereplay", f"{path}: {'written' if changed else 'unchanged'}")
