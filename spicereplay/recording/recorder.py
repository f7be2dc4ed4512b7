"""Records running connections: bytes in from any thread, files written by one of its own.

Who records never waits for the disk: what cannot be written in time is left out, the hole is kept as one, and
`Recorder.trouble` tells how much it was. Everything taken in is with the operating system within 100 ms, so that
ending the process by force loses no more than that. Passwords never get in: see `masking.py`.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from spicereplay.capture.connection import Endpoint
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.recording.masking import LinkMask
from spicereplay.recording.rolling import Line, PcapngFiles, Rotation
from spicereplay.recording.ryll_capture import RyllDirectory, RyllTarget
from spicereplay.recording.wrapped import Mask
from spicereplay.units import MIB, NS_PER_S

FLUSH_SECONDS: Final = 0.03
"""Longest time that bytes wait for others before they are written; the rest of the 100 ms is for busy machines."""
QUEUE_BYTES: Final = 64 * MIB
"""Bytes that wait for the disk at most: seconds of the fastest session."""
_ITEM_BYTES: Final = 256
"""What an item costs beside its bytes."""
_TELL_EVERY_NS: Final = NS_PER_S


class Form(StrEnum):
    """How a recording is laid out."""

    PCAPNG = "pcapng"
    RYLL = "ryll"
    """A directory with a file per channel, as `ryll --capture` writes it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with a recording, once it is known how much was lost."""

    time_ns: int
    text: str
    lost_bytes: int
    """Bytes of the session that are not in the recording; 0: none yet."""


@dataclass(slots=True)
class _Item:
    """One thing to write, in the order of the calls."""

    line: Line | None
    action: str
    time_ns: int
    side: Side = Side.CLIENT
    data: bytes = b""
    text: str = ""
    lost: dict[Side, int] = field(default_factory=dict)
    """Bytes left out before this, by side."""
    reset: bool = False


class Sink:
    """Takes the bytes of one connection. Every call returns at once; times must not fall."""

    def __init__(self, recorder: Recorder, line: Line, mask: Mask) -> None:
        self._recorder = recorder
        self._line = line
        self._mask = mask
        self._lost: dict[Side, int] = {}
        self._closed = False

    @property
    def label(self) -> str:
        """What the connection was called."""
        return self._line.label

    def data(self, side: Side, data: bytes, time_ns: int, comment: str = "") -> None:
        """Take the next bytes that `side` sent, decrypted, from the link message on; secrets are zeroed here."""
        if self._closed or not data:
            return
        kept = self._mask.take(side, bytes(data))
        item = _Item(self._line, "data", time_ns, side, kept, comment, self._lost)
        if self._recorder._put(item):
            self._lost = {}
        else:
            self._lost[side] = self._lost.get(side, 0) + len(data)

    def gap(self, side: Side, length: int) -> None:
        """Note that bytes which `side` sent are not to be had."""
        if length:
            self._lost[side] = self._lost.get(side, 0) + length

    def comment(self, text: str, time_ns: int) -> None:
        """Write a remark about this connection."""
        self._recorder.comment(f"{self.label}: {text}", time_ns)

    def close(self, time_ns: int, by: Side = Side.CLIENT, *, reset: bool = False) -> None:
        """End the connection; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        item = _Item(self._line, "close", time_ns, by, lost=self._lost, reset=reset)
        self._recorder._put(item, always=True)


class Recorder:
    """One recording; as a context manager it closes itself."""

    def __init__(self, files: PcapngFiles | RyllDirectory, limits: Limits, queue_bytes: int) -> None:
        self._files = files
        self._limits = limits
        self._queue_bytes = queue_bytes
        self._items: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._trouble: deque[Trouble] = deque(maxlen=1000)
        self._skipped = 0
        """Bytes left out because the queue was full, not told yet."""
        self._skipped_ns = 0
        self._unwritten = 0
        """Bytes left out because writing failed, not told yet."""
        self._reason = ""
        self._told_ns: int | None = None
        self._numbers = 0
        self.lost_bytes = 0
        """Bytes of the session that are not in the recording."""
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        form: Form = Form.PCAPNG,
        rotation: Rotation | None = None,
        force: bool = False,
        interface: str = "",
        comment: str = "",
        started_ns: int,
        ryll_target: RyllTarget | None = None,
        limits: Limits = DEFAULT_LIMITS,
        queue_bytes: int = QUEUE_BYTES,
    ) -> Recorder:
        """Begin a recording at `path`: a pcapng file, or with `rotation` or as `Form.RYLL` a directory.

        `interface` and `comment` go into the head of each file; `started_ns` is the time of the call, in ns since
        1970. Raises `OutputExistsError` for a file that exists already (unless `force`), and `UsageError` for one that
        cannot be written. An existing directory is used if no file that is to be written is in it.
        """
        files: PcapngFiles | RyllDirectory
        if form is Form.RYLL:
            files = RyllDirectory(path, started_ns, ryll_target or RyllTarget(), force=force)
        else:
            files = PcapngFiles(
                path, rotation=rotation, force=force, interface=interface, comment=comment, limits=limits
            )
        return cls(files, limits, queue_bytes)

    def connection(
        self,
        client: Endpoint,
        server: Endpoint,
        label: str,
        time_ns: int,
        *,
        channel: ChannelType | None = None,
        mask: Mask | None = None,
    ) -> Sink:
        """Begin a connection, which its first packets name `label`; `channel` is needed for `Form.RYLL` alone.

        Endpoints that are no IP addresses (a Unix socket, a name) get addresses for documentation. `mask` takes the
        secrets out; by default one for SPICE that nothing is wrapped around.
        """
        with self._changed:
            self._numbers += 1
            line = Line(self._numbers, client, server, label, channel)
        self._put(_Item(line, "open", time_ns), always=True)
        return Sink(self, line, mask or LinkMask(self._limits))

    def comment(self, text: str, time_ns: int) -> None:
        """Write a remark into the recording at its time: a notification, say."""
        self._put(_Item(None, "comment", time_ns, text=text), always=True)

    def trouble(self) -> list[Trouble]:
        """Return what went wrong since the last call.

        What the queue had no room for is told here, too: a disk that hangs holds up the thread that writes.
        """
        with self._changed:
            if not self._early(self._skipped_ns):
                self._tell_skipped(self._skipped_ns)
        found = []
        while self._trouble:
            found.append(self._trouble.popleft())
        return found

    def close(self) -> None:
        """Write everything that is left and end; a second call does nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # --- the queue -------------------------------------------------------------------------------------

    def _put(self, item: _Item, *, always: bool = False) -> bool:
        cost = len(item.data) + _ITEM_BYTES
        with self._changed:
            if self._closing:
                return False
            if not always and self._waiting_bytes + cost > self._queue_bytes:
                self._skipped += len(item.data)
                self._skipped_ns = item.time_ns
                self.lost_bytes += len(item.data)
                return False
            self._items.append(item)
            self._waiting_bytes += cost
            self._changed.notify()
            return True

    def _run(self) -> None:
        now_ns = 0
        closing = False
        while not closing:
            with self._changed:
                while not self._items and not self._closing:
                    self._changed.wait()
                # What comes in the meantime is written along.
                self._changed.wait_for(lambda: self._closing, FLUSH_SECONDS)
                items, self._items = self._items, deque()
                closing = self._closing
            for item in items:
                now_ns = max(now_ns, item.time_ns)
                self._write(item, now_ns)
            if lost := self._files.commit():
                self._unwritten += lost.bytes
                self.lost_bytes += lost.bytes
                self._reason = lost.reason
            with self._changed:
                self._waiting_bytes -= sum(len(item.data) + _ITEM_BYTES for item in items)
            self._tell(now_ns, closing)
        self._files.close()

    def _write(self, item: _Item, time_ns: int) -> None:
        files, line = self._files, item.line
        if line is None:
            files.remark(item.text, time_ns)
            return
        for side, length in item.lost.items():
            files.gap(line, side, length)
        match item.action:
            case "open":
                files.opened(line, time_ns)
            case "data":
                files.data(line, item.side, item.data, time_ns, item.text)
            case _:
                files.closed(line, time_ns, item.side, item.reset)

    def _tell(self, now_ns: int, closing: bool) -> None:
        """Report losses, at most once a second: the first at once."""
        with self._changed:
            if self._early(now_ns) and not closing:
                return
            self._tell_skipped(now_ns)
        for reason in self._files.remarks():
            self._trouble.append(Trouble(now_ns, reason, 0))
        if self._unwritten:
            text = f"writing failed ({self._reason}); {self._unwritten:,} bytes are left out of the recording"
            self._trouble.append(Trouble(now_ns, text, self._unwritten))
            self._told_ns = now_ns
        self._unwritten = 0

    def _early(self, now_ns: int) -> bool:
        return self._told_ns is not None and now_ns - self._told_ns < _TELL_EVERY_NS

    def _tell_skipped(self, now_ns: int) -> None:
        """Report what the queue had no room for; called with the lock."""
        if not self._skipped:
            return
        skipped, self._skipped = self._skipped, 0
        text = f"the disk does not keep up; {skipped:,} bytes are left out of the recording"
        self._trouble.append(Trouble(now_ns, text, skipped))
        self._told_ns = now_ns
