"""Carries connections between clients and a server, and has what passes recorded.

What a side sends is handed on first and recorded then, unchanged and as soon as the other side takes it; a side that
reads slowly slows the other one down and nobody else. The recorder never makes anybody wait: what it cannot keep is
told, and passes all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spicereplay.capture.connection import Endpoint
from spicereplay.errors import UsageError
from spicereplay.limits import DEFAULT_LIMITS, Limits
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.recording.recorder import Recorder, Sink
from spicereplay.recording.wrapped import WireMask
from spicereplay.tap.trust import trouble_of
from spicereplay.transport.tls.subject import Subject, wrong_subject
from spicereplay.units import KIB, NS_PER_S

READ_BYTES: Final = 64 * KIB
MOST_CONNECTIONS: Final = 1000
DIAL_SECONDS: Final = 10.0
"""How long the server may take to accept a connection, TLS included."""
GOODBYE_SECONDS: Final = 1.0
"""How long connections may take, at the end of the tap, to hand on what they have taken."""
LINGER_SECONDS: Final = 60.0
"""The same for a connection that both sides have ended."""
HAPPY_EYEBALLS_SECONDS: Final = 0.25
"""Source: RFC 8305 section 5."""
TROUBLE_SECONDS: Final = 1.0
"""How often the recorder is asked what it had to leave out."""
_BACKLOG: Final = 128
_AT_ONCE: Final = struct.pack("@ii", 1, 0)
"""What is closed with this SO_LINGER is reset instead of ended. Source: Linux socket(7), struct linger."""
_OTHER_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class Event:
    """Something that whoever runs the tap wants to hear of."""

    kind: str
    """`listening`, `connected`, `linked`, `closed`, `refused` or `trouble`."""
    text: str
    """The same as a sentence."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The same as values that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where clients come in, and where they are led."""

    listen: Endpoint
    """Port 0: the system chooses one, but for the path of a Unix socket."""
    to: Endpoint
    """The address may be a name."""
    accept: ssl.SSLContext | None = None
    """None: clients speak in the clear."""
    call: ssl.SSLContext | None = None
    """None: the server is spoken to in the clear."""
    subject: Subject | None = None
    """What the subject of the server's certificate has to be."""


@dataclass(frozen=True, slots=True)
class _End:
    """The connection to one side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(slots=True, eq=False)
class _Passage:
    """One client's connection and the one to the server that belongs to it."""

    client: Endpoint
    server: Endpoint
    number: int
    began_ns: int
    sink: Sink
    mask: WireMask
    ends: dict[Side, _End]
    sent: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    """Bytes that each side has sent."""
    first_closed: Side | None = None
    """Who said first that nothing more will come."""
    broken: Side | None = None
    """Who broke the connection without a word."""
    linked: bool = False
    """The link stage is over, and that was told."""

    @property
    def facts(self) -> dict[str, Any]:
        """Which connection it is."""
        return {"connection": self.number, "client": str(self.client), "server": str(self.server)}

    @property
    def channel(self) -> str:
        """`display/0`, or that it is no SPICE."""
        link = self.mask.link
        if link is None or link.channel is None:
            return "no SPICE"
        kind = link.channel.label if isinstance(link.channel, ChannelType) else f"channel type {link.channel}"
        return f"{kind}/{link.channel_id}"

    def break_off(self, side: Side) -> None:
        """Note that `side` broke the connection, and break that to the other one."""
        self.broken = self.broken or side
        for end in self.ends.values():
            if (made := end.writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            end.writer.transport.abort()


class Tap:
    """Carries the connections of any number of clients."""

    def __init__(
        self,
        routes: tuple[Route, ...],
        recorder: Recorder,
        tell: Callable[[Event], None],
        *,
        clock: Callable[[], int],
        most_connections: int = MOST_CONNECTIONS,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`tell` gets every `Event`; `clock` gives nanoseconds since 1970 and never goes back."""
        self._routes, self._recorder, self._tell, self._clock = routes, recorder, tell, clock
        self._most, self._limits = most_connections, limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._full = False
        self._locals = 0
        """Clients that came by a Unix socket, which has no names for them."""
        self._failure: asyncio.Future[None] | None = None
        self.connections = 0
        """How many there have been."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[list[Endpoint]]:
        """Accept clients meanwhile; gives where, with the ports that the system has chosen.

        Raises `UsageError` where it cannot be listened. At the end every connection is closed.
        """
        loop = asyncio.get_running_loop()
        self._failure = loop.create_future()
        async with contextlib.AsyncExitStack() as stack:
            places = []
            stack.push_async_callback(self._goodbye)
            for route in self._routes:
                places.append(await self._listen(route, stack))
            watching = loop.create_task(self._watch_recorder())
            stack.callback(watching.cancel)
            yield places
        self._tell_trouble()

    async def failure(self) -> None:
        """Wait for ever; raises what went wrong in here, if something does."""
        assert self._failure is not None, "nobody can have come before `listening`"
        await self._failure

    async def _listen(self, route: Route, stack: contextlib.AsyncExitStack) -> Endpoint:
        loop = asyncio.get_running_loop()
        sockets = await _listeners(route.listen)
        if route.listen.is_path:
            stack.callback(Path(route.listen.address).unlink, missing_ok=True)
        for listener in sockets:
            stack.callback(listener.close)
            accepting = loop.create_task(self._accept_all(route, listener))
            accepting.add_done_callback(self._finished)
            stack.callback(accepting.cancel)
        at = route.listen
        place = at if at.is_path else Endpoint(at.address, int(sockets[0].getsockname()[1]))
        secure = " in TLS" if route.accept else ""
        behind = " in TLS" if route.call else ""
        facts = {"host": place.address, "port": place.port, "tls": bool(route.accept)}
        facts |= {"to_host": route.to.address, "to_port": route.to.port, "to_tls": bool(route.call)}
        self._tell(Event("listening", f"listening on {place}{secure} for {route.to}{behind}", facts))
        return place

    async def _accept_all(self, route: Route, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, name = await loop.sock_accept(listener)
            except ConnectionError:
                continue  # it has gone while it waited
            except OSError as error:
                # Out of file descriptors, say: those who wait are taken when others have left.
                self._refuse(None, f"no connection can be taken: {error.strerror}")
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            if route.listen.is_path:
                self._locals += 1
            client = Endpoint("unix", self._locals) if route.listen.is_path else _endpoint(name)
            if len(self._tasks) >= self._most:
                accepted.close()
                if not self._full:
                    self._refuse(client, f"there are {self._most:,} connections; more are not taken")
                self._full = True
                continue
            self._full = False
            task = loop.create_task(self._connection(route, accepted, client))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    async def _goodbye(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_recorder(self) -> None:
        while True:
            await asyncio.sleep(TROUBLE_SECONDS)
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        for trouble in self._recorder.trouble():
            facts = {"text": trouble.text, "lost_bytes": trouble.lost_bytes}
            self._tell(Event("trouble", f"recording: {trouble.text}; the connections go on", facts))

    # --- one connection --------------------------------------------------------------------------------

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failed = None if task.cancelled() else task.exception()
        if failed is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(failed)

    async def _connection(self, route: Route, accepted: socket.socket, client: Endpoint) -> None:
        """Take a client's connection, make the one to the server, and carry what they say."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(accepted.close)
            try:
                ours = await _take(accepted, route.accept)
            except OSError as error:
                self._refuse(client, trouble_of(error))
                return
            stack.callback(ours.writer.transport.abort)
            try:
                theirs = await _call(route)
            except OSError as error:
                self._refuse(client, f"{route.to} cannot be reached: {trouble_of(error)}")
                return
            stack.callback(theirs.writer.transport.abort)
            shown: ssl.SSLObject | None = theirs.writer.get_extra_info("ssl_object")
            if shown is not None and route.subject is not None:
                wrong = wrong_subject(shown.getpeercert(binary_form=True), route.subject)
                if wrong is not None:
                    self._refuse(client, f"{route.to}: {wrong}")
                    return
            await self._pass(client, route, ours, theirs)

    async def _pass(self, client: Endpoint, route: Route, ours: _End, theirs: _End) -> None:
        self.connections += 1
        peer = theirs.writer.get_extra_info("peername")
        server = route.to if route.to.is_path else _endpoint(peer)
        mask, began_ns = WireMask(self._limits), self._clock()
        label = f"connection {self.connections}: {client} → {server}"
        sink = self._recorder.connection(client, server, label, began_ns, mask=mask)
        passage = _Passage(
            client, server, self.connections, began_ns, sink, mask, {Side.CLIENT: ours, Side.SERVER: theirs}
        )
        self._tell(Event("connected", f"{client} connected to {server}", passage.facts))
        await self._carry(passage)

    async def _carry(self, passage: _Passage) -> None:
        """Carry both directions until both have ended, or one has broken."""
        ways = [asyncio.create_task(self._hand_on(passage, side)) for side in Side]
        whole = False
        patience_s = GOODBYE_SECONDS
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            for way in done:
                way.result()
            whole, patience_s = True, LINGER_SECONDS
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._end(passage, whole)
            if passage.broken is None:
                # What was taken is handed on still, if there is anybody to take it.
                for end in passage.ends.values():
                    end.writer.close()
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(patience_s):
                        for end in passage.ends.values():
                            await end.writer.wait_closed()

    async def _hand_on(self, passage: _Passage, side: Side) -> None:
        """Carry what `side` sends to the other one. Whoever breaks the connection is noted in `passage`."""
        reader, to = passage.ends[side].reader, passage.ends[side.other].writer
        while True:
            try:
                data = await reader.read(READ_BYTES)
            except OSError:
                passage.break_off(side)
                return
            if not data:
                break
            now_ns = self._clock()
            to.write(data)
            passage.sink.data(side, data, now_ns)
            passage.sent[side] += len(data)
            if not passage.linked:
                self._look(passage)
            try:
                await to.drain()
            except OSError:
                # In TLS who has said that it ends takes nothing any more.
                if to.can_write_eof() or passage.first_closed is not side.other:
                    passage.break_off(side.other)
                return
        passage.first_closed = passage.first_closed or side
        if to.can_write_eof():
            with contextlib.suppress(OSError):
                to.write_eof()
        else:
            # In TLS nobody can be half closed: whoever is told that the other side has ended, ends as well.
            to.close()

    def _look(self, passage: _Passage) -> None:
        """Tell which channel a connection is, once its link stage is over."""
        link = passage.mask.link
        if link is None or not passage.mask.over:
            return
        passage.linked = True
        told = {"channel": passage.channel, "status": str(link.status), "detail": link.detail}
        detail = f": {link.detail}" if link.detail else ""
        text = f"{passage.client}: {passage.channel} {link.status}{detail}"
        self._tell(Event("linked", text, {**passage.facts, **told}))

    def _end(self, passage: _Passage, whole: bool) -> None:
        """Record and tell the end of a connection; `whole` says that it was not the tap that ended it."""
        now_ns = self._clock()
        reset = passage.broken is not None
        by = passage.broken or passage.first_closed or Side.SERVER
        passage.sink.close(now_ns, by, reset=reset)
        if reset:
            for end in passage.ends.values():
                end.writer.transport.abort()
        sent = {f"bytes_from_{side}": passage.sent[side] for side in Side}
        how = f"{'reset' if reset else 'closed'} by the {by}" if whole else "ended with the tap"
        seconds = (now_ns - passage.began_ns) / NS_PER_S
        text = (
            f"{passage.client}: {passage.channel} {how} after {seconds:.1f} s, "
            f"{sent['bytes_from_server']:,} bytes from the server, {sent['bytes_from_client']:,} from the client"
        )
        told = {"channel": passage.channel, "by": str(by) if whole else "tap", "reset": reset}
        self._tell(Event("closed", text, {**passage.facts, **told, "duration_s": seconds, **sent}))

    def _refuse(self, client: Endpoint | None, why: str) -> None:
        facts = {"client": None if client is None else str(client), "why": why}
        self._tell(Event("refused", why if client is None else f"{client}: {why}", facts))


def _endpoint(name: Any) -> Endpoint:
    """Return what `getpeername` gave; a peer that is gone already has none."""
    return Endpoint(str(name[0]), int(name[1])) if name else Endpoint("0.0.0.0", 0)


async def _listeners(place: Endpoint) -> list[socket.socket]:
    """Listen on every address of `place`, all on one port. Raises `UsageError`."""
    if place.is_path:
        return [_local_listener(place.address)]
    loop = asyncio.get_running_loop()
    opened: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(
            place.address or None, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            port = opened[0].getsockname()[1] if opened else address[1]
            listener = socket.create_server((address[0], port), family=family, backlog=_BACKLOG)
            opened.append(listener)
            listener.setblocking(False)
    except (OSError, OverflowError) as error:
        for listener in opened:
            listener.close()
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"cannot listen on {place}: {why}") from None
    return opened


def _local_listener(path: str) -> socket.socket:
    """Listen on a Unix socket that this user alone may connect to. Raises `UsageError`."""
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


async def _take(accepted: socket.socket, context: ssl.SSLContext | None) -> _End:
    """Return a client's connection, after its TLS handshake. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, accepted, ssl=context, ssl_handshake_timeout=DIAL_SECONDS if context else None
    )
    return _End(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _call(route: Route) -> _End:
    """Connect to the server. Raises `OSError`."""
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            if route.to.is_path:
                return _End(*await asyncio.open_unix_connection(route.to.address, limit=READ_BYTES))
            return _End(
                *await asyncio.open_connection(
                    *route.to, limit=READ_BYTES, ssl=route.call, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS
                )
            )
    except TimeoutError:
        raise TimeoutError(errno.ETIMEDOUT, f"no answer within {DIAL_SECONDS:g} s") from None


async def carry(
    routes: tuple[Route, ...],
    recorder: Recorder,
    tell: Callable[[Event], None],
    *,
    clock: Callable[[], int],
    most_connections: int = MOST_CONNECTIONS,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Carry connections until cancelled or asked to terminate (SIGTERM).

    Raises `UsageError` where it cannot be listened.
    """
    _make_room(most_connections)
    tap = Tap(routes, recorder, tell, clock=clock, most_connections=most_connections, limits=limits)
    loop = asyncio.get_running_loop()
    async with tap.listening():
        running = loop.create_task(tap.failure())
        loop.add_signal_handler(signal.SIGTERM, running.cancel)
        try:
            await asyncio.wait((running,))
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            running.cancel()
        if not running.cancelled():
            running.result()


def _make_room(connections: int) -> None:
    """Raise the number of files that this process may have open: each connection is two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OTHER_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
