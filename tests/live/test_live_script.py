"""Timed actions, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spicereplay.client.inputs import EXTENDED
from spicereplay.errors import InputError, UsageError
from spicereplay.live.keys import chord, strokes
from spicereplay.live.script import (
    Action,
    Button,
    Key,
    Move,
    Quit,
    Resize,
    Shoot,
    Timed,
    Type,
    parse_script,
    read_script,
)
from spicereplay.protocol.enums import MouseButton


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("1 key a", Key((0x1E,))),
        ("1 key ctrl+alt+delete", Key((0x1D, 0x38, EXTENDED + 0x53))),
        ("1 press shift", Key((0x2A,), up=False)),
        ("1 release shift", Key((0x2A,), down=False)),
        ('1 type "aB 1!"', Type(((0x1E, False), (0x30, True), (0x39, False), (0x02, False), (0x02, True)))),
        (r'1 type "\n\\"', Type(((0x1C, False), (0x2B, False)))),
        ("1 move 3 4", Move(3, 4)),
        ("1 motion -3 4", Move(-3, 4, relative=True)),
        ("1 click", Button(MouseButton.LEFT)),
        ("1 click right", Button(MouseButton.RIGHT)),
        ("1 button middle down", Button(MouseButton.MIDDLE, up=False)),
        ("1 wheel up 3", Button(MouseButton.UP, times=3)),
        ("1 resize 1280x720", Resize(1280, 720)),
        ("1 screenshot a.png", Shoot(Path("a.png"))),
        ("1 quit # enough", Quit()),
    ],
)
def test_actions(line: str, action: Action) -> None:
    assert parse_script(line) == (Timed(1.0, action),)


def test_times_are_from_the_beginning_or_from_the_action_before() -> None:
    text = "# nothing\n\n2 click\n+0.5 click\n1 quit\n"
    assert [timed.at_s for timed in parse_script(text)] == [1.0, 2.0, 2.5]


@pytest.mark.parametrize(
    "line",
    [
        "soon click",
        "-1 click",
        "nan click",
        "1",
        "1 dance",
        "1 key",
        "1 key hyper",
        "1 type é",
        '1 type "a',
        "1 move 1",
        "1 move a b",
        "1 wheel left",
        "1 resize 0x0",
        "1 button left",
        "1 move 99999 1",
    ],
)
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="script, line 2: "):
        parse_script(f"0 click\n{line}")


@given(st.text(max_size=80))
def test_any_text_is_a_script_or_a_usage_error(text: str) -> None:
    try:
        parse_script(text)
    except UsageError:
        return


def test_every_sign_of_a_us_keyboard_can_be_typed() -> None:
    printable = "".join(map(chr, range(0x20, 0x7F)))
    assert len(set(strokes(printable))) == len(printable)
    assert chord("f12") == (0x58,)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_script(tmp_path / "none")
    path = tmp_path / "long"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(InputError):
        read_script(path)
