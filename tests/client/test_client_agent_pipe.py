"""Records in AGENT_DATA: slices, tokens of both directions, and what is left when the agent goes."""

from hypothesis import given
from hypothesis import strategies as st

from spicereplay.client.agent_pipe import UNLIMITED, AgentPipe
from spicereplay.protocol.agent import AgentAssembler, FileXferData, Reply, slices
from spicereplay.protocol.enums import AgentResult, AgentType, ClientMain
from spicereplay.protocol.messages import main
from spicereplay.protocol.wire import Message


def pipe(grant: int = UNLIMITED) -> tuple[AgentPipe, list[tuple[int, Message]]]:
    sent: list[tuple[int, Message]] = []
    return AgentPipe(lambda type, message: sent.append((type, message)), grant), sent


def bodies(sent: list[tuple[int, Message]]) -> list[bytes]:
    return [m.data for t, m in sent if t == ClientMain.AGENT_DATA and isinstance(m, main.AgentData)]


def test_a_long_record_leaves_in_slices_as_tokens_come() -> None:
    mine, sent = pipe()
    mine.start(2)
    record = FileXferData(1, 5000, bytes(5000))
    assert mine.put(record, 0) == []
    assert [len(body) for body in bodies(sent)] == [2048, 2048]
    assert (mine.queued, mine.tokens, mine.starved_since_ns) == (1, 0, 0)
    assert mine.put(Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS), 5) == []
    assert mine.waits(AgentType.REPLY)
    assert mine.credit(5, 9) == [AgentType.FILE_XFER_DATA, AgentType.REPLY]
    assert (mine.queued, mine.tokens, mine.starved_since_ns) == (0, 3, None)
    assert b"".join(bodies(sent)[:3]) == b"".join(slices(record))


def test_what_is_begun_when_the_agent_goes_is_completed() -> None:
    mine, sent = pipe()
    mine.start(1)
    mine.put(FileXferData(1, 5000, bytes(5000)), 0)
    mine.put(Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS), 0)
    mine.stop()
    assert mine.queued == 2
    mine.start(10)
    mine.put(Reply(AgentType.MONITORS_CONFIG, AgentResult.SUCCESS), 0)
    assert [len(body) for body in bodies(sent)] == [2048, 2048, 5000 + 12 + 20 - 4096, 28]


def test_a_server_that_draws_on_a_grant_that_is_used_up_is_noticed() -> None:
    mine, sent = pipe(grant=0)
    mine.start(0)
    mine.take(b"", 0)
    assert (mine.overdrawn, mine.granted) == (1, 0)
    assert [t for t, _ in sent] == [ClientMain.AGENT_START]


@given(
    st.lists(st.integers(0, 9000), max_size=6), st.lists(st.integers(0, 4), max_size=40), st.integers(0, 3)
)
def test_all_that_was_put_arrives_whole_in_order_and_with_a_token_each(
    sizes: list[int], credits: list[int], first: int
) -> None:
    mine, sent = pipe()
    mine.start(first)
    done: list[int] = []
    for size in sizes:
        done += mine.put(FileXferData(1, size, bytes(size)), 0)
    for tokens in credits:
        done += mine.credit(tokens, 0)
        assert len(bodies(sent)) <= first + mine.tokens_received
        assert (mine.starved_since_ns is not None) == (mine.queued > 0)
        assert not (mine.queued and mine.tokens)
    reader = AgentAssembler(keep_data=lambda kind: True)
    got = [record.size - 12 for body in bodies(sent) for record in reader.feed(body, 0)]
    assert got == sizes[: len(done)]


@given(st.integers(1, 20), st.integers(0, 200))
def test_a_server_that_keeps_to_its_grant_never_waits_for_more_than_a_lump(grant: int, count: int) -> None:
    mine, sent = pipe(grant)
    mine.start(0)
    for _ in range(count):
        assert mine.granted > 0
        mine.take(b"", 0)
    returned = sum(m.num_tokens for _, m in sent if isinstance(m, main.AgentToken))
    assert mine.overdrawn == 0
    assert count - returned < 5
