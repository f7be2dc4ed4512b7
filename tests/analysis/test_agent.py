"""Requests to the guest agent and their answers, paired without request numbers."""

import math
import struct

import pytest
from support.observed import ORIGIN_NS, Said, channel, ns

from spicereplay.analysis.agent import agent, pair
from spicereplay.analysis.agent_records import AgentRecord, AgentTalk, agent_messages, agent_talk
from spicereplay.analysis.agent_tokens import starved_periods
from spicereplay.defects import DefectKind, DefectLog
from spicereplay.limits import DEFAULT_LIMITS
from spicereplay.protocol.enums import AgentType, ChannelType, ClientMain, ServerMain, Side
from spicereplay.session.log import Gap, GapCause

SIZES = {AgentType.REPLY: 8, AgentType.FILE_XFER_STATUS: 8}


def client(at, kind, *words):
    return AgentRecord(ns(at), Side.CLIENT, kind, 28, 1, words)


def server(at, kind, *words):
    return AgentRecord(ns(at), Side.SERVER, kind, 8, 1, words)


def monitors(at):
    return client(at, AgentType.MONITORS_CONFIG, 1, 0)


def reply(at, result=1, to=AgentType.MONITORS_CONFIG):
    return server(at, AgentType.REPLY, to, result)


def told(*records, ends=(), doubtful=()):
    talk = AgentTalk(tuple(records), tuple(map(ns, ends)), tuple(map(ns, doubtful)))
    return [
        (r.outcome, None if r.reply_ns is None else round((r.reply_ns - r.time_ns) / 1e9, 6))
        for r in pair(talk)
    ]


def test_a_request_and_its_reply():
    assert told(monitors(1), reply(1.5)) == [("answered", 0.5)]


def test_success_is_one_and_everything_else_is_not():
    assert told(monitors(1), reply(2, result=2)) == [("error", 1.0)]
    assert told(monitors(1), reply(2, result=0)) == [("error", 1.0)]


def test_two_requests_at_once_that_are_both_answered_pair_in_order():
    assert told(monitors(1), monitors(2), reply(3), reply(4)) == [("answered", 2.0), ("answered", 2.0)]


def test_one_reply_for_two_requests_is_ambiguous():
    assert told(monitors(1), monitors(2), reply(3)) == [("ambiguous", 2.0), ("ambiguous", None)]


def test_a_request_after_the_last_reply_is_certainly_unanswered():
    found = told(monitors(1), monitors(2), reply(3), monitors(4))
    assert found == [("ambiguous", 2.0), ("ambiguous", None), ("unanswered", None)]


def test_what_was_settled_stays_settled():
    assert told(monitors(1), reply(1.5), monitors(4)) == [("answered", 0.5), ("unanswered", None)]


def test_a_reply_to_nothing_is_no_row():
    assert told(reply(1), monitors(2)) == [("unanswered", None)]


def test_an_agent_that_went_away_answers_nothing_from_before():
    assert told(monitors(1), monitors(5), reply(6), ends=[3]) == [("unanswered", None), ("answered", 1.0)]


def test_an_answer_may_have_been_in_the_hole():
    assert told(monitors(1), doubtful=[2]) == [("ambiguous", None)]
    assert told(monitors(3), doubtful=[2]) == [("unanswered", None)]


def test_types_do_not_answer_each_other():
    records = [monitors(1), client(1, AgentType.CLIPBOARD_REQUEST), server(2, AgentType.CLIPBOARD), reply(3)]
    assert told(*records) == [("answered", 2.0), ("answered", 1.0)]


def test_an_announcement_counts_as_an_answer_only_when_it_is_not_a_question():
    """qemu-guest-agent: the agent's own question comes before its answer."""
    records = [
        client(1, AgentType.ANNOUNCE_CAPABILITIES, 1),
        server(1.1, AgentType.ANNOUNCE_CAPABILITIES, 1),
        client(1.2, AgentType.ANNOUNCE_CAPABILITIES, 0),
        server(1.3, AgentType.ANNOUNCE_CAPABILITIES, 0),
    ]
    assert told(*records) == [("answered", 0.3)]


def test_file_transfers_have_numbers():
    records = [
        client(1, AgentType.FILE_XFER_START, 10),
        client(2, AgentType.FILE_XFER_START, 11),
        server(3, AgentType.FILE_XFER_STATUS, 11, 0),
        server(4, AgentType.FILE_XFER_STATUS, 10, 4),
    ]
    assert told(*records) == [("error", 3.0), ("answered", 1.0)]


def test_the_table_has_milliseconds_and_results():
    talk = AgentTalk((monitors(1), reply(1.25), monitors(2)), (), ())
    frame = agent([(0, talk)], ORIGIN_NS)
    assert frame["type"].tolist() == ["MONITORS_CONFIG"] * 2
    assert frame["lag_ms"].tolist()[0] == 250.0
    assert math.isnan(frame["reply_time_s"].tolist()[1])
    assert frame["result"].tolist()[0] == 1


# --- from the main channel ----------------------------------------------------------------------------


def record(kind, data=b"", size=None):
    return struct.pack("<IIQI", 1, kind, 0, len(data) if size is None else size) + data


def test_records_are_put_together_from_their_slices():
    whole = record(AgentType.MONITORS_CONFIG, bytes(3000))
    log = channel(
        ChannelType.MAIN,
        server=[Said(3, ServerMain.AGENT_DATA, record(AgentType.REPLY, struct.pack("<2I", 2, 1)))],
        client=[Said(1, ClientMain.AGENT_DATA, whole[:2048]), Said(2, ClientMain.AGENT_DATA, whole[2048:])],
    )
    talk = agent_talk(log, DEFAULT_LIMITS, DefectLog())
    assert [(r.time_ns, r.chunks, r.size) for r in talk.records] == [(ns(2), 2, 3000), (ns(3), 1, 8)]
    assert talk.records[1].words == (2, 1)
    assert agent_messages([(0, talk)], ORIGIN_NS)["from"].tolist() == ["client", "server"]


def test_what_users_copied_is_not_kept():
    secret = record(AgentType.CLIPBOARD, b"pass" + b"word")
    log = channel(ChannelType.MAIN, client=[Said(1, ClientMain.AGENT_DATA, secret)])
    assert agent_talk(log, DEFAULT_LIMITS, DefectLog()).records[0].words == ()


def test_after_a_hole_the_next_whole_record_is_found():
    torn = record(AgentType.CLIPBOARD, bytes(100), size=5000)
    good = record(AgentType.REPLY, struct.pack("<2I", 2, 1))
    log = channel(
        ChannelType.MAIN,
        server=[
            Said(1, ServerMain.AGENT_DATA, torn),
            Said(2, ServerMain.AGENT_DATA, b"rest", partial=True),
            Said(3, ServerMain.AGENT_DATA, good),
        ],
    )
    talk = agent_talk(log, DEFAULT_LIMITS, DefectLog())
    assert [r.type for r in talk.records] == [AgentType.REPLY]
    assert talk.doubtful_ns == (ns(2),)


def test_a_hole_between_messages_counts_too():
    torn = record(AgentType.CLIPBOARD, bytes(10), size=50)
    good = record(AgentType.REPLY, struct.pack("<2I", 2, 1))
    hole = Gap(Side.SERVER, ns(1.5), len(torn) - 1, 10, GapCause.NOT_CAPTURED)
    log = channel(
        ChannelType.MAIN,
        server=[Said(1, ServerMain.AGENT_DATA, torn), Said(2, ServerMain.AGENT_DATA, good)],
        gaps=[hole],
    )
    assert [r.type for r in agent_talk(log, DEFAULT_LIMITS, DefectLog()).records] == [AgentType.REPLY]


def test_rubbish_is_a_defect_and_no_record():
    defects = DefectLog()
    log = channel(ChannelType.MAIN, client=[Said(1, ClientMain.AGENT_DATA, b"\xff" * 40)])
    assert not agent_talk(log, DEFAULT_LIMITS, defects).records
    assert [d.kind for d in defects] == [DefectKind.AGENT_MALFORMED]


# --- tokens -------------------------------------------------------------------------------------------


def init(at, tokens, connected=1):
    return Said(at, ServerMain.INIT, struct.pack("<8I", 1, 1, 3, 1, connected, tokens, 0, 0))


def tokens(at, count, kind=ServerMain.AGENT_TOKEN):
    return Said(at, kind, struct.pack("<I", count))


def sends(*times):
    return [Said(t, ClientMain.AGENT_DATA, b"x") for t in times]


def test_a_client_without_tokens_waits_until_some_come():
    log = channel(ChannelType.MAIN, [init(0, 2), tokens(9, 5)], sends(1, 2))
    periods = starved_periods(log, Side.CLIENT)
    assert [(p.start_ns, p.end_ns) for p in periods] == [(ns(2), ns(9))]


def test_it_may_wait_for_ever():
    log = channel(ChannelType.MAIN, [init(0, 1)], sends(1))
    assert [p.end_ns for p in starved_periods(log, Side.CLIENT)] == [None]


@pytest.mark.parametrize("server", [[], [init(0, 0, connected=0)]])
def test_credit_that_nobody_saw_is_not_guessed(server):
    assert not starved_periods(channel(ChannelType.MAIN, server, sends(1, 2, 3)), Side.CLIENT)


def test_a_new_agent_brings_new_credit():
    log = channel(
        ChannelType.MAIN,
        [
            init(0, 1),
            Said(2, ServerMain.AGENT_DISCONNECTED, bytes(4)),
            tokens(3, 10, ServerMain.AGENT_CONNECTED_TOKENS),
        ],
        sends(1, 4),
    )
    assert [(p.start_ns, p.end_ns) for p in starved_periods(log, Side.CLIENT)] == [(ns(1), ns(2))]


def test_the_server_needs_tokens_as_well():
    log = channel(
        ChannelType.MAIN,
        [Said(t, ServerMain.AGENT_DATA, b"x") for t in (1, 2)],
        [tokens(0, 2, ClientMain.AGENT_START), tokens(5, 3, ClientMain.AGENT_TOKEN)],
    )
    assert [(p.start_ns, p.end_ns) for p in starved_periods(log, Side.SERVER)] == [(ns(2), ns(5))]
