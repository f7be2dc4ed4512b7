"""One capture through every decoder there is: whether they agree, and how fast each is.

Speed is a ratio: time per pixel in the time that a fixed piece of work (inflating a known megabyte, per byte) takes in
the same run. A ratio of one machine says something on another; milliseconds do not.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spicereplay.codecs import jpeg
from spicereplay.codecs.base import Data, Decoded
from spicereplay.codecs.jpeg import JpegBackend, MjpegStream
from spicereplay.codecs.jpeg_backends import HARDWARE
from spicereplay.codecs.video import FfmpegStream, VideoCodec, VideoDecoder
from spicereplay.display.images import decode_alone
from spicereplay.errors import DecodeError
from spicereplay.golden.against import run_build
from spicereplay.golden.decoders import Failure, ForeignDecoder
from spicereplay.golden.digest import Pixels, digest, pixels_of, psnr
from spicereplay.golden.observe import Seen, observe
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.messages.images import Image
from spicereplay.replay.driver import Progress, Replay, replay

if TYPE_CHECKING:
    import av

REPEATS: Final = 3
"""How often everything is decoded; of the times the least counts."""
LEAST_WORK: Final = 4e6
"""A codec that takes less than inflating so many bytes for a whole capture is not recorded: chance would decide."""
MUST_BE_RECORDED: Final = 4 * LEAST_WORK
"""One that takes more than this, without a recorded ratio, has not been recorded with `--speed`."""
_CALIBRATION_BYTES: Final = 1 << 20
_THREADS: Final = 2


@dataclass(slots=True)
class Row:
    """One decoder of one codec."""

    codec: str
    decoder: str
    """Name and version; for video with how it is run."""
    pictures: int = 0
    pixels: int = 0
    exact: int = 0
    """Pictures that are the same bit for bit as those of the decoder that is used."""
    least_psnr_db: float = math.inf
    """Of the rest; infinite where there are none."""
    refused: int = 0
    """Pictures that only this decoder does not make."""
    withheld: int = 0
    """Frames it had not given back yet when the stream ended."""
    took_ns: int = 0
    """In the fastest of the runs."""
    reference: bool = False
    """It is the one that is used."""
    recorded: float | None = None
    """The ratio in the manifest."""
    calibration_ns: float = 0.0
    """Of the fixed work, per byte."""
    missing: str = ""
    """Why it could not be tried."""

    @property
    def ratio(self) -> float | None:
        """Time per pixel in times of the fixed work; None where nothing was decoded."""
        if not self.pixels or not self.calibration_ns:
            return None
        return self.took_ns / self.pixels / self.calibration_ns

    @property
    def work(self) -> float:
        """Time for all pictures in times of the fixed work: as long as inflating so many bytes."""
        return self.took_ns / self.calibration_ns if self.calibration_ns else 0.0

    @property
    def slowdown(self) -> float | None:
        """The ratio over the recorded one; None where there is none."""
        return None if self.ratio is None or not self.recorded else self.ratio / self.recorded

    @property
    def agreement(self) -> str:
        """In words."""
        if self.missing:
            return self.missing
        refused = f", {self.refused} refused" if self.refused else ""
        refused += f", {self.withheld} withheld" if self.withheld else ""
        if self.reference:
            return "is used" + refused
        if self.exact == self.pictures and self.pictures:
            return "exact" + refused
        if not self.pictures:
            return "nothing decoded" + refused
        if math.isinf(self.least_psnr_db):
            return f"{self.exact} of {self.pictures} exact{refused}"
        return f"{self.exact} of {self.pictures} exact, the rest from {self.least_psnr_db:.1f} dB{refused}"


def matrix(
    capture: Path,
    *,
    decoders: Sequence[ForeignDecoder] = (),
    against: Path | None = None,
    recorded: Mapping[str, float] | None = None,
    keylog: Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
    repeats: int = REPEATS,
    progress: Progress | None = None,
) -> list[Row]:
    """Decode everything in a capture with every decoder there is; rows by codec, the one that is used first.

    `decoders` are other programs', `against` another build of spicereplay, `recorded` the speeds of the manifest.
    """
    rows: dict[tuple[str, str], Row] = {}
    with replay(capture, limits=limits, keylog=keylog, progress=progress) as found:
        calibration = math.inf
        for n in range(repeats):
            calibration = min(calibration, calibrate())
            run = _Run(limits, decoders if n == 0 else (), all_decoders=True)
            run.observe(found, progress)
            _least(rows, run.rows.values())
        calibration = min(calibration, calibrate())
    for row in rows.values():
        row.calibration_ns = calibration
        if row.reference and recorded is not None:
            row.recorded = recorded.get(row.codec)
    out = list(rows.values())
    if against is not None and out:
        out += _other_build(against, capture, keylog, out)
    return sorted(out, key=lambda row: (row.codec, not row.reference, bool(row.missing), row.decoder))


def relative_speeds(
    capture: Path, *, keylog: Path | None = None, limits: Limits = DEFAULT_LIMITS, repeats: int = REPEATS
) -> dict[str, float]:
    """Return how long each codec of a capture takes per pixel, in times of the fixed work, as a manifest keeps it.

    Codecs that take less than `LEAST_WORK` are left out.
    """
    with replay(capture, limits=limits, keylog=keylog) as found:
        rows = _used(found, limits, repeats)
    return {row.codec: float(f"{row.ratio:.3g}") for row in rows if row.ratio and row.work >= LEAST_WORK}


def too_slow(rows: Iterable[Row], most: float) -> list[str]:
    """Return a sentence for each codec that has become slower than `most` times the recorded ratio.

    So has one that takes a while and whose ratio is not recorded: what was not compared has not passed.
    """
    out = []
    for row in rows:
        if not row.reference or row.ratio is None:
            continue
        if row.slowdown is None:
            if row.work >= MUST_BE_RECORDED:
                out.append(f"{row.codec}: no speed is recorded; `golden record --speed` does")
        elif row.slowdown > most:
            out.append(
                f"{row.codec}: {row.slowdown:.2f} times as slow as recorded ({row.recorded:.3g} then, "
                f"{row.ratio:.3g} now, at most {most:g} times that is allowed)"
            )
    return out


@cache
def _fixed_work() -> bytes:
    """Return a compressed megabyte that inflates at the speed of pictures: runs, repeats and some noise."""
    block = b"".join(
        hashlib.blake2b(bytes([n]), digest_size=32).digest() + bytes([n]) * 96 for n in range(256)
    )
    return zlib.compress(block * (_CALIBRATION_BYTES // len(block)), 6)


def calibrate(clock: Callable[[], int] = time.thread_time_ns) -> float:
    """Return nanoseconds per byte of the fixed work: the least of several tries."""
    work = _fixed_work()
    least = math.inf
    for _ in range(7):
        start = clock()
        size = len(zlib.decompress(work))
        least = min(least, (clock() - start) / size)
    return least


def _least(rows: dict[tuple[str, str], Row], more: Iterable[Row]) -> None:
    """Take rows of another run in: the least time of each counts."""
    for row in more:
        known = rows.setdefault((row.codec, row.decoder), row)
        known.took_ns = min(known.took_ns, row.took_ns)


def _used(found: Replay, limits: Limits, repeats: int) -> list[Row]:
    """Return the rows of the decoders that are used."""
    rows: dict[tuple[str, str], Row] = {}
    calibration = math.inf
    for _ in range(repeats):
        calibration = min(calibration, calibrate())
        run = _Run(limits, (), all_decoders=False)
        run.observe(found, None)
        _least(rows, run.rows.values())
    for row in rows.values():
        row.calibration_ns = calibration
    return sorted(rows.values(), key=lambda row: row.codec)


class _Threaded(FfmpegStream):
    """A stream decoded with several threads, by slices or by whole frames, which withholds some."""

    def __init__(self, codec: VideoCodec, limits: Limits, kind: str) -> None:
        super().__init__(codec, limits)
        self._context.thread_count = _THREADS
        self._context.thread_type = kind


class _Accelerated(FfmpegStream):
    """A stream decoded by a device; raises `DecodeError` where the device does not take it."""

    def __init__(self, codec: VideoCodec, limits: Limits, device: str) -> None:
        from av.codec.hwaccel import HWAccel

        super().__init__(codec, limits)
        accelerator = HWAccel(device_type=device, allow_software_fallback=False)
        try:
            context: Any = self._av.CodecContext.create(self._name, "r", hwaccel=accelerator)
        except (self._av.error.FFmpegError, RuntimeError, NotImplementedError) as error:
            raise DecodeError(f"{self._name}: {device}: {error}") from None
        self._context: av.VideoCodecContext = context

    def decode(self, data: Data) -> Decoded | None:
        decoded = super().decode(data)
        if decoded is not None and not self._context.is_hwaccel:
            raise DecodeError(f"{self._name}: the device does not take this stream")
        return decoded


@dataclass(slots=True, eq=False)
class _OtherStream:
    """A further decoder of one stream; what it gives late is compared with what it is late for."""

    row: Row
    decoder: VideoDecoder
    clock: Callable[[], int] = time.perf_counter_ns
    due: deque[Pixels] = field(default_factory=deque)


@dataclass(slots=True, eq=False)
class _Run:
    """One replay with every decoder."""

    limits: Limits
    decoders: Sequence[ForeignDecoder]
    all_decoders: bool
    clock: Callable[[], int] = time.thread_time_ns
    """Of the thread that decodes: other programs on the machine do not count. What decodes on several threads or on a
    device is taken by the clock on the wall."""
    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    streams: dict[str, list[_OtherStream]] = field(default_factory=dict)
    backends: list[JpegBackend] = field(default_factory=list)
    hashes: dict[str, Any] = field(default_factory=dict)
    """Codec to the hash of all hashes."""

    def __post_init__(self) -> None:
        if self.all_decoders:
            self.backends = [jpeg.select(info.name) for info in jpeg.available()][1:]

    def observe(self, found: Replay, progress: Progress | None) -> None:
        """Replay everything."""
        observe(found, self.see, limits=self.limits, clock=self.clock, progress=progress)
        for others in self.streams.values():
            for other in others:
                other.row.withheld += len(other.due)

    def row(self, codec: str, decoder: str) -> Row:
        return self.rows.setdefault((codec, decoder), Row(codec, decoder))

    def see(self, seen: Seen) -> None:
        """Take the time of an image or frame, and have the others decode it, too."""
        if seen.source is None or seen.pixels is None:
            return
        codec = seen.key.what
        row = self.row(codec, seen.backend)
        row.reference = True
        _count(row, seen.pixels, seen.pixels, seen.decode_ns)
        self.hashes.setdefault(codec, hashlib.blake2b(digest_size=8)).update(digest(seen.pixels).encode())
        if not self.all_decoders:
            return
        if seen.libraries and isinstance(seen.source, Image):
            for backend in self.backends:
                self._image(seen, seen.source, backend)
        elif seen.stream:
            self._frame(seen)
        for decoder in self.decoders:
            self._foreign(seen, decoder)

    def _image(self, seen: Seen, image: Image, backend: JpegBackend) -> None:
        assert seen.pixels is not None
        row = self.row(seen.key.what, backend.label)
        start = self.clock()
        try:
            decoded = decode_alone(image, seen.palette, self.limits, backend)
        except DecodeError:
            row.refused += 1
            return
        took = self.clock() - start
        _count(row, seen.pixels, pixels_of(decoded), took)

    def _frame(self, seen: Seen) -> None:
        assert seen.pixels is not None
        assert not isinstance(seen.source, Image)
        assert seen.source is not None
        others = self.streams.get(seen.stream)
        if others is None:
            others = self.streams[seen.stream] = self._others(seen.key.what)
        for other in others:
            other.due.append(seen.pixels)
            start = other.clock()
            try:
                decoded = other.decoder.decode(seen.source)
            except DecodeError as error:
                other.due.pop()
                other.row.refused += 1
                if not other.row.pictures:
                    other.row.missing = f"missing: {error}"
                continue
            other.row.took_ns += other.clock() - start
            if decoded is not None:
                _count(other.row, other.due.popleft(), pixels_of(decoded), 0)

    def _others(self, codec: str) -> list[_OtherStream]:
        if codec == "mjpeg":
            return [
                _OtherStream(self.row(codec, backend.label), MjpegStream(backend, self.limits), self.clock)
                for backend in self.backends
            ]
        number = VideoCodec[codec.upper()]
        out = [
            _OtherStream(
                self.row(codec, f"pyav, {_THREADS} threads by {kind.lower()}"),
                _Threaded(number, self.limits, kind),
            )
            for kind in ("SLICE", "FRAME")
        ]
        for device in HARDWARE:
            row = self.row(codec, f"pyav on {device}")
            try:
                out.append(_OtherStream(row, _Accelerated(number, self.limits, device)))
            except DecodeError as error:
                row.missing = f"missing: {error}"
        return out

    def _foreign(self, seen: Seen, decoder: ForeignDecoder) -> None:
        assert seen.pixels is not None
        row = self.row(seen.key.what, decoder.label)
        start = self.clock()
        got = decoder.picture(seen, str(seen.key.session))
        took = self.clock() - start
        if got is None:
            row.missing = "it does not do that"
        elif isinstance(got, Failure):
            row.refused += 1
        else:
            _count(row, seen.pixels, got, took)


def _count(row: Row, reference: Pixels, got: Pixels, took_ns: int) -> None:
    row.pictures += 1
    row.pixels += reference.size[0] * reference.size[1]
    row.took_ns += took_ns
    if got is reference or digest(got) == digest(reference):
        row.exact += 1
    else:
        row.least_psnr_db = min(row.least_psnr_db, psnr(reference, got))


# --- other builds -----------------------------------------------------------------------------------------


def _other_build(build: Path, capture: Path, keylog: Path | None, ours: Sequence[Row]) -> list[Row]:
    """Return the rows of another build's decoders; they agree as a whole or not at all."""
    order = json.dumps({"capture": str(capture.absolute()), "keylog": keylog and str(keylog.absolute())})
    mine = json.loads(_measured(order))
    theirs = json.loads(run_build(build, "spicereplay.golden.matrix", [], order))
    used = {row.codec for row in ours if row.reference}
    out = []
    for codec in sorted(used):
        found = theirs["rows"].get(codec)
        decoder = f"{build}: {found['decoder']}" if found else str(build)
        if found is None:
            out.append(Row(codec, decoder, missing="it decodes none of them"))
            continue
        same = theirs["hashes"][codec] == mine["hashes"].get(codec)
        found |= {"decoder": decoder, "reference": False, "exact": found["pictures"] if same else 0}
        out.append(Row(**found))
    return out


def _measured(order: str) -> str:
    """Return what the used decoders make of a capture, as JSON: the rows by codec, and a hash of all pictures."""
    what = json.loads(order)
    run = _Run(DEFAULT_LIMITS, (), all_decoders=False)
    with replay(what["capture"], keylog=what["keylog"]) as found:
        run.observe(found, None)
        rows = {row.codec: asdict(row) for row in _used(found, DEFAULT_LIMITS, REPEATS)}
    for row in rows.values():
        row["least_psnr_db"] = math.inf
    return json.dumps({"rows": rows, "hashes": {codec: h.hexdigest() for codec, h in run.hashes.items()}})


if __name__ == "__main__":
    print(_measured(sys.stdin.read()))
