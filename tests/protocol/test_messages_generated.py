"""Every declaration, with instances and bodies nobody thought of."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protocol.declared_instances import instances

from spicereplay.protocol import agent
from spicereplay.protocol.registry import iter_declarations
from spicereplay.protocol.wire import Message, Structure, build, parse

DECLARED = list(iter_declarations())
AGREED = frozenset({agent.CLIPBOARD_SELECTION, agent.CLIPBOARD_GRAB_SERIAL})
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def test_there_are_declarations() -> None:
    assert len(DECLARED) > 140
    assert len({cls.__module__ for cls in DECLARED}) == 15


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: f"{cls.__module__.split('.')[-1]}.{cls.__name__}")
@pytest.mark.parametrize("negotiated", [frozenset(), AGREED], ids=["", "agreed"])
@QUICK
@given(data=st.data())
def test_what_is_built_is_parsed_again(
    cls: type[Structure], negotiated: frozenset[str], data: st.DataObject
) -> None:
    message = data.draw(instances(cls, negotiated))
    body = build(message)
    assert len(body) >= cls.MIN_SIZE
    assert cls.MAX_SIZE is None or len(body) <= cls.MAX_SIZE
    parsed = parse(cls, body, negotiated=negotiated)
    assert parsed.problems == ()
    assert parsed.message == message
    assert parsed.residue == ()
    assert build(parsed.message, layout=parsed.layout) == body


@pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: f"{cls.__module__.split('.')[-1]}.{cls.__name__}")
def test_no_body_raises_and_every_message_gives_its_body_back(cls: type[Structure]) -> None:
    chance = random.Random(cls.__name__)
    bodies = [b"", bytes(500), b"\xff" * 300]
    bodies += [chance.randbytes(chance.randrange(200)) for _ in range(20)]
    # small numbers are counts, types and offsets that lead somewhere
    bodies += [
        bytes(chance.choices((0, 0, 0, 1, 2, 4, 8, 9, 40, 100), k=chance.randrange(200))) for _ in range(60)
    ]
    for body in bodies:
        parsed = parse(cls, body)
        assert parsed.body == body
        if parsed.message is None:
            assert parsed.problems, body.hex()
        else:
            assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == body


@pytest.mark.parametrize("cls", [c for c in DECLARED if issubclass(c, Message)], ids=lambda cls: cls.__name__)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_cut_and_every_changed_byte_is_survived(cls: type[Message], data: st.DataObject) -> None:
    body = build(data.draw(instances(cls)))
    for size in range(min(len(body), 80)):
        parsed = parse(cls, body[:size])
        assert parsed.message is not None or parsed.problems
    chance = random.Random(body)
    for _ in range(20 if body else 0):
        changed = bytearray(body)
        changed[chance.randrange(len(body))] = chance.choice((0, 1, 2, 0x7F, 0xFF))
        parsed = parse(cls, bytes(changed))
        if parsed.message is not None:
            assert build(parsed.message, layout=parsed.layout, residue=parsed.residue) == bytes(changed)
