"""Keyboard, mouse and pointer, and how soon the screen answers them."""

from __future__ import annotations

from typing import Final

from spicereplay.analysis.schema.declaration import CHANNEL_ID, FROM, SESSION, TIME, Table, column

TABLES: Final = (
    Table(
        "inputs",
        "one row per message of the inputs channel's own, both directions (`messages` has PINGs and the like); which "
        "keys, only where asked for",
        (
            SESSION,
            CHANNEL_ID,
            TIME,
            FROM,
            column("name", "category", "the message, `KEY_DOWN` …"),
            column("x", "Int64", "MOUSE_POSITION: pointer on the display (client mouse mode)", "px"),
            column("y", "Int64", "MOUSE_POSITION: pointer on the display", "px"),
            column("dx", "Int64", "MOUSE_MOTION: movement (server mouse mode)", "px"),
            column("dy", "Int64", "MOUSE_MOTION: movement", "px"),
            column("button", "category", "MOUSE_PRESS, MOUSE_RELEASE: `left`, `right`, `up` (wheel) …"),
            column("buttons_state", "category", "buttons held down, `left+right`; `none`"),
            column("modifiers", "category", "INIT, KEY_MODIFIERS: locks that are on, `num_lock`; `none`"),
            column("display_id", "UInt8", "MOUSE_POSITION: display channel or monitor the pointer is on"),
            column(
                "motion_outstanding",
                "Int64",
                "motions and positions sent that the server has not acknowledged (it does so for every 4); null: the "
                "channel's beginning was not captured, or there was a hole",
            ),
            column(
                "key",
                "category",
                "PC scan code bytes of a key in hex, `e0 48`; always null unless `reveal_keys` is asked for, since "
                "passwords that were typed become readable",
            ),
            column("partial", "bool", "bytes of it are missing from the capture"),
        ),
    ),
    Table(
        "cursor",
        "one row per message that servers send on the cursor channel alone (`messages` has PINGs and the like)",
        (
            SESSION,
            CHANNEL_ID,
            TIME,
            column("name", "category", "the message, `SET` …"),
            column("x", "Int16", "INIT, SET, MOVE: position", "px"),
            column("y", "Int16", "INIT, SET, MOVE: position", "px"),
            column("visible", "boolean", "INIT, SET: as they say; HIDE, RESET: false"),
            column("shape", "category", "kind of pixels: `alpha`, `mono`, `color32` …; null: no shape"),
            column("width", "UInt16", "shape", "px"),
            column("height", "UInt16", "shape", "px"),
            column("hot_x", "UInt16", "the place in the shape that points", "px"),
            column("hot_y", "UInt16", "the place in the shape that points", "px"),
            column(
                "unique_id", "UInt64", "key of the shape in the cursor cache; of INVAL_ONE the one to forget"
            ),
            column("from_cache", "boolean", "the shape is one that was sent before"),
            column("cached", "boolean", "the client is to keep the shape"),
            column("bytes", "uint32", "body of the message", "bytes"),
            column("partial", "bool", "bytes of it are missing from the capture"),
        ),
    ),
    Table(
        "input_latency",
        "one row per key or button pressed: when the screen next changed, seen at the capture point",
        (
            SESSION,
            TIME,
            column("kind", "category", "`key`, `button` or `wheel`"),
            column(
                "next_draw_s",
                "float64",
                "next draw message that changes the screen; NaN: none was captured",
                "s",
            ),
            column("next_frame_s", "float64", "next video frame; NaN: none was captured", "s"),
            column("next_display_s", "float64", "next message of any kind that changes the screen", "s"),
            column("latency_ms", "float64", "next_display_s - time_s", "ms"),
            column(
                "busy",
                "bool",
                "the screen had changed in the 250 ms before, so that it would have gone on changing anyway: the "
                "latency says nothing",
            ),
            column("channel_id", "UInt8", "display channel that changed the screen next; null: none did"),
        ),
    ),
)
