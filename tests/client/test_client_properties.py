"""Whatever a server says, in whatever order and at whatever time: no client raises, spins or talks nonsense."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from support.conversation import MS, S, linked, seen

from spicereplay.client.factory import channel_client
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.protocol import caps, registry
from spicereplay.protocol.agent import AnnounceCapabilities, Reply, slices
from spicereplay.protocol.enums import (
    AgentResult,
    AgentType,
    ChannelType,
    ClientCommon,
    ServerCommon,
    ServerMain,
    Side,
)

TYPES = {
    channel: sorted(registry.known_types(channel, Side.SERVER).items())
    for channel in ChannelType
    if channel is not ChannelType.TUNNEL
}
ORDINARY = st.integers(0, 70).map(lambda n: n.to_bytes(4, "little"))
"""Four bytes of a small number: what streams, tokens, windows and sizes are told apart by."""


@st.composite
def messages(draw: st.DrawFn, channel: ChannelType) -> tuple[int, bytes]:
    """A message that has the size of its type at least, so that those of fixed size are valid."""
    type, (least, most) = draw(st.sampled_from(TYPES[channel]))
    size = least if most == least else least + draw(st.integers(0, 40))
    if draw(st.booleans()):
        words = draw(st.lists(ORDINARY, min_size=size // 4 + 1, max_size=size // 4 + 1))
        return type, b"".join(words)[:size]
    return type, draw(st.binary(min_size=size, max_size=size))


AGENT = st.sampled_from(
    [
        Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS),
        Reply(AgentType.MONITORS_CONFIG, AgentResult.ERROR),
        Reply(AgentType.DISPLAY_CONFIG, AgentResult.SUCCESS),
        AnnounceCapabilities(1, (7,)),
        AnnounceCapabilities(0, (0,)),
    ]
).map(lambda record: (int(ServerMain.AGENT_DATA), slices(record)[0]))

STEPS = st.sampled_from(
    [(channel, message) for channel in TYPES for message in (messages(channel),)]
).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])) | st.tuples(st.just(ChannelType.MAIN), AGENT)

EVERYTHING = tuple(name.name for name in caps.DisplayCap)
OPTIONS = st.sampled_from(
    [
        ClientOptions(),
        ClientOptions(
            monitors_config_interval_s=0.5, agent_warning_s=0.2, restate_modifiers_s=1, agent_grant=3
        ),
        ClientOptions(agent=False, playback=False, playable_codecs=(), monitors_config_interval_s=None),
    ]
)


@settings(max_examples=60)
@given(OPTIONS, st.lists(st.tuples(st.integers(0, 3000), st.booleans(), STEPS), max_size=60))
def test_any_conversation(
    options: ClientOptions, steps: list[tuple[int, bool, tuple[ChannelType, tuple[int, bytes]]]]
) -> None:
    shared = Shared()
    clients = {channel: channel_client(channel, 0, options, shared) for channel in TYPES}
    for channel, client in clients.items():
        client.linked(linked(channel, EVERYTHING if channel is ChannelType.DISPLAY else ()), 0)
    now = 0
    pings = dict.fromkeys(clients, 0)
    for wait_ms, ticks, (channel, (type, body)) in steps:
        until = now + wait_ms * MS
        if ticks:
            for client in clients.values():
                while (due := client.deadline()) is not None and due <= until:
                    client.tick(max(due, now))
                    after = client.deadline()
                    assert after is None or after > max(due, now)
        now = until
        client = clients[channel]
        client.received(seen(type, body), now)
        pings[channel] += type == ServerCommon.PING
        for out in client.take():
            parsed = registry.parse_message(channel, Side.CLIENT, out.type, out.body)
            assert parsed.message is not None
            assert not parsed.problems
        for notice in client.notices():
            assert notice.time_ns <= now
            assert notice.text or notice.source == "server"
        client.diagnostics()
    for channel, client in clients.items():
        told = client.baseline()
        assert told.pings == pings[channel] == told.sent.get(ClientCommon.PONG, 0)
        assert told.errors + sum(told.unknown.values()) <= sum(told.received.values())


@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.sampled_from(["reply", "tokens", "gone", "back", "nothing"]))
    )
)
def test_a_silent_agent_is_told_once_a_minute_at_most(steps: list[tuple[int, str]]) -> None:
    shared = Shared()
    main = channel_client(ChannelType.MAIN, 0, ClientOptions(), shared)
    display = channel_client(ChannelType.DISPLAY, 0, ClientOptions(), shared)
    display.received(
        seen(101, (1024).to_bytes(4, "little") + (768).to_bytes(4, "little") + bytes([32, 0, 0, 0])), 0
    )
    said = {
        "reply": (ServerMain.AGENT_DATA, slices(Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS))[0]),
        "tokens": (ServerMain.AGENT_TOKEN, (5).to_bytes(4, "little")),
        "gone": (ServerMain.AGENT_DISCONNECTED, bytes(4)),
        "back": (ServerMain.AGENT_CONNECTED_TOKENS, (10).to_bytes(4, "little")),
    }
    main.received(seen(*said["back"]), 0)
    now, warned, starved = 0, [], []
    for wait_ms, what in steps:
        now += wait_ms * MS
        while (due := main.deadline()) is not None and due <= now:
            main.tick(due)
        if what in said:
            main.received(seen(*said[what]), now)
        for notice in main.notices():
            if notice.code == "agent_silent":
                warned.append(notice.time_ns)
            if notice.code == "agent_starved":
                starved.append(notice.time_ns)
    assert all(b - a >= 60 * S for a, b in pairwise(warned))
    assert len(starved) <= 1 + now // (5 * S)
