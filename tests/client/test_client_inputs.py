"""Keys, buttons and motion: what goes over the wire, how much of it at once, and what is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.conversation import Conversation, S

from spicereplay.client.inputs import EXTENDED, InputKind, InputsClient
from spicereplay.client.options import ClientOptions
from spicereplay.client.shared import Shared
from spicereplay.errors import UsageError
from spicereplay.protocol.enums import ChannelType, KeyModifiers, MouseButton, MouseButtonMask, MouseMode
from spicereplay.protocol.messages import inputs

LEFT = MouseButtonMask.LEFT
NONE = MouseButtonMask(0)
ACK = inputs.MouseMotionAck()


def desk(
    mode: MouseMode = MouseMode.CLIENT, options: ClientOptions | None = None, caps: tuple[str, ...] = ()
) -> tuple[Conversation, InputsClient]:
    talk = Conversation(ChannelType.INPUTS, options, Shared(mouse_mode=mode), server_caps=caps)
    assert isinstance(talk.client, InputsClient)
    return talk, talk.client


def test_nothing_is_sent_unasked() -> None:
    talk, mine = desk()
    assert talk.began == []
    assert talk.says(inputs.Init(KeyModifiers.NUM_LOCK)) == []
    assert talk.says(inputs.KeyModifiersChange(KeyModifiers.CAPS_LOCK)) == []
    assert talk.waits(3600 * S) == []
    assert mine.diagnostics().modifiers == KeyModifiers.CAPS_LOCK


@pytest.mark.parametrize(
    ("scancode", "down", "up"),
    [(0x1E, 0x1E, 0x9E), (0x7F, 0x7F, 0xFF), (EXTENDED | 0x48, 0x48E0, 0xC8E0)],
)
def test_keys(scancode: int, down: int, up: int) -> None:
    talk, mine = desk()
    mine.key(scancode, down=True, now_ns=S)
    mine.key(scancode, down=False, now_ns=2 * S)
    assert talk.taken() == [("KEY_DOWN", inputs.KeyDown(down)), ("KEY_UP", inputs.KeyUp(up))]
    assert mine.diagnostics().last_key_ns == 2 * S


@pytest.mark.parametrize("scancode", [0, 0x80, 0x100, 0x180, 0x200, 0xE048, -1])
def test_what_is_no_key(scancode: int) -> None:
    talk, mine = desk()
    for strike in (
        lambda: mine.key(scancode, down=True, now_ns=0),
        lambda: mine.press_and_release(scancode, 0),
    ):
        with pytest.raises(UsageError, match="no scan code"):
            strike()
    assert talk.taken() == []


@pytest.mark.parametrize(("scancode", "codes"), [(0x1E, b"\x1e\x9e"), (EXTENDED | 0x48, b"\xe0\x48\xe0\xc8")])
def test_a_key_is_struck_in_one_message_where_the_server_knows_that(scancode: int, codes: bytes) -> None:
    talk, mine = desk(caps=("KEY_SCANCODE",))
    mine.press_and_release(scancode, S)
    assert talk.taken() == [("KEY_SCANCODE", inputs.KeyScancode(codes))]
    talk, mine = desk()
    mine.press_and_release(scancode, S)
    assert [name for name, _ in talk.taken()] == ["KEY_DOWN", "KEY_UP"]


def test_buttons_are_held_and_the_wheel_is_not() -> None:
    talk, mine = desk()
    mine.button(MouseButton.LEFT, down=True, now_ns=0)
    mine.button(MouseButton.EXTRA, down=True, now_ns=0)
    mine.button(MouseButton.UP, down=True, now_ns=0)
    mine.button(MouseButton.UP, down=False, now_ns=0)
    mine.button(MouseButton.LEFT, down=False, now_ns=0)
    both = LEFT | MouseButtonMask.EXTRA
    assert talk.taken() == [
        ("MOUSE_PRESS", inputs.MousePress(MouseButton.LEFT, LEFT)),
        ("MOUSE_PRESS", inputs.MousePress(MouseButton.EXTRA, both)),
        ("MOUSE_PRESS", inputs.MousePress(MouseButton.UP, both)),
        ("MOUSE_RELEASE", inputs.MouseRelease(MouseButton.UP, both)),
        ("MOUSE_RELEASE", inputs.MouseRelease(MouseButton.LEFT, MouseButtonMask.EXTRA)),
    ]


def test_eight_positions_are_under_way_at_most_and_the_last_one_counts() -> None:
    talk, mine = desk()
    for x in range(20):
        assert mine.position(x, 5, S)
    assert [m.x for _, m in talk.taken() if isinstance(m, inputs.MousePosition)] == list(range(8))
    assert talk.says(ACK) == [("MOUSE_POSITION", inputs.MousePosition(19, 5, NONE, 0))]
    assert talk.says(ACK) == []
    told = mine.diagnostics()
    assert (told.motions_outstanding, told.motions_merged) == (1, 12)


def test_motions_that_wait_are_added_up() -> None:
    talk, mine = desk(MouseMode.SERVER)
    for _ in range(20):
        mine.motion(2, -1, S)
    assert len(talk.taken()) == 8
    assert talk.says(ACK) == [("MOUSE_MOTION", inputs.MouseMotion(24, -12, NONE))]


def test_a_button_takes_the_moves_that_wait_along() -> None:
    talk, mine = desk()
    for x in range(10):
        mine.position(x, 0, S)
    talk.taken()
    mine.button(MouseButton.LEFT, down=True, now_ns=S)
    assert talk.taken() == [
        ("MOUSE_POSITION", inputs.MousePosition(9, 0, LEFT, 0)),
        ("MOUSE_PRESS", inputs.MousePress(MouseButton.LEFT, LEFT)),
    ]


def test_moves_that_the_mouse_mode_does_not_allow_are_refused() -> None:
    talk, mine = desk(MouseMode.SERVER)
    assert not mine.position(1, 1, S)
    mine.shared.mouse_mode = MouseMode.CLIENT
    assert not mine.motion(1, 1, S)
    mine.shared.mouse_mode = 0
    assert not mine.motion(1, 1, S)
    assert talk.taken() == []
    assert mine.diagnostics().moves_refused == 3
    with pytest.raises(UsageError, match="no pointer"):
        mine.position(-1, 0, S)


def test_locks_are_set_when_asked_and_restated_only_where_that_is_chosen() -> None:
    talk, mine = desk(options=ClientOptions(restate_modifiers_s=10))
    assert talk.waits(100 * S) == []
    talk.says(inputs.Init(KeyModifiers.NUM_LOCK), 5 * S)
    restated = ("KEY_MODIFIERS", inputs.KeyModifiersChange(KeyModifiers.NUM_LOCK))
    assert talk.waits(26 * S) == [(15 * S, *restated), (25 * S, *restated)]
    mine.modifiers(KeyModifiers.CAPS_LOCK, 30 * S)
    assert talk.taken() == [("KEY_MODIFIERS", inputs.KeyModifiersChange(KeyModifiers.CAPS_LOCK))]
    assert mine.deadline() == 40 * S
    assert (mine.diagnostics().restatements, mine.diagnostics().last_restatement_ns) == (2, 25 * S)


@pytest.mark.parametrize(("remember", "shown"), [(False, None), (True, 0x1E)])
def test_which_keys_is_remembered_only_where_that_is_chosen(remember: bool, shown: int | None) -> None:
    _, mine = desk(options=ClientOptions(remember_keys=remember))
    mine.position(30, 40, S)
    mine.key(0x1E, down=True, now_ns=2 * S)
    events = mine.diagnostics().events
    assert [(e.kind, e.time_ns, e.x, e.y, e.scancode) for e in events] == [
        (InputKind.MOVE, S, 30, 40, None),
        (InputKind.KEY_DOWN, 2 * S, 30, 40, shown),
    ]
    for i in range(100):
        mine.key(1 + i, down=True, now_ns=0)
    assert len(mine.diagnostics().events) == 50


@given(st.lists(st.one_of(st.just(None), st.tuples(st.integers(-50, 50), st.integers(-50, 50))), max_size=60))
def test_no_motion_is_lost_and_eight_are_outstanding_at_most(moves: list[tuple[int, int] | None]) -> None:
    talk, mine = desk(MouseMode.SERVER)
    total, sent, acked = [0, 0], [0, 0], 0

    def take(answers: list[tuple[str, object]]) -> int:
        for _, message in answers:
            assert isinstance(message, inputs.MouseMotion)
            sent[0] += message.dx
            sent[1] += message.dy
        return len(answers)

    count = 0
    for move in moves:
        if move is None:
            count += take(list(talk.says(ACK)))
            acked += 4
        else:
            mine.motion(*move, S)
            total[0] += move[0]
            total[1] += move[1]
            count += take(list(talk.taken()))
        assert mine.diagnostics().motions_outstanding <= 8
    for _ in range(3):
        take(list(talk.says(ACK)))
    assert sent == total
