"""Holds captures to their manifests: replays them and compares every picture.

A lossless picture must have the recorded hash, whatever decoded it. A lossy one must have it where the same library
made it; another library's must be alike by the grid of block means. Nothing here writes a manifest.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from spicereplay.errors import InputError
from spicereplay.golden.against import pictures_of
from spicereplay.golden.decoders import Failure, ForeignDecoder, load_decoder
from spicereplay.golden.digest import Pixels, block_means, digest, likeness, mask_digest
from spicereplay.golden.manifest import Entry, Key, Manifest, beside, read_manifest
from spicereplay.golden.observe import Seen, library, message_counts, observe
from spicereplay.golden.pictures import Pair, write_pictures
from spicereplay.golden.record import identity
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.replay.driver import replay

MOST_KEPT: Final = 20
"""Differences of one capture that are kept one by one …"""
MOST_KEPT_OF_A_KIND: Final = 3
"""… and of one codec besides; all are counted."""
MOST_PICTURES: Final = 8
"""Differences of one capture, from the first on, of which pictures are written; the first of a codec is, anyway."""


class Verdict(StrEnum):
    """How a check ended. Only `HELD` is a pass."""

    HELD = "held"
    DIFFERENT = "different"
    NOTHING = "nothing to compare"
    """The manifest has no picture, or the decoder does none of them: neither passed nor failed."""
    NO_MANIFEST = "no manifest"
    BAD_MANIFEST = "bad manifest"
    OTHER_CAPTURE = "another capture"
    UNREADABLE = "unreadable"
    CRASHED = "crashed"
    """The process that checked it ended without a word: a kernel, a library or another program's decoder fell over."""

    @property
    def failed(self) -> bool:
        """Whether the check did not hold."""
        return self not in (Verdict.HELD, Verdict.NOTHING)


@dataclass(frozen=True, slots=True)
class Difference:
    """One picture that is not as recorded."""

    key: Key
    position: int
    """Of the message in the server's stream, bytes."""
    size: tuple[int, int]
    what: str
    """Expected and got, in words."""
    pictures: tuple[Path, ...] = ()

    def __str__(self) -> str:
        size = f" ({self.size[0]}×{self.size[1]})" if self.size != (0, 0) else ""
        return f"{self.key}{size} at byte {self.position}: {self.what}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What checking one capture found."""

    capture: Path
    verdict: Verdict
    detail: str = ""
    """Why it could not be compared."""
    compared: Mapping[str, int] = field(default_factory=dict)
    """Pictures that were compared, by codec; those of surfaces, draws and cursors under `surface`, the drawing
    message's name, and `cursor`; under `message count` channels that have more or fewer messages than recorded."""
    tolerated: Mapping[str, int] = field(default_factory=dict)
    """Of these, lossy ones that only look alike: another library made them."""
    not_judged: Mapping[str, int] = field(default_factory=dict)
    """Pictures that the decoder does not do."""
    wrong: Mapping[str, int] = field(default_factory=dict)
    """Pictures that differ."""
    differences: tuple[Difference, ...] = ()
    """The first of them, in the order of the wire."""

    @property
    def differing(self) -> int:
        """How many pictures differ."""
        return sum(self.wrong.values())

    @property
    def sentence(self) -> str:
        """The outcome in one line, without the capture's name."""
        if self.verdict is Verdict.HELD:
            alike = sum(self.tolerated.values())
            more = f", {alike} of them within tolerance of another library" if alike else ""
            left = sum(self.not_judged.values())
            more += f"; {left} not judged" if left else ""
            return f"{sum(self.compared.values())} pictures as recorded{more}"
        if self.verdict is Verdict.DIFFERENT:
            kinds = ", ".join(f"{n} {group}" for group, n in sorted(self.wrong.items()))
            return f"{self.differing} of {sum(self.compared.values())} pictures differ ({kinds})"
        return self.detail or str(self.verdict)


@dataclass(frozen=True, slots=True)
class Options:
    """How to check. All of it can be sent to another process."""

    pictures: Path | None = None
    """A folder for pictures of what differs."""
    decoder: str | None = None
    """An installed decoder of another program to judge in place of ours."""
    against: Path | None = None
    """Another build of spicereplay that is believed to be right: where expected pictures come from."""
    tolerant: bool = False
    """Let lossy pictures be merely alike even where the same library made them."""
    keylog: Path | None = None
    limits: Limits = DEFAULT_LIMITS


DEFAULT_OPTIONS: Final = Options()


def check(capture: Path, options: Options = Options()) -> Outcome:
    """Check one capture against the manifest beside it.

    What is wrong with the capture or its manifest is an `Outcome`. Raises `UsageError` for a decoder that is not
    there.
    """
    decoder = load_decoder(options.decoder) if options.decoder is not None else None
    path = beside(capture)
    try:
        manifest = read_manifest(path, options.limits)
    except FileNotFoundError:
        return Outcome(capture, Verdict.NO_MANIFEST, f"no manifest {path.name}; `golden record` makes one")
    except (InputError, OSError) as error:
        return Outcome(capture, Verdict.BAD_MANIFEST, _said(error))
    try:
        if identity(capture) != (manifest.size, manifest.check):
            detail = "the capture is another than the manifest was recorded of (size or SHA-256 differ)"
            return Outcome(capture, Verdict.OTHER_CAPTURE, detail)
        comparison = _Comparison(manifest, options, decoder, str(capture))
        with replay(capture, limits=options.limits, keylog=options.keylog) as found:
            observe(found, comparison.see, every=manifest.every, limits=options.limits)
            comparison.finish(message_counts(found))
    except (InputError, OSError) as error:
        return Outcome(capture, Verdict.UNREADABLE, _said(error))
    return comparison.outcome(capture)


def _said(error: InputError | OSError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def check_all(
    captures: Sequence[Path],
    options: Options = Options(),
    *,
    jobs: int | None = None,
    done: Callable[[Outcome, int, int], None] | None = None,
) -> list[Outcome]:
    """Check captures, in several processes if there are several; the outcomes come in the order given.

    `jobs` is how many processes, None: as many as there are processors. `done` hears of each capture when it is
    checked, with how many are done and how many there are.
    """
    jobs = min(len(captures), os.cpu_count() or 1 if jobs is None else jobs)
    outcomes: dict[int, Outcome] = {}
    for n, outcome in _outcomes(captures, options, jobs):
        outcomes[n] = outcome
        if done is not None:
            done(outcome, len(outcomes), len(captures))
    return [outcomes[n] for n in range(len(captures))]


def _outcomes(captures: Sequence[Path], options: Options, jobs: int) -> Iterator[tuple[int, Outcome]]:
    # Another program's decoder is kept out of this process even where one is enough: it may end it.
    if jobs < 2 and options.decoder is None:
        for n, capture in enumerate(captures):
            yield n, check(capture, options)
        return
    left = dict(enumerate(captures))
    with _processes(jobs) as pool:
        try:
            begun = {pool.submit(check, capture, options): n for n, capture in left.items()}
            for future in as_completed(begun):
                yield begun[future], future.result()
                del left[begun[future]]
        except BrokenProcessPool:
            pass  # One capture's check took the others with it: which, is found out below.
        finally:
            pool.shutdown(cancel_futures=True)
    for n, capture in left.items():
        with _processes(1) as pool:
            try:
                outcome = pool.submit(check, capture, options).result()
            except BrokenProcessPool:
                by = "" if options.decoder is None else f" with decoder {options.decoder}"
                outcome = Outcome(capture, Verdict.CRASHED, f"the process that checked it{by} crashed")
        yield n, outcome


def _processes(jobs: int) -> ProcessPoolExecutor:
    """Return processes to check in.

    Not forked: a process with threads, as progress bars have, cannot be without danger. An interrupt, which a terminal
    sends to all of them, ends the others without a word.
    """
    return ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL)
    )


def group_of(key: Key) -> str:
    """Return what a picture is counted under: its codec, or what else it is a picture of."""
    match key.kind:
        case "messages":
            return "message count"
        case "image" | "frame" | "draw":
            return key.what
        case "shape":
            return "cursor"
    return "surface"


@dataclass(slots=True, eq=False)
class _Comparison:
    """Compares the pictures of one capture as they come."""

    manifest: Manifest
    options: Options
    decoder: ForeignDecoder | None
    name: str
    expected: dict[Key, Entry] = field(init=False)
    """What has not been seen yet."""
    compared: Counter[str] = field(default_factory=Counter)
    tolerated: Counter[str] = field(default_factory=Counter)
    not_judged: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    pairs: list[Pair | None] = field(default_factory=list)
    """Beside each difference its pictures, as far as they are to be written."""

    def __post_init__(self) -> None:
        self.expected = {entry.key: entry for entry in self.manifest.entries}

    def see(self, seen: Seen) -> None:
        """Compare one picture."""
        expected = self.expected.pop(seen.key, None)
        if self.decoder is not None:
            self._judge(self.decoder, seen, expected)
            return
        self.compared[group_of(seen.key)] += 1
        if expected is None:
            self._differs(seen, None, f"expected nothing, got {_described(seen)}", seen.pixels)
        elif expected.position != seen.position:
            self._differs(
                seen, expected, f"the message was recorded at byte {expected.position}", seen.pixels
            )
        else:
            self._compare(seen, expected, seen.pixels, seen.libraries)

    def _judge(self, decoder: ForeignDecoder, seen: Seen, expected: Entry | None) -> None:
        """Compare what another program's decoder makes of an image or frame."""
        if seen.source is None or seen.pixels is None or expected is None or seen.pixels.size != seen.size:
            return
        group = group_of(seen.key)
        got = decoder.picture(seen, f"{self.name}#{seen.key.session}")
        if got is None:
            self.not_judged[group] += 1
            return
        self.compared[group] += 1
        # Our own picture is what is expected, if it is the recorded one.
        ours = seen.pixels if digest(seen.pixels) == expected.hash else None
        if isinstance(got, Failure):
            self._differs(seen, expected, f"{decoder.label} failed: {got.why}", None, ours)
            return
        libraries = (library(decoder.label),) if seen.libraries else ()
        self._compare(seen, expected, got, libraries, ours)

    def _compare(
        self,
        seen: Seen,
        expected: Entry,
        pixels: Pixels | None,
        libraries: tuple[str, ...],
        reference: Pixels | None = None,
    ) -> None:
        if pixels is None:
            if seen.why_not != expected.hash:
                self._differs(seen, expected, f"expected {_recorded(expected)}, got {seen.why_not}", None)
            return
        hashed = digest(pixels)
        if hashed == expected.hash:
            return
        what = f"expected {_recorded(expected)}, got {_described(seen, pixels, hashed)}"
        if expected.lossy and libraries:
            alike = likeness(expected.grid, block_means(pixels))
            same_library = set(libraries) == set(expected.libraries)
            same_form = (expected.width, expected.height, expected.format, expected.mask) == (
                *pixels.size,
                pixels.format,
                mask_digest(pixels),
            )
            if same_form and alike.within_tolerance and (self.options.tolerant or not same_library):
                self.tolerated[group_of(seen.key)] += 1
                return
            made_by = "the same library" if same_library else " and ".join(libraries)
            what += f" from {made_by}; {alike}"
        self._differs(seen, expected, what, pixels, reference)

    def _differs(
        self,
        seen: Seen,
        expected: Entry | None,
        what: str,
        pixels: Pixels | None,
        reference: Pixels | None = None,
    ) -> None:
        difference = Difference(seen.key, seen.position, seen.size, what)
        pair = None
        first = not self.wrong[group_of(seen.key)]
        if self.options.pictures is not None and (first or len(self.pairs) < MOST_PICTURES):
            pair = Pair(seen.key, expected, _kept(pixels), _kept(reference))
        self._add(difference, pair)

    def _add(self, difference: Difference, pair: Pair | None = None) -> None:
        group = group_of(difference.key)
        self.wrong[group] += 1
        if len(self.differences) < MOST_KEPT or self.wrong[group] <= MOST_KEPT_OF_A_KIND:
            self.differences.append(difference)
            self.pairs.append(pair)

    def finish(self, channels: Mapping[tuple[int, str], int]) -> None:
        """Count what was expected and did not come."""
        if self.decoder is not None:
            return
        for key, entry in sorted(self.expected.items()):
            self.compared[group_of(key)] += 1
            size = entry.width, entry.height
            self._add(Difference(key, entry.position, size, f"expected {_recorded(entry)}, got nothing"))
        recorded = self.manifest.channels
        for session, channel in sorted(recorded.keys() | channels.keys()):
            was, now = recorded.get((session, channel), 0), channels.get((session, channel), 0)
            if was != now and was:
                key = Key(session, channel, now, "messages", "all")
                what = f"expected {was} messages from the server, got {now}"
                self.compared[group_of(key)] += 1
                self._add(Difference(key, 0, (0, 0), what))

    def outcome(self, capture: Path) -> Outcome:
        """Return what was found, with pictures of it written."""
        if not self.wrong:
            verdict = Verdict.HELD if self.compared else Verdict.NOTHING
        else:
            verdict = Verdict.DIFFERENT
        detail = ""
        if verdict is Verdict.NOTHING:
            detail = "no picture in this capture"
            if self.decoder is not None:
                left = ", ".join(f"{n} {group}" for group, n in sorted(self.not_judged.items())) or "nothing"
                detail = f"{self.decoder.label} does none of its pictures ({left})"
        return Outcome(
            capture,
            verdict,
            detail,
            dict(self.compared),
            dict(self.tolerated),
            dict(self.not_judged),
            dict(self.wrong),
            tuple(self._with_pictures(capture)),
        )

    def _with_pictures(self, capture: Path) -> Iterator[Difference]:
        wanted = [pair.key for pair in self.pairs if pair is not None and pair.reference is None]
        better: Mapping[Key, Pixels] = {}
        if self.options.against is not None and wanted:
            better = pictures_of(
                self.options.against, capture, wanted, every=self.manifest.every, keylog=self.options.keylog
            )
        for difference, pair in zip(self.differences, self.pairs, strict=True):
            if pair is None or self.options.pictures is None:
                yield difference
                continue
            if pair.reference is None:
                pair = Pair(pair.key, pair.expected, pair.got, better.get(pair.key))
            files = write_pictures(self.options.pictures, capture, pair)
            yield Difference(difference.key, difference.position, difference.size, difference.what, files)


def _kept(pixels: Pixels | None) -> Pixels | None:
    """Return pixels that stay as they are: those of a surface are drawn over by the next message."""
    if pixels is None:
        return None
    unknown = None if pixels.unknown is None else pixels.unknown.copy()
    return replace(pixels, bgra=pixels.bgra.copy(), unknown=unknown)


def _recorded(entry: Entry) -> str:
    if entry.format == "-":
        return entry.hash
    return f"{entry.format} {entry.width}×{entry.height} {entry.hash}"


def _described(seen: Seen, pixels: Pixels | None = None, hashed: str = "") -> str:
    pixels = seen.pixels if pixels is None else pixels
    if pixels is None:
        return seen.why_not
    width, height = pixels.size
    return f"{pixels.format} {width}×{height} {hashed or digest(pixels)}"
