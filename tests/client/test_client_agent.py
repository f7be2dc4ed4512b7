"""The client's talk with the guest agent, as conversations in which the test is the server and time is a number."""

from pathlib import Path

import pytest
from support.conversation import MS, Conversation, S, recorded, sessions

from spicereplay.client.agent import AgentDiagnostics, AgentState
from spicereplay.client.main import MainClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Monitor, Shared
from spicereplay.protocol.agent import (
    AnnounceCapabilities,
    ClipboardRelease,
    Reply,
    slices,
)
from spicereplay.protocol.enums import (
    AgentResult,
    AgentType,
    ChannelType,
    ClientMain,
    LinkError,
    Side,
)
from spicereplay.protocol.messages import main
from spicereplay.protocol.wire import Message

ONE = (Monitor(1024, 768),)
LINUX = 0x38DE7
"""What spice-vdagentd 0.22.1 announces."""
ASKED = "AGENT_DATA"


def agent_says(record: Message) -> main.AgentData:
    [body] = slices(record)
    return main.AgentData(body)


def reply(kind: int = AgentType.MONITORS_CONFIG, error: int = AgentResult.SUCCESS) -> main.AgentData:
    return agent_says(Reply(AgentType(kind), AgentResult(error)))


def init(connected: bool = True, tokens: int = 10) -> main.Init:
    return main.Init(7, 1, 1, 1, int(connected), tokens, 5000, 0)


class Guest(Conversation):
    """A main channel whose screen settles at 0."""

    def __init__(
        self,
        options: ClientOptions | None = None,
        *,
        screen: tuple[Monitor, ...] = ONE,
        start: main.Init | None = None,
    ) -> None:
        shared = Shared()
        shared.set_monitors(0, screen, -2 * S)
        super().__init__(ChannelType.MAIN, options, shared)
        self.first = self.says(start or init())
        self.told()

    @property
    def agent(self) -> AgentDiagnostics:
        assert isinstance(self.client, MainClient)
        return self.client.agent.diagnostics()


def test_an_agent_is_started_announced_to_and_probed_with_the_screen_as_it_is() -> None:
    guest = Guest()
    assert [name for name, _ in guest.first] == ["AGENT_START", "AGENT_DATA", "ATTACH_CHANNELS"]
    assert guest.first[0][1] == main.AgentStart(0xFFFFFFFF)
    guest.says(agent_says(AnnounceCapabilities(0, (LINUX,))), 1 * MS)
    [(at, name, probe)] = guest.waits(4 * S)
    assert (at, name) == (0, "AGENT_DATA")
    assert isinstance(probe, main.AgentData)
    assert probe.data.hex() == (
        "01000000 02000000 0000000000000000 1c000000 01000000 00000000 00030000 00040000 20000000 00000000 00000000"
    ).replace(" ", "")
    assert guest.says(reply(), 3 * MS) == []
    assert (guest.agent.requests, guest.agent.replies, guest.agent.lags_ns) == (1, 1, (3 * MS,))
    assert guest.agent.state is AgentState.ANSWERING
    assert guest.agent.capabilities is not None
    assert "MONITORS_CONFIG" in guest.agent.capabilities


def test_the_probe_is_what_spice_html5_sends_and_a_linux_agent_answers(fixtures: Path) -> None:
    [session] = sessions(fixtures / "captures" / "html5-agent-frozen" / "capture.pcap")
    [log] = session.of(ChannelType.MAIN)
    sent = [m.body for _, m in recorded(log, Side.CLIENT) if m.type == ClientMain.AGENT_DATA]
    [first, *_] = [body for body in sent if body[4] == AgentType.MONITORS_CONFIG]
    height, width = (int.from_bytes(first[at : at + 4], "little") for at in (28, 32))
    [(_, _, probe)] = Guest(screen=(Monitor(width, height),)).waits(0)
    assert isinstance(probe, main.AgentData)
    assert probe.data == first


def test_several_monitors_are_asked_for_where_they_are() -> None:
    guest = Guest(screen=(Monitor(1024, 768), Monitor(800, 600, 1024, 100)))
    [(_, _, probe)] = guest.waits(0)
    assert isinstance(probe, main.AgentData)
    assert probe.data[20:28].hex() == "0200000001000000"
    assert probe.data[48:].hex() == "5802000020030000200000000004000064000000"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ClientOptions(), [0, 30, 60]),
        (ClientOptions(monitors_config_interval_s=45), [0, 45]),
        (ClientOptions(monitors_config_interval_s=None), []),
        (ClientOptions(agent=False), []),
    ],
)
def test_an_idle_agent_is_probed_at_intervals(options: ClientOptions, expected: list[int]) -> None:
    guest = Guest(options)
    guest.says(main.AgentToken(100), 0)
    at = []
    for step in range(90):
        for time, name, _ in guest.waits(step * S):
            assert name == "AGENT_DATA"
            at.append(time // S)
            guest.says(reply(), time + 2 * MS)
    assert at == expected
    assert guest.told() == []


def test_a_size_that_the_user_asks_for_counts_as_asked() -> None:
    guest = Guest()
    assert isinstance(guest.client, MainClient)
    assert guest.client.agent.request_monitors((Monitor(640, 480),), 0)
    guest.taken()
    guest.says(reply(), MS)
    assert guest.waits(29 * S) == []
    [(at, _, probe)] = guest.waits(30 * S)
    assert at == 30 * S
    assert isinstance(probe, main.AgentData)
    # The guest took another size than it was asked for: the probe asks for what there is.
    assert probe.data[28:36].hex() == "0003000000040000"


def test_a_screen_that_changes_is_left_alone_until_it_has_settled() -> None:
    guest = Guest(screen=())
    assert guest.waits(10 * S) == []
    guest.shared.set_monitors(0, ONE, 10 * S)
    guest.shared.set_monitors(0, (Monitor(800, 600),), 11 * S)
    [(at, _, _)] = guest.waits(20 * S)
    assert at == 13 * S


def test_no_probe_for_an_agent_that_does_not_know_it() -> None:
    guest = Guest()
    guest.says(agent_says(AnnounceCapabilities(0, (0b100,))), 0)
    assert guest.waits(100 * S) == []
    assert guest.agent.capabilities == ("REPLY",)


def test_a_frozen_agent_is_told_when_the_threshold_is_over_and_once_a_minute() -> None:
    guest = Guest()
    guest.waits(0)
    guest.says(reply(), MS)
    assert len(guest.waits(30 * S)) == 1
    guest.waits(35 * S - 1)
    assert guest.told() == []
    guest.waits(35 * S)
    assert guest.told() == [("WARN", "agent_silent")]
    assert guest.agent.state is AgentState.SILENT
    assert guest.waits(200 * S) == []
    assert guest.told() == [("WARN", "agent_silent")] * 2
    guest.says(reply(), 209 * S)
    assert guest.told() == [("INFO", "agent_answers")]
    assert guest.agent.lags_ns == (MS, 179 * S)
    assert (guest.agent.outstanding, guest.agent.warnings, guest.agent.state) == (0, 3, AgentState.ANSWERING)


def test_a_second_silence_within_the_minute_is_told_when_the_minute_is_over() -> None:
    guest = Guest(ClientOptions(monitors_config_interval_s=1))
    guest.waits(0)
    guest.says(reply(), MS)
    guest.waits(6 * S)
    assert guest.told() == [("WARN", "agent_silent")]
    guest.says(reply(), 8 * S)
    assert guest.told() == [("INFO", "agent_answers")]
    guest.waits(66 * S - 1)
    assert guest.told() == []
    assert guest.agent.state is AgentState.SILENT
    guest.waits(66 * S)
    assert guest.told() == [("WARN", "agent_silent")]


@pytest.mark.parametrize("announces", [True, False])
def test_an_agent_that_never_answered_is_not_called_stuck(announces: bool) -> None:
    """With a QXL device the server hands MONITORS_CONFIG to the device; tokens come back, replies never."""
    guest = Guest()
    if announces:
        guest.says(agent_says(AnnounceCapabilities(0, (LINUX,))), 1)
    sent = []
    for step in range(0, 600, 10):
        sent += guest.waits(step * S)
        if step % 100 == 0:
            guest.says(main.AgentToken(5), step * S)
    assert len(sent) == 20
    assert guest.told() == [("INFO", "agent_never_answers")]
    assert guest.agent.state is AgentState.NEVER_ANSWERED
    assert (guest.agent.warnings, guest.agent.stalls, guest.agent.replies) == (0, 0, 0)
    # One reply out of twenty: whose it is cannot be told, but from here on silence means something.
    guest.says(reply(), 600 * S)
    assert (guest.agent.lags_ns, guest.agent.unmatched_replies, guest.agent.outstanding) == ((), 1, 0)
    assert guest.agent.state is AgentState.ANSWERING
    guest.waits(700 * S)
    assert ("WARN", "agent_silent") in guest.told()


def test_a_late_first_answer_has_its_lag() -> None:
    guest = Guest()
    guest.waits(5 * S)
    assert guest.told() == [("INFO", "agent_never_answers")]
    guest.says(reply(), 8 * S)
    assert guest.agent.lags_ns == (8 * S,)
    assert guest.told() == []


def test_an_error_is_an_answer() -> None:
    guest = Guest()
    guest.waits(0)
    guest.says(reply(error=AgentResult.ERROR), S)
    assert (guest.agent.replies, guest.agent.reply_errors, guest.agent.lags_ns) == (1, 1, (S,))


def test_replies_to_nothing_are_counted() -> None:
    guest = Guest()
    guest.says(reply(), 0)
    guest.says(reply(AgentType.DISPLAY_CONFIG), 0)
    assert (guest.agent.replies, guest.agent.unmatched_replies, guest.agent.lags_ns) == (2, 2, ())


def test_a_queue_without_tokens_is_starved_and_told_again() -> None:
    guest = Guest(start=init(tokens=0))
    assert [name for name, _ in guest.first] == ["AGENT_START", "ATTACH_CHANNELS"]
    assert (guest.agent.tokens, guest.agent.queued, guest.agent.starved_since_ns) == (0, 1, 0)
    guest.waits(5 * S - 1)
    assert guest.told() == []
    guest.waits(5 * S)
    assert guest.told() == [("WARN", "agent_starved")]
    guest.waits(44 * S)
    assert guest.told() == [("WARN", "agent_starved")]
    assert guest.agent.stalls == 1
    [(name, _)] = guest.says(main.AgentToken(5), 44 * S)
    assert (name, guest.agent.tokens, guest.agent.queued, guest.agent.starved_since_ns) == (ASKED, 4, 0, None)
    assert guest.agent.stalls == 1


def test_an_agent_that_goes_is_forgotten_and_one_that_comes_is_started() -> None:
    guest = Guest()
    guest.waits(5 * S)
    assert guest.told() == [("INFO", "agent_never_answers")]
    guest.says(main.AgentDisconnected(LinkError.OK), 6 * S)
    assert guest.agent.state is AgentState.ABSENT
    assert guest.client.deadline() is None
    back = guest.says(main.AgentConnectedTokens(3), 7 * S)
    assert [name for name, _ in back] == ["AGENT_START", "AGENT_DATA"]
    assert (guest.agent.tokens, guest.agent.state) == (2, AgentState.UNKNOWN)
    assert guest.told() == [("INFO", "agent_disconnected"), ("INFO", "agent_connected")]


def test_an_agent_without_new_tokens_keeps_the_old_ones() -> None:
    guest = Guest(start=init(connected=False, tokens=6))
    assert [name for name, _ in guest.first] == ["ATTACH_CHANNELS"]
    guest.says(main.AgentConnected(), S)
    assert guest.agent.tokens == 5


def test_an_announcement_that_asks_is_answered() -> None:
    guest = Guest()
    [(name, message)] = guest.says(agent_says(AnnounceCapabilities(1, (LINUX,))), S)
    assert name == "AGENT_DATA"
    assert isinstance(message, main.AgentData)
    assert message.data[20:].hex() == "0000000007100000"
    assert guest.says(agent_says(AnnounceCapabilities(0, (LINUX,))), S) == []


def test_an_agent_that_was_not_started_is_not_answered() -> None:
    guest = Guest(ClientOptions(agent=False))
    assert [name for name, _ in guest.first] == ["ATTACH_CHANNELS"]
    assert guest.says(agent_says(AnnounceCapabilities(1, (LINUX,))), S) == []
    assert guest.says(main.AgentConnectedTokens(10), S) == []
    assert guest.agent.state is AgentState.ABSENT


def test_a_server_that_asks_without_end_does_not_fill_the_queue() -> None:
    guest = Guest(start=init(tokens=0))
    for _ in range(50):
        guest.says(agent_says(AnnounceCapabilities(1, (LINUX,))), S)
        guest.says(main.AgentConnectedTokens(0), S)
    assert guest.agent.queued <= 2


def test_a_limited_grant_is_topped_up() -> None:
    guest = Guest(ClientOptions(agent_grant=10))
    assert guest.first[0][1] == main.AgentStart(10)
    sent = [guest.says(agent_says(ClipboardRelease(None)), S) for _ in range(11)]
    assert [i for i, answers in enumerate(sent) if answers] == [4, 9]
    assert sent[4] == [("AGENT_TOKEN", main.AgentToken(5))]
