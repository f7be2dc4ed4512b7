"""What a script does arrives at a real X server: each sign as typed, each click where it was, pictures in between."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from interop.live_client import Client
from interop.xspice import Xspice, missing, xspice
from PIL import Image
from support.absent import absent

pytestmark = pytest.mark.interop

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
LEFT, TOP = 100, 300
SCRIPT = r"""# into xev's window
0.3   move 200 400
+0.2  click right
+0    move 210 420
+0.1  press shift
+0    click
+0    release shift
+0.1  wheel down 2
+0    button middle down
+0.2  move 230 440
+0    button middle up
+0.2  screenshot before.png
+0    type " !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
+0    type '"\n\t'
+0.2  key ctrl+c
+0.3  quit
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Xspice]:
    why = missing() or (None if shutil.which("xev") else "xev")
    if why is not None:
        absent(f"Xspice: {why}")
    with xspice(tmp_path_factory.mktemp("xspice")) as started:
        yield started


@contextlib.contextmanager
def window(server: Xspice, out: Path) -> Iterator[None]:
    """Show a window whose program writes down what it is told."""
    command = ["xev", "-geometry", f"400x300+{LEFT}+{TOP}", "-event", "keyboard", "-event", "button"]
    with out.open("wb") as said:
        program = subprocess.Popen(command, env={**os.environ, "DISPLAY": server.display}, stdout=said)
    try:
        time.sleep(1.0)
        yield
    finally:
        program.terminate()
        program.wait(10)


def test_keys_and_clicks_arrive_as_they_were_written(server: Xspice, tmp_path: Path) -> None:
    script, told = tmp_path / "script", tmp_path / "told"
    script.write_text(SCRIPT.replace("before.png", str(tmp_path / "before.png")))
    with window(server, told):
        code, said = Client(tmp_path, f"spice://127.0.0.1:{server.port}", "--script", str(script)).end(None)
        assert code == 0, said
        time.sleep(0.5)
    text = told.read_text()
    pressed = re.findall(
        r"^KeyPress event.*?XLookupString gives \d+ bytes:(?: \(([0-9a-f ]+)\))?", text, re.M | re.S
    )
    typed = "".join(bytes.fromhex(each).decode() for each in pressed)
    assert typed == PRINTABLE.replace('"', "") + '"\r\t\x03'
    assert clicks(text) == [
        ("Press", 200, 400, 3, False),
        ("Release", 200, 400, 3, False),
        ("Press", 210, 420, 1, True),
        ("Release", 210, 420, 1, True),
        *(("Press", 210, 420, 5, False), ("Release", 210, 420, 5, False)) * 2,
        ("Press", 210, 420, 2, False),
        ("Release", 230, 440, 2, False),
    ]
    screen = np.asarray(Image.open(tmp_path / "before.png").convert("RGB"))
    assert screen[TOP + 150, LEFT + 200].tolist() == [255, 255, 255], "the window is in the picture"


def clicks(text: str) -> list[tuple[str, int, int, int, bool]]:
    """Return press or release, the place on the screen, the button, and whether Shift was held."""
    found = re.findall(
        r"^Button(Press|Release) event.*?root:\((\d+),(\d+)\),\s+state 0x([0-9a-f]+), button (\d)",
        text,
        re.M | re.S,
    )
    return [
        (way, int(x), int(y), int(button), bool(int(state, 16) & 1)) for way, x, y, state, button in found
    ]
