"""Writes what may be shown, and lets it go only when it is checked.

A capture becomes a pcapng, a bug report a zip, a directory a directory, in which everything is made neutral with one
set of pseudonyms. The result is written beside its place and put there when both checks have passed: it shows the
same (`check`), and nothing that was taken out is in it (`leaks`).
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from spicereplay.bugreport.directory import InputKind, detect
from spicereplay.bugreport.report import PCAP, BugReport
from spicereplay.capture.packets import read_packets
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.errors import OutputExistsError, SpiceReplayError, UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.redact.check import analysed, differences, gone_with_the_way, healed
from spicereplay.redact.leaks import WINDOW, Travelling, left_over
from spicereplay.redact.messages import Neutral
from spicereplay.redact.pseudonyms import Pseudonyms
from spicereplay.redact.reports import Cleaned, neutral_png
from spicereplay.redact.run import Redaction
from spicereplay.redact.what import SAFE, TEXTUAL, Choices, Kind, Screen
from spicereplay.replay import Progress, Replay, replay, ryll
from spicereplay.replay.driver import no_spice
from spicereplay.units import MIB

_SHOWN: Final = 5
"""Differences that an error names."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Date of the members of a zip that is written. Source: PKWARE APPNOTE.TXT 4.4.6 (there is none before)."""
_NUMBERED: Final = "report"


class RedactionFailed(SpiceReplayError):
    """The result did not pass its own check and was not kept."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done."""

    path: Path
    counts: Counter[Kind]
    """How many things of each kind were replaced."""
    left_out: tuple[str, ...]
    """Files of the input that are not in the output."""
    remarks: tuple[str, ...]


@dataclass(slots=True)
class _Job:
    """One run, over one input or all parts of a directory."""

    choices: Choices
    limits: Limits
    progress: Progress | None
    keylog: Path | None
    names: Pseudonyms = field(default_factory=Pseudonyms)
    counts: Counter[Kind] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    redactions: list[Redaction] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """Texts of JSON files that were replaced."""
    pictures: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Screenshots that were replaced, and by what."""
    opened: ExitStack = field(default_factory=ExitStack)

    def read(self, path: Path) -> Replay:
        """Open an input for as long as the run takes.

        One in which everything is under TLS and nothing can be read is one, too: its connections may be shown.
        """
        found = replay(
            path,
            limits=self.limits,
            progress=self.progress,
            keylog=self.keylog,
            require_spice=False,
        )
        self.opened.enter_context(found)
        sealed = any(kind is DefectKind.TLS_UNREADABLE for kind, _ in found.defects.counts)
        if not (found.sessions or found.reports or sealed):
            raise no_spice(found)
        return found

    def meet(self, found: Replay) -> None:
        """Note all addresses of an input before one of them gets a pseudonym."""
        for capture in found.captures:
            for connection in capture.connections:
                own = ryll.client_of(connection) is not None
                for end in connection.endpoints:
                    if own:
                        self.names.keep(end.address)
                    else:
                        self.names.meet(end.address)

    def neutral(self, found: Replay) -> Redaction:
        """Make the sessions of an input neutral."""
        redaction = Redaction(found, Neutral(self.names, self.choices, self.limits))
        self.opened.callback(redaction.edits.close)
        redaction.sessions(self.progress)
        self.redactions.append(redaction)
        return redaction

    def pieces(self) -> Iterator[tuple[bytes, bytes, bool]]:
        """Yield what was replaced, by what, and whether it may be text."""
        for redaction in self.redactions:
            for removed in redaction.edits.removed:
                if removed.kind not in TEXTUAL and id(removed.stream.position) in redaction.kept:
                    continue  # bytes of a picture that was cut, where others like it stay
                for old, new in redaction.edits.replaced(removed):
                    yield old, new, removed.kind in TEXTUAL
        for old, new in self.pictures:
            yield old, new, False
        made = " ".join((*self.names.hosts.values(), *self.names.addresses.values())).encode()
        for name in self.names.private:
            yield name.encode(), made, True

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all bytes of all channels as they were, and as they are now."""
        for redaction in self.redactions:
            yield from redaction.messages()


def redact(
    path: str | Path,
    output: str | Path,
    *,
    choices: Choices = SAFE,
    force: bool = False,
    keylog: str | Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress | None = None,
) -> Summary:
    """Write `path` to `output` without what is private, and say what that was.

    Raises what `replay` raises for the input, `OutputExistsError` for an output that is there and not to be replaced,
    `UsageError` for an output that is the input, `RedactionFailed` where the result does not pass its check (then
    there is none), `OSError` where it cannot be written.
    """
    source, target = Path(path), Path(output)
    if target.exists() and not force:
        raise OutputExistsError(f"{target} exists already; give another name with -o, or --force")
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError("the output would replace the input")
    job = _Job(choices, limits, progress, None if keylog is None else Path(keylog))
    found = detect(source, limits=limits)
    with job.opened, tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        made = Path(folder) / target.name
        before = job.read(source)
        job.meet(before)
        if found.kind is InputKind.CAPTURE:
            redaction = job.neutral(before)
            redaction.write(before.captures[0], made, limits, progress)
            job.counts += redaction.counts
            if redaction.as_sessions:
                job.remarks.append(
                    "sessions were under TLS, WebSocket or a proxy: they are written in the clear, without how they "
                    "travelled"
                )
        elif found.kind is InputKind.BUG_REPORT:
            _learn_reports(job, before.reports)
            made.write_bytes(_report_zip(job, before, before.reports[0]))
        else:
            _directory(job, before, found.path, made)
        job.counts[Kind.ADDRESSES] = len(job.names.addresses)
        _check(job, before, made)
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    return Summary(target, job.counts, tuple(job.left_out), tuple(job.remarks))


def _check(job: _Job, before: Replay, made: Path) -> None:
    """Raise `RedactionFailed` unless the result shows the same and holds nothing that was taken out."""
    as_sessions = any(redaction.as_sessions for redaction in job.redactions)
    with replay(made, limits=job.limits, progress=job.progress, require_spice=False) as after:
        old, new = analysed(before, job.limits), analysed(after, job.limits)
        wrong = differences(old, new, job.names, as_sessions=as_sessions)
        gone = gone_with_the_way(old, new) if as_sessions else []
        faults = [] if as_sessions else healed(old, new)
        travelling = Travelling(job.messages, lambda: _payloads(after, job.limits))
        left = left_over(job.pieces, lambda: _contents(made), travelling)
    if gone:
        job.remarks.append(f"findings about how they travelled are not in it any more: {', '.join(gone)}")
    if faults:
        job.remarks.append(f"faults of the file itself are not in it any more: {', '.join(faults)}")
    if left:
        wrong.append(f"{len(left)} stretches of what was replaced are still there")
    texts = {
        form
        for text in job.texts
        if len(text) >= WINDOW
        for form in (text.encode(), json.dumps(text)[1:-1].encode())
    }
    said = sum(any(text in data for data in _contents(made)) for text in texts)
    if said:
        wrong.append(f"{said} texts that were replaced are still there")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise RedactionFailed(
            f"the result did not pass its check and was not kept: {'; '.join(wrong[:_SHOWN])}{more}"
        )


def _payloads(found: Replay, limits: Limits) -> Iterator[bytes | memoryview]:
    """Yield the payload of every TCP segment of an input."""
    for capture in found.captures:
        memory = capture.file.memory
        table = read_packets(capture.file, limits=limits, defects=DefectLog())
        for offset, length in zip(table.offset.tolist(), table.length.tolist(), strict=True):
            part = memory if offset >= 0 else table.spill
            start = offset if offset >= 0 else -1 - offset
            yield part[start : start + length]


def _contents(made: Path) -> Iterable[bytes]:
    """Yield the bytes of all files that were written, and their names; those inside a zip as they are read."""
    paths = [made] if made.is_file() else sorted(p for p in made.rglob("*") if p.is_file())
    for path in paths:
        if path != made:
            yield path.name.encode()
        if zipfile.is_zipfile(
            path
        ):  # a zip without a directory has its members stored, to be read as they lie
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield archive.read(name)
        else:
            with path.open("rb") as file:
                before = b""
                while block := file.read(8 * MIB):
                    yield before + block
                    before = block[-7:]


# --- bug reports ------------------------------------------------------------------------------------------


def _learn_reports(job: _Job, reports: Iterable[BugReport]) -> None:
    cleaned = Cleaned(job.names, job.limits)
    for report in reports:
        cleaned.learn(report.plain_values())


def _report_zip(job: _Job, found: Replay, report: BugReport) -> bytes:
    """Return a bug report as a zip of the members that a report of its kind has."""
    capture = None
    redaction = None
    if found.captures:
        redaction = job.neutral(found)
        capture = found.captures[0]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in report.members:
            data: bytes | None
            if name == PCAP:
                data = b""
                if capture is not None and redaction is not None:
                    with tempfile.TemporaryDirectory() as folder:
                        part = Path(folder) / PCAP
                        redaction.write(capture, part, job.limits, job.progress)
                        data = part.read_bytes()
                    job.counts += redaction.counts
            else:
                data = _member(job, report, name)
            if data is None:
                job.left_out.append(name)
                continue
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        end = archive.fp.tell() if archive.fp is not None else 0
    job.left_out += report.unknown_files
    job.counts[Kind.MEMBERS] += len(report.unknown_files)
    # A zip that had lost its directory has none: it is a finding.
    damaged = found.defects.counts[DefectKind.ZIP_DAMAGED, report.label]
    return out.getvalue()[:end] if damaged else out.getvalue()


def _member(job: _Job, report: BugReport, name: str) -> bytes | None:
    limits = job.limits
    data = report.container.read(report.prefix + name, limits.zip_image_bytes, DefectLog())
    if data is None:
        return None
    return _file(job, name, data)


def _file(job: _Job, name: str, data: bytes) -> bytes | None:
    """Return what one file of a report or a recording becomes; None: it is left out."""
    kind = PurePosixPath(name).suffix.lower()
    if kind == ".json":
        cleaned = Cleaned(job.names, job.limits)
        text = cleaned.json(data)
        job.counts[Kind.REPORTED] += cleaned.count
        job.texts += cleaned.removed
        return text
    if kind == ".png":
        if job.choices.screen is Screen.KEEP:
            return data
        made = neutral_png(data, job.limits, blurred=job.choices.screen is Screen.BLUR)
        if made is not None:
            job.counts[Kind.SCREENSHOTS] += 1
            job.pictures.append((data, made))
        return made
    return None


# --- directories --------------------------------------------------------------------------------------------


def _directory(job: _Job, before: Replay, source: Path, target: Path) -> None:
    """Write a directory of a recording: its captures together, its reports one by one."""
    target.mkdir()
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    _learn_reports(job, before.reports)
    by_name = {capture.file.name: capture for capture in before.captures}
    whole: Redaction | None = None
    for path in paths:
        place = path.relative_to(source)
        out = target / place
        suffix = path.suffix.lower()
        if suffix == ".zip":
            out.parent.mkdir(parents=True, exist_ok=True)
            inner = job.read(path)
            job.meet(inner)
            _learn_reports(job, inner.reports)
            out.write_bytes(_report_zip(job, inner, inner.reports[0]))
        elif suffix == ".pcap" and path.name in by_name:
            if whole is None:
                whole = job.neutral(before)
            out.parent.mkdir(parents=True, exist_ok=True)
            whole.write(by_name[path.name], out, job.limits, job.progress)
        else:
            data = _file(job, path.name, path.read_bytes()) if suffix in (".json", ".png") else None
            if data is None:
                job.left_out.append(str(place))
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(data)
    if whole is not None:
        job.counts += whole.counts
