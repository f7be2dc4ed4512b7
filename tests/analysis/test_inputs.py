"""Keyboard and mouse as rows, and what they do not give away."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.observed import ORIGIN_NS, Said, channel, ns, session
from support.pcapfile import ACK, SYN, tcp_frame, write_pcap
from support.spicewire import link_stage, mini
from typer.testing import CliRunner

import spicereplay
from spicereplay.analysis.inputs import PRESS_KINDS, code_text, inputs, presses
from spicereplay.analysis.timeline import Tables
from spicereplay.cli.app import app
from spicereplay.protocol.enums import (
    ChannelType,
    ClientCommon,
    ClientInputs,
    KeyModifiers,
    MouseButton,
    MouseButtonMask,
    ServerInputs,
    Side,
)
from spicereplay.protocol.messages import inputs as messages
from spicereplay.protocol.wire import build
from spicereplay.replay import replay
from spicereplay.session.log import Gap, GapCause
from spicereplay.units import NS_PER_S

FIXTURES = Path(__file__).parents[2] / "fixtures"
CAPTURES = sorted(p.parent.name for p in FIXTURES.glob("captures/*/oracle.json"))

LEFT = MouseButtonMask.LEFT
LOCKS = KeyModifiers.NUM_LOCK | KeyModifiers.CAPS_LOCK
FROM_CLIENT = [
    (ClientInputs.KEY_DOWN, messages.KeyDown(0x48E0), {}, "e0 48"),
    (ClientInputs.KEY_UP, messages.KeyUp(0x9E), {}, "9e"),
    (ClientInputs.KEY_SCANCODE, messages.KeyScancode(b"\x1e\x9e"), {}, "1e 9e"),
    (
        ClientInputs.KEY_MODIFIERS,
        messages.KeyModifiersChange(LOCKS),
        {"modifiers": "num_lock+caps_lock"},
        None,
    ),
    (
        ClientInputs.MOUSE_MOTION,
        messages.MouseMotion(-5, 6, LEFT | MouseButtonMask.RIGHT),
        {"dx": -5, "dy": 6, "buttons_state": "left+right"},
        None,
    ),
    (
        ClientInputs.MOUSE_POSITION,
        messages.MousePosition(0xFFFFFFFF, 2, MouseButtonMask(0), 3),
        {"x": 0xFFFFFFFF, "y": 2, "buttons_state": "none", "display_id": 3},
        None,
    ),
    (
        ClientInputs.MOUSE_PRESS,
        messages.MousePress(MouseButton.LEFT, LEFT),
        {"button": "left", "buttons_state": "left"},
        None,
    ),
    (
        ClientInputs.MOUSE_RELEASE,
        messages.MouseRelease(99, 0x8001),
        {"button": "button_99", "buttons_state": "left+0x8000"},
        None,
    ),
]
FROM_SERVER = [
    (ServerInputs.INIT, messages.Init(KeyModifiers(0)), {"modifiers": "none"}),
    (
        ServerInputs.KEY_MODIFIERS,
        messages.KeyModifiersChange(KeyModifiers.SCROLL_LOCK),
        {"modifiers": "scroll_lock"},
    ),
    (ServerInputs.MOUSE_MOTION_ACK, messages.MouseMotionAck(), {}),
]


def log_of(server=(), client=(), **more):
    return channel(ChannelType.INPUTS, server, client, **more)


def rows_of(*logs, **options):
    return inputs([session(*logs)], ORIGIN_NS, **options)


def told(row):
    """The cells that are not null, without those that every row has."""
    common = ("session", "channel_id", "time_s", "from", "name", "partial", "motion_outstanding")
    return {name: value for name, value in row.items() if name not in common and not pd.isna(value)}


@pytest.mark.parametrize(("kind", "body", "want", "key"), FROM_CLIENT)
def test_what_the_client_says(kind, body, want, key):
    log = log_of((), [Said(1, kind, body)])
    (row,) = rows_of(log).to_dict("records")
    assert (row["from"], row["name"], told(row)) == ("client", kind.name, want)
    (row,) = rows_of(log, reveal_keys=True).to_dict("records")
    assert told(row) == want | ({} if key is None else {"key": key})


@pytest.mark.parametrize(("kind", "body", "want"), FROM_SERVER)
def test_what_the_server_says(kind, body, want):
    (row,) = rows_of(log_of([Said(1, kind, body)])).to_dict("records")
    assert (row["from"], row["name"], told(row)) == ("server", kind.name, want)


def test_both_directions_are_one_table_in_order_of_time():
    server = [Said(1 + 2 * i, kind, body) for i, (kind, body, _) in enumerate(FROM_SERVER)]
    client = [Said(2 + 2 * i, kind, body) for i, (kind, body, *_) in enumerate(FROM_CLIENT)]
    rows = rows_of(log_of([*server, Said(0, 4, bytes(12))], [*client, Said(0, ClientCommon.PONG, bytes(12))]))
    assert rows["time_s"].is_monotonic_increasing
    assert len(rows) == len(server) + len(client)
    assert rows["from"].tolist()[:4] == ["server", "client", "server", "client"]


# --- keys ----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=8), st.lists(st.integers(0, 0xFFFFFFFF), max_size=8))
def test_without_being_asked_the_table_is_the_same_whatever_was_typed(codes, others):
    def typed(keys):
        bodies = [messages.KeyDown(key) for key in keys]
        return rows_of(log_of((), [Said(i, ClientInputs.KEY_DOWN, body) for i, body in enumerate(bodies)]))

    count = min(len(codes), len(others))
    pd.testing.assert_frame_equal(typed(codes[:count]), typed(others[:count]))


def test_scan_codes_are_written_as_they_were_sent():
    assert code_text(0x1E) == "1e"
    assert code_text(0x48E0) == "e0 48"
    assert code_text(int.from_bytes(bytes.fromhex("e11d45e19dc5"), "little")) == "e1 1d 45 e1 9d c5"
    assert code_text(0) == "00"


def typed_capture(folder):
    """A capture in which somebody types `hi`."""
    client, server = link_stage(ChannelType.INPUTS)
    server += mini(ServerInputs.INIT, build(messages.Init(KeyModifiers(0))))
    for code in (0x23, 0xA3, 0x17, 0x97):
        kind, body = (
            (ClientInputs.KEY_UP, messages.KeyUp(code))
            if code & 0x80
            else (ClientInputs.KEY_DOWN, messages.KeyDown(code))
        )
        client += mini(kind, build(body))
    frames = [
        tcp_frame(b"", sequence=99, flags=SYN),
        tcp_frame(b"", sequence=7, flags=SYN | ACK, from_server=True),
        tcp_frame(server, sequence=8, from_server=True),
        tcp_frame(client, sequence=100, time_ns=NS_PER_S),
    ]
    return write_pcap(folder / "typed.pcap", frames)


def test_keys_are_revealed_by_every_way_in_and_only_when_asked(tmp_path):
    path = typed_capture(tmp_path)
    with spicereplay.open(path) as hidden, spicereplay.open(path, reveal_keys=True) as revealed:
        assert hidden.inputs["name"].tolist() == ["INIT", *["KEY_DOWN", "KEY_UP"] * 2]
        assert hidden.inputs["key"].isna().all()
        assert not len(hidden.inputs["key"].cat.categories)
        assert revealed.inputs["key"].tolist()[1:] == ["23", "a3", "17", "97"]
        assert revealed.sessions[0].inputs.equals(revealed.inputs)
    for options, keys in (([], set()), (["--reveal-keys"], {"23", "a3", "17", "97"})):
        done = CliRunner().invoke(app, ["table", str(path), "inputs", "--json", *options])
        assert {json.loads(line)["key"] for line in done.stdout.splitlines()} - {None} == keys


# --- what of it are presses -----------------------------------------------------------------------------


def pressed(*said):
    found = presses(session(log_of((), [Said(i, kind, body) for i, (kind, body) in enumerate(said)])))
    return [PRESS_KINDS[kind] for kind in found.kind]


def test_presses_are_what_goes_down():
    assert pressed(*((kind, body) for kind, body, *_ in FROM_CLIENT)) == ["key", "key", "button"]


@pytest.mark.parametrize(
    ("code", "kinds"),
    [("1e", ["key"]), ("9e", []), ("e0c8", []), ("e048", ["key"]), ("1e9e", ["key"]), ("", [])],
)
def test_raw_scan_codes_that_only_let_keys_go_are_no_press(code, kinds):
    assert pressed((ClientInputs.KEY_SCANCODE, bytes.fromhex(code))) == kinds


def test_the_wheel_is_told_from_the_buttons():
    turns = [messages.MousePress(button, MouseButtonMask(0)) for button in MouseButton]
    kinds = pressed(*((ClientInputs.MOUSE_PRESS, body) for body in turns))
    assert kinds == ["button"] * 4 + ["wheel"] * 2 + ["button"] * 2


# --- flow control of motion -----------------------------------------------------------------------------


def moves(*times):
    return [Said(t, ClientInputs.MOUSE_MOTION, messages.MouseMotion(1, 1, LEFT)) for t in times]


def acks(*times):
    return [Said(t, ServerInputs.MOUSE_MOTION_ACK) for t in times]


def outstanding(*logs):
    return [None if pd.isna(count) else int(count) for count in rows_of(*logs)["motion_outstanding"]]


def test_every_fourth_motion_is_acknowledged():
    assert outstanding(log_of(acks(4.5, 8.5), moves(*range(1, 10)))) == [1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_positions_count_and_buttons_do_not():
    client = [
        Said(1, ClientInputs.MOUSE_POSITION, messages.MousePosition(1, 1, LEFT, 0)),
        Said(2, ClientInputs.MOUSE_PRESS, messages.MousePress(MouseButton.LEFT, LEFT)),
        *moves(3),
    ]
    assert outstanding(log_of((), client)) == [1, 1, 2]


def test_an_acknowledgement_at_the_time_of_the_last_motion_is_behind_it():
    assert outstanding(log_of(acks(4), moves(1, 2, 3, 4))) == [1, 2, 3, 4, 0]


def test_without_the_beginning_nobody_can_tell():
    assert outstanding(log_of(acks(5), moves(1, 2), link=None)) == [None, None, None]


def test_from_the_first_hole_on_nobody_can_tell():
    hole = Gap(Side.CLIENT, ns(3), 0, 14, GapCause.NOT_CAPTURED)
    assert outstanding(log_of((), moves(1, 2, 3, 4), gaps=[hole])) == [1, 2, None, None]


# --- damage, and recordings -----------------------------------------------------------------------------


def test_a_message_that_ends_early_has_what_it_has():
    body = build(messages.MousePosition(1, 2, LEFT, 3))
    for size, known in ((3, set()), (7, {"x"}), (9, {"x", "y"}), (10, {"x", "y", "buttons_state"})):
        (row,) = rows_of(log_of((), [Said(1, ClientInputs.MOUSE_POSITION, body[:size])])).to_dict("records")
        assert set(told(row)) == known


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(ClientInputs), st.binary(max_size=16)), max_size=5),
    st.lists(st.tuples(st.integers(101, 200), st.binary(max_size=4)), max_size=5),
)
def test_any_bytes_give_one_row_per_message(client, server):
    log = log_of([Said(9, *said) for said in server], [Said(1, *said) for said in client])
    rows = rows_of(log, reveal_keys=True)
    assert rows["from"].tolist() == ["client"] * len(client) + ["server"] * len(server)


def check(path):
    oracle = json.loads((path.parent / "oracle.json").read_text())["sessions"]
    want = {
        (s["session"], side, seen["name"]): seen["count"]
        for s in oracle
        for c in s["channels"]
        if c["channel"] == "inputs"
        for side in ("server", "client")
        for opcode, seen in c[f"from_{side}"]["by_opcode"].items()
        if int(opcode) > 100
    }
    keys = path.parent / "keys.log"
    with replay(path, keylog=keys if keys.exists() else None, require_spice=False) as found:
        tables = Tables(found, decode=False)
        rows = tables["inputs"]
        assert rows.groupby(["session", "from", "name"], observed=True).size().to_dict() == want
        counted = rows["motion_outstanding"].dropna()
        assert counted.between(0, 8).all(), "a client keeps at most eight outstanding"
        down = rows[rows["name"].isin(["KEY_DOWN", "KEY_SCANCODE", "MOUSE_PRESS"])]
        assert len(tables["input_latency"]) == len(down)


@pytest.mark.parametrize("name", CAPTURES)
def test_recorded_inputs(name):
    check(FIXTURES / "captures" / name / "capture.pcap")


@pytest.mark.shared
def test_inputs_of_shared_captures(shared):
    for path in sorted(shared.glob("captures/*/capture.pcap")):
        check(path)
