"""Every message of the recorded sessions, from real servers and clients."""

import json
from collections import Counter
from pathlib import Path

import pytest
from protocol.bodies_of_captures import bodies, links

from spicereplay.protocol import caps, registry
from spicereplay.protocol.enums import ChannelType, Side
from spicereplay.protocol.messages.link import LinkMess, LinkReply
from spicereplay.protocol.wire import build, parse

pytestmark = pytest.mark.shared


def test_every_message_parses_and_gives_its_bytes_back(shared: Path) -> None:
    seen: Counter[str] = Counter()
    for path in sorted(shared.glob("captures/*/capture.pcap")):
        for body in bodies(path):
            channel, side = ChannelType(body.channel), Side(body.side)
            name = registry.message_name(channel, side, body.type)
            parsed = registry.parse_message(channel, side, body.type, body.data)
            assert parsed.problems == (), (path.parent.name, name)
            assert parsed.message is not None
            # these servers and clients write the canonical form, so nothing may depend on layout and residue
            assert build(parsed.message) == body.data, (path.parent.name, name)
            assert build(parsed.message, layout=parsed.layout) == body.data
            seen[name] += 1
    assert seen.total() > 50_000
    assert {"DRAW_COPY", "DRAW_FILL", "STREAM_CREATE", "NOTIFY", "SET", "VOLUME", "AGENT_DATA"} < set(seen)


def test_every_link_stage_parses_and_gives_its_bytes_back(shared: Path) -> None:
    for path in sorted(shared.glob("captures/*/capture.pcap")):
        for mess, reply in links(path):
            for cls, data in ((LinkMess, mess[16:]), (LinkReply, reply[16:])):
                parsed = parse(cls, data)
                assert parsed.problems == ()
                assert build(parsed.message) == data


def test_names_are_those_the_captures_were_described_with(shared: Path) -> None:
    for path in sorted(shared.glob("captures/*/oracle.json")):
        for session in json.loads(path.read_text())["sessions"]:
            for channel in session["channels"]:
                kind = ChannelType.from_label(channel["channel"])
                for side in Side:
                    described = (channel.get(f"from_{side}") or {}).get("by_opcode", {})
                    names = {op: registry.message_name(kind, side, int(op)) for op in described}
                    assert names == {op: row["name"] for op, row in described.items()}
                    for group, of in ((None, "common_"), (kind, "")):
                        announced = channel.get(f"{side}_{of}caps") or []
                        assert caps.names(group, caps.words(group, announced)) == announced
