"""Replays a recorded session to a real SPICE client: what the server said then, at the same intervals.

`script` chooses what is played, `performance` plays it to one client without touching a socket or a clock, `server`
is the asyncio adapter that has both.
"""

from __future__ import annotations

from spicereplay.serve.script import Script, script_of

__all__ = ["Script", "script_of"]
