"""Whether the guest agent still answers: a MONITORS_CONFIG that changes nothing, now and then.

It is the one record that a Linux agent answers with a REPLY, and it asks for the monitors that the guest has at that
moment. What a Linux agent accepts is 8 + 20 bytes per monitor exactly, so no physical sizes are sent along.

Three ways in which nothing is heard are kept apart. An agent that has answered before and does not answer now is
silent: told as a warning. One that never answered since it connected is not stuck: with a QXL device the server hands
the record to the device, and no agent sees it. And when the server returns no tokens, nothing can be asked: starved.

Source: spice-wire.md 6; ryll-behaviour.md 8; spice server/reds.cpp, reds_on_main_agent_monitors_config.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spicereplay.client.agent_pipe import AgentPipe
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Monitor, Shared
from spicereplay.protocol import caps
from spicereplay.protocol.agent import (
    AgentMessage,
    AnnounceCapabilities,
    MonitorConfig,
    MonitorsConfig,
    Reply,
    parse_record,
)
from spicereplay.protocol.caps import AgentCap
from spicereplay.protocol.enums import (
    AgentMonitorsFlags,
    AgentResult,
    AgentType,
    NotifySeverity,
)
from spicereplay.protocol.wire import Message
from spicereplay.units import NS_PER_S

DEPTH: Final = 32
"""Bits per pixel that a MONITORS_CONFIG asks for. Source: spice-gtk src/channel-main.c,
spice_main_channel_send_monitor_config; spice-html5 asks for the same.
"""
MOST_MONITORS: Final = 64
"""Monitors of one MONITORS_CONFIG; the server accepts 256. Source: spice server/reds.cpp, MAX_NUM_MONITORS."""
LAGS: Final = 16
"""Source: ryll-formats.md 5.7, `recent_agent_reply_lag_us`."""
OUTSTANDING: Final = 99
"""Requests remembered at most. Source: ryll-formats.md 5.7, `outstanding_agent_request_count`."""
SILENT_AGAIN_NS: Final = 60 * NS_PER_S
"""A silent agent is told again after that. Source: ryll-behaviour.md 8, generation A."""
STARVED_AGAIN_NS: Final = 20 * NS_PER_S
"""Likewise a starved queue. Source: ryll-behaviour.md 8, generation B."""
SETTLED_NS: Final = 2 * NS_PER_S
"""The screen must have had its size for that long: a probe must not undo a change of size under way."""
LOOK_AGAIN_NS: Final = NS_PER_S
"""While there is no screen to ask for, whether there is one by now is looked at this often."""

ANNOUNCED: Final = ("MOUSE_STATE", "MONITORS_CONFIG", "REPLY", "MONITORS_CONFIG_POSITION")
"""What the client announces to the agent: no clipboard, no files."""


class AgentState(StrEnum):
    """What is known of the agent."""

    ABSENT = "absent"
    """Not connected, or not talked to."""
    UNKNOWN = "unknown"
    """Connected, and nothing is overdue."""
    ANSWERING = "answering"
    SILENT = "silent"
    """It has answered, and an answer is overdue."""
    NEVER_ANSWERED = "never_answered"
    """Not one answer since it connected, and one is overdue: not stuck as far as one can tell."""


@dataclass(frozen=True, slots=True)
class AgentDiagnostics:
    """Everything about the agent. Times in ns; None: never."""

    connected: bool
    state: AgentState
    capabilities: tuple[str, ...] | None
    """What the agent announced; None: nothing yet."""
    requests: int
    """MONITORS_CONFIG records sent."""
    replies: int
    """REPLY records received."""
    reply_errors: int
    unmatched_replies: int
    """Replies to something else, to nothing, or to one of several requests nobody can tell."""
    outstanding: int
    """Requests without a reply so far, `OUTSTANDING` at most."""
    last_reply_ns: int | None
    last_lag_ns: int | None
    lags_ns: tuple[int, ...]
    """The last `LAGS`, oldest first."""
    tokens: int
    queued: int
    """AGENT_DATA that wait for tokens."""
    starved_since_ns: int | None
    stalls: int
    """Times that the queue was starved for longer than the warning's threshold."""
    warnings: int
    """Times that the agent was told to be silent."""


class AgentProbe:
    """The client's talk with the guest agent. It writes with `send` and tells with `tell(severity, text, code)`."""

    def __init__(
        self,
        options: ClientOptions,
        shared: Shared,
        send: Callable[[int, Message], None],
        tell: Callable[[NotifySeverity, str, str], None],
    ) -> None:
        self._shared = shared
        self._tell = tell
        self._talks = options.agent
        seconds = options.monitors_config_interval_s
        self._interval_ns = None if seconds is None else max(1, round(seconds * NS_PER_S))
        self._patience_ns = round(options.agent_warning_s * NS_PER_S)
        self._patience_s = options.agent_warning_s
        self._pipe = AgentPipe(send, options.agent_grant)
        self._capabilities: tuple[int, ...] | None = None
        self._outstanding: deque[int] = deque(maxlen=OUTSTANDING)
        self._answered = False
        self._overdue = False
        self._looked_ns = 0
        self._asked_ns: int | None = None
        self._warned_ns: int | None = None
        self._silence_told = False
        self._starved_told_ns: int | None = None
        self._lags: deque[int] = deque(maxlen=LAGS)
        self._last_reply_ns: int | None = None
        self._requests = self._replies = self._reply_errors = self._unmatched = 0
        self._stalls = self._warnings = 0

    # --- what the main channel hands over --------------------------------------------------------------

    def connected(self, tokens: int | None, now_ns: int) -> None:
        """Begin: the agent is there. `tokens`: AGENT_DATA that may be sent; None: as many as before."""
        if not self._talks:
            return
        self.disconnected()
        self._looked_ns = now_ns
        self._pipe.start(tokens)
        self._announce(now_ns, request=True)

    def disconnected(self) -> None:
        """End: the agent is gone."""
        self._pipe.stop()
        self._forget()

    def credit(self, tokens: int, now_ns: int) -> None:
        """Take tokens of the server."""
        self._sent(self._pipe.credit(tokens, now_ns), now_ns)

    def credit_before(self, tokens: int) -> None:
        """Take the tokens of INIT, which hold for an agent that connects later."""
        self._pipe.tokens = tokens

    def data(self, body: bytes, now_ns: int) -> None:
        """Take in one AGENT_DATA; nothing is heeded of an agent that was not started."""
        if not self._pipe.open:
            return
        for record in self._pipe.take(body, now_ns):
            self._record(record, now_ns)

    # --- what a driver uses ----------------------------------------------------------------------------

    @property
    def state(self) -> AgentState:
        """What is known of the agent, as of the last call with a time."""
        if not self._pipe.open:
            return AgentState.ABSENT
        if self._overdue:
            return AgentState.SILENT if self._answered else AgentState.NEVER_ANSWERED
        return AgentState.ANSWERING if self._answered else AgentState.UNKNOWN

    def request_monitors(self, monitors: Sequence[Monitor], now_ns: int) -> bool:
        """Ask the guest for these monitors; whether there is an agent to ask.

        With more than one, they lie as their `x` and `y` say.
        """
        if not self._pipe.open or not monitors:
            return False
        # From here on it counts as asked, so that no probe for the old size overtakes it.
        self._asked_ns = now_ns
        several = len(monitors) > 1
        record = MonitorsConfig(
            AgentMonitorsFlags.USE_POS if several else AgentMonitorsFlags(0),
            tuple(
                MonitorConfig(m.height, m.width, DEPTH, m.x if several else 0, m.y if several else 0)
                for m in monitors[:MOST_MONITORS]
            ),
        )
        self._sent(self._pipe.put(record, now_ns), now_ns)
        return True

    def deadline(self) -> int | None:
        """Return when `tick` has something to do at the latest, in ns; None: not before something else happens."""
        due = (self._probe_due(), self._overdue_at(), self._starved_at())
        return min((at for at in due if at is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Probe, and tell what is overdue, where it is time to."""
        if (at := self._overdue_at()) is not None and now_ns >= at:
            self._be_overdue(now_ns)
        if (at := self._starved_at()) is not None and now_ns >= at:
            self._stalls += self._starved_told_ns is None
            self._starved_told_ns = now_ns
            self._tell(NotifySeverity.WARN, "the guest agent accepts no messages", "agent_starved")
        if (at := self._probe_due()) is not None and now_ns >= at:
            self._looked_ns = now_ns
            self.request_monitors(self._shared.screen(), now_ns)

    def diagnostics(self) -> AgentDiagnostics:
        """Return everything about the agent."""
        known = self._capabilities
        return AgentDiagnostics(
            connected=self._pipe.open,
            state=self.state,
            capabilities=None if known is None else tuple(caps.enum_names(AgentCap, known)),
            requests=self._requests,
            replies=self._replies,
            reply_errors=self._reply_errors,
            unmatched_replies=self._unmatched,
            outstanding=len(self._outstanding),
            last_reply_ns=self._last_reply_ns,
            last_lag_ns=self._lags[-1] if self._lags else None,
            lags_ns=tuple(self._lags),
            tokens=self._pipe.tokens,
            queued=self._pipe.queued,
            starved_since_ns=self._pipe.starved_since_ns,
            stalls=self._stalls,
            warnings=self._warnings,
        )

    # --- records ---------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Begin with an agent of which nothing is known."""
        self._capabilities = None
        self._outstanding.clear()
        self._answered = self._overdue = self._silence_told = False
        self._asked_ns = self._starved_told_ns = None

    def _announce(self, now_ns: int, *, request: bool) -> None:
        bits = sum(1 << AgentCap[name] for name in ANNOUNCED)
        self._sent(self._pipe.put(AnnounceCapabilities(int(request), (bits,)), now_ns), now_ns)

    def _sent(self, types: list[int], now_ns: int) -> None:
        """Note which records have left just now."""
        for type in types:
            if type == AgentType.MONITORS_CONFIG:
                self._requests += 1
                self._outstanding.append(now_ns)
        if self._pipe.starved_since_ns is None:
            self._starved_told_ns = None

    def _record(self, record: AgentMessage, now_ns: int) -> None:
        if record.data is None:
            return
        parsed = parse_record(
            record.type, record.data, clipboard_selection=False, clipboard_grab_serial=False
        ).message
        match parsed:
            case AnnounceCapabilities():
                self._capabilities = parsed.caps
                if parsed.request and not self._pipe.waits(AgentType.ANNOUNCE_CAPABILITIES):
                    self._announce(now_ns, request=False)
            case Reply():
                self._reply(parsed, now_ns)

    def _reply(self, reply: Reply, now_ns: int) -> None:
        """Pair a reply with its request: an agent works through its records in order."""
        self._replies += 1
        self._last_reply_ns = now_ns
        self._reply_errors += reply.error != AgentResult.SUCCESS
        if reply.type != AgentType.MONITORS_CONFIG or not self._outstanding:
            self._unmatched += 1
            return
        if not self._answered and len(self._outstanding) > 1:
            # Some of them were swallowed; which one this answers cannot be told.
            self._unmatched += 1
            self._outstanding.clear()
        else:
            self._lags.append(now_ns - self._outstanding.popleft())
        if self._silence_told:
            self._tell(NotifySeverity.INFO, "the guest agent answers again", "agent_answers")
        self._answered, self._overdue, self._silence_told = True, False, False

    # --- what is due -----------------------------------------------------------------------------------

    def _probe_due(self) -> int | None:
        """Return when to probe next, or to look whether there is a screen by now; None: not as things are."""
        if self._interval_ns is None or not self._pipe.open or self._pipe.queued or not self._pipe.tokens:
            return None
        if self._outstanding and (self._answered or not self._overdue):
            return None
        if self._capabilities is not None and not caps.has(self._capabilities, AgentCap.MONITORS_CONFIG):
            return None
        if not self._shared.screen():
            return self._looked_ns + LOOK_AGAIN_NS
        settled = self._shared.monitors_changed_ns + SETTLED_NS
        return settled if self._asked_ns is None else max(settled, self._asked_ns + self._interval_ns)

    def _overdue_at(self) -> int | None:
        """Return when the oldest request is overdue, or is to be told (again); None: there is nothing to tell."""
        if not self._outstanding or (self._overdue and not self._answered):
            return None
        overdue = self._outstanding[0] + self._patience_ns
        if not self._overdue or self._warned_ns is None:
            return overdue
        return max(overdue, self._warned_ns + SILENT_AGAIN_NS)

    def _be_overdue(self, now_ns: int) -> None:
        """Tell that nothing is heard: what has answered before is silent, what never did is not called stuck."""
        first, self._overdue = not self._overdue, True
        if self._answered:
            if self._warned_ns is not None and now_ns < self._warned_ns + SILENT_AGAIN_NS:
                return
            self._warnings += 1
            self._warned_ns, self._silence_told = now_ns, True
            text = f"the guest agent has not answered for more than {self._patience_s:g} s"
            self._tell(NotifySeverity.WARN, text, "agent_silent")
        elif first:
            text = "the guest agent has not said anything since it connected"
            if self._capabilities is not None:
                text = "the guest agent is there and answers no MONITORS_CONFIG: the display device may handle it"
            self._tell(NotifySeverity.INFO, text, "agent_never_answers")

    def _starved_at(self) -> int | None:
        """Return when a queue without tokens is to be told; None: it flows."""
        since = self._pipe.starved_since_ns
        if since is None or not self._pipe.open:
            return None
        if self._starved_told_ns is None:
            return since + self._patience_ns
        return self._starved_told_ns + STARVED_AGAIN_NS
